//! Every operation of every call that writes, failing in every manner, and the power cut after every one of them.
//!
//! Whatever happens, a file is the old or the new one, whole; the caller is told in one sentence; and the same call
//! succeeds once the disk is sound again.

use super::power_cut::{Model, build, tree_of};
use super::trial::{Fault, Kind, Manner, Trial, faults_of};
use crate::error::{Error, Result};
use crate::store::checkpoint::Checkpoint;
use crate::store::durable;
use crate::store::run_folder::{Claim, RunFolder, State};
use crate::store::scratch::Scratch;
use crate::store::tensors::TensorFile;
use std::fs;
use std::path::Path;
use std::rc::Rc;

/// Asserts that an error is one sentence about a place in `folder` and names the cause.
#[track_caller]
pub(super) fn assert_sentence(error: &Error, folder: &Path, fault: Fault) {
    let text = error.to_string();
    assert!(text.starts_with("cannot ") && !text.contains('\n'), "{fault:?}: {text}");
    assert!(text.contains(&folder.display().to_string()), "{fault:?}: {text}");
    let cause = fault.manner.cause().expect("a manner without a cause is no error").to_string();
    assert!(text.contains(&cause), "{fault:?}: {text}");
}

/// A call that writes: what is there before it, the call, and the question whether a folder holds what it is to hold
/// then: the old state (false) or the new one (true). Anything else panics there.
struct Case {
    before: fn(&Path),
    call: fn(&Path) -> Result<()>,
    is_new: fn(&Path) -> bool,
    /// Failures of which the call need not tell, because what it promises is kept.
    may_pass: fn(Fault) -> bool,
    /// Whether what the call has done survives a power cut.
    is_durable: bool,
}

impl Case {
    /// Tries every fault; how many there were.
    fn faults(&self) -> usize {
        let sound = Scratch::new();
        (self.before)(sound.path());
        assert!(!(self.is_new)(sound.path()));
        let disk = Rc::new(Trial::default());
        super::with(disk.clone(), || (self.call)(sound.path())).unwrap();
        assert!((self.is_new)(sound.path()));

        let faults = faults_of(&disk.kinds());
        for &fault in &faults {
            let scratch = Scratch::new();
            (self.before)(scratch.path());
            let before = temporaries_in(&scratch);
            let disk = Rc::new(Trial::with(fault));
            match super::with(disk, || (self.call)(scratch.path())) {
                Ok(()) => {
                    assert!(
                        fault.manner.is_harmless() || (self.may_pass)(fault),
                        "{fault:?} passed unnoticed"
                    );
                    assert!((self.is_new)(scratch.path()), "{fault:?}: nothing was done");
                }
                Err(error) => {
                    assert!(!fault.manner.is_harmless(), "{fault:?} was an obstacle: {error}");
                    assert_sentence(&error, scratch.path(), fault);
                    (self.is_new)(scratch.path());
                }
            }
            if fault.manner != Manner::Gone && fault.kind != Kind::RemoveFile {
                let left = temporaries_in(&scratch);
                assert!(left.iter().all(|name| before.contains(name)), "{fault:?}: {left:?}");
            }
            (self.call)(scratch.path()).unwrap_or_else(|error| panic!("after {fault:?}: {error}"));
            assert!((self.is_new)(scratch.path()), "after {fault:?}");
        }
        faults.len()
    }

    /// Cuts the power after every change, in every way; how many states there were. `is_new` of what is left must be
    /// true once the call has returned, and may be either before.
    fn power_cuts(&self) -> usize {
        let scratch = Scratch::new();
        (self.before)(scratch.path());
        let mut model = Model::of(scratch.path());
        let disk = Rc::new(Trial::default());
        super::with(disk.clone(), || (self.call)(scratch.path())).unwrap();
        let changes = disk.changes();
        let mut tried = 0;
        for (done, change) in (1..).zip(&changes) {
            model.apply(change);
            for tree in model.after_a_cut(1000) {
                let after = Scratch::new();
                build(&tree, after.path());
                let is_new = (self.is_new)(after.path());
                assert!(
                    is_new || done < changes.len() || !self.is_durable,
                    "what was done is lost: {tree:?}"
                );
                (self.call)(after.path()).unwrap_or_else(|error| panic!("after a cut: {error}, {tree:?}"));
                assert!((self.is_new)(after.path()), "{tree:?}");
                tried += 1;
            }
        }
        // The model has followed.
        let seen = model.after_a_cut(1);
        assert!(seen.contains(&tree_of(scratch.path())));
        tried
    }
}

