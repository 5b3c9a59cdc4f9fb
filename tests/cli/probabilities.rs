//! Probabilities that f32 cannot tell apart, that are no numbers, and that say no more than the commonest class.

use super::{Folder, cells, folders, text, train};
use diva::data::image::{encode_grey, encode_rgb};
use diva::store::digest::sha256_hex;
use diva::store::tensors::TensorFile;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Copies the run `from` to `to`, with the values of each tensor of its weights that `change` has something to say of
/// replaced, and sealed as if they were its own; without a checkpoint, which would know better.
fn with_weights(here: &Folder, from: &str, to: &str, change: impl Fn(&str, f32) -> f32) {
    fs::create_dir(here.join(to)).unwrap();
    for entry in fs::read_dir(here.join(from)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), here.join(to).join(entry.file_name())).unwrap();
    }
    change_weights(
        &here.join(&format!("{from}/best.safetensors")),
        &here.join(&format!("{to}/best.safetensors")),
        change,
    );
    fs::remove_file(here.join(&format!("{to}/checkpoint.safetensors"))).unwrap();
    let path = here.join(&format!("{to}/result.json"));
    let sha256 = |run: &str| sha256_hex(&here.read(&format!("{run}/best.safetensors")));
    let result = text(&fs::read(&path).unwrap()).replace(&sha256(from), &sha256(to));
    let mut result: Value = serde_json::from_str(&result).unwrap();
    result.as_object_mut().unwrap().remove("result_sha256");
    fs::write(&path, result.to_string()).unwrap();
}

fn change_weights(from: &Path, to: &Path, change: impl Fn(&str, f32) -> f32) {
    let before = TensorFile::read(from).unwrap();
    let mut after = TensorFile::new();
    for name in before.names() {
        if name.ends_with("num_batches_tracked") {
            after.insert(name, &[], &before.i64s(name).unwrap().1);
            continue;
        }
        let (shape, values) = before.f32s(name).unwrap();
        after.insert(name, shape, &values.iter().map(|&value| change(name, value)).collect::<Vec<_>>());
    }
    after.write(to).unwrap();
}

/// The area pair by pair, of (is positive, log-odds).
fn pairwise(images: &[(bool, f64)]) -> f64 {
    let (mut wins, mut pairs) = (0.0, 0.0);
    for ill in images.iter().filter(|image| image.0) {
        for well in images.iter().filter(|image| !image.0) {
            pairs += 1.0;
            wins += if ill.1 > well.1 { 1.0 } else { 0.5 * f64::from(u8::from(ill.1 == well.1)) };
        }
    }
    wins / pairs
}

#[test]
fn no_power_of_two_times_the_logits_changes_an_area() {
    let here = Folder::new();
    folders::make(&here, &["A", "B", "C"]);
    // Pictures that the model cannot tell apart well: each class has some of the other's.
    for (picture, from, to) in [(0, "blue", "red cells"), (3, "red cells", "blue"), (5, "blue", "red cells")]
    {
        let file = |class: &str| here.join(&format!("data/C/{class}/{picture} é.png"));
        fs::copy(file(from), file(to)).unwrap();
    }
    here.succeed(&folders::train("run", "train.epochs=1", &["--set", "model.kind=classifier"]));
    // Without its checkpoint, a notice stands beside it.
    let evaluation = |run: &str| -> Value {
        let output = here.diva(&["evaluate", run, "--json"]).output().unwrap();
        serde_json::from_str::<Value>(&text(&output.stdout)).unwrap()["domains"].take()
    };
    let table = |run: &str| -> Vec<(bool, f64, f64)> {
        let of_class = |class: &str| -> Vec<(bool, f64, f64)> {
            let folder = format!("data/C/{class}");
            let found = here.succeed(&["predict", run, &folder, "--csv"]);
            let mut lines = found.lines().map(|line| line.split(',').collect::<Vec<_>>());
            let head = lines.next().unwrap();
            let column = |name: &str| head.iter().position(|column| *column == name).unwrap();
            let (odds, probability) = (column("log_odds"), column("class red cells"));
            lines
                .map(|line| {
                    (class != "blue", line[odds].parse().unwrap(), line[probability].parse().unwrap())
                })
                .collect()
        };
        [of_class("blue"), of_class("red cells")].concat()
    };
    let (whole, images) = (evaluation("run"), table("run"));
    let of_test = |rows: &Value| rows.as_array().unwrap().last().unwrap()["scores"].clone();
    let area = of_test(&whole)["roc_auc"]["value"].as_f64().unwrap();
    assert!(0.0 < area && area < 1.0, "{area}");
    let counted: Vec<(bool, f64)> = images.iter().map(|&(ill, odds, _)| (ill, odds)).collect();
    assert!((area - pairwise(&counted)).abs() < 1e-12, "{area}, {}", pairwise(&counted));
    for &(_, odds, probability) in &images {
        assert!((probability - 1.0 / (1.0 + (-odds).exp())).abs() < 1e-15, "{odds}: {probability}");
    }
    for power in [-60, 12, 40, 90] {
        let (run, factor) = (format!("scaled{power}"), f64::from(power).exp2());
        with_weights(&here, "run", &run, |name, value| {
            if name.starts_with("qy.fc2.") { value * factor as f32 } else { value }
        });
        for (row, before) in evaluation(&run).as_array().unwrap().iter().zip(whole.as_array().unwrap()) {
            for name in ["roc_auc", "confusion", "accuracy"] {
                assert_eq!(row["scores"][name], before["scores"][name], "{name}, 2^{power}");
            }
            // Of a domain with images of one class there is no curve.
            let rates = |row: &Value| -> Option<Vec<Value>> {
                let points = row["scores"]["roc_curve"].as_array()?;
                let rates = |p: &Value| json!([p["false_positive_rate"], p["true_positive_rate"]]);
                Some(points.iter().map(rates).collect())
            };
            assert_eq!(rates(row), rates(before), "2^{power}");
        }
        for (scaled, before) in table(&run).iter().zip(&images) {
            assert_eq!(scaled.1, before.1 * factor, "2^{power}");
        }
    }
}

