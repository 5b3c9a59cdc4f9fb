//! Whole runs on disks that fail at every operation, and that lose their power after every one.
//!
//! However a run ends, what it leaves can be loaded, and resumed on a sound disk it ends in the bytes of a run that
//! nothing happened to. A disk state that was resumed once need not be resumed again: what follows is a function of it.

use super::faults::assert_sentence;
use super::power_cut::{Model, Tree, build, tree_of};
use super::trial::{Fault, Kind, Manner, Trial, faults_of};
use crate::autograd::Params;
use crate::config::Config;
use crate::data::embedded;
use crate::error::Result;
use crate::parallel;
use crate::store::checkpoint::Checkpoint;
use crate::store::durable;
use crate::store::lock::{LOCK, Lock};
use crate::store::run_folder::RunFolder;
use crate::store::scratch::Scratch;
use crate::train::metrics::{EpochMetrics, is_of_a_clock};
use crate::train::run::{self, Options, Outcome, Watcher};
use crate::train::trainer::{StepLoss, Trainer};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const EPOCHS: usize = 2;

/// A clock on which every glance takes a quarter of an hour: whatever a run does from time to time, it does at once.
struct Quiet {
    seconds: f64,
    disk: Rc<Trial>,
    /// For each epoch that is said to be saved: the changes of the disk until then, and its number.
    saved: Vec<(usize, usize)>,
    notices: Vec<String>,
}

impl Watcher for Quiet {
    fn seconds(&mut self) -> f64 {
        self.seconds += 900.0;
        self.seconds
    }

    fn signal(&mut self) -> Option<i32> {
        None
    }

    fn started(&mut self, _: &Trainer, _: &RunFolder) {}

    fn notice(&mut self, sentence: &str) {
        self.notices.push(sentence.into());
    }

    fn step(&mut self, _: &Trainer, _: &StepLoss, _: usize, _: usize) {}

    fn epoch(&mut self, _: &Trainer, metrics: &EpochMetrics, _: bool) {
        self.saved.push((self.disk.position(), metrics.epoch));
    }

    fn trained(&mut self, _: &Trainer, folder: &RunFolder, _: &Lock, _: &Params) -> Result<()> {
        durable::write(&folder.unlike(), b"a limit")?;
        durable::write(&folder.path().join("loss.png"), b"a picture")
    }
}

fn folder_in(scratch: &Scratch) -> RunFolder {
    RunFolder::new(scratch.join("run"))
}

/// What comes before the run that meets the bad disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Nothing; not even the folder.
    Nothing,
    /// A finished run of one epoch, of which something was left that has to be tidied up.
    FinishedRun,
}

impl Before {
    fn resume(self) -> bool {
        self == Before::FinishedRun
    }

    fn epochs(self) -> usize {
        usize::from(self.resume())
    }
}

/// The tree without what depends on the clock.
fn without_clock(mut tree: Tree) -> Tree {
    if let Some(Some(bytes)) = tree.get_mut(Path::new("run/metrics.jsonl")) {
        let line = |line: &str| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            let fields = value.as_object_mut().unwrap();
            fields.retain(|name, _| !is_of_a_clock(name));
            value.to_string() + "\n"
        };
        *bytes =
            Rc::new(std::str::from_utf8(bytes).unwrap().lines().map(line).collect::<String>().into_bytes());
    }
    tree
}

/// The tree without what locks nothing and is no result.
fn without_leftovers(mut tree: Tree) -> Tree {
    let name = |path: &PathBuf| path.file_name().unwrap().to_owned();
    tree.retain(|path, _| name(path) != LOCK && durable::temporary_of(&name(path)).is_none());
    tree
}

/// The whole epochs of the checkpoint in `tree`, which must load, if it is there.
#[track_caller]
fn epochs_saved(tree: &Tree) -> usize {
    let path = Path::new("run/checkpoint.safetensors");
    let Some(bytes) = tree.get(path) else { return 0 };
    let note = Checkpoint::from_bytes(bytes.as_ref().unwrap(), path).unwrap().note;
    let note: Value = serde_json::from_str(&note).unwrap();
    usize::try_from(note["progress"]["epochs"].as_u64().unwrap()).unwrap()
}

/// Runs of one configuration: one digit of each class in each of two domains, two steps an epoch.
struct Runs {
    digits: Scratch,
    /// What the run that nothing happens to leaves.
    end: Tree,
    /// The states of a disk from which a run was resumed to that end.
    resumed: BTreeSet<Tree>,
}

