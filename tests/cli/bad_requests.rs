//! Flags, configurations and folders that cannot be used: one sentence, exit code 2, nothing changed.

use super::{Folder, refused, train};
use crate::program::runner;
use std::fs;
use std::process::{Command, Stdio};

#[test]
fn wrong_arguments() {
    let here = Folder::new();
    for (arguments, parts) in [
        (&["trian"][..], &["trian", "'train'", "--help"][..]),
        (&["train", "--ot", "x"], &["--ot"]),
        (&["predict"], &["<RUN>", "<IMAGE_OR_FOLDER>"]),
        (&["data", "info", "--threads", "0"], &["--threads 0", "1 to 1024"]),
        (&["data", "info", "--threads", "1000000"], &["--threads 1000000", "1 to 1024"]),
        (&["data", "info", "--threads", "many"], &["many", "--threads"]),
        (&["bench", "step", "--batch", "1"], &["--batch 1", "2 to 65536"]),
        (&["bench", "step", "--batch", "99999999999999"], &["--batch 99999999999999", "2 to 65536"]),
        (&["bench", "infer", "--steps", "0"], &["--steps 0", "1 to 1000000"]),
        (&["bench", "step", "--model", "lenet"], &["lenet", "rotated-mnist"]),
        (&["train", "--preset", "quik"], &["preset", "\"quik\"", "\"quick\""]),
        (&["train", "--seed", "18446744073709551615"], &["seed = 18446744073709551615"]),
        (&["train", "missing.toml"], &["cannot read missing.toml: "]),
        (&["evaluate", "missing"], &["missing is not the folder of a run"]),
        (
            &["weights", "export", "missing", "--out", "w"],
            &["cannot export missing: it is not the folder of a run"],
        ),
        (&["weights", "import", "missing", "--out", "w"], &["cannot read missing: "]),
    ] {
        here.refuse(arguments, 2, parts);
    }
    assert!(here.names(".").is_empty());
}

#[test]
fn instruction_sets_that_do_not_exist() {
    let here = Folder::new();
    for name in ["avx1024", "", "AVX2"] {
        let output = here.diva(&["data", "info"]).env("DIVA_ISA", name).output().unwrap();
        refused(&output, 2, &[&format!("DIVA_ISA={name} is not known"), "portable"]);
    }
}

/// A key with a value, and what the sentence must say of it.
const SETTINGS: [(&str, &[&str]); 18] = [
    ("train.epcohs=3", &["unknown key train.epcohs", "train.epochs"]),
    ("epochs=3", &["unknown key epochs", "train.epochs"]),
    ("train.epochs=many", &["train.epochs = \"many\"", "a whole number from 1 to"]),
    ("train.epochs=2.5", &["train.epochs = 2.5", "a whole number from 1 to"]),
    ("train.epochs=0", &["train.epochs = 0", "a whole number from 1 to"]),
    ("train.batch=0", &["train.batch = 0", "a whole number from 2 to"]),
    ("train.batch=81", &["train.batch = 81", "80 training images"]),
    ("train.batch=true", &["train.batch = true", "a whole number"]),
    ("train.learning_rate=nan", &["train.learning_rate = nan", "a number from"]),
    ("train.learning_rate=-1e-3", &["train.learning_rate = -0.001", "a number from"]),
    ("train.alpha_y=inf", &["train.alpha_y = inf", "a number from"]),
    ("model.width=0", &["model.width = 0", "a number from"]),
    ("model.kind=divva", &["model.kind = \"divva\"", "\"diva\""]),
    ("data.domains=[75]", &["data.domains = [75]", "at least 2 domains"]),
    ("data.domains=[30,75,-330]", &["30 and -330 are the same domain"]),
    ("data.test_domain=74", &["data.test_domain = 74", "data.domains = [0, 30, 75]"]),
    ("data.per_class=1000", &["cannot draw 1000 digits of class 0"]),
    ("train.epochs", &["\"train.epochs\"", "KEY=VALUE"]),
];

#[test]
fn wrong_settings() {
    let here = Folder::new();
    for (setting, parts) in SETTINGS {
        here.refuse(&train("run", &["--set", setting]), 2, parts);
    }
    assert!(here.names(".").is_empty());
}

/// A wish that nothing would read; how each key is refused stands in `src/config/tests/effect.rs`.
#[test]
fn settings_without_effect() {
    let here = Folder::new();
    let sentence = "data.path = \"/my/mnist\" has no effect with data.source = \"embedded\"; it is read with \
                    data.source = \"idx\", \"folders\", \"list\" or \"malaria\"";
    let path = ["--set", "data.path=/my/mnist"];
    here.refuse(&train("run", &path), 2, &[sentence]);
    here.refuse(&[&["data", "info"][..], &path].concat(), 2, &[sentence]);
    here.refuse(
        &train("run", &["--skip-unreadable"]),
        2,
        &["data.skip_unreadable = true has no effect with"],
    );
    let kind = ["--set", "model.kind=classifier", "--set", "train.alpha_d=1"];
    here.refuse(
        &train("run", &kind),
        2,
        &["train.alpha_d = 1.0 has no effect with model.kind = \"classifier\""],
    );
    fs::write(here.join("own.toml"), "preset = \"quick\"\ntrain.reversal = 0.5\n").unwrap();
    here.refuse(
        &["train", "own.toml"],
        2,
        &["train.reversal = 0.5 has no effect with model.kind = \"diva\""],
    );
    here.succeed(&["train", "own.toml", "--set", "model.kind=dann", "--print-config"]);
    assert_eq!(here.names("."), ["own.toml"]);
    // Beside a run's own configuration too.
    here.with_a_run("run");
    for command in ["evaluate", "verify", "report"] {
        here.refuse(&[&[command, "run"], &path[..]].concat(), 2, &[sentence]);
    }
    here.refuse(&[&["generate", "run", "samples"], &path[..]].concat(), 2, &[sentence]);
    here.refuse(&train("run", &[&path[..], &["--resume"]].concat()), 2, &[sentence]);
    // What needs no data never looks at what is said of them.
    here.succeed(&["weights", "export", "run", "--out", "weights"]);
    let import = ["weights", "import", "weights", "run/config.toml", "--out"];
    here.succeed(&[&import[..], &["imported"], &path].concat());
    let reversal = ["other", "--set", "train.reversal=0.5"];
    here.refuse(&[&import[..], &reversal].concat(), 2, &["train.reversal = 0.5 has no effect with"]);
}

