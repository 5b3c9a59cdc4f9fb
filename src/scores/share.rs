//! A share of images, such as the accuracy, with Wilson's interval.
//!
//! ```text
//! |share - p| <= t sqrt(p (1 - p) / n)                   of p from one end of the interval to the other
//! ```
//!
//! (Wilson, 1927.) The variance is that of the p in question and not that of the share that was found, so that the interval of
//! 0 or n of n is none of a point, and none leaves 0..1.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How many standard deviations from the mean 95 % of a normal distribution are: its quantile at 0.975.
pub(super) const NORMAL: f64 = 1.959_963_984_540_054;

/// How many of some images are something, and what share that is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// How many are.
    pub count: usize,
    /// Of how many.
    pub of: usize,
    /// The share.
    pub value: f64,
    /// Wilson's 95 % interval: how the share of all images may differ from that of these, which were drawn independently.
    pub interval: [f64; 2],
}

impl Share {
    /// None of no images.
    ///
    /// # Panics
    /// If more are than there are.
    #[track_caller]
    pub fn new(count: usize, of: usize) -> Option<Self> {
        assert!(count <= of, "{count} of {of} images");
        let value = super::ratio(count, of)?;
        Some(Share { count, of, value, interval: wilson(value, 1.0 / of as f64, NORMAL) })
    }
}

impl fmt::Display for Share {
    /// In per cent, with one decimal: 83.3 % (75.7 to 88.9 %), 100 of 120.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interval = interval_in_per_cent(self.interval);
        write!(f, "{:.1} % ({interval}), {} of {}", 100.0 * self.value, self.count, self.of)
    }
}

/// An interval of shares with one decimal: 75.7 to 88.9 %.
pub fn interval_in_per_cent([low, high]: [f64; 2]) -> String {
    format!("{:.1} to {:.1} %", 100.0 * low, 100.0 * high)
}

/// Wilson's interval of a share of 1 / `inverse` images, `deviations` standard deviations to both sides.
pub(super) fn wilson(share: f64, inverse: f64, deviations: f64) -> [f64; 2] {
    let more = deviations * deviations * inverse;
    let lower = |share: f64| {
        let half = (more * share * (1.0 - share) + more * more / 4.0).sqrt();
        ((share + more / 2.0 - half) / (1.0 + more)).max(0.0)
    };
    [lower(share), 1.0 - lower(1.0 - share)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `proportion_confint(count, of, method="wilson")` of statsmodels 0.15.0.
    #[test]
    fn the_interval_is_that_of_statsmodels() {
        for (count, of, expected) in STATSMODELS {
            let share = Share::new(count, of).unwrap();
            assert_eq!(share.value, count as f64 / of as f64);
            for (end, expected) in share.interval.into_iter().zip(expected) {
                assert!((end - expected).abs() < 1e-14, "{share:?}, expected {expected}");
            }
        }
    }

    #[test]
    fn nothing_and_all_have_an_end_in_common_with_it_and_no_images_no_share() {
        for of in [1, 2, 7, 100, 12_345, 4_000_000_000] {
            let [none, all] = [0, of].map(|count| Share::new(count, of).unwrap().interval);
            assert_eq!((none[0], all[1]), (0.0, 1.0), "{of}");
            assert!(none[1] > 0.0 && all[0] < 1.0);
            assert!((none[1] + all[0] - 1.0).abs() < 1e-15);
        }
        assert_eq!(Share::new(0, 0), None);
        assert_eq!(Share::new(100, 120).unwrap().to_string(), "83.3 % (75.7 to 88.9 %), 100 of 120");
    }

    #[test]
    #[should_panic(expected = "3 of 2 images")]
    fn more_than_there_are_is_a_bug() {
        Share::new(3, 2);
    }

    const STATSMODELS: [(usize, usize, [f64; 2]); 10] = [
        (0, 1, [0.0, 0.7934506856227627]),
        (1, 1, [0.2065493143772374, 1.0]),
        (0, 20, [0.0, 0.1611251580528194]),
        (20, 20, [0.8388748419471804, 0.9999999999999999]),
        (1, 2, [0.09453120573423068, 0.9054687942657693]),
        (3, 12, [0.08894166839405476, 0.5323053349335658]),
        (100, 120, [0.7565471860673773, 0.8894400363201539]),
        (356, 414, [0.823150678228399, 0.8900384840942395]),
        (3928, 3929, [0.9985596276440953, 0.9999550699652902]),
        (7, 1_000_000, [3.390867834900855e-06, 1.4450522448827194e-05]),
    ];
}
