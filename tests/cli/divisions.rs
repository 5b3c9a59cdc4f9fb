//! Folders of pictures that change after a training: which images were trained on stays the run's own, or it is refused.

use super::cells::TWO;
use super::folders::{make, train};
use super::{Folder, text};
use diva::data::image::encode_rgb;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

const CLASSIFIER: [&str; 2] = ["--set", "model.kind=classifier"];

/// What `diva evaluate --json` says, and the notices beside it.
fn evaluate(here: &Folder, run: &str) -> (Value, String) {
    let output = here.run(&["evaluate", run, "--json"]);
    let notices = text(&output.stderr);
    assert!(output.status.success(), "{notices}");
    let mut value: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    let said = value.as_object_mut().unwrap();
    said.remove("notices");
    (value, notices)
}

/// The lines of a run's division: file, SHA-256, domain, class, group, role.
fn rows(here: &Folder, run: &str) -> Vec<[String; 6]> {
    let table = text(&here.read(&format!("{run}/division.csv")));
    assert!(table.starts_with("file,sha256,domain,class,group,role\n"), "{table}");
    let fields = |line: &str| -> [String; 6] {
        let fields: Vec<String> = line.split(',').map(str::to_owned).collect();
        fields.try_into().unwrap_or_else(|_| panic!("{line}"))
    };
    table.lines().skip(1).map(fields).collect()
}

/// The lines of a division without groups as (file, class, role).
fn lines(here: &Folder, run: &str) -> Vec<(String, String, String)> {
    let fields = |[file, sha256, _, class, group, role]: [String; 6]| {
        assert_eq!((sha256.len(), group.as_str()), (64, ""), "{file}");
        (file, class, role)
    };
    rows(here, run).into_iter().map(fields).collect()
}

#[test]
fn a_run_keeps_its_division_whatever_becomes_of_its_folder() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    here.succeed(&train("run", TWO, &CLASSIFIER));
    let table = lines(&here, "run");
    let count = |role: &str| table.iter().filter(|line| line.2 == role).count();
    // A fifth of 6 and of 7 in each class of A and B, to the nearest number.
    assert_eq!((count("training"), count("validation"), count("test")), (22, 4, 16));
    let (before, notices) = evaluate(&here, "run");
    assert_eq!(notices, "");
    let of_role = |role: &str| table.iter().find(|line| line.2 == role).unwrap().0.clone();
    let (trained_on, held_back) = (of_role("training"), of_role("validation"));

    // Renamed: the same images play the same parts. The hashes are those of the run, so it can be repeated and continued.
    let path = |name: &str| here.join("data").join(name);
    let folder = |name: &str| path(name).parent().unwrap().to_owned();
    fs::rename(path(&trained_on), folder(&trained_on).join("zzz.png")).unwrap();
    let (after, notices) = evaluate(&here, "run");
    assert_eq!(after, before);
    let said = format!("1 of the pictures of run have another name now ({trained_on} is ");
    assert!(notices.contains(&said) && notices.lines().count() == 1, "{notices}");
    assert!(text(&here.run(&["verify", "run", "--epochs", "2"]).stdout).ends_with("repeats\n"));
    here.succeed(&train("run", "train.epochs=3", &[&CLASSIFIER[..], &["--resume"]].concat()));
    fs::rename(folder(&trained_on).join("zzz.png"), path(&trained_on)).unwrap();
    here.succeed(&train("whole", "train.epochs=3", &CLASSIFIER));
    super::assert_same_run(&here, "run", "whole");

    // One more: it is left out, and nothing else moves.
    let (before, _) = evaluate(&here, "run");
    fs::copy(path(&held_back), folder(&held_back).join("0 new.png")).unwrap();
    let (after, notices) = evaluate(&here, "run");
    assert_eq!(after, before);
    assert!(notices.contains("1 pictures were not there when run began: they are left out"), "{notices}");
    here.refuse(
        &["verify", "run"],
        2,
        &["cannot repeat run: the pictures are not those", "0 new.png was not there"],
    );
    fs::remove_file(folder(&held_back).join("0 new.png")).unwrap();

    // One less: the others are what they were.
    fs::rename(path(&trained_on), here.join("kept.png")).unwrap();
    let (after, notices) = evaluate(&here, "run");
    let rows = |all: &Value, role: &str| -> Vec<Value> {
        all["domains"].as_array().unwrap().iter().filter(|row| row["role"] == role).cloned().collect()
    };
    for role in ["validation", "test"] {
        assert_eq!(rows(&after, role), rows(&before, role), "{role}");
    }
    let images =
        |all: &Value| rows(all, "training").iter().map(|row| row["images"].as_u64().unwrap()).sum::<u64>();
    assert_eq!((images(&before), images(&after)), (22, 21));
    let said = format!(
        "1 of the pictures of run are not there as they were, so that they are missing here ({trained_on} is not there)"
    );
    assert!(notices.contains(&said), "{notices}");
    here.refuse(&["verify", "run"], 2, &["cannot repeat run: ", &format!("{trained_on} is not there")]);
    let report = here.run(&["report", "run"]);
    assert!(report.status.success());
    assert!(
        text(&here.read("run/report.html")).contains("1 of the pictures of run are not there as they were")
    );

    // Damaged: named.
    fs::write(path(&trained_on), b"\x89PNG\r\n\x1a\nno more").unwrap();
    here.refuse(&["evaluate", "run"], 2, &[&trained_on]);
    fs::rename(here.join("kept.png"), path(&trained_on)).unwrap();

    // A line that was changed by hand: where no result knows the table, the images as a whole are no longer those of the run.
    let division = text(&here.read("run/division.csv"));
    fs::write(here.join("run/division.csv"), division.replacen(",validation", ",training", 1)).unwrap();
    here.refuse(&["evaluate", "run"], 2, &["division.csv is not the one that result.json knows"]);
    forget_division(&here);
    here.refuse(
        &["evaluate", "run"],
        2,
        &["cannot evaluate run: the pictures are not those", "division.csv was changed"],
    );
    // Without the table the draw is repeated; it is used only if it gives the images of the run.
    fs::remove_file(here.join("run/division.csv")).unwrap();
    assert_eq!(evaluate(&here, "run"), (before, String::new()));
    fs::rename(path(&trained_on), here.join("kept.png")).unwrap();
    here.refuse(&["evaluate", "run"], 2, &["cannot evaluate run: the pictures are not those"]);
}

