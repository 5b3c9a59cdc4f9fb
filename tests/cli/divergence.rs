//! Training that goes wrong: what is said, and what is left.

use super::{Folder, assert_same_run, refused, train};
use diva::store::checkpoint::Checkpoint;
use std::process::Output;

/// Asserts that training with `settings` ends by divergence, with a sentence that holds `parts`.
#[track_caller]
fn diverges(here: &Folder, settings: &[&str], parts: &[&str]) {
    let output = here.run(&train("run", settings));
    let silent = Output { stdout: Vec::new(), ..output };
    refused(&silent, 1, &[&["training diverged in epoch 1, step "][..], parts].concat());
}

#[test]
fn a_silly_learning_rate_ends_with_one_sentence_and_a_good_checkpoint() {
    let place = "run/checkpoint.safetensors is the state before the first step";
    for (rate, parts) in [
        (
            "train.learning_rate=1",
            &["the loss is ", "nats an image, where guessing costs about 1.6e4", "(now 1)"][..],
        ),
        // Numbers that f32 does not have: in a gradient, in a term.
        ("train.learning_rate=1e4", &["the gradient of ", "is normal_log_prob (output [", "backward pass)"]),
        ("train.learning_rate=1e6", &["kl_d is inf", "is normal_log_prob (output [", "forward pass)"]),
    ] {
        for detect in [&[][..], &["--detect-anomaly"]] {
            let here = Folder::new();
            diverges(&here, &[&["--set", rate], detect].concat(), &[parts, &[place]].concat());
            let checkpoint = Checkpoint::load(&here.join("run/checkpoint.safetensors")).unwrap();
            let (_, parameters) = checkpoint.tensors.f32s("parameters").unwrap();
            assert!(parameters.iter().all(|number| number.is_finite()));
            assert!(!here.join("run/result.json").exists());
            let output = here.run(&[train("run", &["--set", rate]), vec!["--resume"]].concat());
            assert_eq!(output.status.code(), Some(1), "going on from there diverges again");
        }
    }
}

#[test]
fn the_last_checkpoint_within_an_epoch_is_the_one_that_is_left() {
    let here = Folder::new();
    // After every step: the second diverges.
    let settings = ["--set", "train.learning_rate=1", "--set", "train.checkpoint_seconds=0"];
    diverges(
        &here,
        &settings,
        &["epoch 1, step 2", "run/checkpoint.safetensors is the state after step 1 of epoch 1"],
    );
    let checkpoint = Checkpoint::load(&here.join("run/checkpoint.safetensors")).unwrap();
    assert!(checkpoint.note.contains(r#""epochs":0,"batches":1,"steps":1"#), "{}", checkpoint.note);
}

#[test]
fn looking_for_anomalies_changes_nothing() {
    let here = Folder::new();
    here.with_a_run("whole");
    here.succeed(&train("run", &["--detect-anomaly"]));
    assert_same_run(&here, "whole", "run");
}
