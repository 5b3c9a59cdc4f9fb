//! How well classes are recognised, by the mean of q(zy|x), without training anything.
//!
//! [`Evaluation`] is what everyone shows: `diva evaluate`, the report, and, of the test domain alone, `result.json`.

use crate::data::collection::UNLABELLED;
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::models::{LabelPredictor, argmax};
use crate::scores::log_odds::first_not_finite;
use crate::scores::{Predictions, Scores, Summary};
use crate::tensor::Buffer;
use serde::Serialize;

/// Images that are turned from bytes to f32 together.
const BATCH: usize = 500;

/// Which of two classes is the positive one: the second. Of malaria cells these are the parasitised ones, which are found
/// or overlooked.
const POSITIVE: u32 = 1;

/// The role of the test domain's images.
const TEST: &str = "test";

/// How well a model recognises the classes of all images, part by part and domain by domain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// The share of the training images whose class is recognised.
    pub train_accuracy: f64,
    /// The same of those that are held back for selection, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_accuracy: Option<f64>,
    /// The same of the test domain.
    pub test_accuracy: f64,
    /// What naming its commonest class for every image would give there.
    pub test_commonest_class_share: f64,
    /// The same of other digits of the test domain, if there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disjoint_test_accuracy: Option<f64>,
    /// Of two classes, the name of the one that scores are about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positive_class: Option<String>,
    /// In the order of the parts, and in it of the domains' labels; without what no class is known of.
    pub domains: Vec<DomainEvaluation>,
}

/// The images of a domain in one role.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DomainEvaluation {
    /// The domain's name.
    pub domain: String,
    /// "training", "validation" (held back for selection), "unlabelled" (trained on without the classes), "test" (never
    /// seen in training) or "disjoint-test" (other digits of the test domain).
    pub role: &'static str,
    /// Those whose class is known.
    pub images: usize,
    /// Those whose class is recognised.
    pub correct: usize,
    /// Their share.
    pub accuracy: f64,
    /// The share of the commonest class of these images: the accuracy of naming it always.
    pub commonest_class_share: f64,
    /// Of two classes: how good the probabilities are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scores>,
}

impl Evaluation {
    /// What a model says of all images.
    ///
    /// # Errors
    /// If a logit is not finite.
    ///
    /// # Panics
    /// If the model knows another number of classes.
    #[track_caller]
    pub fn of(predictor: &LabelPredictor, split: &Split) -> Result<Self> {
        let mut domains = Vec::new();
        let mut of_part = |data: &Dataset, role| -> Result<f64> {
            let (accuracy, of_domains) = evaluate_part(predictor, split, data, role)?;
            domains.extend(of_domains);
            Ok(accuracy)
        };
        let train_accuracy = of_part(&split.train, "training")?;
        let validation_accuracy =
            split.validation.as_ref().map(|data| of_part(data, "validation")).transpose()?;
        if let Some(unlabelled) = &split.unlabelled {
            of_part(unlabelled, "unlabelled")?;
        }
        let test_accuracy = of_part(&split.test, TEST)?;
        let disjoint_test_accuracy =
            split.disjoint_test.as_ref().map(|data| of_part(data, "disjoint-test")).transpose()?;
        Ok(Evaluation {
            train_accuracy,
            validation_accuracy,
            test_accuracy,
            test_commonest_class_share: commonest_class_share(&split.test),
            disjoint_test_accuracy,
            positive_class: positive_class(split).map(str::to_owned),
            domains,
        })
    }

    /// The scores of the test domain, of two classes.
    pub fn test_scores(&self) -> Option<&Scores> {
        self.domains.iter().find(|row| row.role == TEST)?.scores.as_ref()
    }
}

/// The scores of the test domain's images; nothing unless there are two classes.
///
/// # Errors
/// If a logit is not finite.
///
/// # Panics
/// If the model knows another number of classes.
#[track_caller]
pub fn test_scores(predictor: &LabelPredictor, split: &Split) -> Result<Option<Summary>> {
    let Some(name) = positive_class(split) else { return Ok(None) };
    let (_, domains) = evaluate_part(predictor, split, &split.test, TEST)?;
    let scores = domains.first().and_then(|row| row.scores.as_ref());
    Ok(scores.map(|scores| Summary::of(scores, name)))
}

/// The number of images of class i (row) that are taken for class j (column); the classes of all are known.
///
/// # Errors
/// If a logit is not finite.
pub fn confusion(predictor: &LabelPredictor, data: &Dataset) -> Result<Vec<Vec<usize>>> {
    let (_, logits) = predict_with_logits(predictor, data)?;
    Ok(Predictions::new(&data.classes, &logits, predictor.labels())?.confusion())
}

/// The name of the positive class, of two.
fn positive_class(split: &Split) -> Option<&str> {
    (split.classes == 2).then(|| split.class_names[POSITIVE as usize].as_str())
}

