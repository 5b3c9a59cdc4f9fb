//! The model of cells as its users meet it: made-up cells, folders of pictures, and what is done with such runs.

use super::{Folder, assert_same_run, text};
use diva::data::image::encode_rgb;
use serde_json::{Value, json};
use std::fs;

/// A run of a second: 36 cells of three patients, two epochs.
const CELLS: [&str; 7] = [
    "data.domains=[\"P01\",\"P02\",\"P03\"]",
    "data.test_domain=P03",
    "data.per_domain=12",
    "model.image_size=16",
    "model.width=0.0625",
    "model.latent=8",
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
        let area = &test["scores"]["roc_auc"];
        let [low, high] = [0, 1].map(|end| area["interval"][end].as_f64().unwrap());
        let value = area["value"].as_f64().unwrap();
        assert!(0.0 <= low && low <= value && value <= high && high <= 1.0, "{area}");
        let table = here.succeed(&["evaluate", &out]);
        assert!(
            table.lines().last().unwrap().contains(&format!("{value:.3}  {low:.3} to {high:.3}")),
            "{table}"
        );
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
    assert!(text(&here.read("whole/report.html")).contains("parasitised"));
    assert_eq!(here.succeed(&["verify", "whole", "--epochs", "2"]).lines().last(), Some("repeats"));
}

/// The settings of a small run on the folder `data`, C held out.
fn of_folders(epochs: &str) -> Vec<&str> {
    let settings = [
        "data.source=folders",
        "data.path=data",
        "data.domains=[]",
        "data.classes=[]",
        "data.test_domain=C",
        "model.image_size=16",
        "model.width=0.0625",
        "train.batch=6",
        epochs,
    ];
    settings.into_iter().flat_map(|setting| ["--set", setting]).collect()
}

/// Colour pictures of 20 x 24 pixels: ROOT/DOMAIN/CLASS/picture, red ones and blue ones.
pub(super) fn folders(here: &Folder, domains: &[&str]) {
    for (number, domain) in domains.iter().enumerate() {
        for (class, colour) in [("red cells", [200, 40, 60]), ("blue", [40, 60, 200])] {
            let folder = here.join(&format!("data/{domain}/{class}"));
            fs::create_dir_all(&folder).unwrap();
            for picture in 0..6 + number as u8 {
                let pixel = |i: usize| {
                    colour.map(|value: u8| value.wrapping_add((i as u8).wrapping_mul(picture) % 30))
                };
                let pixels: Vec<u8> = (0..20 * 24).flat_map(pixel).collect();
                fs::write(folder.join(format!("{picture} é.png")), encode_rgb(24, 20, &pixels)).unwrap();
            }
        }
    }
}

#[test]
fn folders_of_pictures_say_their_domains_and_classes() {
    let here = Folder::new();
    folders(&here, &["A 1", "B", "C"]);
    // No class is known of D: it is trained on without.
    fs::create_dir_all(here.join("data/D/unlabelled")).unwrap();
    for picture in 0..6 {
        let name = format!("{picture} é.png");
        fs::copy(here.join("data/B/blue").join(&name), here.join("data/D/unlabelled").join(&name)).unwrap();
    }
    let with = of_folders(TWO);
    let info = here.json(&[&["data", "info", "--preset", "quick-cells", "--json"], &with[..]].concat());
    assert_eq!(info["class_names"], json!(["blue", "red cells"]));
    assert_eq!(info["original_sizes"], json!([[20, 24], [20, 24]]));
    let rows: Vec<Value> = info["domains"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!([row["domain"], row["role"], row["images"], row["images_of_class"]]))
        .collect();
    assert_eq!(rows.iter().map(|row| row[2].as_u64().unwrap()).sum::<u64>(), 12 + 14 + 16 + 6);
    assert!(rows.contains(&json!(["D", "unlabelled", 6, [0, 0]])), "{rows:?}");
    assert!(rows.contains(&json!(["C", "test", 16, [8, 8]])), "{rows:?}");

    here.succeed(&[&["train", "--preset", "quick-cells", "--out", "run"], &with[..]].concat());
    let config = text(&here.read("run/config.toml"));
    assert!(config.contains("domains = [\"A 1\", \"B\", \"C\", \"D\"]\ntest_domain = \"C\""), "{config}");
    assert!(config.contains("classes = [\"blue\", \"red cells\"]"), "{config}");
    assert!(config.contains("[data.unlabelled]\nsubsets = 0\ndomains = [\"D\"]"), "{config}");
    here.succeed(&["train", "run/config.toml", "--out", "again"]);
    assert_same_run(&here, "run", "again");

    let found = here.json(&["predict", "run", "data/C/blue", "data/A 1/red cells/0 é.png", "--json"]);
    assert_eq!(
        (&found["classes"], &found["domains"]),
        (&json!(["blue", "red cells"]), &json!(["A 1", "B", "D"]))
    );
    let predictions = found["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 9);
    assert_eq!(predictions[8]["file"], "data/A 1/red cells/0 é.png");
    let table = here.succeed(&["predict", "run", "data/C/blue", "--csv"]);
    let head = "file,class,class_name,probability,class blue,class red cells,domain,domain A 1,domain B,domain D,\
                elbo,unlike_training";
    assert_eq!((table.lines().next(), table.lines().count()), (Some(head), 9));
    for (line, prediction) in table.lines().skip(1).zip(predictions) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[0], prediction["file"]);
        assert_eq!(fields[2], prediction["class_name"]);
        let blue: f64 = fields[4].parse().unwrap();
        assert!((blue - prediction["class_probabilities"][0].as_f64().unwrap()).abs() < 1e-6, "{line}");
    }
}

