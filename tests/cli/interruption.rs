//! Runs that are stopped, gently or not, and go on: they must end as if nothing had happened.

use super::{Folder, assert_same_run, cells, refused, text, train};
use diva::store::checkpoint::Checkpoint;
use serde_json::Value;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Twenty steps an epoch, so that a signal hardly ever meets the end of one.
const LONG: [&str; 4] = ["--set", "train.batch=4", "--set", "train.epochs=5"];

fn arguments(out: &str) -> Vec<&str> {
    let mut arguments = train(out, &LONG);
    arguments.push("--resume");
    arguments
}

fn start(here: &Folder) -> Child {
    here.diva(&arguments("run")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub(super) fn send(signal: &str, child: &Child) {
    // It fails if the process has just ended; the caller sees that by its exit code or its files.
    Command::new("kill").args([signal, &child.id().to_string()]).output().unwrap();
}

/// Epochs and batches of the checkpoint, if there is one.
fn progress(here: &Folder) -> Option<(u64, u64)> {
    let path = here.join("run/checkpoint.safetensors");
    let checkpoint = path.exists().then(|| Checkpoint::load(&path).unwrap())?;
    let note: Value = serde_json::from_str(&checkpoint.note).unwrap();
    let number = |name: &str| note["progress"][name].as_u64().unwrap();
    Some((number("epochs"), number("batches")))
}

/// Waits until `ready` or the end of the process.
pub(super) fn wait_until(child: &mut Child, ready: impl Fn() -> bool) {
    let start = Instant::now();
    while !ready() && child.try_wait().unwrap().is_none() {
        // An emulated CPU that is shared with other tests takes minutes.
        assert!(
            start.elapsed() < Duration::from_secs(900),
            "a tiny run takes longer than a quarter of an hour"
        );
        sleep(Duration::from_millis(5));
    }
}

/// The lines of metrics: what a run has said of its epochs.
fn epochs_said(here: &Folder) -> usize {
    std::fs::read_to_string(here.join("run/metrics.jsonl")).map_or(0, |lines| lines.lines().count())
}

#[test]
fn signals_save_and_the_same_command_goes_on() {
    save_and_go_on([("-TERM", 143), ("-INT", 130), ("-TERM", 143), ("-INT", 130)]);
}

/// A terminal that is closed, and what batch systems send before the time is over.
#[test]
#[cfg(target_os = "linux")]
fn signals_of_terminals_and_batch_systems_save_too() {
    // Started by `nohup`, the tests could not have it arrive.
    let hang_up = if hang_ups_are_ignored() { ("-TERM", 143) } else { ("-HUP", 129) };
    save_and_go_on([hang_up, ("-USR1", 138), ("-XCPU", 152), hang_up]);
}

#[cfg(target_os = "linux")]
fn hang_ups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    u64::from_str_radix(mask, 16).unwrap() & 1 == 1
}

#[test]
#[cfg(target_os = "linux")]
fn a_hang_up_that_is_ignored_stays_ignored() {
    let here = Folder::new();
    let mut child =
        here.diva_in_shell("trap '' HUP", &arguments("run")).stdout(Stdio::piped()).spawn().unwrap();
    wait_until(&mut child, || epochs_said(&here) >= 1);
    send("-HUP", &child);
    assert!(child.wait_with_output().unwrap().status.success());
    assert!(here.join("run/result.json").exists());
}

#[test]
fn nothing_is_waited_for_while_images_are_read() {
    let here = Folder::new();
    // Made-up cells that take many seconds.
    let many = ["--set", "data.per_domain=30000"];
    let child = here
        .diva(&cells::train("run", cells::TWO, &many))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    sleep(Duration::from_millis(500));
    send("-INT", &child);
    let output = child.wait_with_output().unwrap();
    refused(&output, 130, &["stopped by signal 2 while the images were read; nothing was begun"]);
    assert!(!here.join("run").exists(), "it went on to train");
}

#[test]
fn a_folder_that_was_not_named_goes_with_the_reading_of_images() {
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let here = Folder::new();
        let many = ["--set", "data.per_domain=30000"];
        let mut named = cells::train("run", cells::TWO, &many);
        let out = named.iter().position(|&argument| argument == "--out").unwrap();
        named.drain(out..out + 2);
        let mut child = here.diva(&named).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let folder = here.join("runs/quick-cells-seed0");
        wait_until(&mut child, || folder.exists());
        sleep(Duration::from_millis(500));
        send(signal, &child);
        refused(&child.wait_with_output().unwrap(), code, &["nothing was begun"]);
        assert!(!here.join("runs").exists(), "an empty folder is left");
    }
}