/// The commonest class is counted in the images themselves.
#[test]
fn what_the_commonest_class_would_give_stands_beside_accuracies() {
    let here = Folder::new();
    folders::make(&here, &["A", "B", "C"]);
    for picture in 0..6 {
        fs::remove_file(here.join(&format!("data/C/blue/{picture} é.png"))).unwrap(); // 2 of 8 are left
    }
    let said = here.succeed(&folders::train("run", "train.epochs=1", &[]));
    let line = said.lines().find(|line| line.contains("commonest class")).unwrap_or_else(|| panic!("{said}"));
    assert!(line.contains("80.0 %"), "{line}");
    let result: Value = serde_json::from_slice(&here.read("run/result.json")).unwrap();
    assert_eq!(result["test_commonest_class_share"], 0.8);
    let found = here.json(&["evaluate", "run", "--json"]);
    assert_eq!(found["test_commonest_class_share"], 0.8);
    for row in found["domains"].as_array().unwrap() {
        let counts = row["scores"]["confusion"].as_array().unwrap().iter();
        let counts: Vec<u64> = counts
            .map(|row| row.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>())
            .collect();
        let share = *counts.iter().max().unwrap() as f64 / counts.iter().sum::<u64>() as f64;
        assert_eq!(row["commonest_class_share"], share, "{row}");
    }
    let table = here.succeed(&["evaluate", "run"]);
    let row = table.lines().find(|line| line.contains("  test  ")).unwrap();
    assert!(table.contains("commonest class") && row.contains("80.0 %"), "{table}");
    here.succeed(&["report", "run"]);
    let page = text(&here.read("run/report.html"));
    assert!(page.contains("commonest class") && page.contains("<td>80.0 %</td>"), "no 80.0 % on the page");
}

/// Of a single class everything is recognised, and the page about it says what that is worth.
#[test]
fn a_single_class_is_evaluated_and_reported() {
    let here = Folder::new();
    folders::make(&here, &["A", "B", "C"]);
    for domain in ["A", "B", "C"] {
        fs::remove_dir_all(here.join(&format!("data/{domain}/blue"))).unwrap();
    }
    here.succeed(&folders::train("run", "train.epochs=1", &["--set", "model.kind=classifier"]));
    let found = here.json(&["evaluate", "run", "--json"]);
    assert_eq!((&found["test_accuracy"], &found["test_commonest_class_share"]), (&json!(1.0), &json!(1.0)));
    here.succeed(&["report", "run"]);
    assert!(text(&here.read("run/report.html")).contains("if its commonest class were named always"));
    let table = here.succeed(&["predict", "run", "data/C/red cells/0 é.png", "--csv"]);
    assert_eq!(table.lines().nth(1).unwrap(), "data/C/red cells/0 é.png,0,red cells,1,1,inf");
}

