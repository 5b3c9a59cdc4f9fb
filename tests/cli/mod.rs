//! The command line as its users meet it: the built binary, its exit codes, its sentences and its files.
//!
//! Every run here is as small as a run can be (two training domains, 80 images, a sixteenth of the width), because
//! what is tested is what stands around the training. Wherever two ways must lead to the same run, the bytes of the
//! checkpoints are compared: they hold everything that the run has computed.

mod answers;
mod bad_data;
mod bad_requests;
mod bits;
mod cells;
mod damage;
mod divergence;
mod divisions;
mod folders;
mod full_disk;
#[cfg(unix)]
mod inputs;
mod interruption;
mod lists;
mod live;
mod locks;
mod names;
#[cfg(unix)]
mod nasty;
mod overwritten;
mod own_images;
mod probabilities;
mod report;
mod runs;
mod sealed;
mod surroundings;
mod sweep;
mod tensorboard;
mod tools;
mod unlike;

use crate::program::program;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The settings of a run of about a second: 80 images, four steps an epoch, two epochs.
const TINY: [&str; 5] =
    ["data.domains=[0,30,75]", "data.per_class=4", "model.width=0.0625", "train.batch=20", "train.epochs=2"];

/// A folder that is empty at first and gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{}-{count}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The program with `arguments`, to be started here.
    fn diva(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(arguments).current_dir(&self.0).stdin(Stdio::null()).env_remove("DIVA_ISA");
        command
    }

    /// The same from a shell that has run `before` first.
    fn diva_in_shell(&self, before: &str, arguments: &[&str]) -> Command {
        let diva = self.diva(arguments);
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!("{before}; exec \"$0\" \"$@\""))
            .arg(diva.get_program())
            .args(diva.get_args());
        command.current_dir(&self.0).stdin(Stdio::null()).env_remove("DIVA_ISA");
        command
    }

    /// The outcome of the program with `arguments`, started here.
    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Output {
        self.diva(arguments).output().unwrap()
    }

    /// The standard output of the program, which must succeed without a word on standard error.
    #[track_caller]
    fn succeed(&self, arguments: &[&str]) -> String {
        success(&self.run(arguments))
    }

    /// The object that the program prints with `--json`: one line, nothing else.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.succeed(arguments);
        assert!(text.ends_with("}\n") && text.matches('\n').count() == 1, "{arguments:?} printed {text:?}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(value.is_object(), "{arguments:?} printed {text:?}");
        value
    }

    /// Asserts that the program refuses: the exit code, one sentence that holds `parts`, no other output.
    #[track_caller]
    fn refuse(&self, arguments: &[&str], code: i32, parts: &[&str]) {
        refused(&self.run(arguments), code, parts);
    }

    /// The names in a folder here, sorted; pictures and reports, which may or may not be there, left out.
    #[track_caller]
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.ends_with(".png") && name != "report.html");
        names.sort();
        names
    }

    /// The bytes of a file here.
    #[track_caller]
    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.join(name)).unwrap_or_else(|cause| panic!("{name}: {cause}"))
    }

    /// Makes a finished run one of an earlier version that was copied without its checkpoint: nothing says what its files were.
    fn unseal(&self, name: &str) {
        let path = self.join(name).join("result.json");
        let mut result: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for seal in [
            "configuration_sha256",
            "best_sha256",
            "unlike_sha256",
            "predictions_sha256",
            "division_sha256",
            "result_sha256",
        ] {
            result.as_object_mut().unwrap().remove(seal);
        }
        fs::write(&path, result.to_string()).unwrap();
        fs::remove_file(self.join(name).join("checkpoint.safetensors")).unwrap();
    }

    /// A copy of the finished tiny run, as the folder `name`.
    fn with_a_run(&self, name: &str) {
        fs::create_dir(self.join(name)).unwrap();
        for entry in fs::read_dir(finished_run()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), self.join(name).join(entry.file_name())).unwrap();
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `diva train --out OUT` with the tiny settings, then `more`, whose settings win.
fn train<'a>(out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let settings = TINY.into_iter().flat_map(|setting| ["--set", setting]);
    ["train", "--out", out].into_iter().chain(settings).chain(more.iter().copied()).collect()
}

/// The folder of a tiny run that is done, made once for all tests; to be copied, not changed.
fn finished_run() -> &'static Path {
    static RUN: OnceLock<PathBuf> = OnceLock::new();
    RUN.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = base.join("cli-finished-run");
        let _ = fs::remove_dir_all(&path);
        let arguments = train(path.to_str().unwrap(), &[]);
        let output = program().args(arguments).output().unwrap();
        success(&output);
        path
    })
}

#[track_caller]
fn success(output: &Output) -> String {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && err.is_empty(), "{}: {err:?} {out:?}", output.status);
    out
}

#[track_caller]
fn refused(output: &Output, code: i32, parts: &[&str]) {
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{err:?}");
    assert!(err.starts_with("diva: ") && err.ends_with('\n') && err.matches('\n').count() == 1, "{err:?}");
    assert!(!err.contains("panic") && !err.contains("this is a bug"), "{err:?}");
    for part in parts {
        assert!(err.contains(part), "{err:?} does not contain {part:?}");
    }
    assert!(out.is_empty(), "{out:?}");
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The lines of a metrics.jsonl as an earlier version would have written them: what is changed in them is not noticed at once.
fn unsealed(metrics: &[u8]) -> String {
    let lines = text(metrics);
    let line = |line: &str| format!("{}}}\n", line.split(",\"line_sha256\"").next().unwrap());
    let unsealed: String = lines.lines().map(line).collect();
    assert_ne!(unsealed, lines);
    unsealed
}

/// The lines of a metrics.jsonl as JSON, without what depends on the clock.
fn metrics_without_clock(bytes: &[u8]) -> Vec<Value> {
    let without_clock = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let fields = value.as_object_mut().unwrap();
        fields.retain(|name, _| !name.ends_with("_seconds") && !name.ends_with("_per_second"));
        value
    };
    text(bytes).lines().map(without_clock).collect()
}

/// Asserts that two folders hold the same run.
#[track_caller]
fn assert_same_run(here: &Folder, one: &str, other: &str) {
    for name in ["checkpoint.safetensors", "best.safetensors", "result.json"] {
        let (a, b) = (here.read(&format!("{one}/{name}")), here.read(&format!("{other}/{name}")));
        assert!(a == b, "{name} of {one} and {other} differ");
    }
    // Models without a decoder have no limit, images that are no files no predictions.
    for name in ["unlike.json", "predictions.csv"] {
        let of = |folder: &str| fs::read(here.join(folder).join(name)).ok();
        assert_eq!(of(one), of(other), "{name} of {one} and {other}");
    }
    let metrics = |folder: &str| metrics_without_clock(&here.read(&format!("{folder}/metrics.jsonl")));
    assert_eq!(metrics(one), metrics(other));
}