#[test]
fn what_cannot_be_read_is_named_or_left_out() {
    let here = Folder::new();
    folders(&here, &["A", "B", "C"]);
    fs::write(here.join("data/B/blue/broken.png"), b"\x89PNG\r\n\x1a\nno more").unwrap();
    let with = of_folders("train.epochs=1");
    let train = [&["train", "--preset", "quick-cells", "--out", "run"], &with[..]].concat();
    here.refuse(&train, 2, &["data/B/blue/broken.png"]);
    assert!(!here.join("run").exists());
    let said = here.succeed(&[&train[..], &["--skip-unreadable"]].concat());
    let left_out = |said: &str| said.lines().filter(|line| line.contains("left out")).count();
    assert!(said.contains("1 of 43 files is left out: cannot read data/B/blue/broken.png: "), "{said}");
    assert_eq!(left_out(&said), 1);
    assert!(text(&here.read("run/config.toml")).contains("skip_unreadable = true"));

    // The flag is short for the key, and each command counts what it leaves out.
    fs::write(here.join("data/B/blue/empty.png"), b"").unwrap();
    let set = ["--set", "data.skip_unreadable=true", "--out", "other"];
    let said = here.succeed(&[&["train", "--preset", "quick-cells"], &with[..], &set].concat());
    let line = "2 of 44 files are left out, of which the first: cannot read data/B/blue/broken.png: ";
    assert!(said.contains(line), "{said}");
    assert_eq!(left_out(&said), 1);
    fs::remove_dir_all(here.join("other")).unwrap();
    let info = [&["data", "info", "--preset", "quick-cells"], &with[..]].concat();
    here.refuse(&info, 2, &["data/B/blue/broken.png", "so it is with 1 more of 44 files"]);
    let said = here.succeed(&[&info[..], &["--skip-unreadable"]].concat());
    assert!(
        said.contains("\n2 files cannot be read and are left out:\ncannot read data/B/blue/broken.png: ")
    );
    let object = here.json(&[&info[..], &["--skip-unreadable", "--json"]].concat());
    assert!(object["unreadable"][1].as_str().unwrap().contains("data/B/blue/empty.png"), "{object}");
    let counted: u64 =
        (object["domains"].as_array().unwrap().iter()).map(|row| row["images"].as_u64().unwrap()).sum();
    assert_eq!(counted, 12 + 14 + 16);

    let predict = ["predict", "run", "data/B/blue"];
    here.refuse(&predict, 2, &["data/B/blue/broken.png"]);
    let object = here.json(&[&predict[..], &["--skip-unreadable", "--json"]].concat());
    assert_eq!(object["predictions"].as_array().unwrap().len(), 7);
    assert!(object["unreadable"][0].as_str().unwrap().contains("data/B/blue/broken.png"), "{object}");
    assert_eq!(object["unreadable"].as_array().unwrap().len(), 2);
    for (output, lines) in [(&[][..], 7), (&["--csv"], 8)] {
        let output = here.run(&[&predict[..], &["--skip-unreadable"], output].concat());
        assert_eq!((output.status.code(), text(&output.stdout).lines().count()), (Some(0), lines));
        let said = text(&output.stderr);
        let expected =
            "diva: 2 of 9 files are left out, of which the first: cannot read data/B/blue/broken.png: ";
        assert!(said.starts_with(expected) && said.lines().count() == 1, "{said}");
    }
    let none = ["predict", "run", "data/B/blue/broken.png", "data/B/blue/empty.png", "--skip-unreadable"];
    here.refuse(&none, 2, &["none of 2 files can be read", "data/B/blue/broken.png"]);
    here.refuse(&["predict", "run", "nothing.png", "--skip-unreadable"], 2, &["cannot read nothing.png: "]);
    for (settings, parts) in [
        (&["--set", "data.test_domain=Z"][..], &["Z", "A, B, C"][..]),
        (&["--set", "data.domains=[\"A\",\"Z\"]", "--set", "data.test_domain=A"], &["Z", "A, B, C"]),
        (&["--set", "data.classes=[\"blue\"]"], &["red cells"]),
        (&["--set", "data.path=nowhere"], &["nowhere"]),
    ] {
        let skipping = ["--skip-unreadable", "--out", "other"];
        let start = ["train", "--preset", "quick-cells"];
        here.refuse(&[&start[..], &with, &skipping, settings].concat(), 2, parts);
        assert!(!here.join("other").exists());
    }
}
