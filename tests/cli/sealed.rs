//! Files of a run that were exchanged, damaged or taken away: refused by name, or made again.

use super::{Folder, folders, text, train, unsealed};
use std::fs;

const GO_ON: [&str; 3] = ["--resume", "--set", "train.epochs=3"];

impl Folder {
    /// Runs a command that says something, then fails with exit code 1 and these words.
    #[track_caller]
    pub(super) fn refuse_after_words(&self, arguments: &[&str], words: &str) {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
    }
}

/// A run with another seed, of the same shapes.
fn another(here: &Folder) {
    here.succeed(&train("another", &["--seed", "1"]));
}

#[test]
fn weights_of_another_run_and_damaged_ones_are_refused() {
    let here = Folder::new();
    here.with_a_run("run");
    another(&here);
    let whole = here.read("run/best.safetensors");
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let others = here.read("another/best.safetensors");
    assert_eq!(others.len(), whole.len());
    for bytes in [&flipped, &others] {
        fs::write(here.join("run/best.safetensors"), bytes).unwrap();
        for command in [&["evaluate", "run"][..], &["generate", "run", "samples"], &["report", "run"]] {
            let parts = ["run: best.safetensors is not the one that run/checkpoint.safetensors knows"];
            here.refuse(command, 2, &parts);
        }
        here.refuse(&["weights", "export", "run", "--out", "w"], 2, &["cannot export run: best.safetensors"]);
    }
    // The same of a folder that was copied without its checkpoint: then the result knows.
    let checkpoint = here.read("run/checkpoint.safetensors");
    fs::remove_file(here.join("run/checkpoint.safetensors")).unwrap();
    here.refuse(&["evaluate", "run"], 2, &["best.safetensors is not the one that run/result.json knows"]);
    fs::write(here.join("run/best.safetensors"), &whole).unwrap();
    here.succeed(&["evaluate", "run"]);
    // It is the checkpoint that is damaged, where what it knows of the weights was flipped.
    let at = checkpoint.windows(11).position(|bytes| bytes == b"best_sha256").unwrap() + 20;
    let mut flipped = checkpoint.clone();
    flipped[at] ^= 1;
    fs::write(here.join("run/checkpoint.safetensors"), &flipped).unwrap();
    here.refuse(&["evaluate", "run"], 2, &["checkpoint run/checkpoint.safetensors is damaged"]);
}

/// The fault: "the run goes on, or was stopped before its end", which it did not and was not.
#[test]
fn files_of_another_run_are_called_so() {
    let here = Folder::new();
    here.with_a_run("run");
    another(&here);
    fs::write(here.join("x.png"), diva::data::image::encode_grey(28, 28, &[7; 784])).unwrap();
    let predict = ["predict", "run", "x.png"];
    let noted = |words: &str| {
        let output = here.run(&predict);
        assert!(output.status.success());
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
    };
    let exchange = |name: &str| {
        let kept = here.read(&format!("run/{name}"));
        fs::copy(here.join(&format!("another/{name}")), here.join(&format!("run/{name}"))).unwrap();
        kept
    };
    let put_back = |name: &str, kept: &[u8]| fs::write(here.join(&format!("run/{name}")), kept).unwrap();
    let result = exchange("result.json");
    noted("run/result.json is of another run (seed 1, test domain 75) than the checkpoint beside it");
    let checkpoint = here.read("run/checkpoint.safetensors");
    fs::remove_file(here.join("run/checkpoint.safetensors")).unwrap();
    let words = "is of another run: it knows neither the config.toml nor the best.safetensors beside it";
    here.refuse(&predict, 2, &[&format!("run/result.json {words}")]);
    put_back("result.json", &result);
    put_back("checkpoint.safetensors", &checkpoint);
    let checkpoint = exchange("checkpoint.safetensors");
    here.refuse(&predict, 2, &[&format!("run/checkpoint.safetensors {words}")]);
    put_back("checkpoint.safetensors", &checkpoint);
    let unlike = exchange("unlike.json");
    here.refuse(&predict, 2, &["unlike.json is not the one that result.json knows"]);
    fs::remove_file(here.join("run/unlike.json")).unwrap();
    noted("run/unlike.json is gone: result.json knows one");
    put_back("unlike.json", &unlike);
    let config = exchange("config.toml");
    here.refuse(
        &predict,
        2,
        &["its config.toml is not the one that run/checkpoint.safetensors knows, which has seed"],
    );
    put_back("config.toml", &config);
    exchange("best.safetensors");
    here.refuse(&predict, 2, &["best.safetensors is not the one that run/checkpoint.safetensors knows"]);
}

