//! A folder of pictures and nothing else: what is assumed, what is warned of, and how it goes on.

use super::folders::make;
use super::{Folder, assert_same_run, text};
use diva::data::image::encode_rgb;
use serde_json::json;
use std::fs;

/// What keeps the runs here small.
const SMALL: [&str; 4] = ["--set", "model.width=0.0625", "--set", "train.epochs=1"];

fn train<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["train"], arguments, &SMALL[..]].concat()
}

#[test]
fn a_folder_alone_is_trained_on() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    let said = here.succeed(&train(&["data"]));
    for part in [
        "assumed: the domain C is held out, as the last by name; --test-domain names another\n",
        "assumed: images of 32 x 32 pixels, in colour: of 42 of 42 pictures 42 are in colour, and they are 20 x 24 to 20 x 24\n",
        "assumed: 100 epochs in batches of 8, the divergences in full from epoch 50 on: some 20 images are trained on\n",
        "assumed: alpha_d = 24 and alpha_y = 18, ",
        "this takes about ",
        "runs/data-seed0",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let config = text(&here.read("runs/data-seed0/config.toml"));
    for part in [
        "preset = \"own-images\"",
        "test_domain = \"C\"",
        "domains = [\"A\", \"B\", \"C\"]",
        "image_size = 32",
    ] {
        assert!(config.contains(part), "{part:?} is not in {config}");
    }
    // The run needs nothing but itself; what is said again must agree.
    let more = ["train", "--resume", "--out", "runs/data-seed0", "--set", "train.epochs=2"];
    assert!(here.succeed(&more).contains("goes on in epoch 2 of 2"));
    let other = [&more[..], &["--set", "data.test_domain=A"]].concat();
    here.refuse(&other, 2, &["data.test_domain is \"C\" in the run's folder, but \"A\" was asked for"]);
    // So it is with the folder: what has been assumed is the run's own.
    let again = ["train", "data", "--resume", "--set", "train.epochs=3"];
    assert!(here.succeed(&again).contains("goes on in epoch 3 of 3"));
    let other = [&again[..], &["--test-domain", "A"]].concat();
    here.refuse(&other, 2, &["data.test_domain is \"C\" in the run's folder, but \"A\" was asked for"]);
    let other = [&again[..], &["--size", "48"]].concat();
    here.refuse(&other, 2, &["model.image_size is 32 in the run's folder, but 48 was asked for"]);
    here.refuse(
        &["train", "runs/data-seed0"],
        2,
        &["holds a run and no pictures to train on: diva train --resume --out runs/data-seed0 continues it"],
    );
}

#[test]
fn wishes_are_of_a_folder() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    let wishes = ["data", "--test-domain", "A", "--domains", "A,B", "--model", "classifier", "--out", "run"];
    let said = here.succeed(&train(&wishes));
    assert!(!said.contains("is held out, as the last by name") && !said.contains("alpha_d"), "{said}");
    let config = text(&here.read("run/config.toml"));
    for part in ["test_domain = \"A\"", "domains = [\"A\", \"B\"]", "kind = \"classifier\""] {
        assert!(config.contains(part), "{part:?} is not in {config}");
    }
    here.refuse(
        &train(&["data", "--preset", "malaria"]),
        2,
        &["--preset malaria does not go with a folder of pictures"],
    );
    here.refuse(&train(&["--test-domain", "A"]), 2, &["elsewhere that is --set 'data.test_domain=\"A\"'"]);
    here.refuse(&train(&["data", "--model", "resnet"]), 2, &["no such model"]);
    here.refuse(
        &train(&["data", "--size", "40"]),
        2,
        &["it takes 16, 32, 48, 64, 80, 96, 112 or 128, or 28"],
    );
    here.refuse(
        &train(&["data", "--test-domain", "Z"]),
        2,
        &["cannot find the domain \"Z\" in data: it has A, B, C"],
    );
    fs::create_dir(here.join("empty")).unwrap();
    here.refuse(
        &train(&["empty"]),
        2,
        &["cannot find pictures in empty: it has no folder, expected empty/DOMAIN/CLASS/picture"],
    );
    assert!(!here.join("runs").exists());
}

