//! `diva sweep`

use super::console::{Claimed, Ear, about, files_at_last, print};
use super::{percent, say, say_lines};
use crate::autograd::Params;
use crate::error::{Error, Result};
use crate::experiments::sweep::folder::JobState;
use crate::experiments::sweep::table::collect;
use crate::experiments::sweep::work::{self, News, Summary, Supervisor};
use crate::experiments::sweep::{Job, Shard, Sweep as Jobs, render};
use crate::names::{at_left, printable_name, terminal_width};
use crate::report::run_pictures;
use crate::store::lock::Lock;
use crate::store::run_folder::RunFolder;
use crate::train::trainer::Trainer;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// How long a worker that has nothing left to do leaves the others in peace.
const PAUSE: Duration = Duration::from_millis(500);

/// Train many models that one file describes, and compare them in one table.
///
/// SWEEP.toml is a configuration file with a table [grid] of keys with lists of values, such as
/// model.kind = ["diva", "dann"] or seed = [0, 1, 2]; there is a job for each combination. Keys that change together
/// stand in [[arms]], each with a name. The key `out` names the folder; without it, sweeps/NAME-OF-THE-FILE.
#[derive(Debug, Subcommand)]
pub(super) enum Sweep {
    /// List the jobs with their ids.
    Plan(Selection),
    /// Train what is unfinished, and continue what was interrupted.
    ///
    /// Several processes may run one sweep at the same time: each job is done once. Ctrl-C saves everything, and the
    /// same command goes on. A job that fails stops no other.
    Run(Run),
    /// Say of each job how far it is.
    ///
    /// A job whose result is damaged, changed or another's is unusable: it is named, and the exit code is 1. Jobs that are not
    /// done leave it at 0.
    Status(Selection),
    /// Write table.md, table.csv and table.json: mean and standard error over the seeds for each test domain.
    ///
    /// A job whose result is damaged, changed or another's is left out of them: it is named, and after they are written the exit
    /// code is 1. Jobs that are not done are left out too and leave it at 0.
    ///
    /// With --shard, of its jobs alone, and the files are table-K-of-N.md and so on.
    Collect(Selection),
}

/// Which jobs.
#[derive(Args, Debug)]
pub(super) struct Selection {
    /// The file of the sweep.
    #[arg(value_name = "SWEEP.toml")]
    file: PathBuf,
    /// Only every Nth job, beginning with the Kth.
    #[arg(long, value_name = "K/N", default_value = "1/1", hide_default_value = true)]
    shard: Shard,
}

/// Which jobs, and how many at once.
#[derive(Args, Debug)]
pub(super) struct Run {
    #[command(flatten)]
    selection: Selection,
    /// Train so many jobs at the same time, with the threads divided among them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,
}

impl Sweep {
    pub(super) fn run(&self) -> Result<()> {
        match self {
            Sweep::Plan(selection) => selection.plan(),
            Sweep::Run(run) => run.run(),
            Sweep::Status(selection) => selection.status(),
            Sweep::Collect(selection) => selection.collect(),
        }
    }
}

impl Selection {
    fn read(&self) -> Result<Jobs> {
        let sweep = Jobs::read(&self.file)?;
        sweep.check_folder()?;
        Ok(sweep)
    }

    fn plan(&self) -> Result<()> {
        let sweep = self.read()?;
        let jobs = sweep.shard(self.shard);
        jobs.iter().try_for_each(|job| say(&format!("{}  {}", job.id, job.name)))?;
        say(&format!("{} of {} jobs, in {}", jobs.len(), sweep.jobs.len(), sweep.folder.display()))
    }

    fn status(&self) -> Result<()> {
        let sweep = self.read()?;
        let jobs = sweep.shard(self.shard);
        let (mut done, mut unusable) = (0, Vec::new());
        let wide = jobs.iter().map(|job| terminal_width(&job.name)).max().unwrap_or(0);
        for job in &jobs {
            let of = job.config.train.epochs;
            let state = match sweep.state(job) {
                Ok(JobState::NotStarted) => format!("not started{}", died(sweep.attempts(job))),
                Ok(JobState::Interrupted { epochs }) => {
                    format!("epoch {epochs} of {of}{}", died(sweep.attempts(job)))
                }
                Ok(JobState::WorkedOn { epochs }) => format!("epoch {epochs} of {of}, being worked on"),
                Ok(JobState::Failed(why)) => format!("failed: {why}"),
                Ok(JobState::Done(result, _)) => {
                    done += 1;
                    format!(
                        "done: {} ({})",
                        percent(result.test_accuracy),
                        printable_name(&result.test_domain)
                    )
                }
                Err(error) => {
                    let words = format!("unusable: {error}");
                    unusable.push((*job, error.to_string()));
                    words
                }
            };
            say(&format!("{}  {}  {state}", job.id, at_left(&job.name, wide)))?;
        }
        say(&format!("{done} of {} jobs are done", jobs.len()))?;
        refuse_unusable(jobs.len(), &unusable)
    }

