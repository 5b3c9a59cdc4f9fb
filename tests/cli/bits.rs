//! The same bits: whatever number of threads, whatever instruction set, and from one version to the next.

use super::{Folder, finished_run, metrics_without_clock, train};
use diva::simd::Isa;
use diva::store::digest::sha256_hex;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const THREADS: [&str; 5] = ["1", "2", "3", "4", "7"];

/// What is drawn of a run afterwards.
const DRAWN: [&str; 2] = ["report", "sampled pixels"];

/// Everything that a run leaves, by name: its files, without what the clock decides, and what commands make of it.
fn left_by(here: &Folder, run: &str) -> BTreeMap<String, Vec<u8>> {
    let mut left = BTreeMap::new();
    for entry in fs::read_dir(here.join(run)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let bytes = here.read(&format!("{run}/{name}"));
        let bytes = match name.as_str() {
            "metrics.jsonl" => format!("{:?}", metrics_without_clock(&bytes)).into_bytes(),
            _ => bytes,
        };
        left.insert(name, bytes);
    }
    left
}

/// Trains the folder `run` with these arguments, on the best instruction set with every number of threads and on the others with
/// three; all that is left must be the same, its pictures too. With `draw`, so must what is drawn of it afterwards, once on each
/// instruction set and once more by one thread.
fn matrix(arguments: &[&str], draw: bool) {
    let here = Folder::new();
    let mut first: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let best = Isa::supported().last().unwrap();
    for isa in Isa::supported() {
        for threads in THREADS.into_iter().filter(|&threads| isa == best || threads == "3") {
            let run = |arguments: &[&str]| {
                let output =
                    here.diva(arguments).args(["--threads", threads]).env("DIVA_ISA", isa.name()).output();
                super::success(&output.unwrap())
            };
            run(arguments);
            let mut left = left_by(&here, "run");
            left.insert("evaluation".into(), run(&["evaluate", "run", "--json"]).into_bytes());
            let drawn = draw && ["1", "3"].contains(&threads);
            if drawn {
                run(&["generate", "run", "samples", "--pixel", "sample", "--out", "pictures"]);
                left.insert("sampled pixels".into(), here.read("pictures/samples.png"));
                run(&["report", "run", "--out", "report.html"]);
                left.insert("report".into(), here.read("report.html"));
                fs::remove_dir_all(here.join("pictures")).unwrap();
            }
            fs::remove_dir_all(here.join("run")).unwrap();
            if first.is_empty() {
                first = left.clone();
            }
            let expected = first.iter().filter(|(name, _)| drawn || !DRAWN.contains(&name.as_str()));
            let names: Vec<&String> = expected.clone().map(|(name, _)| name).collect();
            assert_eq!(Vec::from_iter(left.keys()), names);
            for (name, expected) in expected {
                assert!(
                    left[name] == *expected,
                    "{name} is another with {} and {threads} threads",
                    isa.name()
                );
            }
        }
    }
    let names: Vec<String> = first.into_keys().collect();
    let of_a_run = [
        "checkpoint.safetensors",
        "result.json",
        "unlike.json",
        "metrics.jsonl",
        "accuracy.png",
        "evaluation",
    ];
    for expected in of_a_run.iter().chain(DRAWN.iter().filter(|_| draw)) {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }
}

/// What is drawn of it goes the ways of the next.
#[test]
fn a_labelled_run_is_the_same_on_every_instruction_set_and_number_of_threads() {
    matrix(&train("run", &[]), false);
}

/// Wide enough for every algorithm of convolution: from 64 channels on, up-sampled layers take Winograd's way. Four steps, of which
/// every second is labelled.
#[test]
fn a_run_with_unlabelled_images_is_the_same_on_every_instruction_set_and_number_of_threads() {
    let settings = with_sets(&[
        "data.per_class=2",
        "model.width=0.5",
        "train.batch=10",
        "train.epochs=1",
        "data.unlabelled.subsets=1",
    ]);
    matrix(&train("run", &settings), true);
}

/// Wide enough for Winograd's way in the decoder, whose first layers have 32 channels; augmented, as the preset is.
#[test]
fn a_run_on_cells_is_the_same_on_every_instruction_set_and_number_of_threads() {
    let start = ["train", "--out", "run", "--preset", "quick-cells"];
    let settings = with_sets(&[
        "data.domains=[\"P01\",\"P02\",\"P03\"]",
        "data.test_domain=P03",
        "data.unlabelled.domains=[\"P02\"]",
        "data.per_domain=12",
        "model.encoder_width=0.25",
        "model.latent=8",
        "train.batch=5",
        "train.epochs=1",
    ]);
    matrix(&[&start[..], &settings].concat(), true);
}

fn with_sets<'a>(settings: &[&'a str]) -> Vec<&'a str> {
    settings.iter().flat_map(|setting| ["--set", setting]).collect()
}

