//! How good class probabilities are: accuracy and its relatives, the ROC curve, and calibration.
//!
//! The definitions are scikit-learn's, and so are the numbers (`scripts/sklearn_scores.py`), with one exception: what is
//! undefined, because a class is absent or never predicted, is nothing here, where scikit-learn says 0 or NaN or leaves
//! the class out.
//!
//! An image's predicted class is the one with the largest logit, the first of equals. Images are ranked by log-odds
//! ([`log_odds`]), since different ones may round to the same probability. Of two classes one is the positive one, and precision,
//! recall, F1 and the ROC curve are about it; of more they are the mean of those of each class against the others (macro).
//!
//! [`Scores`] are all of one domain; an [`Answer`] is the few numbers that are said of a run, of any number of classes, with their
//! intervals, of images and of groups of them.

mod answer;
mod auc;
mod calibration;
mod influence;
pub mod log_odds;
pub mod prediction_interval;
mod ranking;
mod share;
mod student;
mod summary;
mod temperature;
#[cfg(test)]
mod tests;
mod threshold;

use crate::error::{Error, Result};
pub use answer::{Answer, OfGroups};
use auc::Area;
pub use auc::Auc;
pub use calibration::{Bin, Calibration};
use ranking::Ranking;
pub use ranking::RocPoint;
use serde::{Deserialize, Serialize};
pub use share::{Share, interval_in_per_cent};
pub use summary::Summary;
pub use temperature::Tempered;
pub use threshold::{ChosenThreshold, OperatingPoint};

/// What a model says of images whose classes are known.
#[derive(Clone, Debug)]
pub struct Predictions {
    truth: Vec<u32>,
    /// (images, classes)
    log_odds: Vec<f64>,
    /// The class that each image is taken for.
    predicted: Vec<u32>,
    classes: usize,
    /// The group that each image is of; none if images are drawn one by one.
    groups: Option<Vec<u32>>,
}

/// Everything that is reported. None: not defined for these images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// How many images were predicted.
    pub images: usize,
    /// The share of images whose class is predicted.
    pub accuracy: Option<f64>,
    /// The mean of the classes' recalls; none if a class is absent.
    pub balanced_accuracy: Option<f64>,
    /// Of the images that are predicted to be of the class, the share that are; none if there are none.
    pub precision: Option<f64>,
    /// Of the images of the class, the share that are predicted to be; none if there are none.
    pub recall: Option<f64>,
    /// The harmonic mean of precision and recall, 2 tp / (2 tp + fp + fn); none where that is 0 / 0.
    pub f1: Option<f64>,
    /// The area under the ROC curve; none if a class is absent.
    pub roc_auc: Option<Auc>,
    /// The number of images of class i (row) that are predicted to be of class j (column).
    pub confusion: Vec<Vec<usize>>,
    /// Of two classes, the corners of the ROC curve from (0, 0) to (1, 1); none of more, or if a class is absent.
    pub roc_curve: Option<Vec<RocPoint>>,
    /// Whether probabilities are frequencies; none without images.
    pub calibration: Option<Calibration>,
}

impl Predictions {
    /// `truth` is a class below `classes` for each image; `logits` (images, classes).
    ///
    /// # Errors
    /// If a logit is not finite.
    ///
    /// # Panics
    /// If there is no class, or not as many logits as images and classes, or a class is none of them.
    #[track_caller]
    pub fn new(truth: &[u32], logits: &[f32], classes: usize) -> Result<Self> {
        assert!(classes > 0, "scores of no classes");
        assert_eq!(
            Some(logits.len()),
            truth.len().checked_mul(classes),
            "logits of {} images and {classes} classes",
            truth.len()
        );
        let largest = truth.iter().max().copied().unwrap_or(0) as usize;
        assert!(largest < classes, "class {largest} of {classes}");
        if let Some((image, class, logit)) = log_odds::first_not_finite(logits, classes) {
            return Err(Error::work(format!(
                "the logit of class {class} of image {image} is {logit}, expected a finite number"
            )));
        }
        let likeliest =
            |row: &[f32]| (1..classes).fold(0, |best, c| if row[c] > row[best] { c } else { best });
        let predicted = logits.chunks_exact(classes).map(|row| likeliest(row) as u32).collect();
        Ok(Predictions {
            truth: truth.to_vec(),
            log_odds: log_odds::log_odds(logits, classes),
            predicted,
            classes,
            groups: None,
        })
    }