fn temporaries_in(scratch: &Scratch) -> Vec<String> {
    let mut names = scratch.names();
    names.retain(|name| durable::temporary_of(name.as_ref()).is_some());
    names
}

/// Files and folders cannot always be forced to the disk, and some file systems say so. A temporary that cannot be locked
/// is one that nobody else may remove.
fn cannot_be_forced_or_locked(fault: Fault) -> bool {
    fault.kind == Kind::Lock
        || matches!(fault.kind, Kind::SyncFile | Kind::SyncFolder) && fault.manner == Manner::Refused(22)
}

/// Which of two contents a file has.
#[track_caller]
fn is_second(path: &Path, first: &[u8], second: &[u8]) -> bool {
    let found = fs::read(path).unwrap();
    assert!(found == first || found == second, "{}: {:?}", path.display(), String::from_utf8_lossy(&found));
    found == second
}

const REPLACE: Case = Case {
    before: |folder| fs::write(folder.join("result.json"), b"old").unwrap(),
    call: |folder| durable::write(&folder.join("result.json"), b"something new"),
    is_new: |folder| is_second(&folder.join("result.json"), b"old", b"something new"),
    may_pass: cannot_be_forced_or_locked,
    is_durable: true,
};

#[test]
fn a_replaced_file_is_the_old_or_the_new_one() {
    // Open, lock, write, force, rename, force the folder.
    assert_eq!(REPLACE.faults(), (4 + 2 + 6 + 3 + 3 + 2) + 6);
    // After them: no name or an empty file; also its contents in six ways; two; old or new, and the other name there or
    // not; one.
    assert_eq!(REPLACE.power_cuts(), 15);
}

const CREATE: Case = Case {
    before: |_| {},
    call: |folder| durable::write(&folder.join("result.json"), b"something new"),
    is_new: |folder| {
        folder.join("result.json").exists()
            && is_second(&folder.join("result.json"), b"something new", b"something new")
    },
    may_pass: cannot_be_forced_or_locked,
    is_durable: true,
};

#[test]
fn a_created_file_is_whole_or_absent() {
    assert_eq!(CREATE.faults(), 26);
    assert_eq!(CREATE.power_cuts(), 15);
}

fn checkpoint(of: f32) -> Checkpoint {
    let mut tensors = TensorFile::new();
    tensors.insert("parameters", &[100], &[of; 100]);
    Checkpoint { note: format!("{{\"epochs\":{of}}}"), tensors }
}

const SAVE: Case = Case {
    before: |folder| checkpoint(1.0).save(&folder.join("checkpoint.safetensors")).unwrap(),
    call: |folder| checkpoint(2.0).save(&folder.join("checkpoint.safetensors")),
    is_new: |folder| {
        // It loads, whatever happened: that is what all this is for.
        let loaded = Checkpoint::load(&folder.join("checkpoint.safetensors")).unwrap();
        let found = loaded.tensors.f32s("parameters").unwrap().1;
        assert!(found == [1.0; 100] || found == [2.0; 100]);
        found[0] == 2.0
    },
    may_pass: cannot_be_forced_or_locked,
    is_durable: true,
};

#[test]
fn a_checkpoint_loads_whatever_happens_to_its_successor() {
    assert_eq!(SAVE.faults(), 26);
    assert_eq!(SAVE.power_cuts(), 15);
}

const APPEND: Case = Case {
    before: |folder| fs::write(folder.join("metrics.jsonl"), b"first\n").unwrap(),
    call: |folder| {
        let path = folder.join("metrics.jsonl");
        // What a run does after any interruption, before it goes on.
        super::with(Rc::new(super::System), || durable::truncate_lines(&path, 1))?;
        durable::append_line(&path, "second")?;
        durable::sync(&path)
    },
    is_new: |folder| {
        let text = fs::read(folder.join("metrics.jsonl")).unwrap();
        assert!(text.starts_with(b"first\n"), "{:?}", String::from_utf8_lossy(&text));
        text == b"first\nsecond\n"
    },
    may_pass: cannot_be_forced_or_locked,
    is_durable: true,
};

