//! Training that goes wrong: what is said, and what is left.

use super::{Folder, assert_same_run, refused, text, train};
use diva::data::embedded;
use diva::store::checkpoint::Checkpoint;
use serde_json::Value;
use std::fs;
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
            &[
                "the loss is ",
                "nats an image, where guessing costs about 1.4e4, and most of it is ",
                "(now 1)",
            ][..],
        ),
        // Numbers that f32 does not have: in a gradient, in a term.
        ("train.learning_rate=1e4", &["the gradient of ", "is normal_log_prob (output [", "backward pass)"]),
        ("train.learning_rate=2e5", &["kl_d is inf", "is normal_log_prob (output [", "forward pass)"]),
        // A variance beyond f32.
        ("train.learning_rate=1e6", &["is batch_norm with px.fc1.1.weight", "forward pass)"]),
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

/// A cross-entropy is measured against the logarithm of the number of labels, not against pixels that the model never explains.
#[test]
fn a_classifier_diverges_by_its_own_measure() {
    for (kind, more) in [("classifier", ""), ("dann", " or a lower train.reversal (now 1)")] {
        let here = Folder::new();
        let kind = format!("model.kind={kind}");
        let settings = ["--set", &kind, "--set", "train.learning_rate=100"];
        diverges(&here, &settings, &["nats an image, where guessing one of "]);
        let said = text(&here.run(&train("again", &settings)).stderr);
        let advice = "; try a lower train.learning_rate (now 100)";
        let [domains, classes] = ["ce_d", "ce_y"].map(|term| said.contains(&format!(": {term} is ")));
        assert!(domains != classes, "{said}");
        let costs = ["one of 10 classes costs 2.3", "one of 2 domains costs 0.7"][usize::from(domains)];
        let advice = format!("{costs}{advice}{}; again/checkpoint", if domains { more } else { "" });
        assert!(said.contains(&advice), "{said}: {advice}");
    }
}

/// p(y) by counts of a class that no labelled training image has would make the loss of images without a class infinite.
#[test]
fn a_class_without_a_labelled_image_is_named_before_training() {
    let here = Folder::new();
    // Four digits of each class but the last.
    let labels = embedded::train().labels;
    let of_class = |class| (0..labels.len()).filter(|&digit| labels[digit] == class).take(4).collect();
    let digits: Vec<String> =
        (0..9).flat_map(|class| -> Vec<usize> { of_class(class) }).map(|digit| digit.to_string()).collect();
    fs::write(here.join("digits.txt"), digits.join("\n")).unwrap();
    let subset = ["--set", "data.subset_file=digits.txt", "--set", "train.epochs=1"];
    let prior = [&subset[..], &["--set", "model.prior_y=training"]].concat();
    let unlabelled = ["--set", "data.unlabelled.subsets=1"];
    let both = [&prior[..], &unlabelled].concat();
    let sentence = "model.prior_y = \"training\" is not usable here: no labelled training image is of the class \"9\", so that \
                    its p(y) would be 0 and the loss of the images without a class infinite; set \"smoothed\", \"uniform\" or one \
                    probability a class, or leave these images out with data.unlabelled.images = \"left-out\"";
    here.refuse(&train("run", &both), 2, &[sentence]);
    assert_eq!(here.names("."), ["digits.txt"]);
    // The ways out; and where p(y) enters no loss, nothing is in the way.
    let left_out = ["--set", "data.unlabelled.images=left-out"];
    here.succeed(&train("left-out", &[&both[..], &left_out].concat()));
    here.succeed(&train("uniform", &[&subset[..], &unlabelled].concat()));
    here.succeed(&train("labelled", &prior));
    // A class that no image shows has the part of one image more of each.
    let smoothed = ["--set", "model.prior_y=smoothed"];
    here.succeed(&train("smoothed", &[&subset[..], &unlabelled, &smoothed].concat()));
    let file: Value = serde_json::from_slice(&here.read("smoothed/unlike.json")).unwrap();
    let share = |class: usize| file["prior_y"][class].as_f64().unwrap();
    let of_class = (share(0) / share(9)).round();
    assert!(of_class > 4.0 && of_class % 4.0 == 1.0, "{file}"); // four digits, in some domains, and one more
    assert!((share(9) - 1.0 / (9.0 * of_class + 1.0)).abs() < 1e-15, "{file}");
    assert!((0..9).all(|class| share(class) == of_class / (9.0 * of_class + 1.0)), "{file}");
    let file: Value = serde_json::from_slice(&here.read("labelled/unlike.json")).unwrap();
    let ninth = 1.0 / 9.0;
    assert_eq!(
        file["prior_y"],
        serde_json::json!([ninth, ninth, ninth, ninth, ninth, ninth, ninth, ninth, ninth, 0.0])
    );
}

#[test]
fn looking_for_anomalies_changes_nothing() {
    let here = Folder::new();
    here.with_a_run("whole");
    here.succeed(&train("run", &["--detect-anomaly"]));
    assert_same_run(&here, "whole", "run");
}
