//! The model of cells as its users meet it: made-up cells, and what is done with runs on them.

use super::{Folder, assert_same_run, folders, text};
use diva::config::Config;
use diva::data::image::encode_rgb;
use diva::train::dataset;
use serde_json::{Value, json};
use std::fs;

/// A run of a second: 36 cells of three patients, two epochs.
const CELLS: [&str; 6] = [
    "data.domains=[\"P01\",\"P02\",\"P03\"]",
    "data.test_domain=P03",
    "data.per_domain=12",
    "model.image_size=16",
    "model.width=0.0625",
    "train.batch=6",
];

/// `diva train --out OUT` with these settings, then `more`.
pub(super) fn train<'a>(out: &'a str, epochs: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let settings = CELLS.into_iter().chain([epochs]).flat_map(|setting| ["--set", setting]);
    let start = ["train", "--preset", "quick-cells", "--out", out];
    start.into_iter().chain(settings).chain(more.iter().copied()).collect()
}

pub(super) const TWO: &str = "train.epochs=2";

#[test]
fn pixels_of_mixtures_are_drawn_as_their_mean_or_a_sample() {
    let here = Folder::new();
    here.succeed(&train("run", TWO, &[]));
    let drawn = |more: &[&str]| {
        here.succeed(&[&["generate", "run", "samples", "--out", "pictures"], more].concat());
        here.read("pictures/samples.png")
    };
    let of_run = here.read("run/samples.png");
    assert!(drawn(&[]) == of_run && drawn(&["--pixel", "mean"]) == of_run);
    let sample = drawn(&["--pixel", "sample", "--threads", "1"]);
    assert!(sample != of_run && drawn(&["--pixel", "sample", "--threads", "2"]) == sample);
    for value in ["median", "mode"] {
        let why = format!(
            "its pixels are mixtures of logistic distributions, of which mean and sample can be drawn, not the {value}"
        );
        for (command, what) in
            [(&["generate", "run", "all"][..], "generate all from run"), (&["report", "run"], "report run")]
        {
            let sentence = format!("diva: cannot {what}: {why}\n");
            here.refuse(&[command, &["--pixel", value]].concat(), 2, &[&sentence]);
        }
    }
    assert!(!here.join("run/report.html").exists());
    here.succeed(&["report", "run", "--pixel", "sample"]);
    let page = text(&here.read("run/report.html"));
    assert_eq!(page.matches("Each decoded pixel is drawn at random from its mixture.").count(), 6);
    assert!(!page.contains("likeliest level instead"));
}

