//! Several processes and one run: the second is refused, the dead are no obstacle, and nobody takes another's folder.

use super::{Folder, assert_same_run, refused, success, train};
use crate::program::runner;
use serde_json::{Value, json};
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
    hold(here, &mut child);
    child
}

/// Stops a process that trains in the folder `run` when that is locked and a checkpoint is there.
fn hold(here: &Folder, child: &mut Child) {
    let begin = Instant::now();
    // The checkpoint of the first of many epochs.
    while !here.join("run/checkpoint.safetensors").exists() {
        assert!(child.try_wait().unwrap().is_none(), "the run has ended before it could be stopped");
        assert!(begin.elapsed() < Duration::from_secs(60), "a tiny run takes longer than a minute");
        sleep(Duration::from_millis(2));
    }
    send("-STOP", child);
}

const LONG: [&str; 4] = ["--set", "train.batch=4", "--set", "train.epochs=6"];

/// Lets a stopped run go on, which must end with one sentence, as its folder is another's.
#[cfg(unix)]
#[track_caller]
fn go_on_in_vain(first: Child, parts: &[&str]) {
    send("-CONT", &first);
    let output = first.wait_with_output().unwrap();
    let sentence = "cannot go on writing in the folder run: it was moved, deleted or taken over";
    let parts = [&[sentence, "leaves what is there as it is"], parts].concat();
    refused(&std::process::Output { stdout: Vec::new(), ..output }, 1, &parts);
}

/// The fault: both wrote into the folder and ended with exit code 0, the configuration of one beside the result of the other.
#[cfg(unix)]
#[test]
fn a_run_whose_folder_is_taken_away_ends_and_leaves_the_new_one_alone() {
    let here = Folder::new();
    let again = [&LONG[..], &["--resume"]].concat();
    here.succeed(&train("whole", &LONG));
    here.succeed(&train("new", &["--seed", "5"]));
    // What happens, and the run that is then in the folder: the same, gone on with, or a new one.
    type Way = (&'static str, &'static str, fn(&Folder));
    let ways: [Way; 5] = [
        ("removed", "new", |here| fs::remove_dir_all(here.join("run")).unwrap()),
        ("moved", "new", |here| fs::rename(here.join("run"), here.join("elsewhere")).unwrap()),
        ("swapped for a link", "new", |here| {
            fs::rename(here.join("run"), here.join("elsewhere")).unwrap();
            fs::create_dir(here.join("other")).unwrap();
            std::os::unix::fs::symlink("other", here.join("run")).unwrap();
        }),
        ("unlocked", "whole", |here| fs::remove_file(here.join("run/run.lock")).unwrap()),
        ("locked by a copy", "whole", |here| {
            fs::copy(here.join("run/run.lock"), here.join("copy")).unwrap();
            fs::rename(here.join("copy"), here.join("run/run.lock")).unwrap();
        }),
    ];
    for (name, then, way) in ways {
        let first = start_and_hold(&here, &train("run", &LONG));
        way(&here);
        here.succeed(&train("run", if then == "new" { &["--seed", "5"] } else { &again }));
        let config = here.read("run/config.toml");
        go_on_in_vain(first, &[]);
        // Nothing of the first is in what the second has left.
        assert_same_run(&here, then, "run");
        assert_eq!((here.names("run"), here.read("run/config.toml")), (here.names(then), config), "{name}");
        here.succeed(&["verify", "run"]);
        if here.join("elsewhere").exists() {
            here.succeed(&train("elsewhere", &again));
            assert_same_run(&here, "whole", "elsewhere");
            assert_eq!(here.names("elsewhere"), here.names("whole"), "{name}");
            fs::remove_dir_all(here.join("elsewhere")).unwrap();
        }
        fs::remove_dir_all(here.join("run").canonicalize().unwrap()).unwrap();
        let _ = fs::remove_file(here.join("run"));
    }
}

