//! How well classes are recognised, by the mean of q(zy|x), without training anything.
//!
//! [`Evaluation`] is what `diva evaluate` and the report show of all domains; [`Unseen`] is the answer for the test domain, which
//! everyone shows and `result.json` keeps.

use crate::data::collection::UNLABELLED;
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::models::{LabelPredictor, argmax};
use crate::scores::log_odds::first_not_finite;
use crate::scores::{Answer, ChosenThreshold, Predictions, Scores, Summary, Tempered};
use crate::tensor::Buffer;
use serde::Serialize;

/// Images that are turned from bytes to f32 together.
const BATCH: usize = 500;

/// Which of two classes is the positive one: the second. Of malaria cells these are the parasitised ones, which are found
/// or overlooked.
const POSITIVE: u32 = 1;

/// The sensitivity that a threshold is chosen for where nobody asks for another.
pub const WANTED_SENSITIVITY: f64 = 0.9;

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
    /// The answer for the test domain.
    pub answer: Answer,
    /// What a threshold gives there that was chosen on held-back images, where there are two classes and both are held back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operating_point: Option<ChosenThreshold>,
    /// The calibration there after temperature scaling, fitted on held-back images; none without such, or where none follows from
    /// them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tempered: Option<Tempered>,
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
    /// What a model says of all images; `sensitivity` (0..1) is what a threshold is chosen for.
    ///
    /// # Errors
    /// If a logit is not finite.
    ///
    /// # Panics
    /// If the model knows another number of classes.
    #[track_caller]
    pub fn of(predictor: &LabelPredictor, split: &Split, sensitivity: f64) -> Result<Self> {
        let mut domains = Vec::new();
        let mut of_part = |data: &Dataset, role| -> Result<Said> {
            let said = Said::of(predictor, split, data)?;
            domains.extend(of_domains(split, data, &said, role)?);
            Ok(said)
        };
        let train = of_part(&split.train, "training")?;
        let validation = split.validation.as_ref().map(|data| of_part(data, "validation")).transpose()?;
        if let Some(unlabelled) = &split.unlabelled {
            of_part(unlabelled, "unlabelled")?;
        }
        let test = of_part(&split.test, TEST)?;
        let disjoint_test =
            split.disjoint_test.as_ref().map(|data| of_part(data, "disjoint-test")).transpose()?;
        let Unseen { answer, operating_point, .. } =
            Unseen::said(split, &test, validation.as_ref(), sensitivity)?;
        let held_back = split.validation.as_ref().zip(validation.as_ref());
        let held_back = held_back.map(|(data, said)| said.predictions(data)).transpose()?;
        let on_test = test.predictions(&split.test)?;
        let tempered = held_back.and_then(|held_back| Tempered::of(&held_back, &on_test, positive(split)));
        let part_accuracy =
            |data: &Option<Dataset>, said: Option<Said>| Some(accuracy(data.as_ref()?, &said?.predicted));
        Ok(Evaluation {
            train_accuracy: accuracy(&split.train, &train.predicted),
            validation_accuracy: part_accuracy(&split.validation, validation),
            test_accuracy: accuracy(&split.test, &test.predicted),
            test_commonest_class_share: commonest_class_share(&split.test),
            disjoint_test_accuracy: part_accuracy(&split.disjoint_test, disjoint_test),
            answer,
            operating_point,
            tempered,
            positive_class: positive_class(split).map(str::to_owned),
            domains,
        })
    }

    /// The scores of the test domain, of two classes.
    pub fn test_scores(&self) -> Option<&Scores> {
        self.domains.iter().find(|row| row.role == TEST)?.scores.as_ref()
    }
}

/// How well a model recognises the images of the test domain.
#[derive(Clone, Debug, PartialEq)]
pub struct Unseen {
    /// The few numbers that are said of it.
    pub answer: Answer,
    /// What a threshold gives that was chosen on held-back images, where there are two classes and both are held back.
    pub operating_point: Option<ChosenThreshold>,
    /// Of two classes, their scores.
    pub scores: Option<Summary>,
    /// The number of images of class i (row) that are taken for class j (column).
    pub confusion: Vec<Vec<usize>>,
}

