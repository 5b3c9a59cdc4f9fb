//! Nothing is written over: neither a run's files by name, nor what somebody keeps in a folder, nor what a link leads to.

use super::{Folder, text, train};
use std::fs;

/// The fault: they were removed at once, since a folder without a checkpoint counted as one without a run.
#[test]
fn weights_without_a_checkpoint_are_not_begun_anew_over() {
    let here = Folder::new();
    here.with_a_run("run");
    here.succeed(&["weights", "import", "run/best.safetensors", "run/config.toml", "--out", "imported"]);
    let before = here.read("imported/best.safetensors");
    let parts = ["cannot train in imported: it holds best.safetensors but no checkpoint.safetensors"];
    here.refuse(&train("imported", &["--resume"]), 2, &parts);
    assert_eq!(here.read("imported/best.safetensors"), before);
    for name in ["checkpoint.safetensors", "result.json"] {
        fs::remove_file(here.join("run").join(name)).unwrap();
    }
    here.refuse(&train("run", &["--resume"]), 2, &["cannot train in run: it holds best.safetensors but no"]);
    assert!(here.join("run/metrics.jsonl").exists() && here.join("run/unlike.json").exists());
}

/// The fault: a link in the place of a result led to a file outside, which a finished run that went on wrote over.
#[cfg(unix)]
#[test]
fn links_in_the_place_of_a_runs_files_are_replaced_and_not_followed() {
    let here = Folder::new();
    here.with_a_run("run");
    let lay = |name: &str| {
        fs::write(here.join("victim"), "private").unwrap();
        let _ = fs::remove_file(here.join(name));
        std::os::unix::fs::symlink(here.join("victim"), here.join(name)).unwrap();
    };
    let is_untouched = |what: &str| assert_eq!(text(&here.read("victim")), "private", "{what}");
    let resume = train("run", &["--resume"]);
    for name in ["result.json", "unlike.json", "best.safetensors"] {
        let before = here.read(&format!("run/{name}"));
        lay(&format!("run/{name}"));
        here.succeed(&resume);
        is_untouched(name);
        assert_eq!(here.read(&format!("run/{name}")), before, "{name}");
    }
    for (name, command) in
        [("samples.png", &["generate", "run", "samples"][..]), ("report.html", &["report", "run"])]
    {
        lay(&format!("run/{name}"));
        here.succeed(command);
        is_untouched(name);
    }
}

/// The fault: a picture of somebody's own was replaced when the training was over.
#[test]
fn a_picture_without_a_run_is_not_replaced_by_a_run() {
    let here = Folder::new();
    fs::create_dir(here.join("mine")).unwrap();
    for name in ["loss.png", "samples.png"] {
        let path = here.join("mine").join(name);
        let expected = format!("cannot train in mine: it holds {name} but no run that it is of");
        for resume in [&[][..], &["--resume"]] {
            fs::write(&path, "mine").unwrap();
            here.refuse(&train("mine", resume), 2, &[&expected]);
            assert_eq!(fs::read(&path).unwrap(), b"mine");
            fs::remove_file(&path).unwrap();
            // A link is no less somebody's.
            #[cfg(unix)]
            {
                std::os::unix::fs::symlink(here.join("nothing"), &path).unwrap();
                here.refuse(&train("mine", resume), 2, &[&expected]);
                assert!(path.is_symlink());
                fs::remove_file(&path).unwrap();
            }
        }
    }
    assert_eq!(fs::read_dir(here.join("mine")).unwrap().count(), 0);
    // Its own ones a run replaces.
    here.with_a_run("run");
    let before = here.read("run/loss.png");
    here.succeed(&train("run", &["--resume", "--set", "train.epochs=3"]));
    assert_ne!(here.read("run/loss.png"), before);
}

/// The fault: pictures of one model lay in the folder of another, under the names of its own.
#[test]
fn pictures_of_another_run_are_not_replaced() {
    let here = Folder::new();
    here.with_a_run("run");
    here.with_a_run("other");
    fs::write(here.join("other/samples.png"), "of other").unwrap();
    let parts = ["cannot generate from run into other: it holds another run; name another folder with --out"];
    for kind in ["samples", "all"] {
        here.refuse(&["generate", "run", kind, "--out", "other"], 2, &parts);
    }
    assert_eq!(text(&here.read("other/samples.png")), "of other");
    here.succeed(&["generate", "run", "samples", "--out", "run/../run"]);
    for _ in 0..2 {
        here.succeed(&["generate", "run", "samples", "--out", "pictures"]);
    }
    assert_eq!(here.read("pictures/samples.png"), here.read("run/samples.png"));
}

/// The fault: a page, or weights, took the place of a sweep's record, of its tables, of what was decoded, of a configuration.
#[test]
fn what_a_sweep_and_the_reading_of_pictures_need_is_not_written_over() {
    let here = Folder::new();
    here.with_a_run("run");
    fs::create_dir(here.join("out")).unwrap();
    let written = [
        ("out/sweep.toml", "a configuration or a sweep"),
        ("out/table.md", "a table of the sweep in that folder"),
        ("out/table-1-of-2.csv", "a table of the sweep in that folder"),
        ("mine.toml", "a configuration or a sweep"),
        ("pictures-0011223344556677-64x64x3.packed", "where decoded pictures are kept"),
        ("run/loss.png", "a file of the run in that folder"),
    ];
    for (out, _) in written {
        fs::write(here.join(out), "needed").unwrap();
    }
    let not_yet = [("out/table.json", "a table of the sweep in that folder")];
    let gradients = ["gradients", "--config", "mine.toml", "--weights", "w", "--batch", "b"];
    for (out, what) in written.into_iter().chain(not_yet) {
        let parts = [&*format!("cannot write {out}: it is {what}; give another --out")];
        for command in [&["report", "run"][..], &["weights", "export", "run"], &gradients] {
            here.refuse(&[command, &["--out", out]].concat(), 2, &parts);
        }
    }
    assert!(
        written.iter().all(|(out, _)| here.read(out) == b"needed") && !here.join("out/table.json").exists()
    );
    // Where there is no sweep, a table is nobody's.
    here.succeed(&["report", "run", "--out", "table.md"]);
}

