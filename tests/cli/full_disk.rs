//! A real disk that is full: one sentence, exit code 1, what was there stays, and with more room the run goes on.

use super::{Folder, assert_same_run, refused, train};
use diva::store::checkpoint::Checkpoint;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A small file system on a folder, taken away again at the end.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// The folder `disk`, of so many KiB; nothing, and a line that says so, where that is not permitted.
    pub(super) fn mount(here: &Folder, kibibytes: usize) -> Option<Self> {
        let disk = Self(here.join("disk"));
        fs::create_dir(&disk.0).unwrap();
        if disk.mount_with(&format!("size={kibibytes}k")) {
            return Some(disk);
        }
        println!("skipped: a small file system cannot be mounted here (that takes the rights of root)");
        None
    }

    fn mount_with(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&self.0);
        mount.output().is_ok_and(|output| output.status.success())
    }

    fn grow(&self, kibibytes: usize) {
        assert!(self.mount_with(&format!("remount,size={kibibytes}k")), "the disk cannot be made larger");
    }

    /// Fills what is left, to the last page.
    fn fill(&self) {
        let mut left = 64 << 10;
        while left > 0 {
            let filler =
                (0..).map(|i| self.0.join(format!("filler-{i}"))).find(|path| !path.exists()).unwrap();
            if fs::write(&filler, vec![1; left]).is_err() {
                fs::remove_file(&filler).unwrap();
                left /= 2;
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

const NO_SPACE: &str = "No space left";

/// Asserts a refusal of a program that may have said more on standard output before.
#[track_caller]
fn failed(output: Output, parts: &[&str]) {
    refused(&Output { stdout: Vec::new(), ..output }, 1, parts);
}

#[test]
fn a_full_disk_keeps_the_last_checkpoint_and_more_room_ends_the_run() {
    let here = Folder::new();
    // Room for one checkpoint of 800 KB with what belongs to it, not for a second one beside it.
    let Some(disk) = SmallDisk::mount(&here, 1600) else { return };
    failed(here.run(&train("disk/run", &[])), &["cannot write disk/run/checkpoint.safetensors: ", NO_SPACE]);
    let left = ["best.safetensors", "checkpoint.safetensors", "config.toml", "metrics.jsonl"];
    assert_eq!(here.names("disk/run"), left);

    // It is the checkpoint from before the first step, and elsewhere the run goes on from it to the same end.
    let kept = here.read("disk/run/checkpoint.safetensors");
    let note = Checkpoint::load(&here.join("disk/run/checkpoint.safetensors")).unwrap().note;
    assert!(note.contains(r#""progress":{"epochs":0,"batches":0,"steps":0,"#), "{note}");
    fs::create_dir(here.join("moved")).unwrap();
    for name in left {
        fs::copy(here.join("disk/run").join(name), here.join("moved").join(name)).unwrap();
    }
    here.succeed(&train("moved", &["--resume"]));
    here.with_a_run("whole");
    assert_same_run(&here, "whole", "moved");

    // No room yet: nothing changes. Then there is, and the run goes on where it is.
    failed(here.run(&train("disk/run", &["--resume"])), &["cannot write disk/run/", NO_SPACE]);
    assert_eq!(here.names("disk/run"), left);
    assert_eq!(here.read("disk/run/checkpoint.safetensors"), kept);
    disk.grow(8000);
    here.succeed(&train("disk/run", &["--resume"]));
    assert_same_run(&here, "whole", "disk/run");
    assert_eq!(here.names("disk/run"), here.names("whole"));
}

#[test]
fn a_finished_run_that_has_no_room_to_go_on_stays() {
    let here = Folder::new();
    here.with_a_run("whole");
    let Some(disk) = SmallDisk::mount(&here, 8000) else { return };
    here.succeed(&train("disk/run", &["--set", "train.epochs=1"]));
    disk.fill();
    let before = files_in(&here.join("disk/run"));
    failed(here.run(&train("disk/run", &["--resume"])), &["cannot write disk/run/", NO_SPACE]);
    assert_eq!(files_in(&here.join("disk/run")), before);
    disk.grow(16000);
    here.succeed(&train("disk/run", &["--resume"]));
    assert_same_run(&here, "whole", "disk/run");
}

#[test]
fn every_size_of_disk_leaves_a_run_that_goes_on() {
    let here = Folder::new();
    here.with_a_run("whole");
    // From a disk that has no room for a folder to one that lacks room for the pictures only.
    for (round, kibibytes) in [4, 8, 12, 16, 200, 400, 900, 1200, 1700, 1900].into_iter().enumerate() {
        let Some(disk) = SmallDisk::mount(&here, kibibytes) else { return };
        let output = here.run(&train("disk/run", &[]));
        if !output.status.success() {
            failed(output, &["cannot ", "disk/run", NO_SPACE]);
            assert!(!here.join("disk/run/result.json").exists());
        } else {
            assert!(round > 0, "a run fits into {kibibytes} KiB");
        }
        disk.grow(8000);
        here.succeed(&train("disk/run", &["--resume"]));
        assert_same_run(&here, "whole", "disk/run");
        assert_eq!(here.names("disk/run"), here.names("whole"));
        drop(disk);
        fs::remove_dir(here.join("disk")).unwrap();
    }
}

/// What the shell's `ulimit -f` sets ends a process by a signal that says nothing, unless it is caught.
#[test]
#[cfg(unix)]
fn a_limit_on_the_size_of_files_is_like_a_full_disk() {
    let here = Folder::new();
    here.with_a_run("run");
    let before = files_in(&here.join("run"));
    let limited = |arguments: &[&str]| here.diva_in_shell("ulimit -f 400", arguments).output().unwrap();
    failed(limited(&train("new", &[])), &["cannot write new/checkpoint.safetensors: ", "File too large"]);
    failed(
        limited(&train("run", &["--resume", "--set", "train.epochs=3"])),
        &["cannot write run/", "File too large"],
    );
    for (path, bytes) in before {
        let name = path.file_name().unwrap().to_owned();
        if name == "checkpoint.safetensors" || name == "best.safetensors" {
            assert!(fs::read(&path).unwrap() == bytes, "{name:?} has changed");
        }
    }
    here.succeed(&train("new", &["--resume"]));
    here.succeed(&train("run", &["--resume", "--set", "train.epochs=3"]));
    here.succeed(&train("whole", &["--set", "train.epochs=3"]));
    assert_same_run(&here, "whole", "run");
}

/// The names and bytes of the files in a folder.
fn files_in(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn pictures_and_weights_that_do_not_fit_leave_the_old_ones() {
    let here = Folder::new();
    here.with_a_run("run");
    let Some(disk) = SmallDisk::mount(&here, 64) else { return };
    fs::write(here.join("disk/reconstructions.png"), "the old picture").unwrap();
    fs::write(here.join("disk/weights.safetensors"), "the old weights").unwrap();
    disk.fill();
    let before = files_in(&disk.0);
    let generate = ["generate", "run", "reconstructions", "--out", "disk"];
    let export = ["weights", "export", "run", "--out", "disk/weights.safetensors"];
    let import = ["weights", "import", "run/best.safetensors", "run/config.toml", "--out", "disk/imported"];
    failed(here.run(&generate), &["cannot write disk/reconstructions.png: ", NO_SPACE]);
    failed(here.run(&export), &["cannot write disk/weights.safetensors: ", NO_SPACE]);
    assert_eq!(files_in(&disk.0), before);
    failed(here.run(&import), &["cannot ", "disk/imported", NO_SPACE]);
    let _ = fs::remove_dir_all(here.join("disk/imported"));
    assert_eq!(files_in(&disk.0), before);

    disk.grow(4000);
    for arguments in [&generate[..], &export, &import] {
        here.succeed(arguments);
    }
    assert_eq!(here.read("disk/reconstructions.png"), here.read("run/reconstructions.png"));
    assert_eq!(here.read("disk/weights.safetensors"), here.read("run/best.safetensors"));
    assert_eq!(here.read("disk/imported/best.safetensors"), here.read("run/best.safetensors"));
}
