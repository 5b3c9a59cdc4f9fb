//! Folders of pictures as their users meet them: what is in them, what cannot be read, and what is done with runs on them.

use super::cells::TWO;
use super::{Folder, assert_same_run, text};
use diva::data::image::encode_rgb;
use diva::store::tensors::TensorFile;
use serde_json::{Value, json};
use std::fs;

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

/// `diva train --out OUT` with these settings, then `more`.
pub(super) fn train<'a>(out: &'a str, epochs: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--preset", "quick-cells", "--out", out], &of_folders(epochs)[..], more].concat()
}

/// Colour pictures of 20 x 24 pixels: ROOT/DOMAIN/CLASS/picture, red ones and blue ones. No two domains have the same.
pub(super) fn make(here: &Folder, domains: &[&str]) {
    for (number, domain) in domains.iter().enumerate() {
        for (class, colour) in [("red cells", [200, 40, 60]), ("blue", [40, 60, 200])] {
            let folder = here.join(&format!("data/{domain}/{class}"));
            fs::create_dir_all(&folder).unwrap();
            for picture in 0..6 + number as u8 {
                let pixel = |i: usize| {
                    colour.map(|value: u8| value.wrapping_add((i as u8).wrapping_mul(picture) % 30))
                };
                let mut pixels: Vec<u8> = (0..20 * 24).flat_map(pixel).collect();
                pixels[0] = number as u8;
                fs::write(folder.join(format!("{picture} é.png")), encode_rgb(24, 20, &pixels)).unwrap();
            }
        }
    }
}

#[test]
fn folders_of_pictures_say_their_domains_and_classes() {
    let here = Folder::new();
    make(&here, &["A 1", "B", "C"]);
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

    here.succeed(&train("run", TWO, &[]));
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
    let head = "file,class,class_name,probability,class blue,class red cells,log_odds,domain,domain A 1,domain B,domain D,\
                elbo,unlike_training";
    assert_eq!((table.lines().next(), table.lines().count()), (Some(head), 9));
    for (line, prediction) in table.lines().skip(1).zip(predictions) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[0], prediction["file"]);
        assert_eq!(fields[2], prediction["class_name"]);
        let blue: f64 = fields[4].parse().unwrap();
        assert_eq!(blue, prediction["class_probabilities"][0], "{line}");
        // Of the second class.
        assert_eq!(fields[6].parse::<f64>().unwrap(), prediction["class_log_odds"][1], "{line}");
    }
}

#[test]
fn folders_within_folders_are_predicted_with_their_latents() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    here.succeed(&train("run", "train.epochs=1", &[]));
    fs::create_dir(here.join("data/C/.old")).unwrap();
    let output = here.run(&["predict", "run", "data", "--json", "--latents", "--no-unlike"]);
    let said = text(&output.stderr);
    assert!(said.contains("hidden folders are passed over: 1, the first is data/C/.old"), "{said}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let predictions = found["predictions"].as_array().unwrap();
    let files: Vec<&str> = predictions.iter().map(|p| p["file"].as_str().unwrap()).collect();
    assert_eq!(files.len(), 2 * (6 + 7 + 8));
    assert_eq!((files[0], files[41]), ("data/A/blue/0 é.png", "data/C/red cells/7 é.png"));

    // What q(y|zy) is of them: a linear map of the means behind a rectifier.
    let best = TensorFile::read(&here.join("run/best.safetensors")).unwrap();
    let ((shape, weight), (_, bias)) =
        (best.f32s("qy.fc1.weight").unwrap(), best.f32s("qy.fc1.bias").unwrap());
    for prediction in predictions {
        let zy: Vec<f64> =
            prediction["latents"]["zy"].as_array().unwrap().iter().map(|z| z.as_f64().unwrap()).collect();
        assert_eq!(shape, [2, zy.len()]);
        let logit = |class: usize| -> f64 {
            let row = &weight[class * zy.len()..][..zy.len()];
            f64::from(bias[class]) + row.iter().zip(&zy).map(|(&w, z)| f64::from(w) * z.max(0.0)).sum::<f64>()
        };
        let (expected, found) = (logit(1) - logit(0), prediction["class_log_odds"][1].as_f64().unwrap());
        assert!((expected - found).abs() < 1e-4 * (1.0 + expected.abs()), "{found}, expected {expected}");
    }
    let table = here.succeed(&["predict", "run", "data/A", "--csv", "--latents", "--no-unlike"]);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(',').collect()).collect();
    let column = rows[0].iter().position(|name| *name == "zy 3").unwrap();
    assert_eq!(rows[0].len(), rows[1].len());
    for (row, prediction) in rows[1..].iter().zip(predictions) {
        let expected = prediction["latents"]["zy"][3].as_f64().unwrap();
        assert!((row[column].parse::<f64>().unwrap() - expected).abs() < 1e-6, "{row:?}");
    }

    here.succeed(&train("classifier", "train.epochs=1", &["--set", "model.kind=classifier"]));
    let refusal = "cannot give --latents: a model of this kind has none";
    here.refuse(&["predict", "classifier", "data/A", "--latents"], 2, &[refusal]);
}