#[test]
fn a_configuration_that_decides_other_results_is_refused() {
    let here = Folder::new();
    here.with_a_run("run");
    let config = text(&here.read("run/config.toml"));
    let changed =
        config.replace("test_domain = 75", "test_domain = 30").replace("[0, 30, 75]", "[0, 75, 30]");
    assert_ne!(changed, config);
    fs::write(here.join("run/config.toml"), &changed).unwrap();
    let parts =
        ["run: its config.toml is not the one that run/checkpoint.safetensors knows, which has data."];
    for command in [&["evaluate", "run"][..], &["verify", "run"], &["weights", "export", "run", "--out", "w"]]
    {
        here.refuse(command, 2, &parts);
    }
    // What decides nothing may be changed: where the data lie and how long is trained.
    fs::write(here.join("run/config.toml"), config.replace("epochs = 2", "epochs = 5")).unwrap();
    here.succeed(&["evaluate", "run"]);
}

#[test]
fn imported_weights_have_a_seal_of_their_own() {
    let here = Folder::new();
    here.with_a_run("run");
    another(&here);
    let import = ["weights", "import", "run/best.safetensors", "run/config.toml", "--out", "imported"];
    here.succeed(&import);
    here.succeed(&["evaluate", "imported"]);
    fs::copy(here.join("another/best.safetensors"), here.join("imported/best.safetensors")).unwrap();
    here.refuse(&["evaluate", "imported"], 2, &["is not the one that imported/imported.json knows"]);
    fs::remove_file(here.join("imported/imported.json")).unwrap();
    let output = here.run(&["evaluate", "imported"]);
    assert!(output.status.success());
    assert!(
        text(&output.stderr).contains("nothing in imported says whether best.safetensors is as it was left")
    );
}

#[test]
fn what_can_be_made_again_is_made_again_and_the_rest_refused_before_training() {
    let here = Folder::new();
    let selected_last = |name: &str| {
        let result: serde_json::Value =
            serde_json::from_slice(&here.read(&format!("{name}/result.json"))).unwrap();
        result["selected"]["epoch"] == result["epochs"]
    };
    here.with_a_run("run");
    assert!(selected_last("run"), "the tiny run improves in its last epoch");
    let best = here.read("run/best.safetensors");
    let config = here.read("run/config.toml");
    let result = here.read("run/result.json");
    let same = train("run", &["--resume"]);

    // The selected epoch is the checkpoint's: its weights are there. So is the configuration, and the result.
    fs::remove_file(here.join("run/best.safetensors")).unwrap();
    fs::remove_file(here.join("run/config.toml")).unwrap();
    here.succeed(&same);
    assert_eq!(here.read("run/best.safetensors"), best);
    assert_eq!(here.read("run/config.toml"), config);
    let edited = text(&result).replacen("\"test_accuracy\": 0.", "\"test_accuracy\": 0.9", 1);
    for damaged in ["{", &edited] {
        fs::write(here.join("run/result.json"), damaged).unwrap();
        here.succeed(&same);
        assert_eq!(here.read("run/result.json"), result, "{damaged}");
    }

    // A line of metrics cannot be.
    let metrics = unsealed(&here.read("run/metrics.jsonl"));
    for (changed, part) in [
        (metrics.replacen("\"epoch\":1", "\"epoch\":7", 1), "line 1 is of epoch 7"),
        (metrics.replacen('{', "[", 1), "line 1 is not the metrics of an epoch"),
        (metrics.replacen("\"epoch\":2,", "\"epoch\":2,\"x\":", 1), "line 2 is not the metrics of an epoch"),
        (metrics.lines().next().unwrap().to_owned() + "\n", "has 1 whole lines, but 2 epochs are done"),
        (metrics.replace("\"state_sha256\":\"", "\"state_sha256\":\"0"), "the last epoch has another hash"),
    ] {
        assert_ne!(changed, metrics);
        fs::write(here.join("run/metrics.jsonl"), &changed).unwrap();
        here.refuse(&train("run", &GO_ON), 2, &[part]);
        assert_eq!(here.read("run/result.json"), result);
    }
    fs::write(here.join("run/metrics.jsonl"), &metrics).unwrap();

    // Weights of an epoch before the checkpoint's cannot be either. This learning rate is too high to improve in the fifth.
    let fast = ["--set", "train.learning_rate=0.1", "--set", "train.epochs=5"];
    here.succeed(&train("long", &fast));
    assert!(!selected_last("long"));
    let more = train("long", &["--resume", "--set", "train.learning_rate=0.1", "--set", "train.epochs=6"]);
    fs::write(here.join("long/best.safetensors"), best).unwrap();
    here.refuse(&more, 2, &["cannot continue long: best.safetensors, of epoch 4, is damaged or exchanged"]);
    fs::remove_file(here.join("long/best.safetensors")).unwrap();
    here.refuse(&more, 2, &["cannot continue long: best.safetensors, of epoch 4, is gone"]);
    assert_eq!(text(&here.read("long/metrics.jsonl")).lines().count(), 5);
}

