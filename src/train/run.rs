//! A run and its folder: start or continue, save in time, stop cleanly when asked to.
//!
//! There is a checkpoint from the first moment on. It is replaced after every epoch, and within one whenever
//! `train.checkpoint_seconds` have passed since the last: a run that is killed loses no more work than that.
//! What is written at the end of an epoch, and in which order: `best.safetensors` if the epoch is the best so far;
//! its line of `metrics.jsonl`; then the checkpoint, whose atomic replacement is the moment at which the epoch counts.
//! Killed before it, a resumed run repeats what follows the last checkpoint and writes the same bytes again.
//! After the last epoch the watcher adds what else belongs in the folder, and `result.json` says that all is there: the run is
//! done when it is the result of the checkpoint beside it. A finished run that is prolonged keeps it until there is a new one.

use super::evaluate::{self, Unseen, WANTED_SENSITIVITY};
use super::metrics::{self, EpochMetrics, RunResult, SelectedEpoch};
use super::resume::{self, Best};
use super::trainer::{StepLoss, Trainer};
use super::{forecast, last_files, memory, recorded, seals, sources, weights};
use crate::autograd::Params;
use crate::config::{Config, DomainName, Request};
use crate::data::batches::Epoch;
use crate::data::division::{Changes, Division};
use crate::error::{Error, Result};
use crate::store::checkpoint::Checkpoint;
use crate::store::digest::sha256_hex;
use crate::store::lock::Lock;
use crate::store::run_folder::{RunFolder, State as FolderState};
use crate::store::{durable, input, tensors};
use std::path::Path;

/// What the caller of a run lends it: a clock, an ear for signals, and a place for reports.
pub trait Watcher {
    /// Seconds since any fixed moment.
    fn seconds(&mut self) -> f64;
    /// The number of the signal that asks to stop, if one came.
    fn signal(&mut self) -> Option<i32>;
    /// The images are read: from now on the run listens to [`Watcher::signal`], and has something to save.
    fn images_read(&mut self) {}
    /// The names of the files that [`Watcher::trained`] writes. A folder in which something else has one is refused at once.
    fn files(&self) -> Vec<String> {
        Vec::new()
    }
    /// The run begins or goes on.
    fn started(&mut self, trainer: &Trainer, folder: &RunFolder);
    /// Something to be known of the images.
    fn notice(&mut self, sentence: &str);
    /// A step is done: it is the `done`th of `steps` of the epoch.
    fn step(&mut self, trainer: &Trainer, loss: &StepLoss, done: usize, steps: usize);
    /// An epoch is done; `selected` if it is the best so far.
    fn epoch(&mut self, trainer: &Trainer, metrics: &EpochMetrics, selected: bool);
    /// All epochs are done and saved, and `result.json` is about to be written: what else a finished run has in its
    /// folder is written here, of the parameters of the selected epoch. A run that was killed meanwhile comes here again
    /// when it is resumed. Every write begins with a look at `lock`.
    ///
    /// # Errors
    /// Whatever keeps the run from being finished; there is then no `result.json`.
    fn trained(
        &mut self,
        trainer: &Trainer,
        folder: &RunFolder,
        lock: &Lock,
        selected: &Params,
    ) -> Result<()>;
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was finished before, and nothing was done.
    AlreadyDone(RunResult),
    /// It is finished now.
    Done(RunResult, Box<Trainer>),
}

/// How to begin, and what to look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Continue what is in the folder, or start where there is nothing.
    pub resume: bool,
    /// Look for numbers that are not finite in the results of every op.
    pub detect_anomaly: bool,
    /// Refuse a configuration that leaves domains or classes to be found in its folders.
    pub as_written: bool,
}

