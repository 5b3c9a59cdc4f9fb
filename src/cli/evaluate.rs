//! `diva evaluate`

use super::elsewhere::{Elsewhere, images};
use super::{percent, say, say_json};
use crate::error::Result;
use crate::names::{at_right, printable_name, shown, terminal_width};
use crate::scores::Scores;
use crate::train::evaluate::Evaluation;
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
#[derive(Args, Debug)]
pub(super) struct Evaluate {
    /// The run's folder.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
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
        let evaluation = Evaluation::of(&predictor, &split)?;
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
        Ok(())
    }
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
