//! `diva evaluate`

use super::saved_run::{Elsewhere, SavedRun};
use super::{percent, say, say_json};
use crate::data::Dataset;
use crate::data::collection::UNLABELLED;
use crate::error::Result;
use crate::experiments::scores::{Bootstrap, Predictions, Scores};
use crate::train::{evaluate, sources};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// How well a run's selected model recognises the classes, domain by domain.
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
struct Row {
    domain: String,
    /// "training", "validation" (held back for selection), "unlabelled" (trained on without the classes), "test" (never
    /// seen in training) or "disjoint-test" (other digits of the test domain).
    role: &'static str,
    /// Those whose class is known.
    images: usize,
    correct: usize,
    accuracy: f64,
    /// Of two classes: how good the probabilities are, of which the second class is the positive one.
    #[serde(skip_serializing_if = "Option::is_none")]
    scores: Option<Scores>,
}

#[derive(Serialize)]
struct Evaluation {
    run: String,
    train_accuracy: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    validation_accuracy: Option<f64>,
    test_accuracy: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    disjoint_test_accuracy: Option<f64>,
    domains: Vec<Row>,
}

impl Evaluate {
    pub(super) fn run(&self) -> Result<()> {
        let saved = SavedRun::load(&self.run, &self.elsewhere)?;
        let split = sources::read(&saved.config, Some(sources::beside(&self.run)))?.split;
        let predictor = saved.model.class_predictor(&saved.params);
        let names: Vec<&String> = split.domain_names.iter().chain([&split.test_domain]).collect();
        let mut domains: Vec<Row> = Vec::new();
        let mut of_part = |data: &Dataset, role| -> Result<f64> {
            let (predicted, probabilities) = evaluate::predict_with_probabilities(&predictor, data);
            let counts = evaluate::correct_by_domain(data, &predicted, names.len());
            for ((label, name), (correct, images)) in (0..).zip(&names).zip(counts) {
                if images == 0 {
                    continue;
                }
                domains.push(Row {
                    domain: (*name).clone(),
                    role,
                    images,
                    correct,
                    accuracy: correct as f64 / images as f64,
                    scores: scores(data, label, &probabilities, predictor.labels())?,
                });
            }
            Ok(evaluate::accuracy(data, &predicted))
        };
        let train_accuracy = of_part(&split.train, "training")?;
        let validation_accuracy =
            split.validation.as_ref().map(|data| of_part(data, "validation")).transpose()?;
        if let Some(unlabelled) = &split.unlabelled {
            of_part(unlabelled, "unlabelled")?;
        }
        let test_accuracy = of_part(&split.test, "test")?;
        let disjoint_test_accuracy =
            split.disjoint_test.as_ref().map(|data| of_part(data, "disjoint-test")).transpose()?;
        let evaluation = Evaluation {
            run: self.run.display().to_string(),
            train_accuracy,
            validation_accuracy,
            test_accuracy,
            disjoint_test_accuracy,
            domains,
        };
        if self.json {
            return say_json(&evaluation);
        }
        let has_scores = evaluation.domains.iter().any(|row| row.scores.is_some());
        let more = if has_scores { "  balanced        F1   ROC AUC, with its 95 % interval" } else { "" };
        say(&format!("{:>10}  {:<14}{:>8}  {:>8}{more}", "domain", "role", "images", "accuracy"))?;
        for row in &evaluation.domains {
            let share = percent(row.accuracy);
            let more = row.scores.as_ref().map_or(String::new(), |scores| {
                let share = |share: Option<f64>| share.map_or("-".into(), percent);
                let area = scores.roc_auc.map_or("-".into(), |area| match area.interval {
                    Some([low, high]) => format!("{:.3}  {low:.3} to {high:.3}", area.value),
                    None => format!("{:.3}", area.value),
                });
                format!("  {:>8}  {:>8}   {area}", share(scores.balanced_accuracy), share(scores.f1))
            });
            say(&format!("{:>10}  {:<14}{:>8}  {share:>8}{more}", row.domain, row.role, row.images))?;
        }
        Ok(())
    }
}

/// The scores of the images of a domain whose class is known, where there are two classes.
fn scores(data: &Dataset, domain: u32, probabilities: &[f32], classes: usize) -> Result<Option<Scores>> {
    if classes != 2 {
        return Ok(None);
    }
    let is_mine = |&i: &usize| data.domains[i] == domain && data.classes[i] != UNLABELLED;
    let mine: Vec<usize> = (0..data.len()).filter(is_mine).collect();
    let truth: Vec<u32> = mine.iter().map(|&i| data.classes[i]).collect();
    let rows: Vec<f32> =
        mine.iter().flat_map(|&i| &probabilities[i * classes..][..classes]).copied().collect();
    Ok(Some(Predictions::new(&truth, &rows, classes)?.scores(1, Bootstrap::default())))
}
