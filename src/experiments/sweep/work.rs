//! Working on a sweep: what is unfinished is trained, what was interrupted goes on, what fails stops nothing else.
//!
//! Workers share a sweep without talking to each other. Each goes through the jobs in order and takes those whose
//! folder nobody holds; the lock is the run's own, so that one job is never trained twice at a time, by a second
//! sweep or by `diva train`, on this machine or on another that shares the disk. Jobs that others hold are come back
//! to at the end, until each has its result: whoever held one may have been stopped.
//!
//! A job can end its whole process: memory runs out. Next time it is tried after all others, so that these are not lost with it.

use super::folder::JobState;
use super::{Job, Shard, Sweep};
use crate::autograd::Params;
use crate::error::{Error, Result};
use crate::parallel;
use crate::store::lock::{self, Lock};
use crate::store::run_folder::RunFolder;
use crate::train::memory;
use crate::train::metrics::{EpochMetrics, RunResult};
use crate::train::run::{self, Options, Outcome, Watcher};
use crate::train::trainer::{StepLoss, Trainer};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// What the caller lends to all workers: a clock, an ear for signals, a place for reports.
pub trait Supervisor: Sync {
    /// Seconds since any fixed moment.
    fn seconds(&self) -> f64;
    /// The number of the signal that asks to stop, if one came.
    fn signal(&self) -> Option<i32>;
    /// One more job has its images and is being trained, or one less. As long as none is, nothing is lost if a signal ends the
    /// process at once.
    fn training(&self, _begins: bool) {}
    /// Lets a moment pass, until the work of others is worth another look.
    fn wait(&self);
    /// Something happened to a job.
    fn report(&self, job: &Job, news: &News<'_>);
    /// The names of the files that [`Supervisor::trained`] writes.
    fn files(&self) -> Vec<String> {
        Vec::new()
    }
    /// A job is trained and saved, and its result is about to be written: see [`Watcher::trained`].
    ///
    /// # Errors
    /// Whatever keeps the job from being finished.
    fn trained(
        &self,
        job: &Job,
        trainer: &Trainer,
        folder: &RunFolder,
        lock: &Lock,
        selected: &Params,
    ) -> Result<()>;
}

/// What can happen to a job.
#[derive(Debug)]
pub enum News<'a> {
    /// It begins, or goes on.
    Started {
        /// Epochs that were done before.
        epochs: usize,
    },
    /// Something to know of its images.
    Notice(&'a str),
    /// An epoch is done; `selected` if it is the best so far.
    Epoch {
        /// The epoch.
        metrics: &'a EpochMetrics,
        /// If it is the best so far.
        selected: bool,
    },
    /// It has its result.
    Done(&'a RunResult),
    /// Another process works on it, said in words which, so that it is left for later.
    LeftToOthers(&'a str),
    /// It came to nothing.
    Failed(&'a Error),
}

/// What a worker has seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Jobs that had their result before, or were given it by others meanwhile.
    pub found_done: usize,
    /// Jobs that were finished here.
    pub done: usize,
    /// Jobs that failed, with the reason, in the order of the sweep.
    pub failed: Vec<(Job, Error)>,
}

/// Works on the jobs of a shard, `workers` of them at a time, until each is done or has failed.
///
/// # Errors
/// If so many jobs at a time do not fit into memory, the folder belongs to another sweep or cannot be written, and
/// [`Error::Interrupted`] after a signal, with every job saved.
pub fn run(sweep: &Sweep, shard: Shard, workers: usize, supervisor: &dyn Supervisor) -> Result<Summary> {
    let mut jobs = sweep.shard(shard);
    let configs: Vec<_> = jobs.iter().map(|job| &job.config).collect();
    memory::refuse_together(&configs, workers)?;
    claim_folder(sweep, supervisor)?;
    jobs.sort_by_cached_key(|job| sweep.attempts(job)); // stable: all others keep their order
    let queue = Mutex::new(Queue { first: jobs.into(), ..Queue::default() });
    let summary = Mutex::new(Summary::default());
    parallel::side_by_side(workers, |_| {
        while supervisor.signal().is_none() {
            let Some((job, again)) = held(&queue).next() else { break };
            let attempt = attempt(sweep, job, supervisor);
            match attempt {
                Attempt::FoundDone => held(&summary).found_done += 1,
                Attempt::Done => held(&summary).done += 1,
                Attempt::Busy => {
                    held(&queue).again.push_back(job);
                    match again {
                        true => supervisor.wait(),
                        false => {
                            let who = lock::held_by(sweep.run_folder(job).path());
                            let who = who.as_deref().unwrap_or("another process");
                            supervisor.report(job, &News::LeftToOthers(who));
                        }
                    }
                }
                Attempt::Failed(error) => {
                    if !matches!(error, Error::TakenAway(_)) {
                        sweep.note_failure(job, &error);
                    }
                    supervisor.report(job, &News::Failed(&error));
                    held(&summary).failed.push((job.clone(), error));
                }
                Attempt::Interrupted => break,
            }
        }
    })?;
    if let Some(signal) = supervisor.signal() {
        return Err(Error::Interrupted { signal });
    }
    let mut summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.failed.sort_by_key(|(job, _)| job.number);
    Ok(summary)
}

/// Records the jobs in the folder, as soon as no other process records its own there. A lock that nobody lifts is not waited
/// for.
fn claim_folder(sweep: &Sweep, supervisor: &dyn Supervisor) -> Result<()> {
    const ATTEMPTS: usize = 20;
    for _ in 1..ATTEMPTS {
        match sweep.claim_folder() {
            Err(Error::Busy(_) | Error::TakenAway(_)) => supervisor.wait(),
            outcome => return outcome,
        }
    }
    sweep.claim_folder()
}

/// The jobs that nobody here has taken.
#[derive(Default)]
struct Queue<'a> {
    /// Not looked at yet.
    first: VecDeque<&'a Job>,
    /// Others were working on them.
    again: VecDeque<&'a Job>,
}

impl<'a> Queue<'a> {
    /// The next job, and whether it has been looked at before.
    fn next(&mut self) -> Option<(&'a Job, bool)> {
        let first = self.first.pop_front().map(|job| (job, false));
        first.or_else(|| self.again.pop_front().map(|job| (job, true)))
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Attempt {
    FoundDone,
    Done,
    Busy,
    Failed(Error),
    Interrupted,
}

fn attempt(sweep: &Sweep, job: &Job, supervisor: &dyn Supervisor) -> Attempt {
    match sweep.state(job) {
        Ok(JobState::Done(..)) => return Attempt::FoundDone,
        // Nobody else is disturbed by reading the data in vain.
        Ok(JobState::WorkedOn { .. }) => return Attempt::Busy,
        Ok(_) => {}
        Err(error) => return Attempt::Failed(error),
    }
    let mut watcher = JobWatcher { sweep, job, supervisor, trains: false };
    let options = Options { resume: true, detect_anomaly: false, as_written: true };
    sweep.note_attempt(job);
    // A mistake of the program in one job is no reason to lose the others; the panic has been reported.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        run::train(job.config.clone(), &sweep.run_folder(job), options, &mut watcher)
    }));
    if watcher.trains {
        supervisor.training(false);
    }
    // Whoever is at work takes back the word of both.
    if !matches!(outcome, Ok(Err(Error::Busy(_) | Error::TakenAway(_)))) {
        sweep.forget_attempts(job);
    }
    match outcome {
        Ok(Ok(Outcome::Done(result, _))) => {
            supervisor.report(job, &News::Done(&result));
            Attempt::Done
        }
        Ok(Ok(Outcome::AlreadyDone(_))) => Attempt::FoundDone,
        Ok(Err(Error::Busy(_))) => Attempt::Busy,
        Ok(Err(Error::Interrupted { .. })) => Attempt::Interrupted,
        Ok(Err(error)) => Attempt::Failed(error),
        Err(_) => Attempt::Failed(Error::work("training ended in a bug of the program")),
    }
}

/// The watcher of one job's run.
struct JobWatcher<'a> {
    sweep: &'a Sweep,
    job: &'a Job,
    supervisor: &'a dyn Supervisor,
    /// Whether its images are read.
    trains: bool,
}

