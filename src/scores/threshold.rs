//! A threshold that finds a wanted share of a class, and what it finds among other images.
//!
//! It is chosen on images that are held back from training: on those that it is judged by, it would promise too much. Images are
//! taken for the class from a log-odds on, those that are equal to it included, so that tied images are all taken or all left.

use super::log_odds::probability;
use super::{Predictions, Share};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a threshold finds. None: there are no such images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// Images from these log-odds on are taken for the class.
    pub threshold_log_odds: f64,
    /// The same as a probability, which may not tell images apart.
    pub threshold: f64,
    /// Of the images of the class, those that are taken for it.
    pub sensitivity: Option<Share>,
    /// Of the others, those that are not.
    pub specificity: Option<Share>,
}

impl fmt::Display for OperatingPoint {
    /// From a probability of 0.412 (log-odds -0.356) on: sensitivity 90.0 % (..), 9 of 10; specificity ...
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = |share: Option<Share>| share.map_or("-".into(), |share| share.to_string());
        let (sensitivity, specificity) = (share(self.sensitivity), share(self.specificity));
        let Self { threshold, threshold_log_odds: log_odds, .. } = self;
        write!(
            f,
            "from a probability of {threshold:.3} (log-odds {log_odds:.3}) on: sensitivity {sensitivity}; specificity {specificity}"
        )
    }
}

/// A threshold that was chosen on held-back images for a wanted sensitivity, and what it gives on the images in question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChosenThreshold {
    /// The class that is to be found.
    pub positive_class: String,
    /// The share of its images that was to be found.
    pub wanted_sensitivity: f64,
    /// How many held-back images of the class it was chosen by.
    pub held_back_of_class: usize,
    /// What it gives.
    #[serde(flatten)]
    pub gives: OperatingPoint,
}

impl ChosenThreshold {
    /// Chosen on `held_back` for the class `positive`, which is called `name`, and held against `images`; none unless images of both
    /// classes are held back.
    ///
    /// # Panics
    /// As [`Predictions::threshold_for_sensitivity`].
    #[track_caller]
    pub fn choose(
        positive: u32,
        name: &str,
        wanted_sensitivity: f64,
        held_back: &Predictions,
        images: &Predictions,
    ) -> Option<Self> {
        let threshold = held_back.threshold_for_sensitivity(positive, wanted_sensitivity)?;
        let of_class = held_back.truth.iter().filter(|&&truth| truth == positive).count();
        (of_class < held_back.truth.len()).then(|| ChosenThreshold {
            positive_class: name.to_owned(),
            wanted_sensitivity,
            held_back_of_class: of_class,
            gives: images.at_threshold(positive, threshold),
        })
    }

    /// In a sentence without its end; `class` is the positive class as it is shown.
    pub fn in_words(&self, class: &str) -> String {
        format!(
            "taken for {class} {}; this threshold was chosen on held-back images of the training domains, {} of them {class}, for a \
             sensitivity of {:.1} %",
            self.gives,
            self.held_back_of_class,
            100.0 * self.wanted_sensitivity
        )
    }
}

impl Predictions {
    /// The highest threshold, in log-odds of the class `positive`, from which on at least the share `sensitivity` of its images are;
    /// none if there are none.
    ///
    /// # Panics
    /// If there are not two classes, or `positive` is none of them, or the sensitivity is not above 0 and at most 1.
    #[track_caller]
    pub fn threshold_for_sensitivity(&self, positive: u32, sensitivity: f64) -> Option<f64> {
        assert!(sensitivity > 0.0 && sensitivity <= 1.0, "a sensitivity of {sensitivity}");
        let of_class = self.log_odds_of_two(positive).filter(|&(_, is)| is);
        let mut descending: Vec<f64> = of_class.map(|(log_odds, _)| log_odds).collect();
        descending.sort_by(|a, b| b.total_cmp(a));
        let enough = (1..=descending.len()).find(|&n| n as f64 / descending.len() as f64 >= sensitivity)?;
        Some(descending[enough - 1])
    }

    /// What a threshold in log-odds of the class `positive` finds.
    ///
    /// # Panics
    /// If there are not two classes, or `positive` is none of them.
    #[track_caller]
    pub fn at_threshold(&self, positive: u32, threshold_log_odds: f64) -> OperatingPoint {
        // [others, of the class], and of these the ones that are taken for it.
        let (mut there, mut taken) = ([0; 2], [0; 2]);
        for (log_odds, is) in self.log_odds_of_two(positive) {
            there[usize::from(is)] += 1;
            taken[usize::from(is)] += usize::from(log_odds >= threshold_log_odds);
        }
        OperatingPoint {
            threshold_log_odds,
            threshold: probability(threshold_log_odds),
            sensitivity: Share::new(taken[1], there[1]),
            specificity: Share::new(there[0] - taken[0], there[0]),
        }
    }

    /// Each image's log-odds of one of two classes, and whether it is of it.
    #[track_caller]
    fn log_odds_of_two(&self, positive: u32) -> impl Iterator<Item = (f64, bool)> {
        assert!(self.classes == 2 && positive < 2, "a threshold of class {positive} of {}", self.classes);
        let of_class = self.log_odds.iter().skip(positive as usize).step_by(2).copied();
        of_class.zip(self.truth.iter().map(move |&truth| truth == positive))
    }
}