impl Runs {
    fn new() -> Self {
        let digits = Scratch::new();
        for (half, all) in [("train", embedded::train()), ("t10k", embedded::test())] {
            let few: Vec<usize> =
                (0..10).map(|class| all.labels.iter().position(|&label| label == class).unwrap()).collect();
            let count = (few.len() as u32).to_be_bytes();
            let side = 28_u32.to_be_bytes();
            let labels: Vec<u8> = few.iter().map(|&digit| all.labels[digit]).collect();
            let images: Vec<&[u8]> = few.iter().map(|&digit| &all.images[digit * 784..][..784]).collect();
            let name = |kind| digits.join(&format!("{half}-{kind}"));
            fs::write(name("labels-idx1-ubyte"), [&[0, 0, 8, 1][..], &count, &labels].concat()).unwrap();
            let header = [&[0, 0, 8, 3][..], &count, &side, &side].concat();
            fs::write(name("images-idx3-ubyte"), [header, images.concat()].concat()).unwrap();
        }
        let mut runs = Self { digits, end: Tree::new(), resumed: BTreeSet::new() };
        let scratch = Scratch::new();
        runs.train(&scratch, &Rc::default(), false, EPOCHS).0.unwrap();
        runs.end = without_clock(tree_of(scratch.path()));
        runs
    }

    /// Trains in `scratch` on `disk`.
    fn train(
        &self,
        scratch: &Scratch,
        disk: &Rc<Trial>,
        resume: bool,
        epochs: usize,
    ) -> (Result<Outcome>, Quiet) {
        let settings = [
            "data.source=idx",
            &format!("data.path={}", self.digits.path().display()),
            "data.domains=[0,75]",
            "data.per_class=1",
            "model.width=0.03125",
            "model.latent=2",
            "train.batch=5",
            &format!("train.epochs={epochs}"),
        ];
        let config = Config::resolve(None, None, &settings.map(String::from), None).unwrap();
        let options = Options { resume, ..Options::default() };
        let mut quiet = Quiet { seconds: 0.0, disk: disk.clone(), saved: vec![], notices: vec![] };
        let outcome =
            super::with(disk.clone(), || run::train(config, &folder_in(scratch), options, &mut quiet));
        (outcome, quiet)
    }

    /// Resumes the run that `tree` holds, on a sound disk, and asserts that it ends as if nothing had happened.
    #[track_caller]
    fn resume_to_the_end(&mut self, tree: &Tree, after: &dyn std::fmt::Debug) {
        if !self.resumed.insert(without_leftovers(tree.clone())) {
            return;
        }
        let scratch = Scratch::new();
        build(tree, scratch.path());
        let (outcome, _) = self.train(&scratch, &Rc::default(), true, EPOCHS);
        outcome.unwrap_or_else(|error| panic!("not resumed after {after:?}: {error}"));
        let found = without_clock(tree_of(scratch.path()));
        assert!(found == self.end, "another end after {after:?}: {:?}", found.keys());
    }

    /// What the run that meets the bad disk finds.
    fn start(&self, before: Before) -> Tree {
        let scratch = Scratch::new();
        if before == Before::FinishedRun {
            self.train(&scratch, &Rc::default(), false, 1).0.unwrap();
            let folder = folder_in(&scratch);
            let lines = fs::read_to_string(folder.metrics()).unwrap();
            fs::write(folder.metrics(), format!("{lines}{lines}{{\"epo")).unwrap();
            for left in ["metrics.jsonl.12-0.part", LOCK] {
                fs::write(folder.path().join(left), "12\n").unwrap();
            }
        }
        tree_of(scratch.path())
    }
}

/// The work on one thread: tens of threads of tests that wait for one another's tiny steps take ten times as long.
fn on_one_thread<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    parallel::with_threads(1, work)
}

/// Faults tried, distinct states resumed.
fn every_fault(before: Before) -> (usize, usize) {
    let mut runs = Runs::new();
    let start = runs.start(before);
    let scratch = Scratch::new();
    build(&start, scratch.path());
    let sound = Rc::default();
    runs.train(&scratch, &sound, before.resume(), EPOCHS).0.unwrap();
    assert!(without_clock(tree_of(scratch.path())) == runs.end);

    let faults = faults_of(&sound.kinds());
    for &fault in &faults {
        let scratch = Scratch::new();
        build(&start, scratch.path());
        let (outcome, quiet) = runs.train(&scratch, &Rc::new(Trial::with(fault)), before.resume(), EPOCHS);
        let left = tree_of(scratch.path());
        match outcome {
            Ok(_) => {
                // Nothing is lost by a folder above that cannot be forced, by a temporary that cannot be locked, or by a
                // lock or a leftover that stays, nor where the disk says that it cannot force.
                let may_pass = matches!(fault.kind, Kind::SyncFolder | Kind::RemoveFile | Kind::Lock)
                    || fault.kind == Kind::SyncFile && fault.manner == Manner::Refused(22);
                assert!(fault.manner.is_harmless() || may_pass, "{fault:?} passed unnoticed");
                assert!(without_clock(without_leftovers(left.clone())) == runs.end, "{fault:?}");
            }
            Err(error) => {
                assert!(!fault.manner.is_harmless(), "{fault:?} was an obstacle: {error}");
                assert_sentence(&error, scratch.path(), fault);
            }
        }
        let saved = quiet.saved.last().map_or(before.epochs(), |&(_, epoch)| epoch);
        assert!(epochs_saved(&left) >= saved, "{fault:?}: a saved epoch is lost");
        runs.resume_to_the_end(&left, &fault);
    }
    (faults.len(), runs.resumed.len())
}