/// The fault: a flipped bit in a figure that only `verify` computes again was drawn by `report` and kept by `--resume`.
#[test]
fn a_figure_that_changed_is_refused_by_whoever_reads_its_line() {
    let here = Folder::new();
    here.with_a_run("run");
    let metrics = text(&here.read("run/metrics.jsonl"));
    let at = |name: &str| metrics.find(&format!("\"{name}\":")).unwrap() + name.len() + 3;
    let with = |at: usize, change: fn(u8) -> u8| {
        let mut bytes = metrics.clone().into_bytes();
        bytes[at] = change(bytes[at]);
        fs::write(here.join("run/metrics.jsonl"), bytes).unwrap();
    };
    // A digit, a name, the hash itself.
    let digit = metrics[at("kl_x")..].find(|letter: char| letter.is_ascii_digit()).unwrap() + at("kl_x");
    for at in [digit, at("reconstruction") - 4, at("line_sha256") + 5] {
        with(at, |byte| byte ^ 1);
        for command in [&["report", "run"][..], &["verify", "run"], &train("run", &GO_ON)] {
            let part = "run/metrics.jsonl: line 1 is not as it was written: it was damaged or changed since";
            here.refuse(command, 2, &[part]);
        }
    }
    // What a clock said decides nothing.
    with(at("train_seconds"), |digit| if digit == b'9' { b'8' } else { digit + 1 });
    here.succeed(&["report", "run", "--out", "page.html"]);
    // An earlier version says nothing else.
    fs::write(here.join("run/metrics.jsonl"), unsealed(metrics.as_bytes())).unwrap();
    here.succeed(&["report", "run", "--out", "page.html"]);
}

/// The fault: with a flipped digit in it, one image fewer was asked about, and another accuracy came out.
#[test]
fn a_division_that_changed_is_refused() {
    let here = Folder::new();
    folders::make(&here, &["A", "B", "C"]);
    here.succeed(&folders::train("run", "train.epochs=1", &[]));
    let division = text(&here.read("run/division.csv"));
    let line = division.lines().nth(1).unwrap();
    let digit = line.split(',').nth(1).unwrap().chars().next().unwrap();
    let other = line.replacen(&format!(",{digit}"), if digit == '0' { ",1" } else { ",0" }, 1);
    fs::write(here.join("run/division.csv"), division.replace(line, &other)).unwrap();
    let part = "division.csv is not the one that result.json knows; it was damaged or exchanged";
    here.refuse(&["evaluate", "run"], 2, &["cannot evaluate run: ", part]);
    here.refuse(&["verify", "run"], 2, &["cannot repeat run: ", part]);
    let output = here.run(&["report", "run", "--out", "page.html"]);
    assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
    // Its own is taken without the checkpoint too, and nothing is left to be said.
    fs::write(here.join("run/division.csv"), division).unwrap();
    fs::remove_file(here.join("run/checkpoint.safetensors")).unwrap();
    here.succeed(&["evaluate", "run"]);
}

