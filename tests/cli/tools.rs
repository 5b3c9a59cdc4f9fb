//! What is done with a run afterwards, and the commands that need no run.

use super::{Folder, text, train};
use diva::data::embedded;
use diva::data::image::{encode_grey, encode_rgb};
use diva::store::tensors::TensorFile;
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn evaluate_says_what_training_said() {
    let here = Folder::new();
    here.with_a_run("run");
    let found = here.json(&["evaluate", "run", "--json"]);
    let result: Value = serde_json::from_slice(&here.read("run/result.json")).unwrap();
    for name in ["train_accuracy", "test_accuracy", "disjoint_test_accuracy"] {
        assert_eq!(found[name], result["selected"][name], "{name}");
    }
    assert_eq!(found["run"], "run");
    let rows = found["domains"].as_array().unwrap();
    let column = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(column("domain"), ["0", "30", "75", "75"]);
    assert_eq!(column("role"), ["training", "training", "test", "disjoint-test"]);
    assert_eq!(column("images"), [40, 40, 40, 40]);
    for row in rows {
        let (correct, images) = (row["correct"].as_f64().unwrap(), row["images"].as_f64().unwrap());
        assert_eq!(row["accuracy"], correct / images);
    }
    for (row, domain) in [(0, "0"), (1, "30")] {
        assert_eq!(rows[row]["accuracy"], result["selected"]["domain_accuracy"][domain]);
    }
    let table = here.succeed(&["evaluate", "run"]);
    assert_eq!(table.lines().take_while(|line| !line.is_empty()).count(), 5, "{table}");
}

#[test]
fn predictions_are_those_that_evaluation_counts() {
    let here = Folder::new();
    // The digits trained on, in the order of the subset file, so that their accuracy is known at 0 degrees.
    let digits = embedded::train();
    let chosen: Vec<usize> = (0..40).map(|i| i * 25).collect();
    fs::write(here.join("subset.txt"), chosen.iter().map(|i| format!("{i}\n")).collect::<String>()).unwrap();
    here.succeed(&train("run", &["--set", "data.subset_file=subset.txt"]));
    fs::create_dir(here.join("images")).unwrap();
    for (place, &digit) in chosen.iter().enumerate() {
        fs::write(here.join(&format!("images/{place:02}.png")), encode_grey(28, 28, digits.image(digit)))
            .unwrap();
    }
    let found = here.json(&["predict", "run", "images", "--json"]);
    assert_eq!(found["domains"], serde_json::json!(["0", "30"]));
    let predictions = found["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), chosen.len());
    let mut correct = 0;
    for (prediction, (place, &digit)) in predictions.iter().zip(chosen.iter().enumerate()) {
        assert_eq!(prediction["file"], format!("images/{place:02}.png"));
        let numbers = |name: &str| -> Vec<f64> {
            prediction[name].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
        };
        let (classes, domains) = (numbers("class_probabilities"), numbers("domain_probabilities"));
        assert_eq!((classes.len(), domains.len()), (10, 2));
        for probabilities in [&classes, &domains] {
            assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-14);
        }
        for (probability, odds) in classes.iter().zip(numbers("class_log_odds")) {
            assert!((odds - (probability / (1.0 - probability)).ln()).abs() < 1e-6, "{odds}: {probability}");
        }
        let class = prediction["class"].as_u64().unwrap() as usize;
        assert!(classes.iter().all(|&probability| probability <= classes[class]));
        assert_eq!(prediction["probability"].as_f64().unwrap(), classes[class]);
        let domain = if domains[1] > domains[0] { "30" } else { "0" };
        assert_eq!(prediction["domain"], domain);
        correct += usize::from(class == usize::from(digits.labels[digit]));
    }
    let result: Value = serde_json::from_slice(&here.read("run/result.json")).unwrap();
    assert_eq!(result["selected"]["domain_accuracy"]["0"], correct as f64 / 40.0);

    let one = here.json(&["predict", "run", "images/07.png", "--json"]);
    assert_eq!(one["predictions"].as_array().unwrap().as_slice(), &predictions[7..8]);
    let lines = here.succeed(&["predict", "run", "images/07.png", "images"]);
    assert_eq!(lines.lines().count(), 41);
    let table = here.succeed(&["predict", "run", "images/07.png", "--csv"]);
    let mut table = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let (head, line) = (table.next().unwrap(), table.next().unwrap());
    for (class, odds) in predictions[7]["class_log_odds"].as_array().unwrap().iter().enumerate() {
        let place = head.iter().position(|name| *name == format!("log_odds {class}")).unwrap();
        assert_eq!(line[place].parse::<f64>().unwrap(), *odds);
    }
    let class = format!("images/07.png: class {} (", predictions[7]["class"]);
    assert!(lines.starts_with(&class), "{lines}");
}