#[test]
fn every_kind_trains_and_a_share_of_each_patient_chooses_the_epoch() {
    let here = Folder::new();
    for (kind, more) in [
        ("diva", &[][..]),
        ("vae", &[]),
        ("classifier", &[]),
        ("dann", &[]),
        ("diva", &["--set", "data.unlabelled.domains=[\"P02\"]"]),
        ("dann", &["--set", "data.unlabelled.domains=[\"P02\"]"]),
    ] {
        let (out, kind) = (format!("{kind}-{}", more.len()), format!("model.kind={kind}"));
        here.succeed(&train(&out, TWO, &[&["--set", &kind], more].concat()));
        let result: Value = serde_json::from_slice(&here.read(&format!("{out}/result.json"))).unwrap();
        let found = here.json(&["evaluate", &out, "--json"]);
        assert_eq!(found["validation_accuracy"], result["selected"]["validation_accuracy"], "{out}");
        assert_eq!(found["test_accuracy"], result["test_accuracy"], "{out}");
        // What the probabilities are worth, and what the classes alone say of it.
        let test = found["domains"].as_array().unwrap().last().unwrap();
        let confusion = &test["scores"]["confusion"];
        let right = confusion[0][0].as_u64().unwrap() + confusion[1][1].as_u64().unwrap();
        assert_eq!((test["role"].as_str(), test["correct"].as_u64()), (Some("test"), Some(right)), "{out}");
        assert_kept(&found, test, &result["test_scores"]);
        assert_counted(&here, &out, &result["test_scores"]);
        let area = &test["scores"]["roc_auc"];
        let [low, high] = [0, 1].map(|end| area["interval"][end].as_f64().unwrap());
        let value = area["value"].as_f64().unwrap();
        assert!(0.0 <= low && low <= value && value <= high && high <= 1.0, "{area}");
        let table = here.succeed(&["evaluate", &out]);
        assert!(table.starts_with("positive class: parasitised\n"), "{table}");
        let row = table.lines().find(|line| line.contains("  test  ")).unwrap();
        assert!(row.contains(&format!("{value:.3} ({low:.3} to {high:.3})")), "{table}");
        // A fifth of 12 is 2.4, so 2.
        let rows: Vec<Value> = found["domains"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| json!([row["domain"], row["role"], row["images"]]))
            .collect();
        let expected = match more {
            [] => vec![
                json!(["P01", "training", 10]),
                json!(["P02", "training", 10]),
                json!(["P01", "validation", 2]),
                json!(["P02", "validation", 2]),
                json!(["P03", "test", 12]),
            ],
            _ => vec![
                json!(["P01", "training", 10]),
                json!(["P01", "validation", 2]),
                json!(["P02", "unlabelled", 12]),
                json!(["P03", "test", 12]),
            ],
        };
        assert_eq!(rows, expected, "{out}");
    }
}

/// What a run keeps is what `diva evaluate` finds on its `test` domain, but for the curve and the bins.
#[track_caller]
fn assert_kept(evaluation: &Value, test: &Value, kept: &Value) {
    let mut kept = kept.as_object().unwrap().clone();
    assert_eq!(kept.remove("positive_class").as_ref(), Some(&evaluation["positive_class"]));
    assert_eq!(evaluation["positive_class"], "parasitised");
    let names: Vec<&str> = kept.keys().map(String::as_str).collect();
    assert_eq!(names, ["balanced_accuracy", "confusion", "f1", "images", "precision", "recall", "roc_auc"]);
    for (name, value) in &kept {
        assert_eq!(*value, test["scores"][name], "{name}");
    }
}

/// The scores that the run `out` keeps are those that can be counted, image by image and pair by pair, in what `diva predict`
/// says of the test domain's cells as files.
#[track_caller]
fn assert_counted(here: &Folder, out: &str, kept: &Value) {
    let config = text(&here.read(&format!("{out}/config.toml")));
    let test = dataset::load(&Config::resolve(Some(("config.toml", &config)), None, &[], None).unwrap())
        .unwrap()
        .test;
    let folder = here.join("test");
    fs::create_dir_all(&folder).unwrap();
    for image in 0..test.len() {
        let png = encode_rgb(test.width, test.height, test.image(image));
        fs::write(folder.join(format!("{image:02}.png")), png).unwrap();
    }
    let table = here.succeed(&["predict", out, "test", "--csv"]);
    let mut lines = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let column = |name: &str| head.iter().position(|column| *column == name).unwrap();
    let (taken_for, of_parasitised) = (column("class_name"), column("log_odds"));
    // (is, is taken for, log-odds)
    let cells: Vec<(bool, bool, f64)> = lines
        .zip(&test.classes)
        .map(|(line, &class)| {
            (class == 1, line[taken_for] == "parasitised", line[of_parasitised].parse().unwrap())
        })
        .collect();
    assert_eq!((cells.len(), &kept["images"]), (12, &json!(12)));
    let count = |is: bool, taken: bool| cells.iter().filter(|cell| (cell.0, cell.1) == (is, taken)).count();
    let [[tn, fp], [missed, tp]] = [false, true].map(|is| [false, true].map(|taken| count(is, taken)));
    assert_eq!(kept["confusion"], json!([[tn, fp], [missed, tp]]), "{out}");
    let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
    let (mut wins, mut pairs) = (0.0, 0.0);
    for ill in cells.iter().filter(|cell| cell.0) {
        for well in cells.iter().filter(|cell| !cell.0) {
            pairs += 1.0;
            wins += if ill.2 > well.2 { 1.0 } else { 0.5 * f64::from(u8::from(ill.2 == well.2)) };
        }
    }
    for (name, found, expected) in [
        ("precision", &kept["precision"], share(tp, tp + fp)),
        ("recall", &kept["recall"], share(tp, tp + missed)),
        ("f1", &kept["f1"], share(2 * tp, 2 * tp + fp + missed)),
        (
            "balanced accuracy",
            &kept["balanced_accuracy"],
            Some((share(tp, tp + missed).unwrap() + share(tn, tn + fp).unwrap()) / 2.0),
        ),
        ("area", &kept["roc_auc"]["value"], Some(wins / pairs)),
    ] {
        match (found.as_f64(), expected) {
            (Some(found), Some(expected)) => {
                assert!((found - expected).abs() < 1e-12, "{out}, {name}: {found}, {expected}");
            }
            (found, expected) => assert_eq!(found, expected, "{out}, {name}"),
        }
    }
}

