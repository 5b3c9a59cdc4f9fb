//! `diva train`

use super::baseline;
use super::console::{Console, files_at_last, give_up, seconds_since_1970};
use super::evaluate::say_answer;
use super::{Asked, ConfigArguments, DataArguments, RUNS, each, percent, say, say_lines};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::names::{printable_name, printable_toml};
use crate::report::run_pictures;
use crate::report::tensorboard::EventFile;
use crate::store::lock::Lock;
use crate::store::run_folder::{self, Claim, RunFolder};
use crate::train::metrics::RunResult;
use crate::train::own_images::Place;
use crate::train::run::{self, Options, Outcome};
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Train a model; without arguments, the preset quick.
///
/// The run's folder holds the configuration, a line of metrics per epoch, the checkpoint, the selected weights
/// (loadable by PyTorch), pictures, unlike.json (by which ELBOs `diva predict` marks an image), predictions.csv (what is said of
/// each picture of the unseen domain), and at last result.json. Ctrl-C finishes the step and saves; the same command with
/// --resume goes on, and ends in the same bytes.
///
/// Of a folder or a list of pictures, --test-domain each holds every domain out in turn: a run for each in
/// runs/NAME-each-seedN, and one table at the end. Interrupted, the same command goes on.
#[derive(Args, Debug)]
pub(super) struct Train {
    #[command(flatten)]
    config: DataArguments,
    /// The run's folder; runs/PRESET-seedN by default, then -2, -3, ...
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue the run in the folder (without --out the one that was saved last), or start it where there is none.
    #[arg(long)]
    resume: bool,
    /// Check the results of every op of every step for numbers that are not finite, and end with the first one's name.
    #[arg(long)]
    detect_anomaly: bool,
    /// Keep an event file for TensorBoard in the run's folder: all metrics after each epoch, and at last the pictures.
    #[arg(long)]
    tensorboard: bool,
    /// Train the plain classifier too, on the same images, divided alike, for as many epochs, in the run's folder with -classifier
    /// behind its name, and say at the end what both come to.
    #[arg(long)]
    baseline: bool,
    /// Print the complete configuration and do nothing else.
    #[arg(long)]
    print_config: bool,
}

impl Train {
    pub(super) fn run(&self) -> Result<()> {
        if let Some(place) = self.place_of_each()? {
            return each::run(&self.config, place, self.print_config);
        }
        let (Asked { config, name, assumed }, out) = self.asked()?;
        if self.print_config {
            return say_lines(&printable_toml(&config.to_toml()));
        }
        assumed.iter().try_for_each(|sentence| say(&format!("assumed: {sentence}")))?;
        let (claim, path) = match out {
            Some(path) => (None, path),
            None => {
                let claim = Claim::default_path(Path::new(RUNS), &name, config.seed)?;
                let path = claim.path().to_path_buf();
                (Some(claim), path)
            }
        };
        let folder = RunFolder::new(path);
        let claimed = Arc::new(Mutex::new(claim));
        let plain = self.baseline.then(|| baseline::beside(&config, folder.path())).transpose()?;
        if let Some((_, beside)) = &plain {
            // What keeps it from being trained is known before the hours that the run takes.
            beside.refuse_at_once(self.resume, files_at_last())?;
        }
        let kind = config.model.kind;
        // One for both: a signal that comes between them is heard by the second.
        let mut console = Console::new(self.tensorboard, claimed.clone());
        let outcome = self.train(config, &folder, &mut console);
        give_up(&claimed);
        let result = outcome?;
        let Some((config, folder)) = plain else { return Ok(()) };
        say("the plain classifier on the same images:")?;
        let beside = self.train(config, &folder, &mut console)?;
        match result.answer.zip(beside.answer) {
            Some((answer, plain)) => baseline::compare(kind, &answer, &plain),
            // That of a run of an earlier version, which has been said.
            None => Ok(()),
        }
    }

    /// Trains in this folder, and says what came out.
    fn train(&self, config: Config, folder: &RunFolder, console: &mut Console) -> Result<RunResult> {
        let options =
            Options { resume: self.resume, detect_anomaly: self.detect_anomaly, ..Options::default() };
        let outcome = run::train(config, folder, options, console);
        console.finish();
        let result = match outcome? {
            Outcome::AlreadyDone(result) => {
                let hint = match result.ended_by.as_str() {
                    "patience" => "nothing improved for train.patience epochs",
                    _ => "raise train.epochs to go on",
                };
                let (path, epochs) = (folder.path().display(), result.epochs);
                say(&format!("{path} is finished: {epochs} epochs are done; {hint}"))?;
                if self.tensorboard {
                    let _lock = Lock::take(folder.path())?;
                    let now = seconds_since_1970();
                    EventFile::begin(folder, now)?.pictures(folder, epochs, now)?;
                }
                result
            }
            Outcome::Done(result, _trainer) => result,
        };
        summarise(&result, folder)?;
        Ok(result)
    }
}

