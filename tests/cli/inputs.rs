//! Whatever lies where a file is expected is looked at before it is read: a pipe that nobody writes to, a device without
//! an end, a folder, a file of gigabytes that holds nothing.

use super::cells::TWO;
use super::{Folder, folders, refused, text};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Far longer than a refusal takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is put into a file's place, and what is said of it.
const STRANGERS: [(&str, &str); 5] = [
    ("pipe", "it is a pipe, expected a file"),
    ("device", "it is a device, expected a file"),
    ("folder", "it is a folder, expected a file"),
    ("lost link", "it is a link to nothing, expected a file"),
    ("gigabytes", "it has 3221225472 bytes, expected at most "),
];

fn put(kind: &str, path: &Path) {
    match kind {
        "pipe" => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        "device" => symlink("/dev/zero", path).unwrap(),
        "folder" => fs::create_dir(path).unwrap(),
        "lost link" => symlink("nothing", path).unwrap(),
        _ => File::create(path).unwrap().set_len(3 << 30).unwrap(), // a hole
    }
}

fn take_away(path: &Path) {
    let removed = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
    removed.unwrap();
}

/// The outcome of a program that must not wait, and may take little memory.
fn outcome(here: &Folder, arguments: &[&str]) -> Output {
    let path = here.join("said");
    let mut said = File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
    let mut command = here.diva(arguments);
    let mut child =
        command.stdout(std::process::Stdio::null()).stderr(said.try_clone().unwrap()).spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{arguments:?} waits");
        }
        sleep(Duration::from_millis(10));
    };
    let mut stderr = Vec::new();
    said.seek(SeekFrom::Start(0)).unwrap();
    said.read_to_end(&mut stderr).unwrap();
    Output { status, stdout: Vec::new(), stderr }
}

/// Puts each stranger into the place of `file`, which may be there or not, and asks for its refusal.
fn refuses_strangers(here: &Folder, file: &str, arguments: &[&str], kinds: &[(&str, &str)]) {
    let path = here.join(file);
    let aside: Option<PathBuf> = path.exists().then(|| {
        let aside = here.join("aside");
        fs::rename(&path, &aside).unwrap();
        aside
    });
    for (kind, what) in kinds {
        put(kind, &path);
        refused(&outcome(here, arguments), 2, &[&format!("{file}: {what}")]);
        take_away(&path);
    }
    if let Some(aside) = aside {
        fs::rename(aside, path).unwrap();
    }
}

#[test]
fn only_files_are_read_as_text() {
    let here = Folder::new();
    here.with_a_run("run");
    fs::write(here.join("sweep.toml"), "preset = \"quick\"\nout = \"out\"\n[grid]\nseed = [0]\n").unwrap();
    fs::create_dir(here.join("out")).unwrap();
    let picture = diva::data::image::encode_grey(28, 28, &[0; 784]);
    fs::write(here.join("digit.png"), picture).unwrap();
    let subset = ["train", "--out", "new", "--set", "data.subset_file=list.txt"];
    for (file, arguments) in [
        ("list.txt", &subset[..]),
        ("other.toml", &["sweep", "plan", "other.toml"]),
        ("out/sweep.toml", &["sweep", "plan", "sweep.toml"]),
        ("run/config.toml", &["evaluate", "run"]),
        ("run/config.toml", &["report", "run"]),
        ("run/config.toml", &["verify", "run"]),
        ("run/metrics.jsonl", &["report", "run"]),
        ("run/result.json", &["report", "run"]),
        ("run/unlike.json", &["predict", "run", "digit.png"]),
        ("run/metrics.jsonl", &["verify", "run"]),
        ("run/result.json", &["predict", "run", "digit.png"]),
    ] {
        refuses_strangers(&here, file, arguments, &STRANGERS);
    }
    // A folder is taken for one of pictures.
    let train = ["train", "config.toml", "--print-config"];
    let files: Vec<_> = STRANGERS.into_iter().filter(|(kind, _)| *kind != "folder").collect();
    refuses_strangers(&here, "config.toml", &train, &files);
    refuses_strangers(&here, "config.toml", &train, &[("folder", "it has no folder, expected")]);
    // Weights are as long as their model.
    for file in ["run/best.safetensors", "run/checkpoint.safetensors"] {
        refuses_strangers(&here, file, &["evaluate", "run"], &STRANGERS[..4]);
        refuses_strangers(&here, file, &["report", "run"], &STRANGERS[..4]);
    }
    refuses_strangers(
        &here,
        "run/best.safetensors",
        &["weights", "export", "run", "--out", "w"],
        &STRANGERS[..4],
    );
    // A folder is looked into.
    let pictures = [STRANGERS[0], STRANGERS[1]];
    refuses_strangers(&here, "other.png", &["predict", "run", "digit.png", "other.png"], &pictures);
}

