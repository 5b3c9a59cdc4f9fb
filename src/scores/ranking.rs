//! The ROC curve, the area under it, and a bootstrap interval of that.
//!
//! The area is the probability that a random image of the class ranks above a random other one, ties counting half (Mann
//! and Whitney, 1947). It is counted in whole numbers along the ranking, so ties need no care and nothing is rounded but
//! the last division.
//!
//! The interval is the percentile bootstrap (Efron, 1979): as many images are drawn with replacement, the area of the
//! draw is taken, and 2.5 % of such areas are left out at either end. A draw from the same images in another
//! multiplicity has the same ranking, so nothing is sorted again. Draws in which a class is absent have no area and are
//! skipped; how many is reported. It says how the area may vary with the choice of images from one patient, not how it
//! varies between patients or trainings.

use super::log_odds::probability;
use super::quantile::quantile;
use crate::parallel;
use crate::rng::Stream;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How often to resample, and the seed of the draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// The number of draws.
    pub resamples: usize,
    /// The seed.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// Two thousand draws: fifty areas are beyond either end of the interval.
    fn default() -> Self {
        Bootstrap { resamples: 2000, seed: 0 }
    }
}

/// The area under the ROC curve; of more than two classes the mean of those of each class against the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Auc {
    /// The area.
    pub value: f64,
    /// The percentile bootstrap's 95 % interval; none if every draw was skipped, or none was asked for.
    pub interval: Option<[f64; 2]>,
    /// How many draws there were.
    pub resamples: usize,
    /// How many of them were skipped, because a class was absent.
    pub skipped: usize,
}

impl fmt::Display for Auc {
    /// With three decimals: 0.912 (0.850 to 0.961), or 0.912 without an interval.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.value)?;
        match self.interval {
            Some([low, high]) => write!(f, " ({low:.3} to {high:.3})"),
            None => Ok(()),
        }
    }
}

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
    /// How many images there are up to the end of each group of equal log-odds, and these.
    groups: Vec<(usize, f64)>,
    /// Whether an image is of the class.
    is_positive: Vec<bool>,
}

/// Images, each in its multiplicity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
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
        let mut groups: Vec<(usize, f64)> = vec![];
        for (place, &image) in order.iter().enumerate() {
            match groups.last_mut() {
                Some((end, odds)) if *odds == log_odds[image] => *end = place + 1,
                _ => groups.push((place + 1, log_odds[image])),
            }
        }
        Some(Ranking { order, groups, is_positive })
    }

    /// The images of each group of equal log-odds, in descending order.
    fn tallies(&self, times: impl Fn(usize) -> u64) -> impl Iterator<Item = Tally> {
        let mut start = 0;
        self.groups.iter().map(move |&(end, _)| {
            let mut tally = Tally::default();
            for &image in &self.order[start..end] {
                let count = if self.is_positive[image] { &mut tally.positive } else { &mut tally.negative };
                *count += times(image);
            }
            start = end;
            tally
        })
    }

    /// The area, each image counting so many times; none if a class is then absent.
    fn area(&self, times: impl Fn(usize) -> u64) -> Option<f64> {
        let (mut above, mut negative, mut twice) = (0, 0, 0_u128);
        for tally in self.tallies(times) {
            twice += u128::from(tally.negative) * u128::from(2 * above + tally.positive);
            above += tally.positive;
            negative += tally.negative;
        }
        let pairs = u128::from(above) * u128::from(negative);
        (pairs > 0).then(|| twice as f64 / (2 * pairs) as f64)
    }

    /// The corners of the curve, those left out that lie on the line between their neighbours and are as far from one as
    /// from the other.
    pub(super) fn curve(&self) -> Vec<RocPoint> {
        let mut reached = vec![Tally::default()];
        for tally in self.tallies(|_| 1) {
            let last = reached[reached.len() - 1];
            reached.push(Tally {
                positive: last.positive + tally.positive,
                negative: last.negative + tally.negative,
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
            let threshold_log_odds = place.checked_sub(1).map(|group| self.groups[group].1);
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

/// The mean of the areas, with its interval. The rankings are of the same images.
pub(super) fn auc(rankings: &[Ranking], bootstrap: Bootstrap) -> Auc {
    let value = mean_area(rankings, |_| 1).expect("rankings are of classes that are there");
    let images = rankings[0].order.len();
    let areas = parallel::map(bootstrap.resamples, |draw| {
        let stream = Stream::new(bootstrap.seed, "scores/bootstrap", &[draw as u64]);
        let mut times = vec![0; images];
        for i in 0..images as u64 {
            times[stream.below(i, images as u64) as usize] += 1;
        }
        mean_area(rankings, |image| times[image])
    });
    let mut areas: Vec<f64> = areas.into_iter().flatten().collect();
    areas.sort_by(f64::total_cmp);
    let interval = (!areas.is_empty()).then(|| [0.025, 0.975].map(|q| quantile(&areas, q)));
    Auc { value, interval, resamples: bootstrap.resamples, skipped: bootstrap.resamples - areas.len() }
}

/// None if a class is absent from images in these multiplicities.
fn mean_area(rankings: &[Ranking], times: impl Fn(usize) -> u64) -> Option<f64> {
    let areas: Option<Vec<f64>> = rankings.iter().map(|ranking| ranking.area(&times)).collect();
    areas.map(|areas| areas.iter().sum::<f64>() / areas.len() as f64)
}