/// Trains `config` in `folder`.
///
/// # Errors
/// If the configuration, its data or the folder cannot be used; if saving fails or a number is not finite, with the
/// last checkpoint as it was; and [`Error::Interrupted`] after a signal, with everything saved.
pub fn train(
    config: Config,
    folder: &RunFolder,
    options: Options,
    watcher: &mut dyn Watcher,
) -> Result<Outcome> {
    folder.refuse_at_once(options.resume, watcher.files())?;
    let asked = options.as_written.then(|| config.clone());
    let found = sources::find(config)?;
    if let Some(asked) = asked.filter(|asked| asked.data != found.config.data) {
        return Err(left_to_be_found(&asked, &found.config));
    }
    // Without a checkpoint a run begins anew, and so does its division.
    let goes_on = options.resume && folder.checkpoint().exists();
    let attempt = format!("continue {}", folder.path().display());
    let division = if goes_on { recorded::division(&attempt, folder, None)?.0 } else { None };
    // What goes on has had its memory; another configuration is refused as such.
    if !goes_on {
        memory::refuse_before_reading(&found.config)?;
    }
    let (config, images) = found.read(Some(sources::beside(folder.path())), division)?;
    watcher.images_read();
    let config = recorded::from_anywhere(config);
    // Before memory is taken for a model: another configuration may need more than there is. One without a checkpoint is that of a
    // run that was killed before its first, or somebody's own.
    if options.resume {
        refuse_another(folder, &config)?;
    }
    // What cannot be trained leaves no folder behind.
    let trainer = Trainer::new(config, images.split)?;
    let (found, lock) = folder.prepare(options.resume)?;
    let saved = (0.0, place(&trainer));
    let mut run = Run { folder, lock, saved, trainer, division: images.division, best: Best::Kept };
    if options.detect_anomaly {
        run.trainer.detect_anomalies();
    }
    match found {
        FolderState::Fresh => run.begin()?,
        FolderState::Resume => {
            if let Some(result) = run.go_on(&images.changes)? {
                return Ok(Outcome::AlreadyDone(result));
            }
        }
    }
    run.lock.still_held()?;
    watcher.started(&run.trainer, folder);
    images.left_out.iter().chain(&images.notices).for_each(|sentence| watcher.notice(sentence));
    run.lock.notice().into_iter().for_each(|sentence| watcher.notice(sentence));
    // Of one's own pictures nobody knows how long they take. Whatever keeps that from being said is an error of the training itself.
    if run.trainer.config().preset == "own-images"
        && !run.trainer.is_done()
        && let Ok(sentence) = forecast::sentence(&mut run.trainer, || watcher.seconds())
    {
        watcher.notice(&sentence);
    }
    run.saved = (watcher.seconds(), place(&run.trainer));
    while !run.trainer.is_done() {
        run.epoch(watcher)?;
    }
    run.end(watcher)
}

/// A run that has its folder.
struct Run<'a> {
    folder: &'a RunFolder,
    lock: Lock,
    trainer: Trainer,
    /// Of pictures.
    division: Option<Division>,
    /// What becomes of `best.safetensors`.
    best: Best,
    /// When the last checkpoint was saved, and where the training was then.
    saved: (f64, String),
}