#[test]
fn pictures_without_a_class_beside_others_train_what_can_learn_from_them() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    fs::create_dir(here.join("data/A/unlabelled")).unwrap();
    for picture in 0..8 {
        let from = here.join(&format!("data/A/blue/{} é.png", picture % 6));
        fs::copy(from, here.join(&format!("data/A/unlabelled/{picture}.png"))).unwrap();
    }
    let sentence = "8 images without a class are left out: a classifier learns nothing from them";
    for kind in ["classifier", "dann", "diva"] {
        let kind_key = format!("model.kind={kind}");
        let said = here.succeed(&train(kind, "train.epochs=1", &["--set", &kind_key]));
        assert_eq!(said.contains(sentence), kind == "classifier", "{said}");
        let rows = here.json(&["evaluate", kind, "--json"]);
        let roles: Vec<&str> =
            rows["domains"].as_array().unwrap().iter().map(|row| row["role"].as_str().unwrap()).collect();
        assert_eq!(roles.iter().filter(|&&role| role == "training").count(), 2, "{kind}: {roles:?}");
    }
}

#[test]
fn sixteen_bits_of_which_little_is_left_are_told_of() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    // What a camera of 12 bits stores in 16.
    for picture in 0..6_u16 {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 24, 20);
        encoder.set_depth(png::BitDepth::Sixteen);
        let mut writer = encoder.write_header().unwrap();
        let values: Vec<u8> = (0..480_u16).flat_map(|i| (i * 8 + picture).to_be_bytes()).collect();
        writer.write_image_data(&values).unwrap();
        writer.finish().unwrap();
        fs::write(here.join(&format!("data/B/blue/{picture} é.png")), bytes).unwrap();
    }
    let sentence = |pictures: &str| {
        format!(
            "16-bit values between 0 and 3837 of 65535 in 6 of {pictures} pictures: only the upper 8 bits are kept, so they \
             become levels 0 to 14 of 255, nearly black"
        )
    };
    let settings = of_folders("train.epochs=1");
    let info = [&["data", "info", "--preset", "quick-cells"], &settings[..]].concat();
    let count = |said: &str, sentence: &str| said.matches(sentence).count();
    for _ in 0..2 {
        // the second time from the packed pictures
        assert_eq!(count(&here.succeed(&info), &sentence("42")), 1);
    }
    let notices = here.json(&[&info[..], &["--json"]].concat())["notices"].take();
    assert!(notices.as_array().unwrap().contains(&json!(sentence("42"))), "{notices}");
    let said = here.succeed(&train("run", "train.epochs=1", &["--set", "model.kind=classifier"]));
    assert_eq!(count(&said, &sentence("42")), 1, "{said}");
    let output = here.run(&["predict", "run", "data/B/blue", "data/A/blue/0 é.png"]);
    assert_eq!(count(&text(&output.stderr), &sentence("8")), 1, "{output:?}");
}

#[test]
fn what_cannot_be_read_is_named_or_left_out() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    fs::write(here.join("data/B/blue/broken.png"), b"\x89PNG\r\n\x1a\nno more").unwrap();
    let with = of_folders("train.epochs=1");
    let train = train("run", "train.epochs=1", &[]);
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
        said.contains(
            "\nfiles that cannot be read and are left out: 2\ncannot read data/B/blue/broken.png: "
        )
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
        (&["--set", "data.classes=[\"blue\",\"green\"]"], &["green", "blue, red cells"]),
        (&["--set", "data.path=nowhere"], &["nowhere"]),
    ] {
        let skipping = ["--skip-unreadable", "--out", "other"];
        let start = ["train", "--preset", "quick-cells"];
        here.refuse(&[&start[..], &with, &skipping, settings].concat(), 2, parts);
        assert!(!here.join("other").exists());
    }
}