#[test]
fn what_is_no_digit_is_refused() {
    let here = Folder::new();
    here.with_a_run("run");
    fs::create_dir(here.join("empty")).unwrap();
    let good = encode_grey(28, 28, &[7; 784]);
    let rgb = encode_rgb(64, 64, &vec![9; 3 * 64 * 64]);
    for (name, bytes, part) in [
        ("text.png", b"not an image".to_vec(), "not a PNG file"),
        ("none.png", Vec::new(), "cut short"),
        ("cut.png", good[..good.len() - 20].to_vec(), "cut short"),
        ("small.png", encode_grey(27, 28, &[7; 756]), "28x27 pixels, expected 28x28"),
        ("large.png", rgb, "64x64 pixels, expected 28x28"),
    ] {
        fs::write(here.join(name), bytes).unwrap();
        fs::write(here.join("good.png"), &good).unwrap();
        // Nothing is printed for the good image either.
        here.refuse(&["predict", "run", "good.png", name], 2, &[name, part]);
    }
    let object = here.json(&["predict", "run", "text.png", "good.png", "--skip-unreadable", "--json"]);
    assert_eq!(object["predictions"][0]["file"], "good.png");
    assert!(object["unreadable"][0].as_str().unwrap().contains("text.png: "), "{object}");
    here.refuse(&["predict", "run", "empty"], 2, &["empty: it holds no *.png file"]);
    here.refuse(&["predict", "run", "missing.png"], 2, &["cannot read missing.png: "]);
    here.refuse(&["predict", "empty", "good.png"], 2, &["cannot use empty: it is not the folder of a run"]);
}

#[test]
fn weights_go_out_and_come_in() {
    let here = Folder::new();
    here.with_a_run("run");
    here.succeed(&["weights", "export", "run", "--out", "weights.safetensors"]);
    assert_eq!(here.read("weights.safetensors"), here.read("run/best.safetensors"));
    here.succeed(&["weights", "import", "weights.safetensors", "run/config.toml", "--out", "other"]);
    assert_eq!(here.names("other"), ["best.safetensors", "config.toml", "imported.json"]);
    let evaluation = |run: &str| {
        let mut found = here.json(&["evaluate", run, "--json"]);
        found.as_object_mut().unwrap().remove("run");
        found
    };
    assert_eq!(evaluation("run"), evaluation("other"));

    // A file without PyTorch's counters goes out with them.
    let whole = TensorFile::read(&here.join("weights.safetensors")).unwrap();
    let mut bare = TensorFile::new();
    for name in whole.names().filter(|name| !name.ends_with("num_batches_tracked")) {
        let (shape, values) = whole.f32s(name).unwrap();
        bare.insert(name, shape, &values);
    }
    bare.write(&here.join("bare.safetensors")).unwrap();
    here.succeed(&["weights", "import", "bare.safetensors", "run/config.toml", "--out", "bare"]);
    here.succeed(&["weights", "export", "bare", "--out", "again.safetensors"]);
    assert!(TensorFile::read(&here.join("again.safetensors")).unwrap().names().eq(whole.names()));

    // The last parameters are those of the checkpoint: the same where the last epoch is the selected one.
    here.succeed(&["weights", "export", "run", "--last", "--out", "last.safetensors"]);
    let read = |name: &str| TensorFile::read(&here.join(name)).unwrap();
    let (best, last) = (read("weights.safetensors"), read("last.safetensors"));
    assert!(best.names().eq(last.names()));
    let result: Value = serde_json::from_slice(&here.read("run/result.json")).unwrap();
    let same = here.read("weights.safetensors") == here.read("last.safetensors");
    assert_eq!(same, result["selected"]["epoch"] == 2);
}