/// The two find each other's locks no more than through two mounts of one folder.
#[cfg(target_os = "linux")]
#[test]
fn of_two_runs_whose_locks_do_not_know_each_other_the_later_has_the_folder() {
    let here = Folder::new();
    if !has_calls(&here, "int flock(int file, int what) { return 0; }") {
        return;
    }
    here.succeed(&train("whole", &LONG));
    let again = train("run", &[&LONG[..], &["--resume"]].concat());
    let start = |arguments: &[&str]| {
        let mut command = with_calls(&here, arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut first = start(&train("run", &LONG));
    hold(&here, &mut first);
    let second = start(&again);
    let id = format!("{{\"process\":{},", second.id());
    let begin = Instant::now();
    while !here.read("run/run.lock").starts_with(id.as_bytes()) {
        assert!(begin.elapsed() < Duration::from_secs(60), "the second does not take the folder over");
        sleep(Duration::from_millis(2));
    }
    send("-STOP", &second);
    let before = here.read("run/run.lock");
    go_on_in_vain(first, &[&format!(" by process {} since", second.id())]);
    assert_eq!(here.read("run/run.lock"), before);
    send("-CONT", &second);
    success(&second.wait_with_output().unwrap());
    assert_same_run(&here, "whole", "run");
    assert_eq!(here.names("whole"), here.names("run"));
    here.succeed(&["verify", "run"]);
}

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
    let mut lock: Value = serde_json::from_slice(&here.read("run/run.lock")).unwrap();
    assert_eq!(lock["process"], killed.id());
    // Its id may meanwhile be that of a process that lives.
    lock["process"] = std::process::id().into();
    fs::write(here.join("run/run.lock"), lock.to_string()).unwrap();
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

/// The file itself is the lock where the system has none, and says so. Here it is told to, by hand.
#[cfg(target_os = "linux")]
#[test]
fn a_file_in_the_place_of_a_lock_keeps_two_apart() {
    let here = Folder::new();
    here.succeed(&train("whole", &LONG));
    let first = start_and_hold(&here, &train("run", &LONG));
    let (path, resumed) = (here.join("run/run.lock"), [&LONG[..], &["--resume"]].concat());
    let again = train("run", &resumed);
    let own = here.read("run/run.lock");
    let mut lock: Value = serde_json::from_slice(&own).unwrap();
    lock["exclusive"] = true.into();
    // A second folder has the same lock, so that no lock of the system is in the way.
    here.with_a_run("copy");
    fs::write(here.join("copy/run.lock"), lock.to_string()).unwrap();
    let to_copy = train("copy", &["--resume", "--set", "train.epochs=3"]);
    here.refuse(
        &to_copy,
        2,
        &["cannot lock the folder copy: ", &format!("process {} is writing", first.id())],
    );
    here.refuse(&again, 2, &["cannot lock the folder run: "]);
    assert_eq!(fs::read(&path).unwrap(), own);
    send("-KILL", &first);
    first.wait_with_output().unwrap();
    here.succeed(&to_copy);
    assert!(!here.join("copy/run.lock").exists());

    // Of another machine, and of another start of this one, nothing is known.
    for (key, of_another) in [("host", json!("node7")), ("boot", json!("another"))] {
        let mut lock = lock.clone();
        match key {
            "host" => {
                lock["host"] = of_another;
                lock.as_object_mut().unwrap().remove("begin");
            }
            _ => lock["begin"]["boot"] = of_another,
        }
        fs::write(here.join("copy/run.lock"), lock.to_string()).unwrap();
        let longer = train("copy", &["--resume", "--set", "train.epochs=4"]);
        here.refuse(&longer, 2, &["has died there", "delete copy/run.lock once no process writes there"]);
        fs::remove_file(here.join("copy/run.lock")).unwrap();
    }
    here.succeed(&train("copy", &["--resume", "--set", "train.epochs=4"]));
}

/// Makes the library calls in `source` take the place of the system's in [`with_calls`]; whether that can be done.
#[cfg(target_os = "linux")]
fn has_calls(here: &Folder, source: &str) -> bool {
    fs::write(here.join("calls.c"), format!("#include <errno.h>\n#include <stdlib.h>\n{source}\n")).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o", "calls.so", "calls.c"]).current_dir(&here.0);
    let is_there = compiler.status().is_ok_and(|status| status.success()) && runner().is_empty();
    if !is_there {
        eprintln!("skipped: it takes a C compiler, and a program for this CPU");
    }
    is_there
}

/// The program with those calls.
#[cfg(target_os = "linux")]
fn with_calls(here: &Folder, arguments: &[&str]) -> Command {
    let mut command = here.diva(arguments);
    command.env("LD_PRELOAD", here.join("calls.so"));
    command
}

/// A lock whose file another could have written alike would not be known again.
#[cfg(target_os = "linux")]
#[test]
fn without_random_bits_nothing_is_locked() {
    let here = Folder::new();
    if has_calls(&here, "long getrandom(void *to, size_t size, unsigned flags) { errno = EIO; return -1; }") {
        let output = with_calls(&here, &train("run", &[])).output().unwrap();
        refused(&output, 1, &["cannot lock the folder run: the system gives no random bits ("]);
        assert!(here.names("run").is_empty());
    }
}

/// The program with a `flock` that the system does not have (ENOSYS, ENOLCK), as on Lustre.
#[cfg(target_os = "linux")]
#[test]
fn a_run_where_there_are_no_locks_goes_on_and_keeps_others_out() {
    let here = Folder::new();
    let flock = "int flock(int file, int what) { errno = atoi(getenv(\"NO_FLOCK\")); return -1; }";
    if !has_calls(&here, flock) {
        return;
    }
    let without = |code: &str, arguments: &[&str]| {
        let mut command = with_calls(&here, arguments);
        command.env("NO_FLOCK", code);
        command
    };
    here.succeed(&train("whole", &LONG));
    for code in ["38", "37"] {
        let mut first = without(code, &train("run", &LONG)).stdout(Stdio::null()).spawn().unwrap();
        hold(&here, &mut first);
        let again = train("run", &[&LONG[..], &["--resume"]].concat());
        let holder = format!("cannot lock the folder run: process {} is writing there", first.id());
        refused(&without(code, &again).output().unwrap(), 2, &[&holder]);
        here.refuse(&again, 2, &[&holder]);
        send("-KILL", &first);
        first.wait().unwrap();
        // The dead is no obstacle.
        let said = success(&without(code, &again).output().unwrap());
        assert!(said.contains("there are no locks in run ("), "{said}");
        assert_same_run(&here, "whole", "run");
        assert_eq!(here.names("whole"), here.names("run"));
        fs::remove_dir_all(here.join("run")).unwrap();
    }
}
