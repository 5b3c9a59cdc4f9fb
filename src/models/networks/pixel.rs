//! What is drawn of a pixel, of which a decoder gives a distribution.
//!
//! Where a stroke may lie, its many greys share the probability, while black has all of its own at one level: black is the
//! likeliest level, and the stroke breaks, although most of the probability is above it. The median asks where most of it is. The
//! mean has the least squared error and blurs. Pictures and figures: docs/results.md, "What is drawn of a pixel".

use super::argmax;
use super::lenet::LEVELS;
use crate::autograd::Var;
use crate::config::Networks;
use crate::rng::Stream;

/// What is drawn of a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelValue {
    /// The lowest level up to which there is half of the probability.
    Median,
    /// Of grey levels the expected one, to the nearest level; of a mixture the mean of its likeliest component.
    Mean,
    /// The likeliest level, the lowest of equals.
    Mode,
    /// A level drawn with its probability.
    Sample,
}

impl PixelValue {
    /// All of them.
    pub const ALL: [PixelValue; 4] =
        [PixelValue::Median, PixelValue::Mean, PixelValue::Mode, PixelValue::Sample];

    /// It in one word.
    pub fn name(self) -> &'static str {
        match self {
            PixelValue::Median => "median",
            PixelValue::Mean => "mean",
            PixelValue::Mode => "mode",
            PixelValue::Sample => "sample",
        }
    }

    /// Those that the decoder of such networks can draw; the first where nobody says which.
    pub fn of(networks: Networks) -> &'static [PixelValue] {
        match networks {
            Networks::Lenet => &Self::ALL,
            Networks::Resnet => &[PixelValue::Mean, PixelValue::Sample],
        }
    }

    /// The wanted one, or that which the decoder of such networks draws where nobody says.
    ///
    /// # Errors
    /// Why such a decoder cannot draw it, in a clause.
    pub fn chosen(wanted: Option<PixelValue>, networks: Networks) -> Result<PixelValue, String> {
        let known = Self::of(networks);
        match wanted {
            None => Ok(known[0]),
            Some(wanted) if known.contains(&wanted) => Ok(wanted),
            Some(wanted) => Err(format!(
                "its pixels are mixtures of logistic distributions, of which mean and sample can be drawn, not the {}",
                wanted.name()
            )),
        }
    }
}

/// Levels of pixels with a row of 256 logits each. Draws take the uniform numbers of `noise` from its beginning, one a pixel.
#[track_caller]
pub(super) fn levels(logits: Var<'_>, value: PixelValue, noise: Stream) -> Vec<u8> {
    let each = |level: &dyn Fn(&[f32], u64) -> u8| {
        let probabilities = logits.log_softmax().exp();
        probabilities.read(|rows| rows.chunks_exact(LEVELS).zip(0..).map(|(row, i)| level(row, i)).collect())
    };
    match value {
        PixelValue::Median => each(&|row, _| quantile(row, 0.5)),
        PixelValue::Mean => each(&|row, _| mean(row)),
        PixelValue::Mode => logits.read(|rows| argmax(rows, LEVELS).map(|level| level as u8).collect()),
        // Never 0, which level 0 would have even if it were impossible.
        PixelValue::Sample => each(&|row, i| quantile(row, 1.0 - f64::from(noise.uniform(i)))),
    }
}

/// The lowest level up to which there is this share of the probability.
fn quantile(probabilities: &[f32], share: f64) -> u8 {
    let all: f64 = probabilities.iter().map(|&p| f64::from(p)).sum();
    let mut below = 0.0;
    let is_there = |&p: &f32| {
        below += f64::from(p);
        below >= share * all
    };
    // Of probabilities that are no numbers none is: pictures of such are refused.
    probabilities.iter().position(is_there).map_or(u8::MAX, |level| level as u8)
}