#[test]
fn gradients_are_those_of_pytorch() {
    let here = Folder::new();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny");
    let path = |name: &str| tiny.join(name).to_str().unwrap().to_owned();
    let (config, weights, batch) =
        (path("config.toml"), path("weights.safetensors"), path("batch.safetensors"));
    let arguments = ["gradients", "--config", &config, "--weights", &weights, "--batch", &batch];
    for (answer, more) in [("supervised", &[][..]), ("unlabelled", &["--unlabelled"])] {
        here.succeed(&[&arguments[..], &["--out", answer], more].concat());
        let ours = TensorFile::read(&here.join(answer)).unwrap();
        let theirs = TensorFile::read(&tiny.join(format!("{answer}.safetensors"))).unwrap();
        assert!(ours.names().eq(theirs.names()), "{answer}");
        for name in theirs.names() {
            let ((shape, a), (expected, b)) = (ours.f32s(name).unwrap(), theirs.f32s(name).unwrap());
            assert_eq!(shape, expected, "{name}");
            let norm = b.iter().map(|b| f64::from(*b).powi(2)).sum::<f64>().sqrt();
            let off = a.iter().zip(&b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
            assert!(off <= 2e-4 * norm.max(1e-3), "{answer}: {name} is {off:e} off {norm:e}");
        }
    }

    // p(y) by counts: nothing counts images here, and only the loss of unlabelled ones asks for them.
    let by_counts =
        text(&fs::read(&config).unwrap()).replace("prior_y = \"uniform\"", "prior_y = \"training\"");
    fs::write(here.join("counts.toml"), by_counts).unwrap();
    let counts =
        ["gradients", "--config", "counts.toml", "--weights", &weights, "--batch", &batch, "--out", "counts"];
    here.refuse(
        &[&counts[..], &["--unlabelled"]].concat(),
        2,
        &["model.prior_y = \"training\" needs training images"],
    );
    here.succeed(&counts);
    assert!(here.read("counts") == here.read("supervised"));

    let mut bad = TensorFile::new();
    bad.insert("x", &[2, 1, 28, 27], &[0.0_f32; 2 * 28 * 27]);
    bad.write(&here.join("batch")).unwrap();
    let wrong = ["gradients", "--config", &config, "--weights", &weights, "--batch", "batch", "--out", "o"];
    here.refuse(&wrong, 2, &["batch", "x has shape [2, 1, 28, 27]"]);
    here.refuse(&[&arguments[..], &["--out", "missing/o"]].concat(), 1, &["cannot write missing/o: "]);
}

#[test]
fn benchmarks_measure() {
    let here = Folder::new();
    let common = ["--json", "--batch", "4", "--steps", "1", "--threads", "2"];
    for command in ["step", "infer"] {
        let found = here.json(&[&["bench", command][..], &common].concat());
        let number = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("{name} in {found}"));
        assert_eq!(
            (&found["model"], &found["batch"], &found["threads"]),
            (&"rotated-mnist".into(), &4.into(), &2.into())
        );
        assert!(number("median_s") >= number("min_s") && number("min_s") > 0.0);
        if cfg!(target_os = "linux") {
            assert!(number("peak_rss_mib") > 1.0);
        }
        if command == "infer" {
            assert!((number("images_per_s") * number("median_s") / 4.0 - 1.0).abs() < 1e-9);
        }
        let isa = found["isa"].as_str().unwrap();
        assert!(diva::simd::Isa::supported().iter().any(|each| each.name() == isa), "{isa}");
    }
    let said = here.succeed(&["bench", "step", "--unlabelled", "--batch", "2", "--steps", "1"]);
    assert!(said.starts_with("rotated-mnist step, batch 2, "), "{said}");
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn a_profile_adds_up_and_counts_what_layers_multiply() {
    let here = Folder::new();
    let (batch, steps) = (4, 2);
    let common = ["bench", "step", "--profile", "--batch", "4", "--steps", "2", "--threads", "2"];
    let found = here.json(&[&common[..], &["--json"]].concat());
    let profile = &found["profile"];
    let rows = profile["rows"].as_array().unwrap();
    let number = |row: &Value, name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name} in {row}"));
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs());

    let sum = |name: &str| rows.iter().map(|row| number(row, name)).sum::<f64>();
    let (total, other) = (&profile["total"], &profile["other"]);
    assert!(close(sum("share") + number(other, "share"), 1.0) && number(other, "share") > 0.0);
    assert!(close(sum("ms") + number(other, "ms"), number(total, "ms")));
    assert!(number(total, "ms") >= 1e3 * number(&found, "min_s"));
    for name in ["calls", "multiply_adds", "naive_multiply_adds", "bytes"] {
        assert!(close(sum(name), number(total, name)), "{name}");
    }
    assert!(rows.is_sorted_by(|a, b| number(a, "ms") >= number(b, "ms")));

    let machine = &profile["machine"];
    let (peak, copying) = (number(machine, "fma_gflop_per_s"), number(machine, "copy_gb_per_s"));
    assert!(peak > 0.0 && copying > 0.0);
    for row in rows.iter().chain([total]) {
        let per_ms = |amount: f64| amount / number(row, "ms") / 1e6;
        assert!(close(number(row, "gflop_per_s"), per_ms(2.0 * number(row, "multiply_adds"))), "{row}");
        let naive = number(row, "naive_multiply_adds");
        assert!(close(number(row, "naive_gflop_per_s"), per_ms(2.0 * naive)), "{row}");
        assert!(close(number(row, "gb_per_s"), per_ms(number(row, "bytes"))), "{row}");
        assert!(close(number(row, "peak_share"), number(row, "gflop_per_s") / peak), "{row}");
        assert!(close(number(row, "copy_share"), number(row, "gb_per_s") / copying), "{row}");
    }

    // A row's calls, multiply-adds by the equation, and bytes.
    let is = |op: &str, pass: &str, output: &Value, expected: [usize; 3]| {
        let mut same = rows.iter().filter(|row| {
            row["op"] == op && row["pass"] == pass && &row["output"] == output && row["input"][1] != 64
        });
        let row = same.next().unwrap_or_else(|| panic!("no {pass} {op} to {output}"));
        assert!(same.next().is_none(), "two rows of {pass} {op} to {output}");
        let found = ["calls", "naive_multiply_adds", "bytes"].map(|name| number(row, name) as usize);
        assert_eq!(found, expected, "{pass} {op} to {output}");
    };
    // Two heads of three encoders; x, w and b go in.
    let (head, sizes) = (batch * 1024 * 64, batch * 1024 + 1024 * 64 + 64);
    let to = serde_json::json!([batch, 64]);
    is("linear", "forward", &to, [6, 6 * head, 6 * 4 * (sizes + batch * 64)]);
    is("linear", "backward", &to, [6, 2 * 6 * head, 6 * 4 * (2 * sizes + batch * 64)]);
    // The first convolutions of the three encoders: nobody wants the gradient of the images.
    let (first, output) = (batch * 24 * 24 * 25 * 32, batch * 24 * 24 * 32);
    let (image, weights) = (batch * 28 * 28, 25 * 32);
    let to = serde_json::json!([batch, 24, 24, 32]);
    is("conv2d", "forward", &to, [3, 3 * first, 3 * 4 * (image + weights + output)]);
    is("conv2d", "backward", &to, [3, 3 * first, 3 * 4 * (image + 2 * weights + output)]);
    // The two up-sampled layers of the decoder are rows of their own.
    for (small, inputs, outputs) in [(4, 64, 128), (12, 128, 256)] {
        let large = 2 * small + 4;
        let to = serde_json::json!([batch, large, large, outputs]);
        let products = batch * (2 * small) * (2 * small) * 25 * inputs * outputs;
        let (x, w, y) =
            (batch * small * small * inputs, 25 * inputs * outputs, batch * large * large * outputs);
        is("upsampled_conv_transpose2d", "forward", &to, [1, products, 4 * (x + w + y)]);
        is("upsampled_conv_transpose2d", "backward", &to, [1, 2 * products, 4 * (2 * (x + w) + y)]);
    }
    assert_eq!(found["steps"], steps);

    let said = here.succeed(&common);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1 + 2 + rows.len() + 2, "{said}");
    assert!(lines[1].starts_with("means over the steps; peak "), "{said}");
    assert!(said.contains("  upsampled_conv_transpose2d 4x12x12x128 -> 4x28x28x256\n"), "{said}");
    assert!(
        lines.last().unwrap().ends_with("  total") && lines.last().unwrap().contains(" 100.0 %"),
        "{said}"
    );
}