/// A third class in two of three domains, and one domain of nothing else.
#[test]
fn a_part_of_the_classes_is_trained_on() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    let copy = |from: &str, to: &str| {
        fs::create_dir_all(here.join(to)).unwrap();
        for entry in fs::read_dir(here.join(from)).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            bytes.extend(to.as_bytes()); // behind the end of the picture: another file of the same pixels
            fs::write(here.join(to).join(path.file_name().unwrap()), bytes).unwrap();
        }
    };
    copy("data/A/blue", "data/A/dust");
    copy("data/B/blue", "data/B/dust");
    copy("data/B/blue", "data/D/dust");
    let wishes = ["data", "--classes", "red cells,blue", "--test-domain", "C"];
    let said = here.succeed(&train(&wishes));
    assert!(
        said.contains("13 images of classes that data.classes does not name are left out: dust (13)"),
        "{said}"
    );
    let config = text(&here.read("runs/data-seed0/config.toml"));
    for part in ["classes = [\"red cells\", \"blue\"]", "domains = [\"A\", \"B\", \"C\"]"] {
        assert!(config.contains(part), "{part:?} is not in {config}");
    }
    // The other classes are none of the run's division, and may change.
    assert!(!text(&here.read("runs/data-seed0/division.csv")).contains("dust"));
    fs::remove_dir_all(here.join("data/B/dust")).unwrap();
    here.succeed(&["evaluate", "runs/data-seed0"]);
    let again = ["train", "data", "--resume", "--set", "train.epochs=2"];
    let same = [&again[..], &["--classes", "red cells,blue"]].concat();
    assert!(here.succeed(&same).contains("goes on in epoch 2 of 2"));
    let other = [&again[..], &["--classes", "blue,red cells"]].concat();
    here.refuse(&other, 2, &["data.classes is [\"red cells\", \"blue\"] in the run's folder"]);
    here.refuse(
        &train(&["data", "--classes", "blue,green"]),
        2,
        &["cannot find the class \"green\" in data: it has blue, dust, red cells"],
    );
    here.refuse(
        &train(&["data", "--classes", "red cells,blue", "--domains", "A,B,D", "--test-domain", "B"]),
        2,
        &["cannot use the domain D: none of its images is of the classes red cells, blue"],
    );
    here.refuse(
        &["train", "--classes", "a,b"],
        2,
        &["elsewhere that is --set 'data.classes=[\"a\", \"b\"]'"],
    );
}

/// The pictures are not surveyed again: a survey would refuse what has become of them.
#[test]
fn a_run_that_goes_on_needs_no_survey() {
    let here = Folder::new();
    make(&here, &["A", "B"]);
    here.succeed(&train(&["data", "--size", "16"]));
    // Another folder of that name is not taken for it.
    fs::create_dir(here.join("other")).unwrap();
    fs::rename(here.join("data"), here.join("other/data")).unwrap();
    make(&here, &["B", "A"]);
    let again = ["train", "data", "--resume", "--set", "train.epochs=2"];
    here.refuse(&again, 2, &["no training image is there as it was: "]);
    let elsewhere = ["train", "other/data", "--resume", "--set", "train.epochs=2"];
    assert!(here.succeed(&elsewhere).contains("goes on in epoch 2 of 2"));
    fs::remove_dir_all(here.join("data/B")).unwrap();
    let assumes_two = "is the only one with classes, expected at least two";
    here.refuse(&train(&["data"]), 2, &[assumes_two]);
    let again = ["train", "data", "--resume", "--set", "train.epochs=3"];
    here.refuse(&again, 2, &["cannot find the domain \"B\": the data have A"]);
}

#[test]
fn a_configuration_is_written_and_never_over_another() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    let wishes = ["data", "--classes", "red cells,blue", "--test-domain", "A", "--size", "16"];
    let said = here.succeed(&[&["init"], &wishes[..], &SMALL[..]].concat());
    for part in [
        "assumed: images of 16 x 16 pixels, in colour",
        "written: own-images.toml\n",
        "to train with it: diva train own-images.toml\n",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    // It is what a run on the folder has, and repeats it.
    here.succeed(&train(&wishes));
    let written = here.read("own-images.toml");
    assert_eq!(text(&written), text(&here.read("runs/data-seed0/config.toml")));
    here.succeed(&["train", "own-images.toml"]);
    assert_same_run(&here, "runs/data-seed0", "runs/own-images-seed0");
    here.refuse(&["init", "data"], 2, &["cannot write own-images.toml: it is there, and stays as it is"]);
    assert_eq!(here.read("own-images.toml"), written);
    here.succeed(&["init", "data", "--out", "other.toml"]);
    here.refuse(
        &["init", "--out", "third.toml"],
        2,
        &["cannot write third.toml: nothing was named, expected a folder"],
    );
    here.refuse(
        &["init", "own-images.toml", "--out", "third.toml"],
        2,
        &["own-images.toml is neither, expected a folder of pictures or a list of them"],
    );
    here.refuse(&["init", "data", "--test-domain", "Z", "--out", "third.toml"], 2, &["it has A, B, C"]);
    assert!(!here.join("third.toml").exists());
}