/// The accuracy on a part of the images, and what can be said of its domains.
#[track_caller]
fn evaluate_part(
    predictor: &LabelPredictor,
    split: &Split,
    data: &Dataset,
    role: &'static str,
) -> Result<(f64, Vec<DomainEvaluation>)> {
    assert_eq!(predictor.labels(), split.classes, "classes of the model and of the images");
    let (predicted, logits) = predict_with_logits(predictor, data)?;
    let names: Vec<&String> = split.domain_names.iter().chain([&split.test_domain]).collect();
    let counts = correct_by_domain(data, &predicted, names.len());
    let mut domains = Vec::new();
    for ((label, name), (correct, images)) in (0..).zip(names).zip(counts) {
        if images == 0 {
            continue;
        }
        let is_mine = |&i: &usize| data.domains[i] == label && data.classes[i] != UNLABELLED;
        let mine: Vec<usize> = (0..data.len()).filter(is_mine).collect();
        let classes: Vec<u32> = mine.iter().map(|&i| data.classes[i]).collect();
        let scores = || -> Result<Scores> {
            let rows: Vec<f32> = mine.iter().flat_map(|&i| &logits[2 * i..][..2]).copied().collect();
            Ok(Predictions::new(&classes, &rows, 2)?.scores(POSITIVE))
        };
        domains.push(DomainEvaluation {
            domain: name.clone(),
            role,
            images,
            correct,
            accuracy: correct as f64 / images as f64,
            commonest_class_share: largest_share(&classes),
            scores: positive_class(split).map(|_| scores()).transpose()?,
        });
    }
    Ok((accuracy(data, &predicted), domains))
}

/// The predicted label of every image.
///
/// # Errors
/// If a logit is not finite.
pub fn predict(predictor: &LabelPredictor, data: &Dataset) -> Result<Vec<u32>> {
    let mut predicted = Vec::with_capacity(data.len());
    for_each_batch(predictor, data, |logits| predicted.extend(argmax(logits, predictor.labels())))?;
    Ok(predicted)
}

/// The predicted label of every image, and the logits of all labels: (images, labels).
fn predict_with_logits(predictor: &LabelPredictor, data: &Dataset) -> Result<(Vec<u32>, Vec<f32>)> {
    let labels = predictor.labels();
    let mut all = Vec::with_capacity(data.len() * labels);
    for_each_batch(predictor, data, |logits| all.extend_from_slice(logits))?;
    Ok((argmax(&all, labels).collect(), all))
}

/// Hands on the logits of all images, batch by batch.
fn for_each_batch(predictor: &LabelPredictor, data: &Dataset, mut take: impl FnMut(&[f32])) -> Result<()> {
    let all: Vec<usize> = (0..data.len()).collect();
    let (pixels, labels) = (data.values(), predictor.labels());
    let mut images = Buffer::zeros(BATCH.min(all.len()) * pixels);
    let mut logits = Buffer::zeros(BATCH.min(all.len()) * labels);
    for indices in all.chunks(BATCH) {
        let images = &mut images[..indices.len() * pixels];
        let logits = &mut logits[..indices.len() * labels];
        data.gather_pixels(indices, images);
        predictor.logits(images, logits);
        if let Some((image, label, logit)) = first_not_finite(logits, labels) {
            return Err(Error::work(format!(
                "no class follows from what the model makes of image {} of {}: the logit of class {label} is {logit}, \
                 expected a finite number",
                indices[image],
                all.len()
            )));
        }
        take(logits);
    }
    Ok(())
}

/// (right predictions, images whose class is known) of each domain 0..domains.
pub fn correct_by_domain(data: &Dataset, predicted: &[u32], domains: usize) -> Vec<(usize, usize)> {
    let mut counts = vec![(0, 0); domains];
    for ((&domain, class), prediction) in data.domains.iter().zip(&data.classes).zip(predicted) {
        let (right, all) = &mut counts[domain as usize];
        *right += usize::from(class == prediction);
        *all += usize::from(*class != UNLABELLED);
    }
    counts
}

/// The share of right predictions, 0..1.
pub fn accuracy(data: &Dataset, predicted: &[u32]) -> f64 {
    let right = data.classes.iter().zip(predicted).filter(|(class, prediction)| class == prediction).count();
    right as f64 / data.len().max(1) as f64
}

/// The share of the commonest class among the images whose class is known, 0..1: the accuracy of naming it always.
pub fn commonest_class_share(data: &Dataset) -> f64 {
    let known: Vec<u32> = data.classes.iter().copied().filter(|&class| class != UNLABELLED).collect();
    largest_share(&known)
}

/// The share of the commonest label; 0 of none.
fn largest_share(labels: &[u32]) -> f64 {
    let mut sorted = labels.to_vec();
    sorted.sort_unstable();
    let largest = sorted.chunk_by(|a, b| a == b).map(<[u32]>::len).max().unwrap_or(0);
    largest as f64 / labels.len().max(1) as f64
}