/// The fault: an export under the name of the run's own checkpoint made the run unusable.
#[test]
fn nothing_is_written_over_the_files_of_a_run_by_name() {
    let here = Folder::new();
    here.with_a_run("run");
    for name in ["checkpoint.safetensors", "best.safetensors", "result.json", "config.toml", "metrics.jsonl"]
    {
        let (out, before) = (format!("run/{name}"), here.read(&format!("run/{name}")));
        let parts = [&*format!(
            "cannot write run/{name}: it is a file of the run in that folder; give another --out"
        )];
        here.refuse(&["weights", "export", "run", "--out", &out], 2, &parts);
        here.refuse(&["report", "run", "--out", &out], 2, &parts);
        assert_eq!(here.read(&out), before);
    }
    // A folder of one's own may have such a file.
    fs::create_dir(here.join("mine")).unwrap();
    for _ in 0..2 {
        here.succeed(&["weights", "export", "run", "--out", "mine/best.safetensors"]);
    }
}

/// The fault: that a picture could not be put in the folder was found when the training was over.
#[test]
fn what_could_not_be_written_at_the_end_is_refused_before_the_training() {
    let here = Folder::new();
    for name in [
        "samples.png",
        "loss.png",
        "result.json",
        "unlike.json",
        "best.safetensors",
        "division.csv",
        "predictions.csv",
    ] {
        fs::create_dir_all(here.join("run").join(name)).unwrap();
        here.refuse(
            &train("run", &[]),
            2,
            &[&format!("cannot write run/{name}: it is a folder, expected a file")],
        );
        fs::remove_dir(here.join("run").join(name)).unwrap();
    }
    assert_eq!(fs::read_dir(here.join("run")).unwrap().count(), 0);
    here.succeed(&train("run", &[]));
}

/// The fault: that lines could not be added to a link was found when an epoch was over, and its weights were in place.
#[cfg(unix)]
#[test]
fn lines_behind_a_link_are_gone_on_from_in_a_file_of_their_own() {
    let here = Folder::new();
    here.with_a_run("run");
    let lines = here.read("run/metrics.jsonl");
    fs::rename(here.join("run/metrics.jsonl"), here.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(here.join("elsewhere"), here.join("run/metrics.jsonl")).unwrap();
    here.succeed(&train("run", &["--resume", "--set", "train.epochs=3"]));
    assert_eq!(here.read("elsewhere"), lines);
    assert!(
        here.read("run/metrics.jsonl").starts_with(&lines) && !here.join("run/metrics.jsonl").is_symlink()
    );
}

/// The fault: a configuration of somebody's own, in a folder without a run, was written over.
#[test]
fn a_configuration_without_a_run_is_not_replaced_by_another() {
    let here = Folder::new();
    fs::create_dir(here.join("mine")).unwrap();
    fs::write(here.join("mine/config.toml"), "preset = \"quick\"\nseed = 7\n").unwrap();
    here.refuse(&train("mine", &["--resume"]), 2, &["cannot continue mine: "]);
    assert_eq!(text(&here.read("mine/config.toml")), "preset = \"quick\"\nseed = 7\n");
    assert_eq!(here.names("mine"), ["config.toml"]);
}

/// The fault: a table of somebody's own was replaced when the results were collected.
#[test]
fn a_table_without_a_sweep_is_not_replaced_by_a_sweep() {
    let here = Folder::new();
    let sweep = "preset = \"quick\"\nout = \"out\"\n[grid]\nseed = [0, 1]\n";
    fs::write(here.join("sweep.toml"), sweep).unwrap();
    fs::create_dir(here.join("out")).unwrap();
    for name in ["table.md", "table-1-of-2.csv"] {
        fs::write(here.join("out").join(name), "mine").unwrap();
        let part =
            format!("cannot use the folder out for the sweep sweep.toml: it holds {name} but no sweep");
        for what in ["plan", "run", "status", "collect"] {
            here.refuse(&["sweep", what, "sweep.toml"], 2, &[&part]);
        }
        assert_eq!(here.names("out"), [name]);
        fs::remove_file(here.join("out").join(name)).unwrap();
    }
}

/// The fault: the answer took the place of the question.
#[test]
fn gradients_do_not_replace_what_they_are_made_of() {
    let here = Folder::new();
    for name in ["weights", "batch"] {
        fs::write(here.join(name), name).unwrap();
    }
    for name in ["weights", "batch"] {
        let out = format!("../{}/{name}", here.0.file_name().unwrap().to_str().unwrap());
        let part = format!("cannot write {out}: it is read here; give another --out");
        let arguments =
            ["gradients", "--config", "c.toml", "--weights", "weights", "--batch", "batch", "--out"];
        here.refuse(&[&arguments[..], &[&out]].concat(), 2, &[&part]);
        assert_eq!(text(&here.read(name)), name);
    }
}
