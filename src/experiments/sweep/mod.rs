//! Sweeps: one file, many runs, one table.
//!
//! A SWEEP.toml is a configuration with a `[grid]`: keys with lists of values. Its jobs are the product of the lists,
//! the first key of the file varying slowest. Keys that only make sense together stand in `[[arms]]`, named sets of
//! values, which the grid multiplies:
//!
//! ```toml
//! preset = "rotated-mnist"        # a configuration file, in the words of `diva train`
//! out = "sweeps/semi-supervised"  # the sweep's folder; sweeps/NAME-OF-THE-FILE by default
//! data.path = "mnist"
//! train.epochs = 30
//!
//! [[arms]]
//! name = "supervised"
//! [[arms]]
//! name = "+3"
//! data.unlabelled.subsets = 3
//! train.alpha_y = 14000
//!
//! [grid]
//! data.test_domain = [0, 75]
//! seed = [0, 1, 2]
//! ```
//!
//! A job is known by its id, a hash of everything that decides its result. What a single run may leave to be found in a
//! folder of pictures, its domains and classes, is therefore written out in the file. So a job is found again after the file has
//! grown, after `data.path` has moved and on another machine, and a folder of results never mixes two configurations.
//!
//! A setting may be one that some jobs do not read, such as the weights of a loss where one of the models is a classifier; one
//! that no job reads is refused.
//!
//! There is no other bookkeeping: what a job has done stands in the run's folder `OUT/ID`, and a job belongs to whoever
//! holds the lock of that folder. Any number of processes may therefore [`work`](work::run) on one sweep.

mod file;
pub mod folder;
pub mod published;
pub mod render;
pub mod table;
pub mod work;

use crate::config::{Asked, Config, Request, Source};
use crate::error::{Error, Result};
use crate::store::digest::sha256_hex;
use crate::store::input;
use file::{Arm, SweepFile};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toml::Value;

/// More jobs than anyone has the time for; a mistyped grid would take the memory instead.
const MOST_JOBS: usize = 10_000;

/// How much of a hash an id shows: two of 10,000 jobs share these 48 bits once in 5 million sweeps, and are refused.
const ID_LENGTH: usize = 12;

/// A resolved SWEEP.toml.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The file, for messages.
    pub file: PathBuf,
    /// The folder of its jobs.
    pub folder: PathBuf,
    /// What the jobs differ in, besides seed and test domain: `arm`, if the file has arms, then keys of the grid.
    pub labels: Vec<String>,
    /// In the order in which they are worked on.
    pub jobs: Vec<Job>,
}

/// One run of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its place in the sweep, counted from 1.
    pub number: usize,
    /// The beginning of the SHA-256 of its [`fingerprint`].
    pub id: String,
    /// What it differs in from others, such as `model.kind=dann, seed=1`.
    pub name: String,
    /// One value for each of the sweep's labels.
    pub labels: Vec<String>,
    /// The run.
    pub config: Config,
}

/// Everything that decides the result of a run: what decides its epochs, and how many there are. Two lists of digits of one
/// name in two folders are two lists.
pub fn fingerprint(config: &Config) -> String {
    let deciding = config.deciding().into_iter().map(|(key, value)| format!("{key} = {value}\n"));
    format!("{}train.epochs = {}\n", deciding.collect::<String>(), config.train.epochs)
}

/// The id of a job with this configuration: 12 hexadecimal digits.
pub fn id(config: &Config) -> String {
    let mut id = sha256_hex(fingerprint(config).as_bytes());
    id.truncate(ID_LENGTH);
    id
}

impl Sweep {
    /// Reads a SWEEP.toml and resolves its jobs. Looks at no data and no folder.
    ///
    /// # Errors
    /// A request error that names the file and what is wrong with it: it cannot be read, varies nothing, has a key or a
    /// value that no configuration has, or one that no job reads, or two jobs that are the same.
    pub fn read(path: &Path) -> Result<Self> {
        Sweep::parse(path, &input::text(path, input::SHORT_TEXT)?)
    }