impl Run<'_> {
    /// Every write begins with a look at the lock: a folder that another process has now is left as it is.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.lock.while_held(|| durable::write_own(path, bytes))
    }

    fn checkpoint(&self) -> Result<Vec<u8>> {
        self.trainer.checkpoint().map_err(|cause| self.keeping(&cause))
    }

    fn save(&self) -> Result<()> {
        self.write(&self.folder.checkpoint(), &self.checkpoint()?)
    }

    /// The error of a training that cannot go on, with what is left of it.
    fn keeping(&self, cause: &Error) -> Error {
        let (_, place) = &self.saved;
        Error::work(format!("{cause}; {} is the state {place}", self.folder.checkpoint().display()))
    }

    /// The first files of a new run.
    fn begin(&self) -> Result<()> {
        self.write(&self.folder.config(), self.trainer.config().to_toml().as_bytes())?;
        self.keep_division()?;
        self.save()
    }

    /// Writes what is not there of `division.csv` and what knows it.
    fn keep_division(&self) -> Result<()> {
        let Some(division) = &self.division else { return Ok(()) };
        let (path, seal) = (self.folder.division(), self.folder.division_seal());
        if !path.exists() {
            self.write(&path, division.to_csv().as_bytes())?;
        }
        // Of an earlier version's run it is sealed as it is found: its images are those that the checkpoint knows.
        if !seal.exists() {
            self.write(&seal, seals::division_seal(&input::bytes(&path, input::TABLE)?).as_bytes())?;
        }
        Ok(())
    }

    /// Restores the run that is in the folder, after a look at all of it; its result if nothing is left to do.
    fn go_on(&mut self, changes: &Changes) -> Result<Option<RunResult>> {
        let folder = self.folder;
        refuse_another(folder, self.trainer.config())?;
        let (path, identity) = (folder.checkpoint(), self.trainer.config().identity());
        let bytes = tensors::read_file(&path)?;
        let sha256 = sha256_hex(&bytes);
        let checkpoint = match metrics::is_recorded(folder, &sha256) {
            true => Checkpoint::from_proven_bytes(&bytes, &path)?,
            false => Checkpoint::from_bytes(&bytes, &path)?,
        };
        drop(bytes);
        let known = self.trainer.state_mut().restore(&checkpoint, &identity, &path)?;
        drop(checkpoint);
        // All is looked at before anything is changed.
        self.best = resume::look(&self.trainer, folder, &sha256)?;
        if self.best == Best::Kept
            && folder.config().exists()
            && let Some(result) = resume::finished(&self.trainer, folder, &sha256)
        {
            return Ok(Some(result));
        }
        refuse_fewer_epochs(&self.trainer, folder)?;
        let attempt = format!("continue from {}", path.display());
        recorded::refuse_changes(&attempt, changes)?;
        let found = self.trainer.state().images_sha256.as_deref().unwrap_or_default();
        recorded::refuse_others(&attempt, folder, known.as_deref(), self.trainer.config(), found)?;
        if let Best::MadeAgain(bytes) = &self.best {
            self.write(&folder.best(), bytes)?;
        }
        let epochs = self.trainer.state().progress.epochs;
        if epochs > 0 || folder.metrics().exists() {
            self.lock.while_held(|| durable::truncate_lines(&folder.metrics(), epochs))?;
        }
        self.write(&folder.config(), self.trainer.config().to_toml().as_bytes())?;
        self.keep_division()?;
        Ok(None)
    }

    /// What is left of the epoch in progress, and its end: evaluated, written down, saved.
    fn epoch(&mut self, watcher: &mut dyn Watcher) -> Result<()> {
        let began = watcher.seconds();
        let order = self.trainer.order()?;
        let first = self.trainer.state().progress.batches;
        for done in first + 1..=order.len() {
            self.step(&order, done, watcher)?;
        }
        let trained = watcher.seconds();
        let images: usize = (first..order.len()).map(|i| order.step(i).images()).sum();
        let (mut metrics, improved) = self.trainer.end_epoch().map_err(|cause| self.keeping(&cause))?;
        if let (Best::OfNextEpoch, None, Some(selected)) =
            (&self.best, &improved, &self.trainer.state().progress.best)
        {
            let what = resume::not_the_selected(selected, "not the one of the checkpoint");
            return Err(self.keeping(&Error::work(what)));
        }
        self.best = Best::Kept;
        let checkpoint = self.checkpoint()?;
        metrics.state_sha256 = sha256_hex(&checkpoint);
        metrics.train_seconds = trained - began;
        metrics.evaluate_seconds = watcher.seconds() - trained;
        metrics.images_per_second = images as f64 / metrics.train_seconds.max(1e-9);
        metrics.seal();
        if let Some(weights) = &improved {
            self.write(&self.folder.best(), weights)?;
        }
        let line = serde_json::to_string(&metrics).expect("metrics are plain data");
        self.lock.while_held(|| {
            durable::append_line(&self.folder.metrics(), &line)?;
            durable::sync(&self.folder.metrics())
        })?;
        self.write(&self.folder.checkpoint(), &checkpoint)?;
        self.saved = (watcher.seconds(), place(&self.trainer));
        self.lock.still_held()?;
        watcher.epoch(&self.trainer, &metrics, improved.is_some());
        match watcher.signal() {
            Some(signal) => Err(Error::Interrupted { signal }),
            None => Ok(()),
        }
    }

    /// The `done`th step of the epoch. Saves if it is time, or if a signal asks to stop.
    fn step(&mut self, order: &Epoch, done: usize, watcher: &mut dyn Watcher) -> Result<()> {
        let loss = self.trainer.step(order).map_err(|cause| self.keeping(&cause))?;
        watcher.step(&self.trainer, &loss, done, order.len());
        if let Some(signal) = watcher.signal() {
            self.save()?;
            return Err(Error::Interrupted { signal });
        }
        let due = watcher.seconds() - self.saved.0 >= self.trainer.config().train.checkpoint_seconds;
        if due && done < order.len() {
            self.save()?;
            self.saved = (watcher.seconds(), place(&self.trainer));
        }
        Ok(())
    }

    /// What follows the last epoch: what else belongs in the folder, and the result.
    fn end(self, watcher: &mut dyn Watcher) -> Result<Outcome> {
        let Run { folder, lock, trainer, .. } = &self;
        let Some(best) = trainer.state().progress.best.clone() else {
            return Err(Error::work("no epoch was trained, so none can be selected"));
        };
        let (checkpoint, selected) = lock.while_held(|| {
            // Somebody may have laid hands on them while it was trained.
            let checkpoint = sha256_hex(&tensors::read_file(&folder.checkpoint())?);
            if resume::look(trainer, folder, &checkpoint)? != Best::Kept {
                return Err(Error::work(format!(
                    "{} is not what was saved; --resume makes it again",
                    folder.best().display()
                )));
            }
            Ok((checkpoint, weights::read(&trainer.state().params, &folder.best())?))
        })?;
        self.keep_division()?;
        recorded::division(&format!("finish {}", folder.path().display()), folder, None)?;
        let mut result = result(trainer, checkpoint, best, &selected)?;
        let mut notice = |sentence: &str| watcher.notice(sentence);
        result.unlike = last_files::write(trainer, folder, lock, &selected, &mut notice)?;
        lock.while_held(|| watcher.trained(trainer, folder, lock, &selected))?;
        result.unlike_sha256 = seals::unlike_sha256(folder)?;
        if trainer.split().test_origins.is_some() {
            result.predictions_sha256 = seals::predictions_sha256(folder)?;
        }
        result.division_sha256 = seals::division_sha256(folder)?;
        result.seal();
        let text = serde_json::to_string_pretty(&result).expect("a result is plain data") + "\n";
        self.write(&folder.result(), text.as_bytes())?;
        Ok(Outcome::Done(result, Box::new(self.trainer)))
    }
}

