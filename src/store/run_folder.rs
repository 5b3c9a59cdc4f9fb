//! The folder of a run: which files it has, whether a run may start in it, and that only one process does.
//!
//! The order in which a run writes its files decides what a folder means. The configuration comes first, the
//! checkpoint before the first epoch and after every one, the result last; all are replaced atomically. So a
//! checkpoint that is there is complete, a folder that has none holds nothing to continue, and a result of the
//! checkpoint beside it says that the run is done.
//!
//! Before anything in a folder is changed it is looked at, and refused if a file in it could be lost. What is not a
//! run's, a log beside it for example, is nobody's business here: it is left as it is.

use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::store::lock::{LOCK, Lock};
use crate::store::{durable, input};

mod unnamed;

pub use unnamed::{Claim, newest};

const CONFIG: &str = "config.toml";
const METRICS: &str = "metrics.jsonl";
const CHECKPOINT: &str = "checkpoint.safetensors";
const BEST: &str = "best.safetensors";
const UNLIKE: &str = "unlike.json";
const RESULT: &str = "result.json";
/// What the selected parameters say of each image of the test domain; not one of those by which a run is known, since folders
/// of pictures may hold somebody's own.
pub const PREDICTIONS: &str = "predictions.csv";
const DIVISION: &str = "division.csv";
const DIVISION_SEAL: &str = "division.sha256";
const IMPORTED: &str = "imported.json";

/// The files that only a process writes that holds the folder's lock.
const UNDER_THE_LOCK: [&str; 9] =
    [CHECKPOINT, RESULT, BEST, METRICS, UNLIKE, CONFIG, DIVISION, DIVISION_SEAL, IMPORTED];

/// The files by which a folder is known to hold a run, those that say the most first.
const OF_A_RUN: [&str; 7] = [CHECKPOINT, RESULT, BEST, METRICS, UNLIKE, CONFIG, IMPORTED];

/// Whether `path`, which no link stands in, is where a run has a file or would have one; `others` are the names of those that it
/// writes at last.
pub fn is_of_a_run(path: &Path, others: impl IntoIterator<Item = String>) -> bool {
    let mut files = UNDER_THE_LOCK.into_iter().chain([LOCK]).map(String::from).chain(others);
    let beside = |name| path.with_file_name(name).exists();
    files.any(|name| path.file_name() == Some(OsStr::new(&name))) && (beside(CHECKPOINT) || beside(CONFIG))
}

/// The folder of a run and the paths of its files. Making the value touches no disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

/// What a run finds in its folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No run: it begins with the first step.
    Fresh,
    /// A checkpoint, which the run goes on from.
    Resume,
}

impl RunFolder {
    /// The folder at `path`, whether it exists or not.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The resolved configuration, written first.
    pub fn config(&self) -> PathBuf {
        self.path.join(CONFIG)
    }

    /// Which picture plays which part, of runs on pictures; written before the first checkpoint and never changed.
    pub fn division(&self) -> PathBuf {
        self.path.join(DIVISION)
    }

    /// The SHA-256 of [`RunFolder::division`], a line that `sha256sum --check` reads; runs of earlier versions have none.
    pub fn division_seal(&self) -> PathBuf {
        self.path.join(DIVISION_SEAL)
    }

    /// One line for each epoch.
    pub fn metrics(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// Everything that a resumed run needs.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join(CHECKPOINT)
    }

    /// The selected parameters under their published names.
    pub fn best(&self) -> PathBuf {
        self.path.join(BEST)
    }

    /// What the selected parameters find unlike the training images.
    pub fn unlike(&self) -> PathBuf {
        self.path.join(UNLIKE)
    }

    /// What the selected parameters say of each image of the test domain, of runs on pictures.
    pub fn predictions(&self) -> PathBuf {
        self.path.join(PREDICTIONS)
    }

    /// The checksums of weights that come from elsewhere and of their configuration.
    pub fn imported(&self) -> PathBuf {
        self.path.join(IMPORTED)
    }

