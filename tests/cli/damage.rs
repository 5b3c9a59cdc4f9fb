//! Checkpoints and weights that are damaged, runs that diverge: what was good stays.

use super::{Folder, refused, text, train};
use crate::program::runner;
use diva::store::checkpoint::Checkpoint;
use diva::store::digest::sha256_hex;
use diva::store::tensors::TensorFile;
use std::fs;
use std::process::Command;

const GO_ON: [&str; 3] = ["--resume", "--set", "train.epochs=3"];

/// All tensors of a file of f32 (and of the i64 counters), each as `change` makes it; `None` leaves it out.
fn changed(
    file: &TensorFile,
    change: impl Fn(&str, Vec<usize>, Vec<f32>) -> Option<(Vec<usize>, Vec<f32>)>,
) -> TensorFile {
    let mut out = TensorFile::new();
    for name in file.names() {
        if let Ok((shape, counts)) = file.i64s(name) {
            out.insert(name, shape, &counts);
        } else {
            let (shape, values) = file.f32s(name).unwrap();
            if let Some((shape, values)) = change(name, shape.to_vec(), values) {
                out.insert(name, &shape, &values);
            }
        }
    }
    out
}

#[test]
fn damaged_checkpoints_are_refused_and_kept() {
    let here = Folder::new();
    here.with_a_run("run");
    let whole = here.read("run/checkpoint.safetensors");
    let others: Vec<_> = ["metrics.jsonl", "best.safetensors", "config.toml", "result.json"].into();
    let before: Vec<_> = others.iter().map(|name| here.read(&format!("run/{name}"))).collect();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (bytes, part) in [
        (flipped, "run/checkpoint.safetensors is damaged: its checksum does not match"),
        (whole[..whole.len() - 1].to_vec(), "run/checkpoint.safetensors is cut short"),
        (whole[..50].to_vec(), "run/checkpoint.safetensors is cut short"),
        (Vec::new(), "run/checkpoint.safetensors is cut short"),
        (here.read("run/best.safetensors"), "is not a checkpoint of diva"),
    ] {
        fs::write(here.join("run/checkpoint.safetensors"), &bytes).unwrap();
        here.refuse(&train("run", &GO_ON), 2, &[part]);
        assert_eq!(here.read("run/checkpoint.safetensors"), bytes);
    }
    fs::write(here.join("run/checkpoint.safetensors"), &whole).unwrap();

    // Metrics that lack an epoch: the result is kept as well.
    fs::write(here.join("run/metrics.jsonl"), "{}\n").unwrap();
    here.refuse(&train("run", &GO_ON), 2, &["its metrics.jsonl has 1 whole lines, but 2 epochs are done"]);
    fs::write(here.join("run/metrics.jsonl"), &before[0]).unwrap();
    let after: Vec<_> = others.iter().map(|name| here.read(&format!("run/{name}"))).collect();
    assert_eq!(before, after);
    here.succeed(&train("run", &GO_ON));
}

#[test]
fn a_checkpoint_of_another_configuration_is_refused() {
    let here = Folder::new();
    here.with_a_run("run");
    let seed = [&GO_ON[..], &["--seed", "1"]].concat();
    here.refuse(&train("run", &seed), 2, &["cannot continue run: seed is 0", "1 was asked for"]);
    let two = [&GO_ON[..], &["--seed", "1", "--set", "train.batch=10"]].concat();
    here.refuse(&train("run", &two), 2, &["cannot continue run: ", "and 1 more"]);
    // The file of the configuration was exchanged, the checkpoint was not.
    let config = text(&here.read("run/config.toml")).replace("seed = 0", "seed = 1");
    fs::write(here.join("run/config.toml"), config).unwrap();
    here.refuse(&train("run", &seed), 2, &["run/checkpoint.safetensors", "another configuration"]);
}

#[test]
fn a_run_that_diverges_keeps_its_last_checkpoint() {
    let here = Folder::new();
    here.with_a_run("run");
    // Weights whose squares overflow.
    let path = here.join("run/checkpoint.safetensors");
    let mut checkpoint = Checkpoint::load(&path).unwrap();
    checkpoint.tensors = changed(&checkpoint.tensors, |name, shape, values| {
        let huge = |value: f32| if name == "parameters" { value.clamp(-1.0, 1.0) * 1e30 } else { value };
        Some((shape, values.into_iter().map(huge).collect()))
    });
    let was = sha256_hex(&here.read("run/checkpoint.safetensors"));
    checkpoint.save(&path).unwrap();
    let metrics = super::unsealed(&here.read("run/metrics.jsonl"));
    let is = sha256_hex(&here.read("run/checkpoint.safetensors"));
    fs::write(here.join("run/metrics.jsonl"), metrics.replace(&was, &is)).unwrap();
    let before = here.read("run/checkpoint.safetensors");
    let output = here.run(&train("run", &GO_ON));
    let silent = std::process::Output { stdout: Vec::new(), ..output };
    refused(&silent, 1, &["training diverged in epoch 3, step 1: ", " is ", "train.learning_rate"]);
    let sentence = text(&silent.stderr);
    let terms = ["loss", "reconstruction", "kl_d", "kl_x", "kl_y", "ce_d", "ce_y"];
    assert!(terms.iter().any(|term| sentence.contains(&format!(": {term} is "))), "{sentence}");
    assert!(["NaN", "inf"].iter().any(|value| sentence.contains(value)), "{sentence}");
    assert_eq!(here.read("run/checkpoint.safetensors"), before);
    assert_eq!(text(&here.read("run/metrics.jsonl")).lines().count(), 2);
}

