//! The ROC curve, and the area under it.
//!
//! The area is the probability that a random image of the class ranks above a random other one, ties counting half (Mann
//! and Whitney, 1947). It is counted in whole numbers along the ranking, so ties need no care and nothing is rounded but
//! the last division.

use super::log_odds::probability;
use serde::{Deserialize, Serialize};

/// A corner of the ROC curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RocPoint {
    /// Of the images that are not of the class, the share that are taken for it.
    pub false_positive_rate: f64,
    /// Of the images of the class, the share that are taken for it.
    pub true_positive_rate: f64,
    /// Images from this probability on are taken for the class; none where no image is. Corners of confident predictions may
    /// share it.
    pub threshold: Option<f64>,
    /// The same as log-odds, which tell corners apart.
    pub threshold_log_odds: Option<f64>,
}

/// Images by their log-odds of a class, which is neither absent nor all there is.
#[derive(Clone, Debug)]
pub(super) struct Ranking {
    /// Image indices by descending log-odds.
    order: Vec<usize>,
    /// How many images there are up to the end of each run of equal log-odds, and these.
    ties: Vec<(usize, f64)>,
    /// Whether an image is of the class.
    is_positive: Vec<bool>,
}

/// How many images there are of the class, and others.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    positive: u64,
    negative: u64,
}

impl Ranking {
    /// Of the log-odds of each image, and whether it is of the class.
    pub(super) fn new(images: impl Iterator<Item = (f64, bool)>) -> Option<Self> {
        let (log_odds, is_positive): (Vec<f64>, Vec<bool>) = images.unzip();
        if !is_positive.contains(&true) || !is_positive.contains(&false) {
            return None;
        }
        let mut order: Vec<usize> = (0..log_odds.len()).collect();
        order.sort_by(|&a, &b| log_odds[b].total_cmp(&log_odds[a]));
        let mut ties: Vec<(usize, f64)> = vec![];
        for (place, &image) in order.iter().enumerate() {
            match ties.last_mut() {
                Some((end, odds)) if *odds == log_odds[image] => *end = place + 1,
                _ => ties.push((place + 1, log_odds[image])),
            }
        }
        Some(Ranking { order, ties, is_positive })
    }

    /// How many images of each kind have equal log-odds, and where in the order they end; in descending order.
    fn tallies(&self) -> impl Iterator<Item = (Tally, usize)> {
        let mut start = 0;
        self.ties.iter().map(move |&(end, _)| {
            let positive =
                self.order[start..end].iter().filter(|&&image| self.is_positive[image]).count() as u64;
            let negative = (end - start) as u64 - positive;
            start = end;
            (Tally { positive, negative }, end)
        })
    }

    /// The images of the class, and the others.
    fn all(&self) -> Tally {
        let positive = self.is_positive.iter().filter(|&&is| is).count() as u64;
        Tally { positive, negative: self.order.len() as u64 - positive }
    }

    /// The area under the curve.
    pub(super) fn area(&self) -> f64 {
        let (mut above, mut twice) = (0, 0_u128);
        for (tied, _) in self.tallies() {
            twice += u128::from(tied.negative) * u128::from(2 * above + tied.positive);
            above += tied.positive;
        }
        let all = self.all();
        twice as f64 / (2 * u128::from(all.positive) * u128::from(all.negative)) as f64
    }

    /// Hands over each image, its placement and how many there are of its kind. The placement is the share of the other kind that
    /// is on its right side, ties counting half: below an image of the class, above another. The mean of those of either kind is
    /// the area.
    pub(super) fn for_each_placement(&self, mut take: impl FnMut(usize, f64, u64)) {
        let all = self.all();
        let (mut above, mut start) = (Tally::default(), 0);
        for (tied, end) in self.tallies() {
            let of_positive =
                (2 * (all.negative - above.negative) - tied.negative) as f64 / (2 * all.negative) as f64;
            let of_negative = (2 * above.positive + tied.positive) as f64 / (2 * all.positive) as f64;
            for &image in &self.order[start..end] {
                match self.is_positive[image] {
                    true => take(image, of_positive, all.positive),
                    false => take(image, of_negative, all.negative),
                }
            }
            above.positive += tied.positive;
            above.negative += tied.negative;
            start = end;
        }
    }

    /// The corners of the curve, those left out that lie on the line between their neighbours and are as far from one as
    /// from the other.
    pub(super) fn curve(&self) -> Vec<RocPoint> {
        let mut reached = vec![Tally::default()];
        for (tied, _) in self.tallies() {
            let last = reached[reached.len() - 1];
            reached.push(Tally {
                positive: last.positive + tied.positive,
                negative: last.negative + tied.negative,
            });
        }
        let all = reached[reached.len() - 1];
        let is_between = |place: usize| {
            // Both ends stay; scikit-learn looks for corners without the point where no image is taken for the class.
            place > 1 && place + 1 < reached.len() && {
                let [before, here, after] = [place - 1, place, place + 1].map(|place| reached[place]);
                here.positive - before.positive == after.positive - here.positive
                    && here.negative - before.negative == after.negative - here.negative
            }
        };
        let point = |place: usize| {
            let threshold_log_odds = place.checked_sub(1).map(|tie| self.ties[tie].1);
            RocPoint {
                false_positive_rate: reached[place].negative as f64 / all.negative as f64,
                true_positive_rate: reached[place].positive as f64 / all.positive as f64,
                threshold: threshold_log_odds.map(probability),
                threshold_log_odds,
            }
        };
        (0..reached.len()).filter(|&place| !is_between(place)).map(point).collect()
    }
}