    /// The selected epoch and its metrics; written last. The run is done if it is the result of the checkpoint beside it.
    pub fn result(&self) -> PathBuf {
        self.path.join(RESULT)
    }

    /// Whether any file of a run is there, or a link in its place.
    pub fn holds_a_run(&self) -> bool {
        OF_A_RUN.iter().any(|name| fs::symlink_metadata(self.path.join(name)).is_ok())
    }

    /// Refuses a folder in which a file of a run is a link to nothing: whoever reads the run would take it for one that never was.
    ///
    /// # Errors
    /// A request error that names the link.
    pub fn refuse_links_to_nothing(&self) -> Result<()> {
        UNDER_THE_LOCK.iter().map(|name| self.path.join(name)).try_for_each(|path| {
            input::refuse_link_to_nothing(&path).map_err(|cause| Error::reading(&path, &cause))
        })
    }

    /// Refuses what [`RunFolder::prepare`] would, and a folder in which a file could not be put at last: neither one of a run nor
    /// one of `others`, because something else has its name. Of `others` a run that begins replaces none. Changes nothing, so that
    /// it can be asked before images are read.
    ///
    /// # Errors
    /// As [`RunFolder::prepare`]; a request error that names the file and what is there.
    pub fn refuse_at_once(&self, resume: bool, others: impl IntoIterator<Item = String>) -> Result<()> {
        let others: Vec<String> = others.into_iter().collect();
        let mut files = UNDER_THE_LOCK.into_iter().chain(others.iter().map(String::as_str));
        files.try_for_each(|name| durable::refuse_no_file(&self.path.join(name)))?;
        let state = self.decide(&self.look()?, resume)?;
        let is_there = |name: &&String| fs::symlink_metadata(self.path.join(name)).is_ok();
        match others.iter().find(is_there).filter(|_| state == State::Fresh) {
            Some(name) => Err(self.holds_a_strangers(name)),
            None => Ok(()),
        }
    }

    /// The refusal of a folder for a file that a run would replace.
    fn holds_a_strangers(&self, name: &str) -> Error {
        self.refused(&format!(
            "it holds {name} but no run that it is of, and a run would replace it; move it away, or name another folder with --out"
        ))
    }

    fn refused(&self, why: &str) -> Error {
        Error::request(format!("cannot train in {}: {why}", self.path.display()))
    }

    /// Makes the folder ready to be trained in and keeps other processes out of it as long as the lock lives.
    ///
    /// Without `resume` a folder that holds a run is refused. With `resume` a checkpoint is gone on from
    /// (whether it is undamaged shows when it is loaded); where there is none, what a killed run left behind
    /// is removed and the state is [`State::Fresh`]. As a run writes its checkpoint before the first epoch, no run that was killed
    /// leaves weights, lines of metrics or a result without one: they are refused rather than lost.
    ///
    /// # Errors
    /// [`Error::Request`] if the folder is refused, is not a folder, or cannot be created or written; [`Error::Busy`] if
    /// another process trains in it; [`Error::Work`] if what was left behind cannot be removed.
    pub fn prepare(&self, resume: bool) -> Result<(State, Lock)> {
        // Refuse before touching anything, and decide once nobody else can.
        self.decide(&self.look()?, resume)?;
        durable::create_folder(&self.path)?;
        let lock = Lock::take(&self.path)?;
        let found = self.look()?;
        let state = self.decide(&found, resume)?;
        // Its files may be another's since.
        lock.still_held()?;
        for temporary in &found.temporaries {
            durable::remove(temporary)?;
        }
        // Pictures and reports are drawn in it without the lock.
        durable::clear_temporaries(&self.path, |_| true);
        if state == State::Fresh {
            // That of a run that was killed before its first checkpoint. The configuration is replaced, not removed: until then
            // it is the only trace of what was wanted.
            durable::remove(&self.division())?;
            durable::remove(&self.division_seal())?;
        } else {
            // A process that was killed may have renamed a file and not have forced the folder to the disk. What it
            // left is gone on from now, or said to be finished: it must not vanish any more.
            durable::sync_entries(&self.path)?;
        }
        Ok((state, lock))
    }