/// Makes `run` one of an earlier version, which knew nothing of the division.
fn forget_division(here: &Folder) {
    fs::remove_file(here.join("run/division.sha256")).ok();
    let mut result: Value = serde_json::from_slice(&here.read("run/result.json")).unwrap();
    for seal in ["division_sha256", "result_sha256"] {
        result.as_object_mut().unwrap().remove(seal);
    }
    fs::write(here.join("run/result.json"), result.to_string()).unwrap();
}

/// The fault: the table of a run that was not finished yet could be changed where the images stay the same, by another name of
/// a file for example, and the run ended with another `division_sha256`.
#[test]
fn the_division_of_an_interrupted_run_is_sealed() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    here.succeed(&train("run", TWO, &CLASSIFIER));
    here.succeed(&train("whole", "train.epochs=3", &CLASSIFIER));
    fs::remove_file(here.join("run/result.json")).unwrap();
    let (division, seal) = (here.read("run/division.csv"), here.read("run/division.sha256"));
    let by_others = std::process::Command::new("sha256sum")
        .args(["--check", "--status", "division.sha256"])
        .current_dir(here.join("run"))
        .status();
    // Where there is no such tool, a second opinion is missing.
    assert!(by_others.is_err() || by_others.unwrap().success());
    let table = text(&division);
    let sha256 = table.lines().nth(1).unwrap().split(',').nth(1).unwrap();
    let group_at = table.match_indices(',').nth(5 + 4).unwrap().0;
    let resume = train("run", "train.epochs=3", &[&CLASSIFIER[..], &["--resume"]].concat());
    for changed in [
        table.replacen("0 é.png", "1 é.png", 1),
        table.replace('\n', "\r\n"),
        table.trim_end().to_owned(),
        table.replacen(sha256, &sha256.to_uppercase(), 1),
        format!("{}patient{}", &table[..group_at], &table[group_at..]),
    ] {
        assert_ne!(changed, table);
        fs::write(here.join("run/division.csv"), &changed).unwrap();
        let sentence = "division.csv is not the one that division.sha256 knows";
        here.refuse(&resume, 2, &["cannot continue run: ", sentence]);
        here.refuse(&["evaluate", "run"], 2, &["cannot evaluate run: ", sentence]);
    }
    fs::write(here.join("run/division.csv"), &division).unwrap();
    let other_seal = text(&seal).replacen("division", "divisiom", 1);
    fs::write(here.join("run/division.sha256"), other_seal).unwrap();
    here.refuse(&resume, 2, &["that division.sha256 knows"]);
    // What is gone is made again.
    fs::remove_file(here.join("run/division.sha256")).unwrap();
    fs::remove_file(here.join("run/division.csv")).unwrap();
    here.succeed(&resume);
    assert_eq!((here.read("run/division.csv"), here.read("run/division.sha256")), (division.clone(), seal));
    super::assert_same_run(&here, "run", "whole");

    // Gone from a finished run: said, and made again by --resume.
    fs::remove_file(here.join("run/division.csv")).unwrap();
    let gone = "division.csv, which result.json knows, is gone from run: its pictures were divided anew, with the same outcome";
    assert!(evaluate(&here, "run").1.contains(gone));
    let verified = here.run(&["verify", "run", "--epochs", "1"]);
    assert!(verified.status.success() && text(&verified.stderr).contains(gone), "{}", text(&verified.stderr));
    fs::rename(here.join("run/checkpoint.safetensors"), here.join("kept")).unwrap();
    here.refuse(
        &["evaluate", "run"],
        2,
        &["division.csv, which result.json knows, is gone, and so is the checkpoint"],
    );
    fs::rename(here.join("kept"), here.join("run/checkpoint.safetensors")).unwrap();
    here.succeed(&resume);
    assert_eq!(here.read("run/division.csv"), division);
    super::assert_same_run(&here, "run", "whole");
}

