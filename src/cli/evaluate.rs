//! `diva evaluate`

use super::saved_run::{Elsewhere, SavedRun};
use super::{percent, say, say_json};
use crate::data::Dataset;
use crate::error::Result;
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
    /// "training", "validation" (held back for selection), "unlabelled" (trained on without the classes), "test" (never seen in training) or "disjoint-test"
    /// (other digits of the test domain).
    role: &'static str,
    images: usize,
    correct: usize,
    accuracy: f64,
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
        let predict = |data: &Dataset| evaluate::predict(&predictor, data);
        let row = |domain: &str, role, correct: usize, images: usize| Row {
            domain: domain.to_owned(),
            role,
            images,
            correct,
            accuracy: correct as f64 / images.max(1) as f64,
        };

        let mut domains: Vec<Row> = Vec::new();
        let mut by_domain = |data: &Dataset, role| {
            let predicted = predict(data);
            let counts = evaluate::correct_by_domain(data, &predicted, split.domain_names.len());
            let named = split.domain_names.iter().zip(counts).filter(|(_, (_, all))| *all > 0);
            domains.extend(named.map(|(name, (right, all))| row(name, role, right, all)));
            evaluate::accuracy(data, &predicted)
        };
        let train_accuracy = by_domain(&split.train, "training");
        let validation_accuracy = split.validation.as_ref().map(|data| by_domain(data, "validation"));
        if let Some(unlabelled) = &split.unlabelled {
            by_domain(unlabelled, "unlabelled");
        }
        let mut whole = |data: &Dataset, role| {
            let share = evaluate::accuracy(data, &predict(data));
            let correct = (share * data.len() as f64).round() as usize;
            domains.push(row(&split.test_domain, role, correct, data.len()));
            share
        };
        let test_accuracy = whole(&split.test, "test");
        let disjoint_test_accuracy = split.disjoint_test.as_ref().map(|data| whole(data, "disjoint-test"));
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
        say(&format!("{:>8}  {:<14}{:>8}  {:>8}", "domain", "role", "images", "accuracy"))?;
        for row in &evaluation.domains {
            let share = percent(row.accuracy);
            say(&format!("{:>8}  {:<14}{:>8}  {share:>8}", row.domain, row.role, row.images))?;
        }
        Ok(())
    }
}