#[test]
fn edited_figures_are_not_repeated() {
    let here = Folder::new();
    here.with_a_run("run");
    let (metrics, result) = (unsealed(&here.read("run/metrics.jsonl")), text(&here.read("run/result.json")));
    let figure = |text: &str, name: &str| {
        let at = text.rfind(&format!("\"{name}\":")).unwrap();
        text[at..].split_inclusive([',', '}']).next().unwrap().trim_end_matches([',', '}']).to_owned()
    };
    // In the second line, which is repeated, and not in the first.
    for name in ["test_accuracy", "loss", "kl_x", "train_accuracy"] {
        let old = figure(&metrics, name);
        let at = metrics.rfind(&old).unwrap();
        let edited = format!("{}\"{name}\":0.987654{}", &metrics[..at], &metrics[at + old.len()..]);
        fs::write(here.join("run/metrics.jsonl"), &edited).unwrap();
        let output = here.run(&["verify", "run", "--epochs", "2"]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let said = text(&output.stdout);
        assert!(
            said.contains(&format!("epoch 2 differs: {name} is ")) && said.contains("recorded was 0.987654"),
            "{said}"
        );
    }
    // What a clock said may differ.
    let old = figure(&metrics, "train_seconds");
    fs::write(here.join("run/metrics.jsonl"), metrics.replace(&old, "\"train_seconds\":1.5")).unwrap();
    here.succeed(&["verify", "run", "--epochs", "2"]);
    fs::write(here.join("run/metrics.jsonl"), &metrics).unwrap();

    let mut value: serde_json::Value = serde_json::from_str(&result).unwrap();
    value["test_commonest_class_share"] = 0.01.into();
    fs::write(here.join("run/result.json"), value.to_string()).unwrap();
    for command in [["verify", "run"], ["report", "run"]] {
        let part = "run/result.json: it is not as it was written: it was damaged or changed since";
        here.refuse(&command, 2, &[part]);
    }
    // Who changes the seal as well, or takes it away, is found by whoever computes again.
    let mut value: serde_json::Value = serde_json::from_str(&result).unwrap();
    value.as_object_mut().unwrap().remove("result_sha256");
    for (name, new, part) in [
        ("test_accuracy", "0.99".into(), "test_accuracy is not that of the selected epoch"),
        ("seed", "7".into(), "seed is not that of config.toml"),
        ("checkpoint_sha256", "\"00\"".into(), "checkpoint_sha256 is not the state_sha256"),
        ("epochs", "3".to_owned(), "it is of 3 epochs, metrics.jsonl has 2"),
        ("test_commonest_class_share", "0.01".into(), "test_commonest_class_share is not that of the images"),
    ] {
        let mut edited = value.clone();
        edited[name] = serde_json::from_str(&new).unwrap();
        fs::write(here.join("run/result.json"), edited.to_string()).unwrap();
        here.refuse_after_words(&["verify", "run"], part);
    }
    let mut edited = value.clone();
    edited["selected"]["train_accuracy"] = 0.99.into();
    fs::write(here.join("run/result.json"), edited.to_string()).unwrap();
    here.refuse_after_words(&["verify", "run"], "selected is not what metrics.jsonl says");
    fs::write(here.join("run/result.json"), &result).unwrap();
    assert!(here.succeed(&["verify", "run"]).ends_with("repeats\n"));
}

/// As after SIGKILL between the two saves: no damage.
#[test]
fn weights_newer_than_the_checkpoint_are_gone_on_from() {
    let here = Folder::new();
    here.with_a_run("run");
    let checkpoint = here.read("run/checkpoint.safetensors");
    here.succeed(&train("run", &GO_ON));
    let whole = ["checkpoint.safetensors", "best.safetensors"].map(|name| here.read(&format!("run/{name}")));
    fs::write(here.join("run/checkpoint.safetensors"), &checkpoint).unwrap();
    here.succeed(&train("run", &GO_ON));
    assert_eq!(
        ["checkpoint.safetensors", "best.safetensors"].map(|name| here.read(&format!("run/{name}"))),
        whole
    );
}

#[test]
fn a_prolonged_run_keeps_its_result_until_there_is_another() {
    let here = Folder::new();
    here.with_a_run("run");
    let [result, unlike] = ["result.json", "unlike.json"].map(|name| here.read(&format!("run/{name}")));
    here.succeed(&train("run", &GO_ON));
    assert_ne!(here.read("run/result.json"), result);
    // The old ones beside new weights: no image is marked, and a report has no result.
    fs::write(here.join("run/result.json"), &result).unwrap();
    fs::write(here.join("run/unlike.json"), &unlike).unwrap();
    fs::write(here.join("picture.png"), diva::data::image::encode_grey(28, 28, &[7; 784])).unwrap();
    let output = here.run(&["predict", "run", "picture.png", "--json"]);
    assert!(output.status.success());
    assert!(text(&output.stderr).contains("run/unlike.json is not of the weights beside it"));
    here.succeed(&["report", "run"]);
    assert!(text(&here.read("run/report.html")).contains("This run is not finished"));
    here.succeed(&train("run", &GO_ON));
    assert_ne!(here.read("run/result.json"), result, "it is not the checkpoint's and was made again");
    here.succeed(&["predict", "run", "picture.png", "--json"]);
    // A limit that was damaged is none.
    let damaged = text(&here.read("run/unlike.json")).replacen("0.01", "0.02", 1);
    fs::write(here.join("run/unlike.json"), damaged).unwrap();
    here.refuse(
        &["predict", "run", "picture.png"],
        2,
        &["unlike.json is not the one that result.json knows"],
    );
}

/// The fault: a digit of its hash changed, and the page of a finished run said that it was not finished.
#[test]
fn a_result_that_is_not_of_the_lines_beside_it_is_not_reported() {
    let here = Folder::new();
    here.with_a_run("run");
    let result = text(&here.read("run/result.json"));
    let at = result.find("\"checkpoint_sha256\": \"").unwrap() + 25;
    let mut bytes = result.into_bytes();
    bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
    fs::write(here.join("run/result.json"), bytes).unwrap();
    here.refuse(&["report", "run"], 2, &["cannot read run/result.json: it is not as it was written"]);
    let mut value: serde_json::Value = serde_json::from_slice(&here.read("run/result.json")).unwrap();
    value.as_object_mut().unwrap().remove("result_sha256").unwrap();
    fs::write(here.join("run/result.json"), value.to_string()).unwrap();
    let what =
        "run/result.json is not its result: checkpoint_sha256 is not the state_sha256 of its last epoch";
    here.refuse(&["report", "run"], 2, &["cannot report run: ", what]);
}

/// The fault: `verify` said "repeats" of a run whose limit of unlike images was another one or gone.
#[test]
fn the_limit_of_unlike_images_is_verified_with_the_rest() {
    let here = Folder::new();
    here.with_a_run("run");
    let unlike = text(&here.read("run/unlike.json"));
    fs::write(here.join("run/unlike.json"), unlike.replacen("0.01", "0.02", 1)).unwrap();
    let what = "result.json is not the result of the run: unlike.json beside it is another one or gone";
    here.refuse_after_words(&["verify", "run"], what);
    fs::remove_file(here.join("run/unlike.json")).unwrap();
    here.refuse_after_words(&["verify", "run"], what);
    fs::write(here.join("run/unlike.json"), unlike).unwrap();
    here.succeed(&["verify", "run"]);
}

/// The fault: a result and the lines that it is of, both of a run of another learning rate, were believed.
#[test]
fn a_result_with_its_lines_of_another_configuration_is_refused() {
    let here = Folder::new();
    here.with_a_run("run");
    here.succeed(&train("other", &["--set", "train.learning_rate=0.02"]));
    for name in ["result.json", "metrics.jsonl"] {
        fs::copy(here.join("other").join(name), here.join("run").join(name)).unwrap();
    }
    let what = "run/result.json is not its result: configuration_sha256 is not that of config.toml";
    here.refuse(&["report", "run"], 2, &["cannot report run: ", what]);
}
