//! `diva train --tensorboard`: a file beside the run, with each epoch once, that the run does not depend on.

use super::{Folder, assert_same_run, text, train};

const FILE: &str = "run/events.out.tfevents.diva";

/// The steps of a finished run's events: the head of the file, its epochs, and the eight pictures at the last one.
fn finished(epochs: u8) -> Vec<u8> {
    (0..=epochs).chain([epochs; 8]).collect()
}

/// The steps of the events of a file, below 128, in their order.
fn steps(mut file: &[u8]) -> Vec<u8> {
    let mut steps = Vec::new();
    while let Some((length, rest)) = file.split_first_chunk() {
        let (event, rest) = rest[4..].split_at(u64::from_le_bytes(*length) as usize);
        assert_eq!(event[0], 0x09, "the time comes first, in eight bytes");
        // A step of 0 is left out.
        steps.push(if event[9] == 0x10 { event[10] } else { 0 });
        file = &rest[4..];
    }
    assert!(file.is_empty());
    steps
}

#[test]
fn every_epoch_is_in_the_file_once_and_the_pictures_come_last() {
    let here = Folder::new();
    let run = |epochs: &str, more: &[&str]| {
        here.succeed(&train("run", &[&["--tensorboard", "--set", epochs], more].concat()))
    };
    run("train.epochs=1", &[]);
    assert_eq!(steps(&here.read(FILE)), finished(1));
    run("train.epochs=3", &["--resume"]);
    assert_eq!(steps(&here.read(FILE)), finished(3));

    here.succeed(&train("plain", &["--set", "train.epochs=3"]));
    assert_same_run(&here, "run", "plain");
    assert!(!here.join("plain/events.out.tfevents.diva").exists());

    // A run that is done gets the file it has not had.
    std::fs::remove_file(here.join(FILE)).unwrap();
    assert!(run("train.epochs=3", &["--resume"]).contains("is finished"));
    assert_eq!(steps(&here.read(FILE)), finished(3));
}

#[test]
fn a_file_that_cannot_be_written_stops_no_training() {
    let here = Folder::new();
    std::fs::create_dir_all(here.join(FILE)).unwrap();
    let output = here.run(&train("run", &["--tensorboard"]));
    assert_eq!(output.status.code(), Some(1));
    let sentence = format!("cannot write {FILE}: it is a folder, expected a file");
    assert_eq!(text(&output.stderr), format!("diva: {sentence}\n"));
    let out = text(&output.stdout);
    assert!(out.contains(&sentence) && out.contains("epoch   2/2"), "{out}");
    assert!(!here.join("run/result.json").exists());

    std::fs::remove_dir(here.join(FILE)).unwrap();
    here.succeed(&train("run", &["--tensorboard", "--resume"]));
    assert_eq!(steps(&here.read(FILE)), finished(2));
    here.succeed(&train("plain", &[]));
    assert_same_run(&here, "run", "plain");
}
