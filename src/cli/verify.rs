//! `diva verify`

use super::elsewhere::{self, Elsewhere};
use super::{say, say_json};
use crate::config::Config;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::names::shown;
use crate::store::run_folder::RunFolder;
use crate::train::evaluate::{self, Unseen, WANTED_SENSITIVITY};
use crate::train::metrics::{self, EpochMetrics};
use crate::train::saved_run::SavedRun;
use crate::train::verify::{self, RepeatedEpoch};
use crate::train::{recorded, seals};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Repeat the first epochs of a run and compare them, bit for bit, with what it recorded.
///
/// The run is repeated in memory from its config.toml; its folder is only read. Says "repeats", or which epoch is the
/// first that differs and in what, with exit code 1. Of a finished run, result.json is compared with its lines of metrics and
/// its weights.
#[derive(Args, Debug)]
pub(super) struct Verify {
    /// The run's folder.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// How many epochs to repeat.
    #[arg(long, value_name = "N", default_value_t = 1)]
    epochs: usize,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Verification {
    run: String,
    repeats: bool,
    first_difference: Option<usize>,
    /// What is wrong with its result.json.
    #[serde(skip_serializing_if = "Option::is_none")]
    result_difference: Option<String>,
    epochs: Vec<RepeatedEpoch>,
}

impl Verify {
    pub(super) fn run(&self) -> Result<()> {
        let (folder, run) = (RunFolder::new(&self.run), shown(&self.run));
        let config = self.elsewhere.config("repeat", &folder)?;
        let mut lines = metrics::read_recorded_epochs(&folder)?;
        if !(1..=lines.len()).contains(&self.epochs) {
            let (asked, there, path) = (self.epochs, lines.len(), shown(folder.metrics()));
            return Err(Error::request(format!(
                "cannot repeat {asked} epochs of {run}: {path} has recorded {there}, and at least 1 is repeated"
            )));
        }
        let images = recorded::read_unchanged(&format!("repeat {run}"), &config, &folder)?;
        elsewhere::tell_of(&images);
        let result_difference = result_difference(&folder, &config, &lines, &images.split)?;
        lines.truncate(self.epochs);
        let tell = |done: &RepeatedEpoch| {
            let RepeatedEpoch { epoch, recorded_sha256: recorded, found_sha256: found, other_figure } = done;
            match other_figure {
                _ if self.json => Ok(()),
                _ if recorded != found => {
                    say(&format!("epoch {epoch} differs: {found}, recorded was {recorded}"))
                }
                Some(figure) => say(&format!("epoch {epoch} differs: {figure}")),
                None => say(&format!("epoch {epoch} repeats: {found}")),
            }
        };
        let epochs = verify::verify(config, images.split, &lines, tell)?;
        let first_difference = epochs.iter().find(|epoch| !epoch.repeats()).map(|epoch| epoch.epoch);
        let repeats = first_difference.is_none() && result_difference.is_none();
        let result = folder.result();
        if self.json {
            let result_difference = result_difference.clone();
            say_json(&Verification {
                run: run.clone(),
                repeats,
                first_difference,
                result_difference,
                epochs,
            })?;
        } else if repeats {
            say("repeats")?;
        }
        match (first_difference, result_difference) {
            (Some(epoch), _) => Err(Error::work(format!(
                "{run} does not repeat: epoch {epoch} is the first that differs; it was made by another version of \
                 the program or from other data, or its metrics.jsonl was changed"
            ))),
            (None, Some(what)) => {
                Err(Error::work(format!("{} is not the result of the run: {what}", shown(&result))))
            }
            (None, None) => Ok(()),
        }
    }
}

/// What is wrong with the result of a run, held against all its lines of metrics and, where they are there, its weights.
fn result_difference(
    folder: &RunFolder,
    config: &Config,
    lines: &[EpochMetrics],
    split: &Split,
) -> Result<Option<String>> {
    if !folder.result().exists() {
        return Ok(None);
    }
    let result = metrics::read_result(&folder.result())?;
    if let Err(what) = seals::check_result(&result, lines, config) {
        return Ok(Some(what));
    }
    if !folder.best().exists() {
        return Ok(None);
    }
    let (saved, _) = SavedRun::of("repeat", config.clone(), folder)?;
    if result.best_sha256.as_ref().is_none_or(|sha256| *sha256 != saved.best_sha256) {
        // An earlier version, or a run that is prolonged.
        return Ok(None);
    }
    let predictor = saved.model.class_predictor(&saved.params);
    let Unseen { answer, operating_point, scores, .. } = Unseen::of(&predictor, split, WANTED_SENSITIVITY)?;
    let share = Some(evaluate::commonest_class_share(&split.test));
    let unlike = seals::unlike_sha256(folder)?;
    let predictions = seals::predictions_sha256(folder)?;
    let wrong = [
        (
            result.unlike_sha256.is_some() && result.unlike_sha256 != unlike,
            "unlike.json beside it is another one or gone",
        ),
        (
            result.predictions_sha256.is_some() && result.predictions_sha256 != predictions,
            "predictions.csv beside it is another one or gone",
        ),
        (result.test_scores != scores, "test_scores are not those of best.safetensors"),
        (
            result.answer.is_some_and(|of_result| of_result != answer),
            "answer is not that of best.safetensors",
        ),
        (
            result.answer.is_some() && result.operating_point != operating_point,
            "operating_point is not that of best.safetensors",
        ),
        (result.test_commonest_class_share != share, "test_commonest_class_share is not that of the images"),
    ];
    Ok(wrong.into_iter().find_map(|(is_wrong, what)| is_wrong.then(|| what.to_owned())))
}