/// p(zy|y) of a single class is one Gaussian, whose normalisation sees equal rows only: what PyTorch makes of them.
#[test]
fn a_single_class_is_trained_on_with_and_without_labels() {
    let here = Folder::new();
    folders::make(&here, &["A", "B", "C"]);
    for domain in ["A", "B", "C"] {
        fs::remove_dir_all(here.join(&format!("data/{domain}/blue"))).unwrap();
    }
    let unlabelled = ["--set", "data.unlabelled.domains=[\"B\"]", "--set", "train.batch=4"];
    for kind in ["diva", "diva-no-zd", "diva-no-zx", "vae", "dann"] {
        let key = format!("model.kind={kind}");
        here.succeed(&folders::train(kind, "train.epochs=1", &[&["--set", &key], &unlabelled[..]].concat()));
        here.succeed(&["evaluate", kind]);
        here.succeed(&["predict", kind, "data/C/red cells/0 é.png"]);
        here.succeed(&["report", kind]);
        here.succeed(&["verify", kind]);
    }
}

/// Weights of cells from elsewhere come with a configuration that says nothing of images: the networks decide how pictures are
/// read.
#[test]
fn imported_cells_are_asked_about_pictures_of_any_size() {
    let here = Folder::new();
    folders::make(&here, &["A", "B", "C"]);
    here.succeed(&folders::train("run", "train.epochs=1", &[]));
    let model = text(&here.read("run/config.toml"));
    let model = &model[model.find("[model]").unwrap()..model.find("[train]").unwrap()];
    fs::write(here.join("model.toml"), model).unwrap();
    here.succeed(&["weights", "import", "run/best.safetensors", "model.toml", "--out", "imported"]);
    fs::write(here.join("digit.png"), encode_rgb(28, 28, &[7; 3 * 784])).unwrap();
    for picture in ["digit.png", "data/C/blue/0 é.png"] {
        let of =
            |run| here.json(&["predict", run, picture, "--no-unlike", "--json"])["predictions"][0].take();
        let (imported, run) = (of("imported"), of("run"));
        assert_eq!(imported["class_log_odds"], run["class_log_odds"], "{picture}");
    }
}

#[test]
fn classes_that_nothing_is_trained_on_are_named() {
    let here = Folder::new();
    folders::make(&here, &["A", "B", "C"]);
    for picture in 0..4 {
        let green = here.join("data/C/green");
        fs::create_dir_all(&green).unwrap();
        fs::write(green.join(format!("{picture}.png")), encode_rgb(20, 20, &[0, 200, 0].repeat(400)))
            .unwrap();
    }
    let sentence = "4 of 20 images of the test domain C are of a class that no labelled training image is of, so that \
                    none of them can be recognised: green (4)";
    let said = here.succeed(&folders::train("run", "train.epochs=1", &["--set", "model.prior_y=uniform"]));
    assert!(said.contains(sentence), "{said}");
    let place = |part: &str| said.find(part).unwrap();
    assert!(place(sentence) < place("epoch   1/1"), "{said}");
    let info = ["data", "info", "run/config.toml"];
    assert!(here.succeed(&info).contains(sentence));
    let notices = here.json(&[&info[..], &["--json"]].concat())["notices"].take();
    assert!(notices.as_array().unwrap().iter().any(|notice| notice == sentence), "{notices}");
}

#[test]
fn weights_with_a_negative_variance_are_refused_by_name() {
    let here = Folder::new();
    here.with_a_run("run");
    let name = "qzy.encoder.1.running_var";
    let first: Vec<String> =
        TensorFile::read(&here.join("run/best.safetensors")).unwrap().names().map(str::to_owned).collect();
    assert!(first.iter().any(|found| found == name), "{first:?}");
    with_weights(&here, "run", "bad", |found, value| if found == name { -value } else { value });
    fs::write(here.join("one.png"), encode_grey(28, 28, &[7; 784])).unwrap();
    let weights = "bad/best.safetensors";
    for arguments in [
        &["weights", "import", weights, "run/config.toml", "--out", "imported"][..],
        &["predict", "bad", "one.png"],
        &["evaluate", "bad"],
        &["report", "bad"],
        &["generate", "bad", "all"],
        &["weights", "export", "bad", "--out", "exported"],
    ] {
        here.refuse(arguments, 2, &[name, "variances"]);
    }
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny");
    let path = |name: &str| tiny.join(name).to_str().unwrap().to_owned();
    change_weights(&tiny.join("weights.safetensors"), &here.join("tiny"), |found, value| {
        if found == name { -value } else { value }
    });
    let (config, batch) = (path("config.toml"), path("batch.safetensors"));
    let gradients = ["gradients", "--config", &config, "--weights", "tiny", "--batch", &batch, "--out", "o"];
    here.refuse(&gradients, 2, &[name, "variances"]);
}