#[test]
fn each_domain_is_held_out_in_turn() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    let each = train(&["data", "--test-domain", "each", "--size", "16"]);
    for more in
        [&["--out", "run"][..], &["--resume"], &["--tensorboard"], &["--detect-anomaly"], &["--baseline"]]
    {
        let sentence = format!("{} is of one run, and --test-domain each makes several", more[0]);
        here.refuse(&[&each[..], more].concat(), 2, &[&sentence]);
    }
    here.refuse(
        &[&each[..], &["--set", "data.test_domain=A"]].concat(),
        2,
        &["--set data.test_domain=A is not usable with --test-domain each"],
    );
    let said = here.succeed(&each);
    for part in [
        "assumed: each of the domains A, B, C is held out in turn\n",
        "3 runs, of the sweep runs/data-each-seed0.toml\n",
        "3 jobs trained, 0 were done; everything is in runs/data-each-seed0\n",
        "held out  images  recognised",
        "       A      12  ",
        "       B      14  ",
        "       C      16  ",
        "    mean          ",
        "written: runs/data-each-seed0/table.md",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    // Each run is what the other way gives; what is done is not done again.
    let plan = here.succeed(&["sweep", "plan", "runs/data-each-seed0.toml"]);
    let id =
        plan.lines().find(|line| line.contains("data.test_domain=B")).unwrap().split_once(' ').unwrap().0;
    let folder = format!("runs/data-each-seed0/{id}");
    here.succeed(&["train", &format!("{folder}/config.toml"), "--out", "alone"]);
    assert_same_run(&here, &folder, "alone");
    fs::remove_file(here.join(&format!("{folder}/result.json"))).unwrap();
    let again = here.succeed(&each);
    assert!(again.contains("1 jobs trained, 2 were done"), "{again}");
    let table = |said: &str| said[said.find("held out  ").unwrap()..].to_owned();
    assert_eq!(table(&again), table(&said));
    // Another folder of the same name is another matter.
    fs::create_dir(here.join("other")).unwrap();
    fs::rename(here.join("data"), here.join("other/data")).unwrap();
    let elsewhere = train(&["other/data", "--test-domain", "each", "--size", "16"]);
    here.refuse(&elsewhere, 2, &["it is of other settings or pictures (the pictures in data)"]);
    fs::rename(here.join("other/data"), here.join("data")).unwrap();
    here.refuse(
        &[&each[..], &["--set", "train.batch=3"]].concat(),
        2,
        &[
            "cannot go on with runs/data-each-seed0.toml: it is of other settings",
            "train.batch is 8 in the run's folder",
        ],
    );
}