/// The refusal of a configuration that is not all that decides its result.
fn left_to_be_found(asked: &Config, found: &Config) -> Error {
    let lists = |config: &Config| {
        let names = |domains: &[DomainName]| domains.iter().map(ToString::to_string).collect::<Vec<_>>();
        let data = &config.data;
        [
            ("data.domains", names(&data.domains)),
            ("data.classes", data.classes.clone()),
            ("data.unlabelled.domains", names(&data.unlabelled.domains)),
        ]
    };
    let differing = lists(asked).into_iter().zip(lists(found)).filter(|(asked, found)| asked != found);
    let to_be_written: Vec<String> =
        differing.map(|(_, (key, found))| format!("{key} = {found:?}")).collect();
    Error::request(format!(
        "the configuration leaves to be found in its folder what is to be written out here: {}",
        to_be_written.join(", ")
    ))
}

/// Where a training is, in words.
fn place(trainer: &Trainer) -> String {
    let progress = &trainer.state().progress;
    match (progress.epochs, progress.batches) {
        (0, 0) => "before the first step".into(),
        (epochs, 0) => format!("after epoch {epochs}"),
        (epochs, steps) => format!("after step {steps} of epoch {}", epochs + 1),
    }
}

/// Reads the configuration of a run's folder, with `overrides` (`KEY=VALUE`) laid over it.
///
/// # Errors
/// If it is missing or not one, or an override is not usable or has no effect.
pub fn read_config(path: &Path, overrides: &[String]) -> Result<Config> {
    let text = input::text(path, input::SHORT_TEXT)?;
    Request::resolve(Some((&path.display().to_string(), &text)), None, overrides, None)?.effective()
}