/// The expected level, to the nearest one.
fn mean(probabilities: &[f32]) -> u8 {
    let all: f64 = probabilities.iter().map(|&p| f64::from(p)).sum();
    let weighted: f64 = (0..).zip(probabilities).map(|(level, &p)| f64::from(level) * f64::from(p)).sum();
    (weighted / all).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{Engine, Params, Tape};
    use crate::tensor::Tensor;

    /// The levels of pixels that all have the same probabilities.
    fn drawn(probabilities: &[f64], value: PixelValue, pixels: usize, seed: u64) -> Vec<u8> {
        let (engine, params) = (Engine::new(), Params::new());
        let tape = Tape::inference(&engine, &params);
        // A height that the softmax has to take off.
        let logits: Vec<f32> = probabilities.iter().map(|p| (p.ln() + 7.0) as f32).collect();
        let logits = tape.input(&Tensor::new([pixels, LEVELS], &logits.repeat(pixels)));
        levels(logits, value, Stream::new(seed, "pixels", &[]))
    }

    fn of_one(probabilities: &[f64]) -> [u8; 3] {
        [PixelValue::Median, PixelValue::Mean, PixelValue::Mode]
            .map(|value| drawn(probabilities, value, 1, 0)[0])
    }

    /// Probabilities of some levels, the others impossible.
    fn at(levels: &[(usize, f64)]) -> Vec<f64> {
        let mut probabilities = vec![0.0; LEVELS];
        levels.iter().for_each(|&(level, p)| probabilities[level] = p);
        probabilities
    }

    /// Uneven, and none is 0.
    fn uneven() -> Vec<f64> {
        let weights: Vec<f64> =
            (0..LEVELS).map(|level| 10.0 + ((level * 37) % 101) as f64 + (level as f64 / 16.0)).collect();
        weights.iter().map(|weight| weight / weights.iter().sum::<f64>()).collect()
    }

    /// By another road: each level `round(p N)` times in a list of about a million.
    #[test]
    fn median_mean_and_mode_are_those_of_a_list_of_levels() {
        let skewed: Vec<f64> = uneven().iter().zip(0..).map(|(p, level)| p * 0.97_f64.powi(level)).collect();
        let total: f64 = skewed.iter().sum();
        for probabilities in [uneven(), skewed.iter().map(|p| p / total).collect()] {
            let counts: Vec<usize> = probabilities.iter().map(|p| (p * 1e6).round() as usize).collect();
            let list: Vec<usize> =
                counts.iter().enumerate().flat_map(|(level, &count)| vec![level; count]).collect();
            let median = list[(list.len() - 1) / 2];
            let mean = (list.iter().sum::<usize>() as f64 / list.len() as f64).round();
            let mode = (0..LEVELS).rev().max_by_key(|&level| counts[level]).unwrap();
            assert_eq!(of_one(&probabilities), [median as u8, mean as u8, mode as u8]);
        }
    }

    #[test]
    fn ends_and_ties_are_decided_downwards() {
        assert_eq!(of_one(&at(&[(0, 1.0)])), [0; 3]);
        assert_eq!(of_one(&at(&[(255, 1.0)])), [255; 3]);
        assert_eq!(of_one(&at(&[(0, 0.5), (255, 0.5)])), [0, 128, 0]);
        assert_eq!(of_one(&[1.0 / 256.0; LEVELS]), [127, 128, 0]);
        // Black is likeliest, and white on the whole.
        let stroke = at(&[(0, 0.4), (250, 0.3), (254, 0.3)]);
        assert_eq!(of_one(&stroke), [250, 151, 0]);
        // Half lies up to level 1, in numbers that are exact; all of it up to 2.
        let exact = [0.25, 0.25, 0.5, 0.0];
        assert_eq!([0.1, 0.25, 0.5, 0.51, 1.0].map(|share| quantile(&exact, share)), [0, 0, 1, 2, 2]);
        for level in [0, 255] {
            assert_eq!(drawn(&at(&[(level, 1.0)]), PixelValue::Sample, 1000, 1), [level as u8; 1000]);
        }
    }

    #[test]
    fn samples_have_the_frequencies_of_the_levels() {
        const PIXELS: usize = 60_000;
        let probabilities = uneven();
        let found = drawn(&probabilities, PixelValue::Sample, PIXELS, 5);
        let mut counts = [0.0; LEVELS];
        found.iter().for_each(|&level| counts[usize::from(level)] += 1.0);
        let expected: Vec<f64> = probabilities.iter().map(|p| p * PIXELS as f64).collect();
        assert!(expected.iter().all(|&expected| expected > 5.0), "too few at a level");
        // Pearson's statistic has one degree of freedom less than levels: mean 255, standard deviation 22.6.
        let statistic: f64 = counts.iter().zip(&expected).map(|(n, e)| (n - e).powi(2) / e).sum();
        assert!((statistic - 255.0).abs() < 4.5 * 22.6, "{statistic}");
        assert_eq!(drawn(&probabilities, PixelValue::Sample, 100, 5), found[..100]);
        assert_ne!(drawn(&probabilities, PixelValue::Sample, 100, 6), found[..100]);
    }

    #[test]
    fn a_mixture_is_drawn_as_its_mean_or_a_sample() {
        let chosen = |wanted| PixelValue::chosen(wanted, Networks::Resnet);
        assert_eq!(chosen(None), Ok(PixelValue::Mean));
        assert_eq!(chosen(Some(PixelValue::Sample)), Ok(PixelValue::Sample));
        for (value, name) in [(PixelValue::Median, "not the median"), (PixelValue::Mode, "not the mode")] {
            assert!(chosen(Some(value)).unwrap_err().ends_with(name));
        }
        for value in PixelValue::ALL {
            assert_eq!(PixelValue::chosen(Some(value), Networks::Lenet), Ok(value));
        }
        assert_eq!(PixelValue::chosen(None, Networks::Lenet), Ok(PixelValue::Median));
    }
}