/// What cannot be trained on is described all the same.
#[test]
fn a_folder_that_cannot_be_trained_on_is_described() {
    let here = Folder::new();
    make(&here, &["A"]);
    fs::create_dir_all(here.join("data/A/blue/patient 1")).unwrap();
    for name in ["0 é.png", "1 é.png"] {
        fs::rename(here.join("data/A/blue").join(name), here.join("data/A/blue/patient 1").join(name))
            .unwrap();
    }
    fs::write(here.join("data/A/blue/broken.png"), "no picture").unwrap();
    here.refuse(&train(&["data"]), 2, &["A is the only one with classes, expected at least two"]);
    let said = here.succeed(&["data", "info", "data"]);
    for part in [
        "what lies there:\ndomain  pictures  blue  red cells  groups\n     A        13     7          6       1\n",
        "files that cannot be read and are left out: 1\n",
        "cannot read data/A/blue/broken.png: it is no picture",
        "training stops at the first file that cannot be read; --skip-unreadable leaves them out\n",
        "as they are, they cannot be trained on: cannot hold a domain of data out: A is the only one with classes",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    let info = here.json(&["data", "info", "data", "--json"]);
    let of_a =
        json!({"domain": "A", "pictures_of_class": [7, 6], "unlabelled": 0, "groups": 1, "pictures": 13});
    assert_eq!((&info["pictures"], &info["domains"]), (&json!([of_a]), &json!([])));
    assert!(info["refused"].as_str().unwrap().contains("A is the only one with classes"), "{info}");
    // A request that names what is not there is wrong, whatever lies there.
    here.refuse(&["data", "info", "data", "--test-domain", "B"], 2, &["is the only one with classes"]);
    // More classes than columns are numbers in a row.
    make(&here, &["B"]);
    for class in 0..20 {
        let folder = here.join(&format!("data/B/class {class:02}"));
        fs::create_dir(&folder).unwrap();
        fs::copy(here.join("data/B/blue/1 é.png"), folder.join("1.png")).unwrap();
    }
    let said = here.succeed(&["data", "info", "data"]);
    assert!(said.contains("domain  pictures"), "{said}");
    assert!(said.contains("images of each class") && said.contains("7 0 0 0 0"), "{said}");
}

/// Warnings of files and names that no test of a part has on real files.
#[test]
fn pictures_and_names_that_look_wrong_are_told_of() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    fs::write(here.join("data/A/blue/black.png"), encode_rgb(24, 20, &[0; 24 * 20 * 3])).unwrap();
    fs::write(here.join("data/A/blue/white.png"), encode_rgb(24, 20, &[255; 24 * 20 * 3])).unwrap();
    // One class in two spellings of Unicode, one domain in upper and lower case.
    for (class, picture) in [("caf\u{e9}", "1 é.png"), ("cafe\u{301}", "2 é.png")] {
        fs::create_dir(here.join(&format!("data/B/{class}"))).unwrap();
        fs::rename(here.join("data/B/blue").join(picture), here.join(&format!("data/B/{class}/1.png")))
            .unwrap();
    }
    fs::create_dir_all(here.join("data/c/blue")).unwrap();
    fs::rename(here.join("data/C/blue/3 é.png"), here.join("data/c/blue/3.png")).unwrap();
    // Two patients of one size in A: neither can be held back.
    for (class, patient, numbers) in [
        ("blue", "1", [0, 1, 2]),
        ("red cells", "1", [0, 1, 2]),
        ("blue", "2", [3, 4, 5]),
        ("red cells", "2", [3, 4, 5]),
    ] {
        let folder = here.join(&format!("data/A/{class}/patient {patient}"));
        fs::create_dir(&folder).unwrap();
        for number in numbers {
            fs::rename(
                here.join(&format!("data/A/{class}/{number} é.png")),
                folder.join(format!("{number}.png")),
            )
            .unwrap();
        }
    }
    fs::rename(here.join("data/A/blue/black.png"), here.join("data/A/blue/patient 1/3.png")).unwrap();
    fs::rename(here.join("data/A/blue/white.png"), here.join("data/A/blue/patient 2/6.png")).unwrap();
    let said = here.succeed(&["data", "info", "data", "--test-domain", "C"]);
    for part in [
        "2 of 44 images are nearly black or nearly white: A/blue/patient 1/3.png, and 1 more",
        "the class \"caf\u{e9}\" is spelled in 2 ways that look the same",
        "the domains \"C\" and \"c\" differ only in case, spaces or forms of a letter",
        "domains with 10 images or fewer say little: \"c\" has 1",
        "training domains no image is held back to choose the epoch (\"A\", and 1 more)",
        "in 1 of 4 domains all images are of one class (\"c\" has only blue)",
        "classes are missing in domains: café in \"A\", and ",
    ] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
}

#[test]
fn a_folder_is_described_with_its_dangers() {
    let here = Folder::new();
    make(&here, &["A", "B"]);
    // One picture of A lies in B too, and a class is missing in A.
    fs::copy(here.join("data/A/blue/0 é.png"), here.join("data/B/blue/copy.png")).unwrap();
    fs::remove_dir_all(here.join("data/A/red cells")).unwrap();
    let info = here.json(&["data", "info", "data", "--json"]);
    let sentences = |name: &str| -> Vec<String> {
        info[name].as_array().unwrap().iter().map(|sentence| sentence.as_str().unwrap().to_owned()).collect()
    };
    assert!(sentences("assumed")[0].starts_with("the domain B is held out"), "{:?}", sentences("assumed"));
    let notices = sentences("notices");
    for part in [
        "classes are missing in domains: red cells in \"A\"",
        "in 1 of 2 domains all images are of one class (\"A\" has only blue)",
        "domains with 10 images or fewer say little: \"A\" has 6",
        "1 pictures lie in more than one domain, 1 of them in the test domain, so that it is not unseen: A/blue/0 é.png is B/blue/copy.png",
        "no labelled training image is of, so that none of them can be recognised: red cells (7)",
    ] {
        assert!(notices.iter().any(|notice| notice.contains(part)), "{part:?} is not in {notices:?}");
    }
    let said = here.succeed(&["data", "info", "data"]);
    assert!(
        said.contains("assumed: the domain B is held out") && said.contains("\"A\" has only blue"),
        "{said}"
    );
}