/// Finite weights whose products f32 does not hold.
#[test]
fn probabilities_that_are_no_numbers_are_an_error() {
    let here = Folder::new();
    here.with_a_run("run");
    fs::write(here.join("one.png"), encode_grey(28, 28, &[7; 784])).unwrap();
    let overflow = |last: &'static str, before: &'static str| {
        move |name: &str, value: f32| match name {
            _ if name == last => 3e38_f32.copysign(value),
            _ if name == before => 1e6 * value,
            _ => value,
        }
    };
    with_weights(&here, "run", "class", overflow("qy.fc1.weight", "qzy.fc11.0.weight"));
    for output in [&[][..], &["--csv"], &["--json"]] {
        here.refuse(
            &[&["predict", "class", "one.png"], output].concat(),
            1,
            &["one.png", "class", "expected a finite number"],
        );
    }
    for arguments in [&["evaluate", "class"][..], &["evaluate", "class", "--json"], &["report", "class"]] {
        here.refuse(arguments, 1, &["logit", "expected a finite number"]);
    }
    assert!(!here.join("class/report.html").exists());
    with_weights(&here, "run", "domain", overflow("qd.fc1.weight", "qzd.fc11.0.weight"));
    here.refuse(&["predict", "domain", "one.png"], 1, &["one.png", "domain", "expected a finite number"]);

    // Of digits, as of two classes.
    here.succeed(&cells::train("cells", "train.epochs=1", &["--set", "model.kind=classifier"]));
    with_weights(&here, "cells", "broken", overflow("qy.fc2.weight", "qy.fc1.1.weight"));
    for arguments in [&["evaluate", "broken"][..], &["report", "broken"]] {
        here.refuse(arguments, 1, &["logit", "expected a finite number"]);
    }
}

/// Latents and pictures that are no numbers are left out of the page, and that is said; a picture asked for is an error.
#[test]
fn latents_that_are_no_numbers_leave_the_rest_of_the_page() {
    let here = Folder::new();
    here.with_a_run("run");
    with_weights(&here, "run", "bad", |name, value| {
        if name == "qzd.fc11.0.weight" { 3e38_f32.copysign(value) } else { value }
    });
    here.succeed(&["report", "bad"]);
    let page = text(&here.read("bad/report.html"));
    for part in
        ["zd of training image ", "expected a finite number", "How the training went", "What is mistaken"]
    {
        assert!(page.contains(part), "{part:?} is not on the page");
    }
    assert!(!page.contains("by t-SNE") && !page.contains("NaN,") && !page.contains("What each latent knows"));
    here.refuse(
        &["generate", "bad", "reconstructions"],
        1,
        &["cannot generate reconstructions", "not finite"],
    );
    assert!(here.succeed(&["generate", "run", "reconstructions"]).contains("reconstructions"));
}

/// A sweep shows it with its accuracies.
#[test]
fn sweeps_show_what_the_commonest_class_would_give() {
    let here = Folder::new();
    let settings = train("", &[]).into_iter().filter(|word| word.contains('=')).collect::<Vec<_>>();
    let settings =
        settings.iter().map(|setting| setting.replacen('=', " = ", 1)).collect::<Vec<_>>().join("\n");
    let sweep = format!(
        "out = \"out\"\npreset = \"quick\"\nmodel.kind = \"classifier\"\n{}\n[grid]\nseed = [0, 1]\n",
        settings.replace("train.epochs = 2", "train.epochs = 1")
    );
    fs::write(here.join("sweep.toml"), sweep).unwrap();
    here.succeed(&["sweep", "run", "sweep.toml"]);
    let printed = here.succeed(&["sweep", "collect", "sweep.toml"]);
    let row = "| commonest class | 10.0 | 10.0 | the images |";
    assert_eq!(printed.matches(row).count(), 4, "{printed}"); // two figures, of the same digits and of others
    let csv = text(&here.read("out/table.csv"));
    for figure in ["test_accuracy", "disjoint_test_accuracy"] {
        let line = format!("\n{figure},commonest class,75,0.1,,,,,,the images\n");
        assert!(csv.contains(&line), "{line}: {csv}");
    }
}