    fn decide(&self, found: &Contents, resume: bool) -> Result<State> {
        let refused = |why: &str| Err(self.refused(why));
        if resume && found.of_a_run.contains(&CHECKPOINT) {
            return Ok(State::Resume);
        }
        if resume && let Some(name) = found.of_a_run.iter().find(|name| **name != CONFIG) {
            return refused(&format!(
                "it holds {name} but no {CHECKPOINT} to go on from; put that back, or name another folder with --out"
            ));
        }
        if let ([], Some(name)) = (&found.of_a_run[..], found.of_a_division) {
            return Err(self.holds_a_strangers(name));
        }
        match found.of_a_run.first() {
            Some(name) if !resume => refused(&format!(
                "it holds a run ({name}); continue it with --resume or name another folder with --out"
            )),
            _ => Ok(State::Fresh),
        }
    }

    fn look(&self) -> Result<Contents> {
        let unusable = |cause: &dyn std::fmt::Display| self.refused(&cause.to_string());
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Contents::default()),
            Err(_) if self.path.is_file() => return Err(unusable(&"it is a file, expected a folder")),
            Err(cause) => return Err(unusable(&cause)),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry.map_err(|cause| unusable(&cause))?.file_name());
        }
        names.sort();
        Ok(Contents::of(&self.path, &names))
    }
}

/// What a folder holds, as far as a run that wants to start in it cares.
#[derive(Default)]
struct Contents {
    /// In the order of [`OF_A_RUN`].
    of_a_run: Vec<&'static str>,
    of_a_division: Option<&'static str>,
    /// Those of files that only whoever holds the lock writes: once it is held, their processes are dead.
    temporaries: Vec<PathBuf>,
}

impl Contents {
    fn of(folder: &Path, names: &[impl AsRef<OsStr>]) -> Self {
        let is_there = |wanted: &&str| names.iter().any(|name| name.as_ref() == *wanted);
        let is_dead =
            |name: &OsStr| durable::temporary_of(name).is_some_and(|of| UNDER_THE_LOCK.contains(&of));
        let temporaries = names.iter().filter(|name| is_dead(name.as_ref()));
        Self {
            of_a_run: OF_A_RUN.into_iter().filter(is_there).collect(),
            of_a_division: [DIVISION, DIVISION_SEAL].into_iter().find(is_there),
            temporaries: temporaries
                .map(|name| folder.join(name.as_ref()))
                .filter(|path| !path.is_dir())
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::lock::LOCK;
    use crate::store::scratch::{Scratch, names_in};

    /// A folder `run` with files of these names, each holding its own name; that of a lock is empty.
    fn folder_with(scratch: &Scratch, names: &[&str]) -> RunFolder {
        let path = scratch.join("run");
        fs::create_dir(&path).unwrap();
        for name in names {
            fs::write(path.join(name), if *name == LOCK { "" } else { *name }).unwrap();
        }
        RunFolder::new(path)
    }

    #[test]
    fn the_files_have_their_published_names() {
        let folder = RunFolder::new("runs/quick-seed0");
        assert_eq!(folder.path(), Path::new("runs/quick-seed0"));
        assert_eq!(folder.config(), Path::new("runs/quick-seed0/config.toml"));
        assert_eq!(folder.metrics(), Path::new("runs/quick-seed0/metrics.jsonl"));
        assert_eq!(folder.checkpoint(), Path::new("runs/quick-seed0/checkpoint.safetensors"));
        assert_eq!(folder.best(), Path::new("runs/quick-seed0/best.safetensors"));
        assert_eq!(folder.result(), Path::new("runs/quick-seed0/result.json"));
    }

    #[test]
    fn a_new_folder_is_made_and_left_as_it_was() {
        for resume in [false, true] {
            let scratch = Scratch::new();
            let folder = RunFolder::new(scratch.join("runs").join("quick-seed0"));
            let (state, lock) = folder.prepare(resume).unwrap();
            assert_eq!(state, State::Fresh);
            assert_eq!(names_in(folder.path()), [LOCK]);
            drop(lock);
            assert!(names_in(folder.path()).is_empty());
        }
    }

    /// Contents; the outcome without and with --resume (a state or a part of the sentence); what is left
    /// after it succeeds with --resume.
    type Row = (&'static [&'static str], Outcome, Outcome, &'static [&'static str]);
    type Outcome = std::result::Result<State, &'static str>;