impl Watcher for JobWatcher<'_> {
    fn seconds(&mut self) -> f64 {
        self.supervisor.seconds()
    }

    fn signal(&mut self) -> Option<i32> {
        self.supervisor.signal()
    }

    fn images_read(&mut self) {
        self.trains = true;
        self.supervisor.training(true);
    }

    fn files(&self) -> Vec<String> {
        self.supervisor.files()
    }

    fn started(&mut self, trainer: &Trainer, _folder: &RunFolder) {
        self.sweep.forget_failure(self.job);
        self.supervisor.report(self.job, &News::Started { epochs: trainer.state().progress.epochs });
    }

    fn notice(&mut self, sentence: &str) {
        self.supervisor.report(self.job, &News::Notice(sentence));
    }

    fn step(&mut self, _trainer: &Trainer, _loss: &StepLoss, _done: usize, _steps: usize) {}

    fn epoch(&mut self, _trainer: &Trainer, metrics: &EpochMetrics, selected: bool) {
        self.supervisor.report(self.job, &News::Epoch { metrics, selected });
    }

    fn trained(
        &mut self,
        trainer: &Trainer,
        folder: &RunFolder,
        lock: &Lock,
        selected: &Params,
    ) -> Result<()> {
        self.supervisor.trained(self.job, trainer, folder, lock, selected)
    }
}

#[cfg(test)]
mod tests;