#[test]
fn a_new_run_survives_every_fault() {
    let (tried, states) = on_one_thread(|| every_fault(Before::Nothing));
    assert!(tried > 200 && states > 10, "{tried} {states}");
}

#[test]
fn a_prolonged_run_survives_every_fault() {
    let (tried, states) = on_one_thread(|| every_fault(Before::FinishedRun));
    assert!(tried > 150 && states > 5, "{tried} {states}");
}

#[test]
fn a_run_on_a_disk_without_locks_says_so_and_ends_in_the_same_bytes() {
    on_one_thread(|| {
        let runs = Runs::new();
        let scratch = Scratch::new();
        let disk = Rc::new(Trial::without_locks(22));
        for (epochs, resume) in [(1, false), (EPOCHS, true)] {
            let (outcome, quiet) = runs.train(&scratch, &disk, resume, epochs);
            outcome.unwrap();
            let [notice] = &quiet.notices[..] else { panic!("{:?}", quiet.notices) };
            assert!(notice.starts_with("there are no locks in ") && notice.contains(LOCK), "{notice}");
        }
        assert!(without_clock(tree_of(scratch.path())) == runs.end);
        let with_locks = runs.train(&Scratch::new(), &Rc::default(), false, 1).1;
        assert!(with_locks.notices.is_empty(), "{:?}", with_locks.notices);
    });
}

/// States tried, distinct states resumed.
fn every_power_cut(before: Before) -> (usize, usize) {
    let mut runs = Runs::new();
    let scratch = Scratch::new();
    build(&runs.start(before), scratch.path());
    let mut model = Model::of(scratch.path());
    let disk = Rc::default();
    let (outcome, quiet) = runs.train(&scratch, &disk, before.resume(), EPOCHS);
    outcome.unwrap();
    let changes = disk.changes();
    let mut tried = 0;
    for (done, change) in (1..).zip(&changes) {
        model.apply(change);
        let saved = quiet.saved.iter().rev().find(|&&(position, _)| position <= done);
        let saved = saved.map_or(before.epochs(), |&(_, epoch)| epoch);
        for tree in model.after_a_cut(300) {
            assert!(epochs_saved(&tree) >= saved, "epoch {saved} is lost after change {done}, {change:?}");
            if done == changes.len() {
                assert!(without_clock(without_leftovers(tree.clone())) == runs.end, "what was done is lost");
            }
            runs.resume_to_the_end(&tree, &(done, tree.keys()));
            tried += 1;
        }
    }
    (tried, runs.resumed.len())
}

#[test]
fn a_new_run_survives_every_power_cut() {
    let (tried, states) = on_one_thread(|| every_power_cut(Before::Nothing));
    assert!(tried > 200 && states > 10, "{tried} {states}");
}

#[test]
fn a_prolonged_run_survives_every_power_cut() {
    let (tried, states) = on_one_thread(|| every_power_cut(Before::FinishedRun));
    assert!(tried > 200 && states >= 10, "{tried} {states}");
}

/// A process that is killed leaves changes that were not forced to the disk, and its successor builds on them: once that
/// is done, nothing of what both did may hang on changes that a power cut takes back.
#[test]
fn a_run_that_was_killed_and_resumed_survives_a_power_cut_whole() {
    on_one_thread(|| {
        let runs = Runs::new();
        let sound: Rc<Trial> = Rc::default();
        runs.train(&Scratch::new(), &sound, false, EPOCHS).0.unwrap();
        for (at, kind) in (0..).zip(sound.kinds()) {
            let scratch = Scratch::new();
            let mut model = Model::of(scratch.path());
            let disk = Rc::new(Trial::with(Fault { at, kind, manner: Manner::Gone }));
            let _killed = runs.train(&scratch, &disk, false, EPOCHS);
            disk.heal();
            runs.train(&scratch, &disk, true, EPOCHS).0.unwrap();
            disk.changes().iter().for_each(|change| model.apply(change));
            let least = without_clock(without_leftovers(model.least()));
            assert!(least == runs.end, "killed at operation {at}, {kind:?}: {:?} is left", least.keys());
        }
    });
}