    const HOLDS: Outcome = Err("continue it with --resume or name another folder with --out");
    const FRESH: Outcome = Ok(State::Fresh);
    const RESUME: Outcome = Ok(State::Resume);
    const ENDED: Outcome = Err("it holds result.json but no checkpoint.safetensors");
    const LOST: Outcome = Err(" but no checkpoint.safetensors to go on from; put that back");

    const KEPT: Outcome = Err("it holds division.csv but no run that it is of");
    const SEAL_KEPT: Outcome = Err("it holds division.sha256 but no run that it is of");

    const ROWS: [Row; 22] = [
        (&[], FRESH, FRESH, &[]),
        (&["run.lock"], FRESH, FRESH, &[]),
        (&[".DS_Store"], FRESH, FRESH, &[".DS_Store"]),
        (&["checkpoint.safetensors.12-0.part", "run.lock"], FRESH, FRESH, &[]),
        (&["latents.png.12-0.part"], FRESH, FRESH, &[]),
        (&["latents.png", "report.html"], FRESH, FRESH, &["latents.png", "report.html"]),
        (&["config.toml"], HOLDS, FRESH, &["config.toml"]),
        (&["config.toml", "division.csv", "division.sha256"], HOLDS, FRESH, &["config.toml"]),
        (&["division.csv", "run.lock"], KEPT, KEPT, &[]),
        (&["division.sha256"], SEAL_KEPT, SEAL_KEPT, &[]),
        (&["config.toml", "metrics.jsonl"], HOLDS, LOST, &[]),
        (&["best.safetensors", "config.toml", "notes.txt"], HOLDS, LOST, &[]),
        (&["config.toml", "unlike.json"], HOLDS, LOST, &[]),
        (&["best.safetensors", "config.toml", "imported.json"], HOLDS, LOST, &[]),
        (&["imported.json"], HOLDS, LOST, &[]),
        (&["checkpoint.safetensors"], HOLDS, RESUME, &["checkpoint.safetensors"]),
        (
            &[
                "checkpoint.safetensors",
                "checkpoint.safetensors.12-0.part",
                "config.toml",
                "metrics.jsonl",
                "notes.txt",
            ],
            HOLDS,
            RESUME,
            &["checkpoint.safetensors", "config.toml", "metrics.jsonl", "notes.txt"],
        ),
        (
            &["best.safetensors", "checkpoint.safetensors"],
            HOLDS,
            RESUME,
            &["best.safetensors", "checkpoint.safetensors"],
        ),
        (
            &["checkpoint.safetensors", "result.json"],
            HOLDS,
            RESUME,
            &["checkpoint.safetensors", "result.json"],
        ),
        (&["best.safetensors", "config.toml", "result.json"], HOLDS, ENDED, &[]),
        (&["log.txt", "notes.part"], FRESH, FRESH, &["log.txt", "notes.part"]),
        (&["checkpoint.safetensors.12-0.part", "log.txt"], FRESH, FRESH, &["log.txt"]),
    ];