    /// The sweep of the text of a file.
    ///
    /// # Errors
    /// As [`Sweep::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let named = |what: &Error| Error::request(format!("cannot use the sweep {}: {what}", path.display()));
        let file = SweepFile::parse(text).map_err(|error| named(&error))?;
        let jobs = jobs(path, &file).map_err(|error| named(&error))?;
        let default = || Path::new("sweeps").join(path.file_stem().unwrap_or_default());
        Ok(Sweep {
            file: path.to_path_buf(),
            folder: file.out.clone().unwrap_or_else(default),
            labels: labels(&file).map(|(label, _)| label).collect(),
            jobs,
        })
    }

    /// The sweep with the jobs of a shard only, numbered from 1.
    fn part(&self, shard: Shard) -> Sweep {
        let of_shard = self.shard(shard).into_iter().cloned();
        let jobs = of_shard.zip(1..).map(|(job, number)| Job { number, ..job }).collect();
        Sweep { jobs, ..self.clone() }
    }

    /// The jobs of a shard.
    pub fn shard(&self, shard: Shard) -> Vec<&Job> {
        self.jobs.iter().filter(|job| (job.number - 1) % shard.count == shard.index - 1).collect()
    }
}

/// Every `count`th job, beginning with the `index`th (counted from 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// All jobs.
    pub const ALL: Shard = Shard { index: 1, count: 1 };
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-of-{}", self.index, self.count)
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    /// Reads `K/N`, 1 <= K <= N.
    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(index, count)| {
            Some(Shard { index: index.parse().ok()?, count: count.parse().ok()? })
        });
        parsed
            .filter(|shard| (1..=shard.count).contains(&shard.index))
            .ok_or_else(|| "it takes K/N, such as 2/3 for the second of three parts".to_owned())
    }
}

/// The keys that tell rows of a table apart, with the place of each in the grid; none for the arms.
fn labels(file: &SweepFile) -> impl Iterator<Item = (String, Option<usize>)> {
    let of_arms = (!file.arms.is_empty()).then(|| ("arm".to_owned(), None));
    let of_grid = file.grid.iter().enumerate().filter(|(_, axis)| !is_a_repetition(&axis.key));
    of_arms.into_iter().chain(of_grid.map(|(place, axis)| (axis.key.clone(), Some(place))))
}

/// Seeds are averaged over, and test domains are columns.
fn is_a_repetition(key: &str) -> bool {
    key == "seed" || key == "data.test_domain"
}

/// The product of arms and grid.
fn jobs(path: &Path, file: &SweepFile) -> Result<Vec<Job>> {
    let lengths = file.grid.iter().map(|axis| axis.values.len());
    let count = lengths.clone().chain([file.arms.len().max(1)]).try_fold(1, usize::checked_mul);
    let Some(count) = count.filter(|&count| count <= MOST_JOBS) else {
        return Err(Error::request(format!("it has more than {MOST_JOBS} jobs")));
    };
    let mut jobs = Vec::with_capacity(count);
    let mut wishes = Wishes::default();
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for index in 0..count {
        // The digits of the index in the mixed base of the lengths, the last key the fastest.
        let mut rest = index;
        let mut chosen: Vec<usize> =
            lengths.clone().rev().map(|length| take_digit(&mut rest, length)).collect();
        chosen.reverse();
        let (job, asked) = job(path, file, index + 1, rest, &chosen)?;
        wishes.note(file.arms.get(rest), &job, asked);
        if let Some(other) = known.insert(job.id.clone(), job.name.clone()) {
            return Err(Error::request(format!("the jobs {other} and {} are the same", job.name)));
        }
        jobs.push(job);
    }
    wishes.refuse_what_no_job_reads()?;
    Ok(jobs)
}