#[test]
fn a_line_is_appended_and_those_before_it_stay() {
    // Open, write; open, force, force the folder.
    assert_eq!(APPEND.faults(), (4 + 6 + 4 + 3 + 2) + 5);
    assert_eq!(APPEND.power_cuts(), 7);
}

#[test]
fn a_torn_line_is_taken_back() {
    let kinds = [Kind::Open, Kind::Write];
    let torn: Vec<Fault> = faults_of(&kinds)
        .into_iter()
        .filter(|fault| fault.kind == Kind::Write && !fault.manner.is_harmless())
        .filter(|fault| fault.manner != Manner::Gone)
        .collect();
    assert_eq!(torn.len(), 4);
    for fault in torn {
        let scratch = Scratch::new();
        let path = scratch.join("metrics.jsonl");
        fs::write(&path, b"first\n").unwrap();
        let appended = super::with(Rc::new(Trial::with(fault)), || durable::append_line(&path, "second"));
        assert_sentence(&appended.unwrap_err(), scratch.path(), fault);
        assert_eq!(fs::read(&path).unwrap(), b"first\n", "{fault:?}");
    }
}

const CUT_BACK: Case = Case {
    before: |folder| fs::write(folder.join("metrics.jsonl"), b"first\nsecond\nthi").unwrap(),
    call: |folder| durable::truncate_lines(&folder.join("metrics.jsonl"), 1),
    is_new: |folder| is_second(&folder.join("metrics.jsonl"), b"first\nsecond\nthi", b"first\n"),
    may_pass: cannot_be_forced_or_locked,
    is_durable: true,
};

#[test]
fn lines_are_cut_back_or_all_there() {
    assert_eq!(CUT_BACK.faults(), 26);
    assert_eq!(CUT_BACK.power_cuts(), 15);
}

/// A folder above that cannot be forced was there before, and a file that cannot be removed is the lock's: it locks
/// nothing. Where there are no locks, that file is one.
fn folder_above_or_lock(fault: Fault) -> bool {
    matches!(fault.kind, Kind::SyncFolder | Kind::RemoveFile)
        || fault.kind == Kind::Lock && fault.manner == Manner::Refused(22)
}

fn leftovers(folder: &Path, names: &[&str]) {
    for name in names {
        fs::write(folder.join(name), name).unwrap();
    }
}

#[track_caller]
fn prepare(folder: &Path, resume: bool, expected: State) -> Result<()> {
    let (state, _lock) = RunFolder::new(folder).prepare(resume)?;
    assert_eq!(state, expected);
    Ok(())
}

const PREPARE_RESUME: Case = Case {
    before: |folder| {
        checkpoint(1.0).save(&folder.join("checkpoint.safetensors")).unwrap();
        leftovers(folder, &["checkpoint.safetensors.12-0.part", "metrics.jsonl", "metrics.jsonl.12-1.part"]);
        fs::write(folder.join("run.lock"), "12\n").unwrap();
    },
    call: |folder| prepare(folder, true, State::Resume),
    is_new: |folder| {
        assert_eq!(
            Checkpoint::load(&folder.join("checkpoint.safetensors")).unwrap().note,
            checkpoint(1.0).note
        );
        assert_eq!(fs::read(folder.join("metrics.jsonl")).unwrap(), b"metrics.jsonl");
        !["checkpoint.safetensors.12-0.part", "metrics.jsonl.12-1.part"]
            .iter()
            .any(|name| folder.join(name).exists())
    },
    may_pass: folder_above_or_lock,
    is_durable: true,
};

const PREPARE_FRESH: Case = Case {
    before: |folder| {
        leftovers(
            folder,
            &["checkpoint.safetensors.12-0.part", "config.toml", "config.toml.12-1.part", "division.csv"],
        );
    },
    call: |folder| prepare(folder, true, State::Fresh),
    is_new: |folder| {
        assert_eq!(fs::read(folder.join("config.toml")).unwrap(), b"config.toml");
        !["checkpoint.safetensors.12-0.part", "config.toml.12-1.part", "division.csv"]
            .iter()
            .any(|name| folder.join(name).exists())
    },
    may_pass: folder_above_or_lock,
    is_durable: false,
};