    fn collect(&self) -> Result<()> {
        let sweep = self.read()?;
        let collection = collect(&sweep, self.shard)?;
        let files = render::write(&sweep, self.shard, &collection)?;
        say_lines(&render::markdown(&collection))?;
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        say("")?;
        say(&format!("written: {}", files.join(", ")))?;
        let jobs = sweep.shard(self.shard);
        let mut unusable = Vec::new();
        for missing in &collection.missing {
            let job = jobs.iter().find(|job| job.id == missing.id);
            unusable.extend(job.copied().zip(missing.unusable.clone()));
        }
        refuse_unusable(jobs.len(), &unusable)
    }
}

impl Run {
    fn run(&self) -> Result<()> {
        work_on(&Jobs::read(&self.selection.file)?, self.selection.shard, self.jobs.into())
    }
}

/// Works on the jobs of a shard, so many at a time, until each is done or has failed.
pub(super) fn work_on(sweep: &Jobs, shard: Shard, workers: usize) -> Result<()> {
    let desk = Desk {
        ear: Ear::new(Claimed::default(), "while no job was trained; all that is done is saved"),
        jobs: sweep.jobs.len(),
    };
    let Summary { found_done, done, failed } = work::run(sweep, shard, workers, &desk)?;
    if !failed.is_empty() {
        let all = found_done + done + failed.len();
        let reasons: Vec<_> = failed.iter().map(|(job, why)| (job, why.to_string())).collect();
        let sentence = of_jobs(all, "failed", &reasons);
        // A wrong request, such as a path without data, fails every job in the same way.
        let is_request = failed.len() == all && failed.iter().all(|(_, why)| why.exit_code() == 2);
        return Err(if is_request { Error::request(sentence) } else { Error::work(sentence) });
    }
    say(&format!("{done} jobs trained, {found_done} were done; everything is in {}", sweep.folder.display()))
}

/// Refuses jobs that have a result which cannot be used, after all that there is to say of the others.
fn refuse_unusable(all: usize, unusable: &[(&Job, String)]) -> Result<()> {
    match unusable {
        [] => Ok(()),
        _ => Err(Error::work(of_jobs(all, "are unusable", unusable))),
    }
}

/// Which jobs, of so many, have come to this, and why the first.
fn of_jobs(all: usize, what: &str, jobs: &[(&Job, String)]) -> String {
    const NAMED: usize = 3;
    let mut names: Vec<String> =
        jobs.iter().take(NAMED).map(|(job, _)| format!("{} ({})", job.id, job.name)).collect();
    if jobs.len() > NAMED {
        names.push(format!("and {} more", jobs.len() - NAMED));
    }
    let (first, why) = &jobs[0];
    let (count, names) = (jobs.len(), names.join(", "));
    format!("{count} of {all} jobs {what}: {names}; job {} because: {why}", first.id)
}

/// The reports of all workers on one console: a plain line each, with the job that it is about.
struct Desk {
    ear: Ear,
    jobs: usize,
}

impl Desk {
    fn say(&self, job: &Job, what: &str) {
        print(&format!("[{}/{} {} {}] {what}", job.number, self.jobs, job.id, job.name));
    }
}

impl Supervisor for Desk {
    fn files(&self) -> Vec<String> {
        files_at_last().collect()
    }

    fn seconds(&self) -> f64 {
        self.ear.seconds()
    }

    fn signal(&self) -> Option<i32> {
        self.ear.signal()
    }

    fn training(&self, begins: bool) {
        self.ear.training(begins);
    }

    fn wait(&self) {
        std::thread::sleep(PAUSE);
    }

    fn report(&self, job: &Job, news: &News<'_>) {
        let what = match news {
            News::Notice(sentence) => (*sentence).to_owned(),
            News::Started { epochs: 0 } => "begins".to_owned(),
            News::Started { epochs } => {
                format!("goes on after epoch {epochs} of {}", job.config.train.epochs)
            }
            News::Epoch { metrics, selected } => {
                let test_domain = job.config.data.test_domain.to_string();
                about(metrics, job.config.train.epochs, &test_domain, *selected)
            }
            News::Done(result) => format!(
                "done, epoch {} selected: {} ({})",
                result.selected.epoch,
                percent(result.test_accuracy),
                printable_name(&result.test_domain)
            ),
            News::LeftToOthers(who) => format!("left to others: {who}"),
            News::Failed(error) => format!("failed: {error}"),
        };
        self.say(job, &what);
    }

    fn trained(
        &self,
        _job: &Job,
        trainer: &Trainer,
        folder: &RunFolder,
        lock: &Lock,
        selected: &Params,
    ) -> Result<()> {
        run_pictures::draw(trainer, folder, lock, selected)
    }
}

/// What there is to say of a job on which nobody works, after so many attempts that did not come to an end.
fn died(attempts: u64) -> String {
    match attempts {
        0 => String::new(),
        1 => "; the process of an attempt died".into(),
        more => format!("; the processes of {more} attempts died"),
    }
}