impl Unseen {
    /// What a model says of the test domain; `sensitivity` (0..1) is what a threshold is chosen for.
    ///
    /// # Errors
    /// If a logit is not finite.
    ///
    /// # Panics
    /// If the model knows another number of classes.
    #[track_caller]
    pub fn of(predictor: &LabelPredictor, split: &Split, sensitivity: f64) -> Result<Self> {
        let test = Said::of(predictor, split, &split.test)?;
        let held_back = split.validation.as_ref().filter(|_| positive_class(split).is_some());
        let held_back = held_back.map(|data| Said::of(predictor, split, data)).transpose()?;
        Self::said(split, &test, held_back.as_ref(), sensitivity)
    }

    /// The same of what is said of the test domain and of the held-back images.
    fn said(split: &Split, test: &Said, held_back: Option<&Said>, sensitivity: f64) -> Result<Self> {
        let mut on_test = test.predictions(&split.test)?;
        if let Some(groups) = split.test_groups() {
            on_test = on_test.in_groups(&groups);
        }
        let on_held_back = split.validation.as_ref().zip(held_back);
        let on_held_back = on_held_back.map(|(data, said)| said.predictions(data)).transpose()?;
        let name = positive_class(split);
        Ok(Unseen {
            answer: Answer::of(&on_test, positive(split)),
            operating_point: name.zip(on_held_back).and_then(|(name, held_back)| {
                ChosenThreshold::choose(POSITIVE, name, sensitivity, &held_back, &on_test)
            }),
            scores: name.map(|name| Summary::of(&on_test.scores(POSITIVE), name)),
            confusion: on_test.confusion(),
        })
    }
}

/// The name of the positive class, of two.
fn positive_class(split: &Split) -> Option<&str> {
    (split.classes == 2).then(|| split.class_names[POSITIVE as usize].as_str())
}

/// The class that scores are about; of more than two it does not matter.
fn positive(split: &Split) -> u32 {
    if split.classes == 2 { POSITIVE } else { 0 }
}

/// What a model says of a part of the images.
struct Said {
    /// The predicted class of each.
    predicted: Vec<u32>,
    /// (images, classes)
    logits: Vec<f32>,
    classes: usize,
}

impl Said {
    #[track_caller]
    fn of(predictor: &LabelPredictor, split: &Split, data: &Dataset) -> Result<Self> {
        let labels = predictor.labels();
        assert_eq!(labels, split.classes, "classes of the model and of the images");
        let mut logits = Vec::with_capacity(data.len() * labels);
        for_each_batch(predictor, data, |batch| logits.extend_from_slice(batch))?;
        Ok(Said { predicted: argmax(&logits, labels).collect(), logits, classes: labels })
    }

    /// The same, beside the classes of the images.
    fn predictions(&self, data: &Dataset) -> Result<Predictions> {
        Predictions::new(&data.classes, &self.logits, self.classes)
    }
}

/// What can be said of the domains of a part of the images.
fn of_domains(
    split: &Split,
    data: &Dataset,
    said: &Said,
    role: &'static str,
) -> Result<Vec<DomainEvaluation>> {
    let names: Vec<&String> = split.domain_names.iter().chain([&split.test_domain]).collect();
    let counts = correct_by_domain(data, &said.predicted, names.len());
    let mut domains = Vec::new();
    for ((label, name), (correct, images)) in (0..).zip(names).zip(counts) {
        if images == 0 {
            continue;
        }
        let is_mine = |&i: &usize| data.domains[i] == label && data.classes[i] != UNLABELLED;
        let mine: Vec<usize> = (0..data.len()).filter(is_mine).collect();
        let classes: Vec<u32> = mine.iter().map(|&i| data.classes[i]).collect();
        let scores = || -> Result<Scores> {
            let rows: Vec<f32> = mine.iter().flat_map(|&i| &said.logits[2 * i..][..2]).copied().collect();
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
    Ok(domains)
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