/// The fault: of a finished run it was said that no epoch of it is done yet, and its page said nothing.
#[test]
fn weights_that_are_gone_are_not_called_not_yet_there() {
    let here = Folder::new();
    here.with_a_run("run");
    fs::remove_file(here.join("run/best.safetensors")).unwrap();
    refused(&outcome(&here, &["evaluate", "run"]), 2, &["run holds no best.safetensors: it is gone"]);
    let report = outcome(&here, &["report", "run", "--out", "page.html"]);
    let told = "The model could not be asked: run/best.safetensors is gone.";
    assert!(report.status.success() && text(&report.stderr).contains(told), "{report:?}");
    assert!(text(&here.read("page.html")).contains(told));
    fs::remove_file(here.join("run/metrics.jsonl")).unwrap();
    refused(&outcome(&here, &["predict", "run", "x.png"]), 2, &["no epoch of it is done yet"]);
}

/// A page goes into a pipe if there is somebody who reads it; nobody is waited for.
#[test]
fn a_page_is_written_into_a_pipe_that_is_read() {
    let here = Folder::new();
    here.with_a_run("run");
    let pipe = here.join("pipe");
    put("pipe", &pipe);
    let report = ["report", "run", "--out", "pipe"];
    refused(&outcome(&here, &report), 1, &["cannot write pipe: it is a pipe that nobody reads from"]);
    // Open for both, so that the opening waits for nobody; longer pages than a pipe holds are tried in store/durable.
    let mut reader = File::options().read(true).write(true).open(&pipe).unwrap();
    let page = std::thread::spawn(move || {
        let mut page = Vec::new();
        let mut part = [0; 4096];
        while !page.ends_with(b"</html>\n") {
            let count = reader.read(&mut part).unwrap();
            page.extend(&part[..count]);
        }
        page
    });
    assert!(outcome(&here, &report).status.success());
    assert!(page.join().unwrap().starts_with(b"<!DOCTYPE html>"));
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
}

#[test]
fn a_division_is_a_file() {
    let here = Folder::new();
    folders::make(&here, &["A", "B", "C"]);
    here.succeed(&folders::train("run", TWO, &[]));
    refuses_strangers(&here, "run/division.csv", &["evaluate", "run"], &STRANGERS);
}

/// For readers only: nothing depends on what it says, and the others are told of.
#[test]
fn the_word_that_a_job_failed_is_a_file() {
    let here = Folder::new();
    let sweep = "preset = \"quick\"\nout = \"out\"\n[grid]\nseed = [0, 1]\n";
    fs::write(here.join("sweep.toml"), sweep).unwrap();
    let plan = here.succeed(&["sweep", "plan", "sweep.toml"]);
    let id = plan.split_whitespace().next().unwrap();
    fs::create_dir_all(here.join(&format!("out/{id}"))).unwrap();
    for (kind, what) in STRANGERS {
        let path = here.join(&format!("out/{id}/failure.txt"));
        put(kind, &path);
        assert!(outcome(&here, &["sweep", "status", "sweep.toml"]).status.success());
        let status = here.succeed(&["sweep", "status", "sweep.toml"]);
        assert!(status.contains(&format!("failed: cannot read out/{id}/failure.txt: {what}")), "{status}");
        assert!(status.contains("not started") && status.contains("0 of 2 jobs are done"), "{status}");
        take_away(&path);
    }
}

/// Comparing each value with each other took the square of their number.
#[test]
fn a_grid_of_many_values_is_refused_at_once() {
    let here = Folder::new();
    let values: Vec<String> = (0..300_000).map(|seed| seed.to_string()).collect();
    let sweep = format!("preset = \"quick\"\n[grid]\nseed = [{}]\n", values.join(", "));
    fs::write(here.join("sweep.toml"), sweep).unwrap();
    let found = outcome(&here, &["sweep", "plan", "sweep.toml"]);
    refused(&found, 2, &["it has more than 10000 jobs"]);
}

/// What is behind it decides.
#[test]
fn the_standard_input_may_be_a_file_and_no_pipe() {
    let here = Folder::new();
    fs::write(here.join("config.toml"), "preset = \"quick\"\nseed = 7\n").unwrap();
    let print = ["train", "/dev/stdin", "--print-config"];
    let file = File::open(here.join("config.toml")).unwrap();
    let printed = super::success(&here.diva(&print).stdin(file).output().unwrap());
    assert!(printed.contains("\nseed = 7\n"), "{printed}");
    let mut child = here
        .diva(&print)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Nobody writes to it, and it stays open.
    let _writer = child.stdin.take();
    refused(&child.wait_with_output().unwrap(), 2, &["/dev/stdin: it is a pipe, expected a file"]);
}