/// The rows of docs/reproducibility.md: a command without --out, and the checkpoint that it must end in.
#[test]
fn the_reference_hashes_are_reached() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reproducibility.md");
    let text = fs::read_to_string(path).unwrap();
    let mut rows = 0;
    for line in text.lines().filter(|line| line.starts_with("| `diva train")) {
        let cells: Vec<&str> = line.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let (command, expected) = (cells[1], cells[2]);
        let here = Folder::new();
        // As a shell would take it: no argument holds a space, some are quoted.
        let words = command.split_whitespace().map(|word| word.trim_matches('\''));
        let arguments: Vec<&str> = words.skip(1).chain(["--out", "run"]).collect();
        here.succeed(&arguments);
        let found = sha256_hex(&here.read("run/checkpoint.safetensors"));
        assert_eq!(
            found, expected,
            "{command} computes other bits than before; if that is meant, write the new hash into \
             docs/reproducibility.md and the reason into CHANGELOG.md"
        );
        rows += 1;
    }
    assert!(rows >= 4, "{rows} rows of reference hashes in docs/reproducibility.md");
}

#[test]
fn an_epoch_records_the_hash_of_its_checkpoint() {
    let text = fs::read_to_string(finished_run().join("metrics.jsonl")).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let checkpoint = fs::read(finished_run().join("checkpoint.safetensors")).unwrap();
    assert_eq!(last["state_sha256"], sha256_hex(&checkpoint));
}

#[test]
fn a_run_is_verified_and_the_first_epoch_that_differs_is_named() {
    let here = Folder::new();
    here.with_a_run("run");
    let before = here.names("run");
    let said = here.succeed(&["verify", "run", "--epochs", "2"]);
    assert!(said.starts_with("epoch 1 repeats: ") && said.ends_with("\nrepeats\n"), "{said}");
    assert_eq!(said.lines().count(), 3);
    let object = here.json(&["verify", "run", "--json"]);
    assert_eq!((&object["repeats"], &object["first_difference"]), (&Value::Bool(true), &Value::Null));
    assert_eq!(object["epochs"].as_array().unwrap().len(), 1);
    assert_eq!(here.names("run"), before);
    // More or fewer epochs leave the first epoch what it is; a seed does not.
    let free = ["train.epochs=1", "train.checkpoint_seconds=0"];
    here.succeed(&[&["verify", "run"][..], &free.map(|setting| ["--set", setting]).concat()].concat());
    here.refuse(
        &["verify", "run", "--set", "seed=1"],
        2,
        &["cannot repeat run: seed is 0 in the run's folder"],
    );

    let metrics = super::unsealed(&here.read("run/metrics.jsonl"));
    let lines: Vec<&str> = metrics.lines().collect();
    let field = r#""state_sha256":""#;
    let digit = lines[1].find(field).unwrap() + field.len();
    let other = if &lines[1][digit..=digit] == "0" { "1" } else { "0" };
    let mut changed = lines[1].to_owned();
    changed.replace_range(digit..=digit, other);
    fs::write(here.join("run/metrics.jsonl"), format!("{}\n{changed}\n", lines[0])).unwrap();
    // The first epoch repeats, but the result is of another state than its last line.
    let output = here.run(&["verify", "run"]);
    assert!(super::text(&output.stdout).starts_with("epoch 1 repeats: "));
    assert_eq!(output.status.code(), Some(1));
    let said = super::text(&output.stderr);
    assert!(
        said.contains("run/result.json is not the result of the run: checkpoint_sha256 is not"),
        "{said}"
    );
    let output = here.run(&["verify", "run", "--epochs", "2"]);
    let silent = std::process::Output { stdout: Vec::new(), ..output };
    super::refused(&silent, 1, &["run does not repeat: epoch 2 is the first that differs"]);
    let output = here.run(&["verify", "run", "--epochs", "2", "--json"]);
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &object["first_difference"]), (Some(1), &Value::from(2)));

    let recorded = "cannot repeat 3 epochs of run: run/metrics.jsonl has recorded 2";
    here.refuse(&["verify", "run", "--epochs", "3"], 2, &[recorded]);
    here.refuse(&["verify", "run", "--epochs", "0"], 2, &["cannot repeat 0 epochs of run"]);
    here.refuse(
        &["verify", "nothing"],
        2,
        &["cannot repeat nothing: it is not the folder of a run (it has no config.toml)"],
    );
    fs::write(here.join("run/metrics.jsonl"), "{\"epoch\":1}\n").unwrap();
    here.refuse(&["verify", "run"], 2, &["metrics.jsonl: line 1 is not the metrics of an epoch"]);
    fs::write(here.join("run/metrics.jsonl"), "").unwrap();
    here.refuse(&["verify", "run"], 2, &["run/metrics.jsonl has recorded 0"]);
    fs::remove_file(here.join("run/metrics.jsonl")).unwrap();
    here.refuse(&["verify", "run"], 2, &["run/metrics.jsonl"]);
}
