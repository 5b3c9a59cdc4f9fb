//! Several processes and one run: the second is refused, the dead are no obstacle, and nobody takes another's folder.

use super::{Folder, assert_same_run, success, text, train};
use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn start(here: &Folder, arguments: &[&str]) -> Child {
    here.diva(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "process {} has ended already", child.id());
}

/// Starts a run and stops the process, for a while, when the folder is locked and a checkpoint is there.
fn start_and_hold(here: &Folder, arguments: &[&str]) -> Child {
    let mut child = start(here, arguments);
    let begin = Instant::now();
    // The checkpoint of the first of many epochs.
    while !here.join("run/checkpoint.safetensors").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the run has ended before it could be stopped");
        assert!(begin.elapsed() < Duration::from_secs(60), "a tiny run takes longer than a minute");
        sleep(Duration::from_millis(2));
    }
    send("-STOP", &child);
    child
}

const LONG: [&str; 4] = ["--set", "train.batch=4", "--set", "train.epochs=6"];

#[test]
fn the_second_of_two_runs_is_refused_and_the_first_goes_on() {
    let here = Folder::new();
    here.succeed(&train("whole", &LONG));
    let first = start_and_hold(&here, &train("run", &LONG));
    let holder = format!("process {} is writing there", first.id());
    let before = here.names("run");
    assert!(before.contains(&"run.lock".to_owned()), "{before:?}");
    let again = [&LONG[..], &["--resume"]].concat();
    here.refuse(&train("run", &again), 2, &["cannot lock the folder run: ", &holder, "--out"]);
    here.refuse(&train("run", &LONG), 2, &["cannot train in run: it holds a run"]);
    assert_eq!(here.names("run"), before);
    // Another folder is free.
    here.succeed(&train("other", &[]));
    send("-CONT", &first);
    success(&first.wait_with_output().unwrap());
    assert_same_run(&here, "whole", "run");
    assert_eq!(here.names("whole"), here.names("run"));
}

#[test]
fn the_lock_of_a_killed_process_is_no_obstacle() {
    let here = Folder::new();
    here.succeed(&train("whole", &LONG));
    let mut killed = start_and_hold(&here, &train("run", &LONG));
    send("-KILL", &killed);
    killed.wait().unwrap();
    let lock = format!("{}\n", killed.id());
    assert_eq!(text(&here.read("run/run.lock")), lock);
    // Its id may meanwhile be that of a process that lives.
    fs::write(here.join("run/run.lock"), format!("{}\n", std::process::id())).unwrap();
    here.succeed(&train("run", &[&LONG[..], &["--resume"]].concat()));
    assert_same_run(&here, "whole", "run");
    assert_eq!(here.names("whole"), here.names("run"));
}

#[test]
fn runs_that_begin_at_once_without_a_name_have_a_folder_each() {
    let here = Folder::new();
    here.with_a_run("whole");
    let mut arguments = train("", &[]);
    arguments.drain(1..3); // --out and its value
    let children: Vec<Child> = (0..4).map(|_| start(&here, &arguments)).collect();
    let mut said = BTreeSet::new();
    for child in children {
        let out = success(&child.wait_with_output().unwrap());
        said.insert(out.lines().last().unwrap().to_owned());
    }
    let folders = ["quick-seed0", "quick-seed0-2", "quick-seed0-3", "quick-seed0-4"];
    assert_eq!(here.names("runs"), folders);
    assert_eq!(said, folders.map(|name| format!("everything is in runs/{name}")).into());
    for name in folders {
        assert_same_run(&here, "whole", &format!("runs/{name}"));
    }
}

#[test]
fn a_request_that_comes_to_nothing_leaves_no_folder() {
    let here = Folder::new();
    here.refuse(&["train", "--set", "data.source=idx", "--set", "data.path=missing"], 2, &["missing"]);
    assert!(here.names(".").is_empty());
}
