//! The folder of a sweep: which sweep it belongs to, and how far each job is.
//!
//! `sweep.toml` in it records the jobs with all that decides their results. A file whose jobs are not among them is
//! another sweep and is refused, with the difference; a file that has more jobs than are recorded has grown, and its
//! old results are kept. How far a job is stands in the folder of its run alone.

use super::{Job, Shard, Sweep, fingerprint};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::lock::{self, Lock};
use crate::store::run_folder::RunFolder;
use crate::store::{durable, input};
use crate::train::metrics::{self, EpochMetrics, RunResult};
use crate::train::state::Note;
use crate::train::{run, seals};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

const RECORD: &str = "sweep.toml";
const FAILURE: &str = "failure.txt";
/// How many attempts have begun since one last came to an end: what is there after a process has died.
const ATTEMPTS: &str = "attempts.txt";

/// Whether `path`, which no link stands in, is where a sweep has a table or would have one.
pub fn is_table_of_a_sweep(path: &Path) -> bool {
    path.file_name().is_some_and(is_table) && path.with_file_name(RECORD).exists()
}

/// Whether a file has a name of those that `render.rs` gives tables.
fn is_table(name: &OsStr) -> bool {
    let parts = name.to_str().and_then(|name| name.rsplit_once('.'));
    let is_shard = |part: &str| part.replace("-of-", "/").parse::<Shard>().is_ok();
    parts.is_some_and(|(stem, ending)| {
        (stem == "table" || stem.strip_prefix("table-").is_some_and(is_shard))
            && ["json", "csv", "md"].contains(&ending)
    })
}

/// How far a job is.
#[derive(Clone, Debug, PartialEq)]
pub enum JobState {
    /// Nothing is there.
    NotStarted,
    /// It was interrupted after so many epochs, and goes on with the next `run`.
    Interrupted {
        /// Whole epochs.
        epochs: usize,
    },
    /// A process holds its folder.
    WorkedOn {
        /// Whole epochs done so far.
        epochs: usize,
    },
    /// The last attempt ended with this sentence; the next `run` tries again.
    Failed(String),
    /// It has its result, which its configuration and the metrics of its epochs confirm.
    Done(Box<RunResult>, Vec<EpochMetrics>),
}

/// What `sweep.toml` holds.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    jobs: Vec<RecordedJob>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedJob {
    id: String,
    name: String,
    /// Its [`fingerprint`].
    decides: String,
}

impl Sweep {
    /// The run of a job.
    pub fn run_folder(&self, job: &Job) -> RunFolder {
        RunFolder::new(self.folder.join(&job.id))
    }

    /// Refuses a folder that belongs to another sweep. One that does not exist yet belongs to nobody.
    ///
    /// # Errors
    /// A request error that names the first difference.
    pub fn check_folder(&self) -> Result<()> {
        self.refuse_another(&self.read_record()?)
    }

    /// Makes the folder where it is missing, and records the jobs in it.
    ///
    /// # Errors
    /// If it belongs to another sweep, is no folder, or cannot be written; [`Error::Busy`] while another process records its
    /// own, [`Error::TakenAway`] if another began to meanwhile, whom the lock did not keep out.
    pub fn claim_folder(&self) -> Result<()> {
        let is_recorded = self.is_recorded()?;
        durable::clear_temporaries(&self.folder, |_| true);
        if is_recorded {
            return Ok(());
        }
        durable::create_folder(&self.folder)?;
        // Of two that come at the same moment one records, and the other finds that.
        let lock = Lock::take(&self.folder)?;
        if self.is_recorded()? {
            return Ok(());
        }
        let recorded = |job: &Job| RecordedJob {
            id: job.id.clone(),
            name: job.name.clone(),
            decides: fingerprint(&job.config),
        };
        let record = Record { jobs: self.jobs.iter().map(recorded).collect() };
        let text = toml::to_string_pretty(&record).expect("a record is plain data");
        let head =
            "# The jobs of this sweep, each in the folder of its id, and all that decides their results.\n\n";
        lock.still_held()?;
        durable::write_own(&self.record_path(), format!("{head}{text}").as_bytes())
    }

    /// Whether all jobs are recorded in the folder, which does not belong to another sweep.
    fn is_recorded(&self) -> Result<bool> {
        let record = self.read_record()?;
        self.refuse_another(&record)?;
        Ok(record.jobs.len() == self.jobs.len())
    }

    /// Whether jobs are recorded in the folder.
    pub(super) fn is_begun(&self) -> bool {
        self.record_path().exists()
    }

    fn record_path(&self) -> PathBuf {
        self.folder.join(RECORD)
    }

    fn read_record(&self) -> Result<Record> {
        let path = self.record_path();
        let Some(text) = input::text_if_there(&path, input::TABLE)? else {
            if RunFolder::new(&self.folder).holds_a_run() {
                return Err(self.refused("it holds a run of its own"));
            }
            // They would be replaced when the results are collected.
            let names =
                fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
            return match names.filter(|name| is_table(name)).min() {
                Some(name) => {
                    let name = name.to_string_lossy();
                    Err(self.refused(&format!("it holds {name} but no sweep that it is of")))
                }
                None => Ok(Record::default()),
            };
        };
        toml::from_str(&text).map_err(|cause| {
            let what = cause.message().split_whitespace().collect::<Vec<_>>().join(" ");
            self.refused(&format!("its {RECORD} is not the record of a sweep ({what})"))
        })
    }

    fn refused(&self, why: &str) -> Error {
        Error::request(format!(
            "cannot use the folder {} for the sweep {}: {why}; name another folder with out = \"...\"",
            self.folder.display(),
            self.file.display()
        ))
    }