/// What a file asks for, with the arm that does, if it is one: a wish has an effect if it has one on some job that it is for.
#[derive(Default)]
struct Wishes<'file> {
    read: BTreeSet<(Option<&'file str>, &'static str)>,
    /// With the sentence of the first job that does not read it.
    unread: BTreeMap<(Option<&'file str>, &'static str), String>,
}

impl<'file> Wishes<'file> {
    fn note(&mut self, arm: Option<&'file Arm>, job: &Job, asked: Vec<Asked>) {
        for asked in asked {
            let is_it = |(key, _): &(String, Value)| key == asked.key;
            let arm = arm.filter(|arm| arm.settings.iter().any(is_it)).map(|arm| &*arm.name);
            match asked.without_effect {
                None => drop(self.read.insert((arm, asked.key))),
                Some(why) => {
                    self.unread
                        .entry((arm, asked.key))
                        .or_insert_with(|| format!("{why} (job {})", job.name));
                }
            }
        }
    }

    fn refuse_what_no_job_reads(&self) -> Result<()> {
        match self.unread.iter().find(|(wish, _)| !self.read.contains(wish)) {
            Some((_, why)) => Err(Error::request(why)),
            None => Ok(()),
        }
    }
}

fn take_digit(number: &mut usize, base: usize) -> usize {
    let digit = *number % base;
    *number /= base;
    digit
}

/// The job with the arm of this index (if there are any) and, for each key of the grid, the value of this index.
/// What is asked for in it comes with it.
fn job(
    path: &Path,
    file: &SweepFile,
    number: usize,
    arm: usize,
    chosen: &[usize],
) -> Result<(Job, Vec<Asked>)> {
    let arm = file.arms.get(arm);
    let in_grid: Vec<(&str, &Value)> =
        file.grid.iter().zip(chosen).map(|(axis, &index)| (&*axis.key, &axis.values[index])).collect();
    let of_arm = arm.iter().flat_map(|arm| &arm.settings).map(|(key, value)| (&**key, value));
    let overrides: Vec<String> =
        of_arm.chain(in_grid.iter().copied()).map(|(key, value)| format!("{key}={value}")).collect();

    let mut parts: Vec<String> = arm.iter().map(|arm| format!("arm={}", arm.name)).collect();
    parts.extend(in_grid.iter().map(|(key, value)| format!("{key}={}", bare(value))));
    let name = parts.join(", ");
    let resolve = || {
        let request =
            Request::resolve(Some((&path.display().to_string(), &file.base)), None, &overrides, None)?;
        request.config.validate_for_training()?;
        refuse_what_is_left_to_be_found(&request.config)?;
        Ok(request)
    };
    let Request { config, asked } =
        resolve().map_err(|error: Error| Error::request(format!("{error} (job {name})")))?;
    let label = |(_, place): (String, Option<usize>)| match place {
        None => arm.map_or_else(String::new, |arm| arm.name.clone()),
        Some(place) => bare(in_grid[place].1),
    };
    let labels = labels(file).map(label).collect();
    Ok((Job { number, id: id(&config), name, labels, config }, asked))
}

/// Refuses a job over pictures whose domains or classes are those that its folder or list happens to hold: it would be known by
/// another configuration than its run.
fn refuse_what_is_left_to_be_found(config: &Config) -> Result<()> {
    let data = &config.data;
    let is_found = !matches!(data.source, Source::Embedded | Source::Idx)
        && (data.domains.is_empty() || data.classes.is_empty());
    if is_found {
        return Err(Error::request(format!(
            "data.domains = [{}] and data.classes = {:?} are not usable in a sweep; both are to be written out, since a job is \
             known by what decides its result (`diva data info` says what a folder or list holds)",
            data.domains.iter().map(|name| format!("{:?}", name.to_string())).collect::<Vec<_>>().join(", "),
            data.classes
        )));
    }
    Ok(())
}

/// A value in one line: a text without quotation marks, unless it holds what must not reach a terminal as it is.
fn bare(value: &Value) -> String {
    match value.as_str() {
        Some(text) if text.contains(char::is_control) => format!("{text:?}"),
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests;