    /// The same, of images that come in groups, such as those of a patient: the group of each, by any number.
    ///
    /// # Panics
    /// If there are not as many as images.
    #[must_use]
    #[track_caller]
    pub fn in_groups(self, groups: &[u32]) -> Self {
        assert_eq!(groups.len(), self.truth.len(), "groups of {} images", self.truth.len());
        Predictions { groups: Some(groups.to_vec()), ..self }
    }

    /// All scores; of two classes, `positive` is the one that they are about, of more it does not matter.
    ///
    /// # Panics
    /// If `positive` is no class.
    #[track_caller]
    pub fn scores(&self, positive: u32) -> Scores {
        assert!((positive as usize) < self.classes, "class {positive} of {}", self.classes);
        let about: Vec<usize> =
            if self.classes == 2 { vec![positive as usize] } else { (0..self.classes).collect() };
        let confusion = self.confusion();
        let counts: Vec<Counts> = (0..self.classes).map(|class| Counts::of(&confusion, class)).collect();
        let macro_mean =
            |score: fn(&Counts) -> Option<f64>| mean(about.iter().map(|&class| score(&counts[class])));
        let ranking = (self.classes == 2).then(|| self.ranking(positive as usize)).flatten();
        Scores {
            images: self.truth.len(),
            accuracy: ratio(counts.iter().map(|counts| counts.right).sum(), self.truth.len()),
            balanced_accuracy: mean(counts.iter().map(Counts::recall)),
            precision: macro_mean(Counts::precision),
            recall: macro_mean(Counts::recall),
            f1: macro_mean(Counts::f1),
            roc_auc: Area::of(self).map(|area| area.auc(self)),
            roc_curve: ranking.map(|ranking| ranking.curve()),
            confusion,
            calibration: Calibration::of(&self.confidences(positive)),
        }
    }

    /// The number of images of class i (row) that are predicted to be of class j (column).
    pub fn confusion(&self) -> Vec<Vec<usize>> {
        let mut confusion = vec![vec![0; self.classes]; self.classes];
        for (&truth, &predicted) in self.truth.iter().zip(&self.predicted) {
            confusion[truth as usize][predicted as usize] += 1;
        }
        confusion
    }

    /// The images of each group, in the order of the groups' numbers; none if there are no groups.
    fn members(&self) -> Option<Vec<Vec<usize>>> {
        let groups = self.groups.as_ref()?;
        let mut images: Vec<usize> = (0..groups.len()).collect();
        images.sort_by_key(|&image| groups[image]);
        Some(images.chunk_by(|&a, &b| groups[a] == groups[b]).map(<[usize]>::to_vec).collect())
    }

    /// The images by their log-odds of a class; none if it is absent, or all others are.
    fn ranking(&self, class: usize) -> Option<Ranking> {
        let log_odds = self.log_odds.iter().skip(class).step_by(self.classes).copied();
        Ranking::new(log_odds.zip(self.truth.iter().map(|&truth| truth as usize == class)))
    }

    /// A probability for each image, and whether what it is the probability of is so: of two classes, that the image is of
    /// the positive one; of more, that the predicted class is right.
    fn confidences(&self, positive: u32) -> Vec<(f64, bool)> {
        let rows = self.log_odds.chunks_exact(self.classes).zip(&self.truth).zip(&self.predicted);
        rows.map(|((row, &truth), &predicted)| {
            let class = if self.classes == 2 { positive } else { predicted };
            (log_odds::probability(row[class as usize]), truth == class)
        })
        .collect()
    }
}

/// What of a class was predicted how often.
struct Counts {
    right: usize,
    predicted: usize,
    there: usize,
}

impl Counts {
    fn of(confusion: &[Vec<usize>], class: usize) -> Self {
        let predicted = confusion.iter().map(|row| row[class]).sum();
        Counts { right: confusion[class][class], predicted, there: confusion[class].iter().sum() }
    }

    fn precision(&self) -> Option<f64> {
        ratio(self.right, self.predicted)
    }

    fn recall(&self) -> Option<f64> {
        ratio(self.right, self.there)
    }

    fn f1(&self) -> Option<f64> {
        ratio(2 * self.right, self.predicted + self.there)
    }
}

/// None if there is nothing that it would be a share of.
fn ratio(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// None if one of them is.
fn mean(scores: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let scores: Option<Vec<f64>> = scores.collect();
    scores.map(|scores| scores.iter().sum::<f64>() / scores.len() as f64)
}