    fn refuse_another(&self, record: &Record) -> Result<()> {
        let ids: BTreeSet<&str> = self.jobs.iter().map(|job| job.id.as_str()).collect();
        let gone = || record.jobs.iter().filter(|old| !ids.contains(old.id.as_str()));
        // A job of the same name says which key was changed.
        let names: BTreeMap<&str, &Job> = self.jobs.iter().map(|job| (job.name.as_str(), job)).collect();
        let namesake = |old: &RecordedJob| names.get(old.name.as_str());
        let changed = gone()
            .find_map(|old| Some((old, difference(&old.decides, &fingerprint(&namesake(old)?.config))?)));
        match (changed, gone().next()) {
            (Some((old, (there, here))), _) => Err(self.refused(&format!(
                "it belongs to another sweep, whose job {} has {there}, not {here}",
                old.name
            ))),
            (None, Some(old)) => Err(self.refused(&format!(
                "it belongs to another sweep, which has the job {} that this one has not",
                old.name
            ))),
            (None, None) => Ok(()),
        }
    }

    /// How far a job is.
    ///
    /// # Errors
    /// If its folder holds a result that cannot be read or that its metrics do not confirm, or the result of another configuration.
    pub fn state(&self, job: &Job) -> Result<JobState> {
        let run = self.run_folder(job);
        if let Some(result) = result_of(&run)? {
            let found = run::read_config(&run.config(), &[])?;
            // A run's configuration has its paths from the root, the sweep's as they were written.
            let decides =
                |config: &Config| format!("{}train.epochs = {}\n", config.identity(), config.train.epochs);
            if let Some((asked, found)) = difference(&decides(&job.config), &decides(&found)) {
                return Err(Error::request(format!(
                    "{} holds the result of another configuration: it has {found}, the sweep {asked}",
                    run.path().display()
                )));
            }
            let mut epochs = metrics::read_metrics(&run.metrics())?;
            seals::check_result(&result, &epochs, &job.config)
                .map_err(|what| Error::request(format!("cannot use {}: {what}", run.result().display())))?;
            epochs.truncate(result.epochs);
            return Ok(JobState::Done(Box::new(result), epochs));
        }
        if lock::is_held(run.path()) {
            return Ok(JobState::WorkedOn { epochs: epochs_done(&run) });
        }
        // Whatever keeps that word from being read, there is one.
        match input::text_if_there(&run.path().join(FAILURE), input::SHORT_TEXT) {
            Ok(None) => {}
            Ok(Some(why)) => return Ok(JobState::Failed(why.trim_end().to_owned())),
            Err(unreadable) => return Ok(JobState::Failed(unreadable.to_string())),
        }
        match run.checkpoint().exists() {
            true => Ok(JobState::Interrupted { epochs: epochs_done(&run) }),
            false => Ok(JobState::NotStarted),
        }
    }

    /// Leaves word that a job failed. It is for readers only, so that it does not matter if it cannot be written: the
    /// disk may be what failed.
    pub(super) fn note_failure(&self, job: &Job, error: &Error) {
        let run = self.run_folder(job);
        let _ = durable::create_folder(run.path())
            .and_then(|()| durable::write_own(&run.path().join(FAILURE), format!("{error}\n").as_bytes()));
    }

    /// Takes that word back.
    pub(super) fn forget_failure(&self, job: &Job) {
        let _ = durable::remove(&self.run_folder(job).path().join(FAILURE));
    }

    /// How many attempts at a job have begun and not come to an end: of a job that nobody works on, those whose process died.
    pub fn attempts(&self, job: &Job) -> u64 {
        let path = self.run_folder(job).path().join(ATTEMPTS);
        let text = input::text(&path, input::SHORT_TEXT).unwrap_or_default();
        text.trim_end().parse().unwrap_or(0)
    }

    /// Leaves word that an attempt begins, as [`Sweep::note_failure`] does.
    pub(super) fn note_attempt(&self, job: &Job) {
        let (run, number) = (self.run_folder(job), self.attempts(job).saturating_add(1));
        let _ = durable::create_folder(run.path())
            .and_then(|()| durable::write_own(&run.path().join(ATTEMPTS), format!("{number}\n").as_bytes()));
    }

    /// Takes that word back: the process has outlived the attempt.
    pub(super) fn forget_attempts(&self, job: &Job) {
        let _ = durable::remove(&self.run_folder(job).path().join(ATTEMPTS));
    }
}

/// The result of a run, if it is done: that of its checkpoint. One whose checkpoint is not there, as of a run of which only
/// small files are kept, is taken at its word.
fn result_of(run: &RunFolder) -> Result<Option<RunResult>> {
    if !run.result().exists() {
        return Ok(None);
    }
    let result = metrics::read_result(&run.result())?;
    if !run.checkpoint().exists() {
        return Ok(Some(result));
    }
    let progress = Note::read(&run.checkpoint())?.progress;
    Ok((progress.epochs == result.epochs && progress.batches == 0).then_some(result))
}

/// The first lines in which two fingerprints differ.
fn difference(there: &str, here: &str) -> Option<(String, String)> {
    let line = |text: &str, key: &str| {
        let found = text.lines().find(|line| line.starts_with(key));
        found.map_or_else(|| format!("no {}", key.trim_end_matches(" = ")), str::to_owned)
    };
    // Some keys decide the results of one kind of model only.
    let keys = there.lines().chain(here.lines()).filter_map(|line| line.split_inclusive(" = ").next());
    keys.map(|key| (line(there, key), line(here, key))).find(|(there, here)| there != here)
}

/// The complete lines of metrics: a torn last one is no epoch.
fn epochs_done(run: &RunFolder) -> usize {
    input::read(&run.metrics(), input::TABLE)
        .map_or(0, |bytes| bytes.iter().filter(|&&byte| byte == b'\n').count())
}