/// A domain whose images are left out leaves a classifier as one that never heard of the domain.
#[test]
fn a_classifier_leaves_a_domain_out() {
    let here = Folder::new();
    let kind = ["--set", "model.kind=classifier", "--set"];
    let unlabelled = [&kind[..], &["data.unlabelled.domains=[\"P02\"]"]].concat();
    here.refuse(
        &train("left", TWO, &unlabelled),
        2,
        &["data.unlabelled.images = \"left-out\" leaves them out"],
    );
    here.succeed(&train(
        "left",
        TWO,
        &[&unlabelled[..], &["--set", "data.unlabelled.images=left-out"]].concat(),
    ));
    let rows = here.json(&["evaluate", "left", "--json"])["domains"].take();
    let rows: Vec<_> = rows.as_array().unwrap().iter().map(|row| (&row["domain"], &row["role"])).collect();
    let [p01, p03] = [json!("P01"), json!("P03")];
    let expected = [(&p01, &json!("training")), (&p01, &json!("validation")), (&p03, &json!("test"))];
    assert_eq!(rows, expected);
    // The made-up cells of P03 are others where it is the second patient, so pictures tell.
    folders::make(&here, &["A", "B", "C"]);
    for (out, more) in [
        ("left-out", &["data.unlabelled.domains=[\"B\"]", "data.unlabelled.images=left-out"][..]),
        ("unknown", &["data.domains=[\"A\",\"C\"]"]),
    ] {
        let more: Vec<&str> = more.iter().flat_map(|setting| ["--set", setting]).collect();
        here.succeed(&folders::train(out, "train.epochs=1", &[&kind[..2], &more].concat()));
    }
    assert!(here.read("left-out/best.safetensors") == here.read("unknown/best.safetensors"));
}

