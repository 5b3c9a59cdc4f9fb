//! Whether probabilities are frequencies: of the images that are given 0.8, are 80 of 100 what they are said to be?

use serde::{Deserialize, Serialize};

/// How many bins the interval 0..1 is cut into.
const BINS: usize = 10;

/// The reliability of probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Ten bins of equal width; one without images says so.
    pub bins: Vec<Bin>,
    /// The expected calibration error: the mean over the images of |frequency - mean probability| of their bin.
    pub expected_error: f64,
}

/// The images whose probability is above `from`, or 0, and at most `to`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// The lower end.
    pub from: f64,
    /// The upper end, which belongs to the bin.
    pub to: f64,
    /// How many there are.
    pub images: usize,
    /// The mean of their probabilities; none without images.
    pub mean_probability: Option<f64>,
    /// The share of those that are what the probability is of; none without images.
    pub frequency: Option<f64>,
}

impl Calibration {
    /// Of a probability for each image, and whether what it is the probability of is so. None without images.
    pub(super) fn of(confidences: &[(f64, bool)]) -> Option<Self> {
        if confidences.is_empty() {
            return None;
        }
        let end = |i: usize| if i == BINS { 1.0 } else { i as f64 * (1.0 / BINS as f64) };
        let mut sums = [(0, 0.0, 0); BINS];
        for &(probability, so) in confidences {
            let bin = (1..BINS).take_while(|&i| end(i) < probability).count();
            let (images, sum, right) = &mut sums[bin];
            (*images, *sum, *right) = (*images + 1, *sum + probability, *right + usize::from(so));
        }
        let bins: Vec<Bin> = (sums.into_iter().enumerate())
            .map(|(i, (images, sum, right))| {
                let mean = |sum: f64| (images > 0).then(|| sum / images as f64);
                let (mean_probability, frequency) = (mean(sum), mean(right as f64));
                Bin { from: end(i), to: end(i + 1), images, mean_probability, frequency }
            })
            .collect();
        let error = |bin: &Bin| {
            let apart = bin.frequency.zip(bin.mean_probability).map_or(0.0, |(f, p)| (f - p).abs());
            bin.images as f64 / confidences.len() as f64 * apart
        };
        let expected_error = bins.iter().map(error).sum();
        Some(Calibration { bins, expected_error })
    }
}