#[test]
fn wrong_weights_are_named() {
    let here = Folder::new();
    here.with_a_run("run");
    // Otherwise it is refused as another file than the one that was saved.
    for name in ["checkpoint.safetensors", "result.json"] {
        fs::remove_file(here.join("run").join(name)).unwrap();
    }
    let best = TensorFile::read(&here.join("run/best.safetensors")).unwrap();
    let (bias, matrix) = ("qzx.fc11.0.bias", "qd.fc1.weight");
    assert!(best.contains(bias) && best.contains(matrix));
    let with = |name: &'static str, new: Option<(Vec<usize>, Vec<f32>)>| {
        changed(&best, |each, shape, values| if each == name { new.clone() } else { Some((shape, values)) })
    };
    let mut surplus = best.clone();
    surplus.insert("qzx.fc13.bias", &[1], &[0.0_f32]);
    let mut ints = with(bias, None);
    ints.insert(bias, &[64], &[0_i64; 64]);
    for (file, parts) in [
        (with(bias, None), &[bias, "[64]", "is missing"][..]),
        (with(matrix, None), &[matrix, "is missing"]),
        (with(bias, Some((vec![63], vec![0.0; 63]))), &[bias, "has shape [63]", "needs [64]"]),
        (with(bias, Some((vec![8, 8], vec![0.0; 64]))), &[bias, "has shape [8, 8]", "needs [64]"]),
        (with(bias, Some((vec![64], vec![f32::NAN; 64]))), &[bias, "holds NaN"]),
        (with(matrix, Some((vec![2], vec![0.0; 2]))), &[matrix, "has shape [2]", "[labels, 64]"]),
        // Shapes whose product is 0 take no bytes.
        (with(matrix, Some((vec![1 << 40, 0], vec![]))), &[matrix, "has shape [1099511627776, 0]"]),
        (with(matrix, Some((vec![0, 64], vec![]))), &[matrix, "has shape [0, 64]"]),
        // Four bytes a label: the priors of a model with so many would take 256 each.
        (with(matrix, Some((vec![9999, 1], vec![0.0; 9999]))), &[matrix, "has shape [9999, 1]"]),
        (with(matrix, Some((vec![3, 64], vec![0.0; 192]))), &["has shape [64, 2]", "needs [64, 3]"]),
        (surplus, &["qzx.fc13.bias", "not part of the model"]),
        (ints, &[bias, "I64", "F32"]),
    ] {
        file.write(&here.join("weights")).unwrap();
        let named = [parts, &["weights"]].concat();
        let arguments = ["weights", "import", "weights", "run/config.toml", "--out", "other"];
        here.refuse(&arguments, 2, &named);
        fs::copy(here.join("weights"), here.join("run/best.safetensors")).unwrap();
        here.refuse(&["evaluate", "run"], 2, parts);
    }
    fs::write(here.join("weights"), "no weights").unwrap();
    here.refuse(&["weights", "import", "weights", "run/config.toml", "--out", "other"], 2, &["weights"]);
    assert!(!here.join("other").exists());
}

/// The model of sixteen times the width has 300 million parameters, 1.2 GB; the process is given less.
#[test]
fn a_small_weight_file_is_refused_before_memory_is_taken_for_its_model() {
    if !runner().is_empty() {
        println!("skipped: an emulator takes more memory for itself than the program is allowed");
        return;
    }
    let here = Folder::new();
    here.with_a_run("run");
    let command = "ulimit -v 800000 && exec \"$0\" weights import run/best.safetensors run/config.toml \
                   --set model.width=16 --out other";
    let mut shell = Command::new("sh");
    shell.args(["-c", command, env!("CARGO_BIN_EXE_diva")]).current_dir(here.join("."));
    refused(&shell.output().unwrap(), 2, &["run/best.safetensors", "has shape", "the model needs"]);
}