/// Five patients in each of three domains, with two pictures of each class and, in A, one of no class.
fn make_patients(here: &Folder) {
    for (domain, patient) in ["A", "B", "C"].iter().flat_map(|domain| (1..6_u8).map(move |n| (domain, n))) {
        for (class, pictures, colour) in
            [("ill", 2, [200, 40, 60]), ("healthy", 2, [40, 60, 200]), ("unlabelled", 1, [90, 90, 90])]
        {
            if class == "unlabelled" && *domain != "A" {
                continue;
            }
            let folder = here.join(&format!("data/{domain}/{class}/P{patient}"));
            fs::create_dir_all(&folder).unwrap();
            for picture in 0..pictures {
                let shade = domain.as_bytes()[0] ^ (patient << 3) ^ (picture << 7);
                let pixel = |i: usize| colour.map(|value: u8| value ^ (shade & (i as u8)));
                let pixels: Vec<u8> = (0..18 * 18).flat_map(pixel).collect();
                fs::write(folder.join(format!("{picture}.png")), encode_rgb(18, 18, &pixels)).unwrap();
            }
        }
    }
}

#[test]
fn no_patient_is_on_both_sides() {
    let here = Folder::new();
    make_patients(&here);
    let notices = here.succeed(&train("run", TWO, &CLASSIFIER));
    for notice in [
        "the group \"P1\" is in the domains A, B and C: it is taken as 3 groups",
        "; so it is with 4 more",
        "1 images without a class are left out: their groups (patients, for example) are held back to choose the epoch",
    ] {
        assert!(notices.contains(notice), "{notices}");
    }
    let table = rows(&here, "run");
    assert_eq!(table.len(), 65);
    let of_role = |role: &str| -> BTreeSet<(String, String)> {
        let mine = table.iter().filter(|row| row[5] == role);
        mine.map(|row| (row[2].clone(), row[4].clone())).collect()
    };
    assert!(table.iter().all(|row| row[0].contains(&format!("/{}/", row[4])) && row[4].starts_with('P')));
    let (trained_on, held_back) = (of_role("training"), of_role("validation"));
    assert_eq!((trained_on.len(), held_back.len(), of_role("test").len()), (8, 2, 5));
    assert!(trained_on.is_disjoint(&held_back) && of_role("unlabelled").is_disjoint(&held_back));
    assert!(of_role("left-out").is_subset(&held_back));
    let (before, _) = evaluate(&here, "run");

    // Put into the folder of a patient who is trained on: the run goes by what it has trained on.
    let of_domain = |side: &BTreeSet<(String, String)>| {
        side.iter()
            .find(|(domain, _)| domain == "A")
            .map(|(_, patient)| format!("data/A/ill/{patient}"))
            .unwrap()
    };
    let (from, to) = (of_domain(&held_back), of_domain(&trained_on));
    let moved = [here.join(&format!("{from}/0.png")), here.join(&format!("{to}/moved.png"))];
    fs::rename(&moved[0], &moved[1]).unwrap();
    let (after, notices) = evaluate(&here, "run");
    assert_eq!(after, before);
    assert!(notices.contains("1 of the pictures of run have another name now ("), "{notices}");
    assert!(text(&here.run(&["verify", "run", "--epochs", "2"]).stdout).ends_with("repeats\n"));
    fs::rename(&moved[1], &moved[0]).unwrap();

    // One more of a patient who is held back, one less of one who is not.
    fs::copy(&moved[0], here.join(&format!("{from}/more.png"))).unwrap();
    let (after, notices) = evaluate(&here, "run");
    assert_eq!(after, before);
    assert!(notices.contains("1 pictures were not there when run began: they are left out"), "{notices}");
    here.refuse(&["verify", "run"], 2, &["cannot repeat run: ", "more.png was not there"]);
    fs::remove_file(here.join(&format!("{from}/more.png"))).unwrap();
    let gone = here.join(&format!("{to}/0.png"));
    fs::rename(&gone, here.join("kept.png")).unwrap();
    let (after, notices) = evaluate(&here, "run");
    assert!(
        after != before && notices.contains("1 of the pictures of run are not there as they were"),
        "{notices}"
    );
    here.refuse(&["verify", "run"], 2, &["cannot repeat run: ", "0.png is not there"]);
    fs::rename(here.join("kept.png"), &gone).unwrap();

    // Without the run's own division they are drawn anew: with the same outcome, or not used.
    forget_division(&here);
    fs::remove_file(here.join("run/division.csv")).unwrap();
    assert_eq!(evaluate(&here, "run").0, before);
    fs::rename(&moved[0], &moved[1]).unwrap();
    here.refuse(&["evaluate", "run"], 2, &["cannot evaluate run: the pictures are not those"]);
}