#[test]
fn a_sweep_that_is_stopped_before_a_job_is_trained_says_so() {
    let here = Folder::new();
    let sweep = "preset = \"quick-cells\"\ndata.per_domain = 30000\nout = \"out\"\n[grid]\nseed = [0, 1]\n";
    std::fs::write(here.join("sweep.toml"), sweep).unwrap();
    let mut child = here
        .diva(&["sweep", "run", "sweep.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until(&mut child, || here.join("out/sweep.toml").exists());
    sleep(Duration::from_millis(500));
    send("-TERM", &child);
    let expected = "stopped by signal 15 while no job was trained; all that is done is saved";
    refused(&child.wait_with_output().unwrap(), 143, &[expected]);
}

fn save_and_go_on(signals: [(&str, i32); 4]) {
    let here = Folder::new();
    here.succeed(&train("whole", &LONG));
    let mut in_mid_epoch = 0;
    for (round, (signal, code)) in signals.into_iter().enumerate() {
        let mut child = start(&here);
        // The lock is taken after the program has begun to listen to signals.
        wait_until(&mut child, || here.join("run/run.lock").exists() && epochs_said(&here) >= round);
        send(signal, &child);
        let output = child.wait_with_output().unwrap();
        let silent = std::process::Output { stdout: Vec::new(), ..output.clone() };
        refused(&silent, code, &["everything is saved"]);
        assert!(text(&output.stdout).lines().all(|line| !line.contains("selected epoch")));
        let (epochs, batches) = progress(&here).expect("everything is saved");
        in_mid_epoch += usize::from(batches > 0);
        assert!(!here.join("run/result.json").exists());
        let names = here.names("run");
        assert!(!names.iter().any(|name| name.ends_with(".part") || name == "run.lock"), "{names:?}");

        // A run that is in an epoch cannot end before it.
        let begun = epochs + u64::from(batches > 0);
        if begun > 1 {
            let fewer = format!("train.epochs={}", begun - 1);
            let mut arguments = arguments("run");
            arguments.extend(["--set", &fewer]);
            let expected = [format!("epoch {begun} has begun")];
            here.refuse(&arguments, 2, &[&expected[0]]);
            assert_eq!(progress(&here), Some((epochs, batches)));
        }
    }
    assert!(in_mid_epoch > 0, "no signal met a run in an epoch");
    here.succeed(&arguments("run"));
    assert_same_run(&here, "whole", "run");
    assert_eq!(here.names("whole"), here.names("run"));
}

#[test]
fn a_killed_run_goes_on_wherever_it_was() {
    let here = Folder::new();
    here.succeed(&train("whole", &LONG));
    let mut unfinished = 0;
    // Before the first checkpoint, and at moments that no epoch is long enough to foresee.
    for (epochs, milliseconds) in [(0, 0), (0, 40), (1, 13), (2, 71), (3, 29), (4, 3)] {
        let mut child = start(&here);
        wait_until(&mut child, || here.join("run/run.lock").exists() && epochs_said(&here) >= epochs);
        sleep(Duration::from_millis(milliseconds));
        send("-KILL", &child);
        child.wait_with_output().unwrap();
        unfinished += usize::from(!here.join("run/result.json").exists());
        // What is there is whole: a checkpoint that cannot be loaded panics in here.
        progress(&here);
    }
    assert!(unfinished > 0, "no run was killed before its end");
    here.succeed(&arguments("run"));
    assert_same_run(&here, "whole", "run");
    assert_eq!(here.names("whole"), here.names("run"));
}

/// How many processes the test below kills; 12 if the variable is not set.
const KILLS_VARIABLE: &str = "DIVA_TEST_KILLS";

/// SIGKILL at random moments, with a checkpoint every 30 ms of work: whatever was going on, what is there is whole,
/// and the runs end in the bytes of runs that nobody disturbed.
#[test]
fn runs_that_are_killed_at_random_end_in_the_same_bytes() {
    let kills = std::env::var(KILLS_VARIABLE).map_or(12, |number| number.parse().unwrap());
    let here = Folder::new();
    let labelled = [&LONG[..], &["--set", "train.checkpoint_seconds=0.03"]].concat();
    let unlabelled =
        [&labelled[..], &["--set", "data.unlabelled.subsets=1", "--set", "train.epochs=2"]].concat();
    here.succeed(&train("whole-labelled", &labelled));
    here.succeed(&train("whole-unlabelled", &unlabelled));
    let began = Instant::now();
    let (mut killed, mut within_epochs, mut finished) = (0, 0, 0);
    while killed < kills || finished < 2 {
        let (whole, settings) =
            [("whole-labelled", &labelled), ("whole-unlabelled", &unlabelled)][finished % 2];
        let mut child = here
            .diva(&[&train("run", settings)[..], &["--resume"]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        if killed < kills {
            // The last digits of a time are as good as random.
            sleep(Duration::from_micros(u64::from(began.elapsed().subsec_nanos() / 100 % 300_000)));
            send("-KILL", &child);
        }
        let status = child.wait().unwrap();
        if status.success() {
            assert_same_run(&here, whole, "run");
            assert_eq!(here.names(whole), here.names("run"));
            std::fs::remove_dir_all(here.join("run")).unwrap();
            finished += 1;
        } else {
            assert_eq!(status.code(), None, "it ended by itself: {:?}", child.wait_with_output());
            killed += 1;
            // A checkpoint that is damaged panics in here.
            within_epochs += usize::from(progress(&here).is_some_and(|(_, batches)| batches > 0));
        }
    }
    println!(
        "{killed} kills, {within_epochs} with a checkpoint within an epoch, {finished} runs finished, all equal"
    );
}