#[test]
fn threads_instruction_sets_and_interruptions_change_no_bit() {
    let here = Folder::new();
    here.succeed(&train("whole", TWO, &["--threads", "1"]));
    here.succeed(&train("parts", "train.epochs=1", &["--threads", "3"]));
    here.succeed(&train("parts", TWO, &["--resume"]));
    assert_same_run(&here, "whole", "parts");
    let portable = here.diva(&train("portable", TWO, &[])).env("DIVA_ISA", "portable").output().unwrap();
    assert!(portable.status.success(), "{}", text(&portable.stderr));
    assert_same_run(&here, "whole", "portable");
    for picture in ["reconstructions.png", "classes.png", "domains.png", "samples.png", "latents.png"] {
        let [whole, other] = ["whole", "portable"].map(|run| here.read(&format!("{run}/{picture}")));
        assert!(whole == other, "{picture}");
    }
    here.succeed(&["report", "whole"]);
    let result: Value = serde_json::from_slice(&here.read("whole/result.json")).unwrap();
    let page = text(&here.read("whole/report.html"));
    for part in
        ["How good the probabilities are", "<th>P03</th><td>test</td><td>12</td>", "ROC curve", "Calibration"]
    {
        assert!(page.contains(part), "{part:?} is not on the page");
    }
    let area = &result["test_scores"]["roc_auc"];
    let [low, high] = [0, 1].map(|end| area["interval"][end].as_f64().unwrap());
    let value = area["value"].as_f64().unwrap();
    let columns = format!("<td>{value:.3}</td><td>{low:.3} to {high:.3}</td>");
    assert!(page.contains(&columns) && page.contains(&format!("parasitised, area {value:.3}")), "{columns}");
    here.succeed(&["report", "whole", "portable", "--out", "both.html"]);
    let both = text(&here.read("both.html"));
    assert_eq!(both.matches(&format!("<td>{value:.3} ({low:.3} to {high:.3})</td>")).count(), 2);
    // The results of earlier versions have no scores.
    let mut earlier = result;
    for field in ["test_scores", "result_sha256"] {
        earlier.as_object_mut().unwrap().remove(field).unwrap();
    }
    fs::write(here.join("parts/result.json"), earlier.to_string()).unwrap();
    assert!(here.succeed(&train("parts", TWO, &["--resume"])).contains("parts is finished"));
    here.succeed(&["report", "parts"]);
    assert_eq!(here.succeed(&["verify", "whole", "--epochs", "2"]).lines().last(), Some("repeats"));
}

#[test]
fn sweeps_show_areas_of_single_runs_with_their_interval_and_of_several_with_their_error() {
    let here = Folder::new();
    let settings =
        CELLS.map(|setting| setting.replacen('=', " = ", 1)).join("\n").replace("= P03", "= \"P03\"");
    let sweep = format!(
        "out = \"out\"\npreset = \"quick-cells\"\nmodel.kind = \"classifier\"\ntrain.epochs = 1\n{settings}\n\
         [grid]\nseed = [0, 1]\n"
    );
    fs::write(here.join("sweep.toml"), sweep).unwrap();
    let ids: Vec<String> = here
        .succeed(&["sweep", "plan", "sweep.toml"])
        .lines()
        .filter_map(|line| Some(line.split_once("  ")?.0.to_owned()))
        .collect();
    let area = |id: &String| -> Value {
        let result: Value = serde_json::from_slice(&here.read(&format!("out/{id}/result.json"))).unwrap();
        result["test_scores"]["roc_auc"].clone()
    };
    here.succeed(&["sweep", "run", "sweep.toml", "--shard", "1/2"]);
    let first = area(&ids[0]);
    let [a, low, high] =
        [&first["value"], &first["interval"][0], &first["interval"][1]].map(|end| end.as_f64().unwrap());
    let printed = here.succeed(&["sweep", "collect", "sweep.toml"]);
    let row = format!("| {a:.3} [{low:.3}, {high:.3}] (n = 1 of 2) |");
    assert!(printed.contains("## Area under the ROC curve") && printed.contains(&row), "{row}: {printed}");
    assert!(printed.contains("about the class parasitised;"), "{printed}");

    here.succeed(&["sweep", "run", "sweep.toml"]);
    here.succeed(&["sweep", "collect", "sweep.toml"]);
    let b = area(&ids[1])["value"].as_f64().unwrap();
    let table: Value = serde_json::from_slice(&here.read("out/table.json")).unwrap();
    assert_eq!(table["tables"][1]["figure"], "test_roc_auc");
    let cell = &table["tables"][1]["rows"][0]["cells"][0];
    // Of two values the standard error is half their distance.
    assert!((cell["mean"].as_f64().unwrap() - (a + b) / 2.0).abs() < 1e-15, "{cell}");
    assert!((cell["standard_error"].as_f64().unwrap() - (a - b).abs() / 2.0).abs() < 1e-15, "{cell}");
    assert_eq!(cell["values"][0]["interval"], first["interval"]);
}