#[test]
fn a_training_does_not_go_on_with_other_pictures() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    here.succeed(&train("whole", TWO, &[]));
    here.succeed(&train("run", "train.epochs=1", &[]));
    let checkpoint = here.read("run/checkpoint.safetensors");
    let refused = || {
        let sentence =
            "cannot continue from run/checkpoint.safetensors: the pictures are not those that it began with";
        here.refuse(&train("run", TWO, &["--resume"]), 2, &[sentence]);
        assert!(
            here.read("run/checkpoint.safetensors") == checkpoint && here.join("run/result.json").exists()
        );
    };
    let (one, other) = (here.join("data/A/blue/0 é.png"), here.join("data/A/blue/new.png"));
    // Another picture of the same name, one more, one less; of the test domain too, since what is selected is scored there.
    let pixels = fs::read(&one).unwrap();
    fs::copy(here.join("data/A/red cells/3 é.png"), &one).unwrap();
    refused();
    // What is finished does not go on with anything.
    let said = here.succeed(&train("run", "train.epochs=1", &["--resume"]));
    assert!(said.contains("run is finished"), "{said}");
    fs::write(&one, &pixels).unwrap();
    fs::copy(&one, &other).unwrap();
    refused();
    fs::remove_file(&other).unwrap();
    let of_test = here.join("data/C/blue/0 é.png");
    fs::rename(&of_test, here.join("kept.png")).unwrap();
    refused();
    fs::rename(here.join("kept.png"), &of_test).unwrap();
    // The same in another place are the same.
    fs::rename(here.join("data"), here.join("moved")).unwrap();
    here.succeed(&train("run", TWO, &["--resume", "--set", "data.path=moved"]));
    assert_same_run(&here, "whole", "run");
}

#[test]
fn a_test_domain_of_one_class_has_no_roc_curve_and_that_is_said() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    fs::remove_dir_all(here.join("data/C/blue")).unwrap();
    let said = here.succeed(&train("run", "train.epochs=1", &["--set", "model.kind=classifier"]));
    let line = said.lines().find(|line| line.starts_with("unseen domain C: ")).unwrap();
    assert!(line.ends_with(" recognised; no ROC curve, since its images are of one class"), "{said}");
}

#[test]
fn domains_of_weights_from_elsewhere_are_called_by_their_number() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    here.succeed(&train("run", "train.epochs=1", &[]));
    // The weights know two training domains, the configuration names four.
    let import = ["weights", "import", "run/best.safetensors", "run/config.toml", "--out", "imported"];
    let domains = ["--set", "data.domains=[\"A\",\"B\",\"C\",\"D\",\"E\"]"];
    here.succeed(&[&import[..], &domains].concat());
    let predict = ["predict", "imported", "data/C/blue", "--no-unlike"];
    let table = here.succeed(&[&predict[..], &["--csv"]].concat());
    let head =
        "file,class,class_name,probability,class blue,class red cells,log_odds,domain,domain 0,domain 1";
    let columns = |line: &str| line.split(',').count();
    assert_eq!((table.lines().next(), table.lines().count()), (Some(head), 9));
    assert!(table.lines().all(|line| columns(line) == columns(head)), "{table}");
    let found = here.json(&[&predict[..], &["--json"]].concat());
    assert_eq!(found["domains"], json!(["0", "1"]));
}

/// A batch is taken by a step of training only.
#[test]
fn fewer_images_than_a_batch_are_counted_evaluated_and_drawn_from() {
    let here = Folder::new();
    make(&here, &["A", "B", "C"]);
    let large = [&of_folders(TWO)[..], &["--set", "train.batch=1000"]].concat();
    let info = here.json(&[&["data", "info", "--preset", "quick-cells", "--json"], &large[..]].concat());
    assert_eq!(info["domains"].as_array().unwrap().len(), 5);
    let refused = ["train.batch = 1000 is more than the ", " training images"];
    here.refuse(&train("run", TWO, &["--set", "train.batch=1000"]), 2, &refused);
    assert!(!here.join("run").exists());

    here.succeed(&train("run", TWO, &[]));
    let division = text(&here.read("run/division.csv"));
    for line in division.lines().filter(|line| line.ends_with(",training")).skip(2) {
        fs::remove_file(here.join("data").join(line.split(',').next().unwrap())).unwrap();
    }
    let evaluated = here.run(&["evaluate", "run", "--json"]);
    let found: Value = serde_json::from_slice(&evaluated.stdout).unwrap();
    let domains = found["domains"].as_array().unwrap();
    let trained_on = domains.iter().filter(|row| row["role"] == "training");
    assert_eq!(trained_on.map(|row| row["images"].as_u64().unwrap()).sum::<u64>(), 2, "{found}");
    assert!(text(&evaluated.stderr).contains("are missing here"));
    for arguments in [["generate", "run", "reconstructions"], ["report", "run", "--threads=1"]] {
        let output = here.run(&arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    here.refuse(&["verify", "run"], 2, &["the pictures are not those that it began with"]);
}
