//! `diva evaluate`

use super::elsewhere::{Elsewhere, images};
use super::{percent, say, say_json, say_lines};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::names::{at_right, printable_name, shown, terminal_width};
use crate::scores::{Answer, ChosenThreshold, Scores};
use crate::train::evaluate::{Evaluation, WANTED_SENSITIVITY};
use crate::train::saved_run::refuse_other_classes;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// How well a run's selected model recognises the classes, domain by domain.
///
/// Beside the accuracy stands the share of the commonest class among the same images: what naming it always would give.
///
/// Of two classes the second is the positive one, which precision, recall, F1 and the area under the ROC curve are about; the
/// area stands with its 95 % interval, of images that are drawn independently.
///
/// Below stands the answer for the unseen domain: accuracy and area with their intervals, of images and, where they are known, of
/// groups such as patients; the commonest class and the balanced accuracy; by how much probabilities differ from frequencies, also
/// after temperature scaling, which is fitted on the held-back images of the training domains where it can be. Of two classes also a threshold for a wanted sensitivity, chosen on the images of the training domains that are held back, and the
/// sensitivity and the specificity that it gives on the unseen domain.
#[derive(Args, Debug)]
pub(super) struct Evaluate {
    /// The run's folder.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Of two classes: choose the threshold for this sensitivity, above 0 and at most 1; 0.9 if nothing is said.
    #[arg(long, value_name = "SHARE", value_parser = sensitivity)]
    sensitivity: Option<f64>,
    #[command(flatten)]
    elsewhere: Elsewhere,
}

#[derive(Serialize)]
struct Output {
    run: String,
    #[serde(flatten)]
    evaluation: Evaluation,
}

impl Evaluate {
    pub(super) fn run(&self) -> Result<()> {
        let saved = self.elsewhere.load(&self.run)?;
        let images = images(&saved, "evaluate", &self.run)?;
        let split = images.split;
        let predictor = saved.model.class_predictor(&saved.params);
        refuse_other_classes("evaluate", &self.run, predictor.labels(), split.classes)?;
        let sensitivity = self.sensitivity.unwrap_or(WANTED_SENSITIVITY);
        let evaluation = Evaluation::of(&predictor, &split, sensitivity)?;
        if self.sensitivity.is_some() && evaluation.operating_point.is_none() {
            return Err(no_threshold(&shown(&self.run), &split));
        }
        if self.json {
            return say_json(&Output { run: shown(&self.run), evaluation });
        }
        let more = match &evaluation.positive_class {
            Some(name) => {
                say(&format!("positive class: {}", printable_name(name)))?;
                "  balanced  precision    recall        F1   ROC AUC, with its 95 % interval"
            }
            None => "",
        };
        let wide = evaluation
            .domains
            .iter()
            .map(|row| terminal_width(&printable_name(&row.domain)))
            .fold(10, usize::max);
        let domain = at_right("domain", wide);
        say(&format!(
            "{domain}  {:<14}{:>8}  {:>8}  {:>15}{more}",
            "role", "images", "accuracy", "commonest class"
        ))?;
        for row in &evaluation.domains {
            let (share, commonest) = (percent(row.accuracy), percent(row.commonest_class_share));
            let more = row.scores.as_ref().map_or(String::new(), columns);
            let domain = at_right(&printable_name(&row.domain), wide);
            say(&format!("{domain}  {:<14}{:>8}  {share:>8}  {commonest:>15}{more}", row.role, row.images))?;
        }
        say("")?;
        say(&format!("unseen domain {}:", printable_name(&split.test_domain)))?;
        say_answer(&evaluation.answer, evaluation.operating_point.as_ref())?;
        match &evaluation.tempered {
            Some(tempered) => say(&tempered.in_words()),
            None => Ok(()),
        }
    }
}

/// Says the answer for the unseen domain, and what a chosen threshold gives there.
pub(super) fn say_answer(answer: &Answer, point: Option<&ChosenThreshold>) -> Result<()> {
    say_lines(&answer.to_string())?;
    match point {
        Some(point) => say(&point.in_words(&printable_name(&point.positive_class))),
        None => Ok(()),
    }
}

fn sensitivity(text: &str) -> std::result::Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "expected a number above 0 and at most 1".into())
}

/// Why no threshold can be chosen for a sensitivity that was asked for.
fn no_threshold(run: &str, split: &Split) -> Error {
    let why = match (split.classes, &split.validation) {
        (2, None) => "no images are held back (data.validation)".to_owned(),
        (2, Some(_)) => "the held-back images are of one class".to_owned(),
        (classes, _) => format!("there are {classes} classes"),
    };
    Error::request(format!(
        "cannot choose a threshold for a sensitivity of {run}: that takes two classes and held-back images of both, and {why}"
    ))
}

/// The scores of two classes, as wide as their heads.
fn columns(scores: &Scores) -> String {
    let share = |share: Option<f64>| share.map_or("-".into(), percent);
    let area = scores.roc_auc.map_or("-".into(), |area| area.to_string());
    format!(
        "  {:>8}  {:>9}  {:>8}  {:>8}   {area}",
        share(scores.balanced_accuracy),
        share(scores.precision),
        share(scores.recall),
        share(scores.f1)
    )
}