    #[test]
    fn what_is_in_the_folder_decides() {
        for (names, without, with, left) in ROWS {
            for (resume, expected) in [(false, without), (true, with)] {
                let scratch = Scratch::new();
                let folder = folder_with(&scratch, names);
                match (folder.prepare(resume), expected) {
                    (Ok((state, lock)), Ok(expected)) => {
                        assert_eq!(state, expected, "{names:?} {resume}");
                        drop(lock);
                        assert_eq!(names_in(folder.path()), left, "{names:?} {resume}");
                        for name in left {
                            assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), *name);
                        }
                    }
                    (Err(Error::Request(message)), Err(part)) => {
                        let start = format!("cannot train in {}: ", folder.path().display());
                        assert!(
                            message.starts_with(&start) && message.contains(part),
                            "{names:?}: {message}"
                        );
                        // A refusal changes nothing.
                        assert_eq!(names_in(folder.path()), names, "{names:?} {resume}");
                    }
                    (found, expected) => panic!("{names:?} {resume}: {found:?}, expected {expected:?}"),
                }
            }
        }
    }

    /// The fault: `generate` into the folder of a run failed while that was resumed.
    #[test]
    fn what_others_write_in_the_folder_is_left_to_them_as_long_as_they_live() {
        let scratch = Scratch::new();
        let names = [
            "best.safetensors.0123456789abcdef.part",
            "checkpoint.safetensors",
            "latents.png.0123456789abcdef.part",
            "loss.png.12-0.part",
        ];
        let folder = folder_with(&scratch, &names);
        let path = folder.path().join(names[2]);
        let living = fs::File::options().write(true).open(&path).unwrap();
        living.lock().unwrap();
        drop(folder.prepare(true).unwrap());
        assert_eq!(names_in(folder.path()), [names[1], names[2]]);
        drop(living);
        drop(folder.prepare(true).unwrap());
        assert_eq!(names_in(folder.path()), [names[1]]);
    }

    /// What only a run writes is dead if the run's lock is free.
    #[cfg(unix)]
    #[test]
    fn a_folder_without_locks_is_tidied_of_what_its_run_left() {
        use crate::store::disk::{Trial, with};
        let scratch = Scratch::new();
        let names = ["checkpoint.safetensors.0123456789abcdef.part", "loss.png.0123456789abcdef.part"];
        let folder = folder_with(&scratch, &names);
        let disk = std::rc::Rc::new(Trial::without_locks(22));
        with(disk, || drop(folder.prepare(true).unwrap()));
        assert_eq!(names_in(folder.path()), [names[1]]);
    }

    #[test]
    fn a_folder_in_the_folder_stays() {
        let scratch = Scratch::new();
        let folder = folder_with(&scratch, &[]);
        for name in ["checkpoint.safetensors.1-0.part", "data"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        assert_eq!(folder.prepare(true).unwrap().0, State::Fresh);
        assert_eq!(names_in(folder.path()), ["checkpoint.safetensors.1-0.part", "data"]);
    }

    #[test]
    fn a_second_process_is_refused_with_the_id_of_the_first() {
        let scratch = Scratch::new();
        let folder = RunFolder::new(scratch.join("run"));
        let (_, lock) = folder.prepare(false).unwrap();
        for resume in [false, true] {
            let message = folder.prepare(resume).unwrap_err().to_string();
            assert!(
                message.contains(&format!("process {} is writing there", std::process::id())),
                "{message}"
            );
        }
        assert_eq!(names_in(folder.path()), [LOCK]);
        // The temporary of the process that trains is not taken from under it.
        fs::write(folder.checkpoint(), b"").unwrap();
        fs::write(folder.path().join("checkpoint.safetensors.1-1.part"), b"").unwrap();
        assert!(folder.prepare(true).is_err());
        assert_eq!(names_in(folder.path()).len(), 3);
        drop(lock);
        assert_eq!(folder.prepare(true).unwrap().0, State::Resume);
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let scratch = Scratch::new();
        let file = scratch.join("file");
        fs::write(&file, b"x").unwrap();
        assert_eq!(
            RunFolder::new(&file).prepare(true).unwrap_err(),
            Error::Request(format!("cannot train in {}: it is a file, expected a folder", file.display()))
        );
        let below = RunFolder::new(file.join("run")).prepare(false).unwrap_err();
        assert!(matches!(&below, Error::Request(message) if message.contains("run: ")), "{below}");
        assert_eq!(fs::read(&file).unwrap(), b"x");
    }

    /// The file system of processes cannot be written by anybody.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let new = RunFolder::new("/proc/diva-run").prepare(false).unwrap_err();
        assert!(
            matches!(&new, Error::Request(message) if message.starts_with("cannot create the folder /proc/diva")),
            "{new:?}"
        );
    }
}