const PREPARE_NEW: Case = Case {
    before: |_| {},
    call: |folder| prepare(&folder.join("runs").join("quick-seed0"), false, State::Fresh),
    is_new: |folder| folder.join("runs").join("quick-seed0").is_dir(),
    may_pass: folder_above_or_lock,
    is_durable: true,
};

#[test]
fn a_folder_is_prepared_or_as_it_was() {
    for case in [PREPARE_RESUME, PREPARE_FRESH, PREPARE_NEW] {
        assert!(case.faults() > 30);
        assert!(case.power_cuts() > 20);
    }
}

#[test]
fn what_cannot_be_cleared_up_stays_and_is_no_obstacle() {
    let left = ["loss.png.0123456789abcdef.part", "loss.png.12-0.part"];
    let clear = |scratch: &Scratch| durable::clear_temporaries(scratch.path(), |_| true);
    let sound = Rc::new(Trial::default());
    let scratch = Scratch::new();
    leftovers(scratch.path(), &left);
    super::with(sound.clone(), || clear(&scratch));
    assert!(scratch.names().is_empty());
    let one = [Kind::Open, Kind::Lock, Kind::RemoveFile];
    assert_eq!(sound.kinds(), [one, one].concat());
    for fault in faults_of(&sound.kinds()) {
        let scratch = Scratch::new();
        leftovers(scratch.path(), &left);
        super::with(Rc::new(Trial::with(fault)), || clear(&scratch));
        let is_removed = |name: &&&str| match fault.manner {
            Manner::Gone => fault.at >= one.len() && **name == left[0],
            Manner::Late(_) if fault.kind == Kind::RemoveFile => true,
            _ => **name != left[fault.at / one.len()],
        };
        let expected: Vec<&str> = left.iter().filter(|name| !is_removed(name)).copied().collect();
        assert_eq!(scratch.names(), expected, "{fault:?}");
        clear(&scratch);
        assert!(scratch.names().is_empty());
    }
    // Where there are no locks nobody knows whose they are.
    let scratch = Scratch::new();
    leftovers(scratch.path(), &left);
    super::with(Rc::new(Trial::without_locks(22)), || clear(&scratch));
    assert_eq!(scratch.names(), left);
}

#[test]
fn a_new_folder_that_cannot_be_forced_to_the_disk_is_told() {
    let sound = Rc::new(Trial::default());
    let scratch = Scratch::new();
    super::with(sound.clone(), || durable::create_folder(&scratch.join("new"))).unwrap();
    let kinds = sound.kinds();
    assert!(kinds.ends_with(&[Kind::CreateFolder, Kind::SyncFolder]), "{kinds:?}");
    let fault = Fault { at: kinds.len() - 1, kind: Kind::SyncFolder, manner: Manner::Refused(5) };
    let scratch = Scratch::new();
    let path = scratch.join("new");
    let refused = super::with(Rc::new(Trial::with(fault)), || durable::create_folder(&path)).unwrap_err();
    assert_sentence(&refused, scratch.path(), fault);
    // The folder is there now; whoever comes next forces it before anything is put into it.
    let mut model = Model::of(scratch.path());
    model.apply(&super::trial::Change::FolderRemoved(path.clone()));
    model.apply(&super::trial::Change::FolderSynced(scratch.path().into()));
    model.apply(&super::trial::Change::FolderCreated(path.clone()));
    assert!(model.least().is_empty());
    let next = Rc::new(Trial::default());
    super::with(next.clone(), || durable::create_folder(&path)).unwrap();
    next.changes().iter().for_each(|change| model.apply(change));
    assert_eq!(model.least(), tree_of(scratch.path()));
}

#[test]
fn a_claimed_folder_that_cannot_be_had_is_told() {
    let claim = |scratch: &Scratch| Claim::default_path(&scratch.join("runs"), "quick", 0);
    let sound = Rc::new(Trial::default());
    let scratch = Scratch::new();
    super::with(sound.clone(), || drop(claim(&scratch).unwrap()));
    for fault in faults_of(&sound.kinds()) {
        let scratch = Scratch::new();
        match super::with(Rc::new(Trial::with(fault)), || claim(&scratch).map(drop)) {
            Ok(()) => assert!(matches!(fault.kind, Kind::SyncFolder | Kind::RemoveFolder), "{fault:?}"),
            Err(error) => assert_sentence(&error, scratch.path(), fault),
        }
        claim(&scratch).unwrap();
    }
}