#[test]
fn wrong_files() {
    let here = Folder::new();
    for (content, parts) in [
        (&b"[train\nepochs = 3"[..], &["config.toml as TOML: line 1, column 7"][..]),
        (b"\x89PNG\r\n\x1a\n\0\xff", &["cannot read config.toml"]),
        (b"train = 3", &["train = 3", "train.epochs"]),
        (b"[train]\nlearning_rat = 1e-3", &["unknown key train.learning_rat", "train.learning_rate"]),
        (b"[train]\nlearning_rate = \"fast\"", &["train.learning_rate = \"fast\"", "a number from"]),
        (b"[train]\nlearning_rate = nan", &["train.learning_rate = nan", "a number from"]),
        (b"preset = \"malaria\"", &["data.path = \"\" is not usable", "Parasitized and Uninfected"]),
        // A file completes rotated-mnist, whose digits lie nowhere yet.
        (b"", &["data.path"]),
    ] {
        fs::write(here.join("config.toml"), content).unwrap();
        here.refuse(&["train", "config.toml", "--out", "run"], 2, parts);
    }
    assert_eq!(here.names("."), ["config.toml"]);
}

#[test]
fn folders_that_cannot_be_used() {
    let here = Folder::new();
    here.with_a_run("run");
    let before = fs::metadata(here.join("run/checkpoint.safetensors")).unwrap().modified().unwrap();
    here.refuse(&train("run", &[]), 2, &["cannot train in run: it holds a run", "--resume", "--out"]);
    let import = ["weights", "import", "run/best.safetensors", "run/config.toml", "--out", "run"];
    here.refuse(&import, 2, &["run holds a run already"]);
    let after = fs::metadata(here.join("run/checkpoint.safetensors")).unwrap().modified().unwrap();
    assert_eq!(before, after);

    fs::write(here.join("file"), "text").unwrap();
    here.refuse(&train("file", &[]), 2, &["cannot train in file: it is a file"]);
    here.refuse(&train("file/run", &["--resume"]), 2, &["cannot train in file/run: "]);
    if cfg!(target_os = "linux") {
        here.refuse(&train("/proc/run", &[]), 2, &["cannot create the folder /proc/run: "]);
        let to_proc = ["weights", "export", "run", "--out", "/proc/weights"];
        here.refuse(&to_proc, 1, &["cannot write /proc/weights: "]);
    }
    assert_eq!(here.read("file"), b"text");
    // Another process trains there: the lock is what a process holds, not the file.
    let lock = fs::File::create(here.join("run/run.lock")).unwrap();
    lock.lock().unwrap();
    here.refuse(&train("run", &["--resume"]), 2, &["is writing there"]);
    // One that has only begun has nothing there but its lock.
    fs::create_dir(here.join("begun")).unwrap();
    let lock = fs::File::create(here.join("begun/run.lock")).unwrap();
    lock.lock().unwrap();
    let import = ["weights", "import", "run/best.safetensors", "run/config.toml", "--out", "begun"];
    here.refuse(&import, 2, &["cannot lock the folder begun: ", "is writing there"]);
    assert_eq!(here.names("begun"), ["run.lock"]);
    // Whoever lays a link to what only others may write gets it emptied no more.
    fs::write(here.join("private"), "private").unwrap();
    fs::create_dir(here.join("trap")).unwrap();
    fs::hard_link(here.join("private"), here.join("trap/run.lock")).unwrap();
    here.refuse(
        &train("trap", &[]),
        2,
        &["trap/run.lock is not the file of a lock (it has 2 names", "--out"],
    );
    assert_eq!(
        (here.read("private"), here.names("trap")),
        (b"private".to_vec(), vec!["run.lock".to_owned()])
    );
}

#[test]
fn what_is_not_a_run_is_left_beside_it() {
    let here = Folder::new();
    fs::create_dir_all(here.join("run/notes")).unwrap();
    fs::write(here.join("run/log.txt"), "written by a shell").unwrap();
    here.succeed(&train("run", &["--set", "train.epochs=1"]));
    assert_eq!(here.read("run/log.txt"), b"written by a shell");
    assert!(here.join("run/notes").is_dir() && here.join("run/result.json").exists());
}

#[test]
fn nobody_needs_to_read_on() {
    let here = Folder::new();
    for arguments in [&["data", "info"][..], &["train", "--print-config"], &["train", "--help"]] {
        let mut child = here.diva(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{arguments:?}");
    }
    let pipe = format!("{} '{}' data info | head -n 1", runner(), env!("CARGO_BIN_EXE_diva"));
    let output = Command::new("sh").args(["-c", &pipe]).output().unwrap();
    assert!(output.stderr.is_empty() && output.stdout.starts_with(b"images of 28 x 28 pixels"));
    if cfg!(target_os = "linux") {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = here.diva(&["data", "info"]).stdout(full).output().unwrap();
        refused(&output, 1, &["cannot write to standard output: "]);
    }
}