#[test]
fn matrix_products_are_measured() {
    let here = Folder::new();
    let found = here.json(&["bench", "gemm", "--json", "--threads", "2"]);
    assert_eq!((&found["command"], &found["threads"]), (&"gemm".into(), &2.into()));
    let peak = found["fma_gflop_per_s"].as_f64().unwrap();
    let products = found["products"].as_array().unwrap();
    assert!(products.iter().any(|product| product["rows"] == 78_400 && product["columns"] == 256));
    for product in products {
        let number = |name: &str| product[name].as_f64().unwrap_or_else(|| panic!("{name} in {product}"));
        let flop = 2.0 * number("rows") * number("inner") * number("columns");
        assert!((number("gflop_per_s") * number("median_s") * 1e9 / flop - 1.0).abs() < 1e-9, "{product}");
        assert!((number("peak_share") * peak / number("gflop_per_s") - 1.0).abs() < 1e-9, "{product}");
    }
}

#[test]
fn help_explains_every_flag() {
    let here = Folder::new();
    let top = here.succeed(&["--help"]);
    for command in ["train", "evaluate", "predict", "generate", "data", "weights", "gradients", "bench"] {
        assert!(top.contains(&format!("\n  {command} ")), "{command} in {top}");
    }
    for arguments in [
        &["train"][..],
        &["evaluate"],
        &["predict"],
        &["generate"],
        &["data", "info"],
        &["weights", "export"],
        &["weights", "import"],
        &["gradients"],
        &["bench", "step"],
        &["bench", "infer"],
        &["bench", "gemm"],
    ] {
        let help = here.succeed(&[arguments, &["--help"]].concat());
        let lines: Vec<&str> = help.lines().collect();
        for (line, next) in lines.iter().zip(lines[1..].iter().chain([&""])) {
            // A value of a flag stands behind a dash and a blank, and before what it is.
            if let Some(value) = line.trim_start().strip_prefix("- ") {
                let is_explained = value.split_once(':').is_some_and(|(_, text)| !text.trim().is_empty());
                assert!(is_explained, "{arguments:?} does not explain {line:?}");
            } else if line.trim_start().starts_with('-') {
                let inline =
                    line.trim_start().split_once("  ").is_some_and(|(_, text)| !text.trim().is_empty());
                assert!(inline || !next.trim().is_empty(), "{arguments:?} does not explain {line:?}");
            }
        }
    }
    assert!(text(&here.run(&["--version"]).stdout).starts_with("diva 0."));
}
