//! The scores of two classes that are kept with a run: numbers alone, without the curve and the bins.
//!
//! Whoever reads them years later has no list of classes beside them, so the positive one is named.

use super::{Auc, Scores};
use serde::{Deserialize, Serialize};

/// What [`Scores`] of two classes come to. None: not defined for these images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The name of the class that precision, recall, F1 and the area are about: the second of the two.
    pub positive_class: String,
    /// How many images were predicted.
    pub images: usize,
    /// The mean of both classes' recalls.
    pub balanced_accuracy: Option<f64>,
    /// Of the images that are predicted to be of the positive class, the share that are.
    pub precision: Option<f64>,
    /// Of the images of the positive class, the share that are predicted to be.
    pub recall: Option<f64>,
    /// The harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// The area under the ROC curve.
    pub roc_auc: Option<Auc>,
    /// The number of images of class i (row) that are predicted to be of class j (column).
    pub confusion: [[usize; 2]; 2],
}

impl Summary {
    /// The numbers of `scores`, whose positive class is called `positive_class`.
    ///
    /// # Panics
    /// If they are not of two classes.
    #[track_caller]
    pub fn of(scores: &Scores, positive_class: &str) -> Self {
        let [negatives, positives] = &scores.confusion[..] else {
            panic!("a summary of {} classes, not of two", scores.confusion.len())
        };
        Summary {
            positive_class: positive_class.to_owned(),
            images: scores.images,
            balanced_accuracy: scores.balanced_accuracy,
            precision: scores.precision,
            recall: scores.recall,
            f1: scores.f1,
            roc_auc: scores.roc_auc,
            confusion: [negatives, positives].map(|row| [row[0], row[1]]),
        }
    }
}