/// Refuses a configuration that computes something else than the one in a run's folder; `verb` says what cannot be done.
///
/// # Errors
/// If they differ in what matters, or the one in the folder cannot be read.
pub fn refuse_another_configuration(verb: &str, path: &Path, asked: &Config) -> Result<()> {
    let differences = read_config(path, &[])?.differences_that_matter(asked);
    match differences.first() {
        None => Ok(()),
        Some(difference) => {
            let folder = path.parent().unwrap_or(path);
            let more = match differences.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            Err(Error::request(format!("cannot {verb} {}: {difference}{more}", folder.display())))
        }
    }
}

/// Where there is no configuration beside the checkpoint, the checkpoint says whether this is it, and it is made again.
fn refuse_another(folder: &RunFolder, config: &Config) -> Result<()> {
    match folder.config().exists() {
        true => refuse_another_configuration("continue", &folder.config(), config),
        false => Ok(()),
    }
}

/// A run that is in its fifth epoch cannot end as a run of three: config.toml would not repeat it.
fn refuse_fewer_epochs(trainer: &Trainer, folder: &RunFolder) -> Result<()> {
    let (progress, asked) = (&trainer.state().progress, trainer.config().train.epochs);
    let begun = progress.epochs + usize::from(progress.batches > 0);
    if begun > asked {
        return Err(Error::request(format!(
            "cannot continue {}: train.epochs = {asked}, but epoch {begun} has begun; it takes at least {begun}",
            folder.path().display()
        )));
    }
    Ok(())
}

/// The result of a run whose checkpoint has this SHA-256, of the parameters of the selected epoch; its own and those of other
/// files are left open.
fn result(
    trainer: &Trainer,
    checkpoint_sha256: String,
    best: SelectedEpoch,
    selected: &Params,
) -> Result<RunResult> {
    let (config, progress) = (trainer.config(), &trainer.state().progress);
    let disjoint_test = trainer.split().disjoint_test.as_ref();
    let predictor = trainer.model().class_predictor(selected);
    let unseen = Unseen::of(&predictor, trainer.split(), WANTED_SENSITIVITY)?;
    Ok(RunResult {
        preset: config.preset.clone(),
        seed: config.seed,
        test_domain: trainer.split().test_domain.clone(),
        epochs: progress.epochs,
        ended_by: if progress.out_of_patience { "patience" } else { "epochs" }.into(),
        test_accuracy: best.test_accuracy,
        test_commonest_class_share: Some(evaluate::commonest_class_share(&trainer.split().test)),
        disjoint_test_commonest_class_share: disjoint_test.map(evaluate::commonest_class_share),
        test_scores: unseen.scores,
        answer: Some(unseen.answer),
        operating_point: unseen.operating_point,
        unlike: None,
        selected: best,
        parameters: trainer.state().params.trained(),
        checkpoint_sha256,
        configuration_sha256: Some(sha256_hex(config.identity().as_bytes())),
        best_sha256: trainer.state().best_sha256.clone(),
        unlike_sha256: None,
        predictions_sha256: None,
        division_sha256: None,
        result_sha256: None,
    })
}