#[test]
fn a_run_without_its_checkpoint_keeps_its_division() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    here.succeed(&train("run", TWO, &CLASSIFIER));
    let (before, _) = evaluate(&here, "run");
    // One more picture would move the others, if they were divided anew.
    fs::copy(here.join("data/A/blue/0 é.png"), here.join("data/A/blue/0 new.png")).unwrap();
    fs::remove_file(here.join("run/checkpoint.safetensors")).unwrap();
    let unproved = "nothing in run says whether division.csv is as it was left there";
    for vouched_for in [true, false] {
        let (after, notices) = evaluate(&here, "run");
        assert_eq!(after, before);
        assert!(notices.contains("1 pictures were not there when run began: they are left out"), "{notices}");
        assert_eq!(!notices.contains(unproved), vouched_for, "{notices}");
        forget_division(&here);
    }
}

#[test]
fn a_run_finds_its_pictures_from_any_folder() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    here.succeed(&train("run", TWO, &CLASSIFIER));
    let (before, _) = evaluate(&here, "run");
    // Other pictures lie under the same relative name.
    let elsewhere = here.join("elsewhere");
    for domain in ["A", "B", "C"] {
        for class in ["red cells", "blue"] {
            fs::create_dir_all(elsewhere.join(format!("data/{domain}/{class}"))).unwrap();
            let picture = here.join(&format!("data/A/{class}/0 é.png"));
            for number in 0..4 {
                fs::copy(&picture, elsewhere.join(format!("data/{domain}/{class}/{number} é.png"))).unwrap();
            }
        }
    }
    let there = |arguments: &[&str]| here.diva(arguments).current_dir(&elsewhere).output().unwrap();
    let after: Value =
        serde_json::from_str(&super::success(&there(&["evaluate", "../run", "--json"]))).unwrap();
    assert_eq!(after["domains"], before["domains"]);
    // Whoever asks for these is told that they are others.
    let asked = there(&["evaluate", "../run", "--json", "--set", "data.path=data"]);
    super::refused(&asked, 2, &["no validation image is there as it was: "]);
}

#[test]
fn digits_of_another_list_are_noticed() {
    let here = Folder::new();
    let list = |step: usize| (0..40).map(|i| format!("{}\n", i * 25 + step)).collect::<String>();
    fs::create_dir(here.join("lists")).unwrap();
    fs::write(here.join("lists/subset.txt"), list(0)).unwrap();
    here.succeed(&super::train("run", &["--set", "data.subset_file=lists/subset.txt"]));
    let (before, _) = evaluate(&here, "run");
    // The list moves, and the same digits are asked for from elsewhere.
    fs::rename(here.join("lists/subset.txt"), here.join("subset.txt")).unwrap();
    here.refuse(&["evaluate", "run"], 2, &["subset.txt"]);
    let moved = ["evaluate", "run", "--json", "--set", "data.subset_file=subset.txt"];
    assert_eq!(here.json(&moved)["domains"], before["domains"]);
    let resumed = ["--resume", "--set", "data.subset_file=subset.txt", "--set", "train.epochs=3"];
    here.succeed(&super::train("run", &resumed));
    // Other digits under the name.
    fs::write(here.join("subset.txt"), list(1)).unwrap();
    here.refuse(&moved[..], 2, &["cannot evaluate run: the pictures are not those that it began with"]);
    let more = ["--resume", "--set", "data.subset_file=subset.txt", "--set", "train.epochs=4"];
    here.refuse(&super::train("run", &more), 2, &["cannot continue from run/checkpoint.safetensors: "]);
}

/// The fault: "train.batch = 6 is more than the 0 training images".
#[test]
fn a_division_without_an_image_is_named() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    here.succeed(&train("run", "train.epochs=1", &CLASSIFIER));
    // Of an earlier version; where there is a seal, that is broken first.
    forget_division(&here);
    for table in ["", "file,sha256,domain,class,group,role\n"] {
        fs::write(here.join("run/division.csv"), table).unwrap();
        let resume = train("run", "train.epochs=2", &[&CLASSIFIER[..], &["--resume"]].concat());
        here.refuse(&resume, 2, &["cannot read run/division.csv: it names no training image"]);
        assert_eq!(text(&here.read("run/division.csv")), table);
    }
}