impl Train {
    /// What is to be trained, and in which folder, if that is known. A run that goes on has its own configuration: whatever its
    /// pictures look like by now, they are not surveyed again.
    fn asked(&self) -> Result<(Asked, Option<PathBuf>)> {
        let ConfigArguments { config, preset, .. } = &self.config.config;
        let place = self.config.place()?;
        let newest =
            |name: &str, seed| run_folder::newest(Path::new(RUNS), name, seed).filter(|_| self.resume);
        let own = match (&self.out, &place) {
            (Some(out), Some(_)) => Some(out.clone()),
            (Some(out), None) if config.is_none() && preset.is_none() => Some(out.clone()),
            (None, Some(place)) => newest(&place.name()?, self.config.config.seed()?),
            _ => None,
        };
        if let Some(own) = own.filter(|own| self.resume && RunFolder::new(own).config().exists()) {
            let config = self.of_run(RunFolder::new(&own).config(), place.as_ref())?;
            return Ok((Asked { name: config.preset.clone(), config, assumed: Vec::new() }, Some(own)));
        }
        let asked = self.config.resolve()?;
        let out = self.out.clone().or_else(|| newest(&asked.name, asked.config.seed));
        Ok((asked, out))
    }

    /// The configuration of a run, with what else was asked for: what is said of its pictures again must be what it began with. They
    /// may lie elsewhere, and whether they are the same is looked at when they are read.
    fn of_run(&self, path: PathBuf, place: Option<&Place>) -> Result<Config> {
        let mut arguments = self.config.without_wishes();
        arguments.config.config = Some(path);
        arguments.config.overrides.extend(place.map_or(Ok(Vec::new()), Place::settings)?);
        arguments.config.overrides.extend(self.config.wishes().settings());
        Ok(arguments.resolve()?.config)
    }

    /// The pictures of which each domain is to be held out in turn, if that is asked for.
    fn place_of_each(&self) -> Result<Option<Place>> {
        let is_asked = self.config.test_domain.as_deref() == Some(each::EACH);
        let Some(place) = self.config.place()?.filter(|_| is_asked) else { return Ok(None) };
        let of_one_run = [
            ("--out", self.out.is_some()),
            ("--resume", self.resume),
            ("--detect-anomaly", self.detect_anomaly),
            ("--tensorboard", self.tensorboard),
            ("--baseline", self.baseline),
        ];
        match of_one_run.iter().find(|(_, is_given)| *is_given) {
            None => Ok(Some(place)),
            Some((flag, _)) => Err(Error::request(format!(
                "{flag} is of one run, and --test-domain {} makes several, which go on by themselves when it is asked for again",
                each::EACH
            ))),
        }
    }
}

fn summarise(result: &RunResult, folder: &RunFolder) -> Result<()> {
    let selected = &result.selected;
    say(&format!(
        "selected epoch {} of {}: {} of the images in the training domains recognised{}",
        selected.epoch,
        result.epochs,
        percent(selected.train_accuracy),
        selected
            .validation_accuracy
            .map_or(String::new(), |share| format!(", {} of those held back", percent(share)))
    ))?;
    let commonest = result
        .disjoint_test_commonest_class_share
        .map_or(String::new(), |share| format!(", whose commonest class has {}", percent(share)));
    let disjoint = selected.disjoint_test_accuracy.map_or(String::new(), |share| {
        format!("; {} of other digits, seen at no angle{commonest}", percent(share))
    });
    let area = result.test_scores.as_ref().map_or(String::new(), |scores| match scores.roc_auc {
        Some(_) if result.answer.is_some() => String::new(),
        Some(area) => format!("; ROC AUC of {} {area}", scores.positive_class),
        None => "; no ROC curve, since its images are of one class".into(),
    });
    say(&format!(
        "unseen domain {}: {} recognised{disjoint}{area}",
        printable_name(&result.test_domain),
        percent(result.test_accuracy)
    ))?;
    match (&result.answer, result.test_commonest_class_share) {
        (Some(answer), _) => {
            say_answer(answer, result.operating_point.as_ref())?;
            result.unlike.iter().try_for_each(|unlike| say(&unlike.in_words()))?;
        }
        // An earlier version's.
        (None, Some(share)) => {
            say(&format!("naming its commonest class always would give {}", percent(share)))?;
        }
        (None, None) => {}
    }
    let is_there = |name: &String| folder.path().join(name).is_file();
    let pictures: Vec<String> = run_pictures::files().filter(is_there).collect();
    if !pictures.is_empty() {
        say(&format!("pictures: {}", pictures.join(", ")))?;
    }
    say(&format!("everything is in {}", folder.path().display()))
}
