//! Probabilities that are less, or more, sure of themselves by one number, the temperature (Guo et al., On calibration of modern
//! neural networks, 2017, section 4.2).
//!
//! ```text
//! p_c(T) = exp(x_c / T) / sum_j exp(x_j / T)                            x: the logits, or the logarithms of probabilities
//! T = argmin - sum_i ln p_(y_i)(T)                                      y: the classes of images that were not trained on
//! ```
//!
//! The sum is convex in b = 1 / T, with the derivative sum_i (sum_c p_c x_c - x_(y_i)), whose zero is found by halving. There
//! is none if all images are recognised, when surer is better without end, or if the truth is no likelier than chance. No image's
//! class changes.

use super::log_odds::of_rows;
use super::{Calibration, Predictions};
use crate::elementary::{exp, ln_1p};
use serde::Serialize;

/// Beyond this b, images are as good as all recognised.
const LARGEST: f64 = 1024.0;

/// How often the interval of b is halved: more than it takes to neighbouring numbers.
const HALVINGS: usize = 80;

/// The calibration of images by probabilities whose temperature was fitted on others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tempered {
    /// What logits are divided by: above 1 where the model was too sure of itself.
    pub temperature: f64,
    /// How many images it was fitted on.
    pub fitted_on: usize,
    /// The calibration that it gives.
    pub calibration: Calibration,
}

impl Tempered {
    /// Fits the temperature on `held_back` images; the calibration is of `images`, of two classes about `positive`. None if no
    /// temperature follows, or there are no images.
    pub fn of(held_back: &Predictions, images: &Predictions, positive: u32) -> Option<Self> {
        let temperature = held_back.temperature()?;
        let calibration = Calibration::of(&images.at_temperature(temperature).confidences(positive))?;
        Some(Tempered { temperature, fitted_on: held_back.truth.len(), calibration })
    }

    /// It in a sentence.
    pub fn in_words(&self) -> String {
        format!(
            "With logits divided by a temperature of {:.2}, fitted on {} held-back images of the training domains, the calibration \
             error is {:.3}",
            self.temperature, self.fitted_on, self.calibration.expected_error
        )
    }
}

impl Predictions {
    /// The temperature under which the true classes are likeliest; none if there is no least one above 0.
    pub fn temperature(&self) -> Option<f64> {
        let logarithms = self.logarithms();
        let [mut low, mut high] = [0.0, LARGEST];
        let slope = |b| self.slope(&logarithms, b);
        // In this order: without images both are 0.
        if slope(low) >= 0.0 || slope(high) <= 0.0 {
            return None;
        }
        for _ in 0..HALVINGS {
            let middle = low + (high - low) / 2.0;
            *(if slope(middle) < 0.0 { &mut low } else { &mut high }) = middle;
        }
        Some(1.0 / high)
    }

    /// The same images with the probabilities of a temperature.
    #[must_use]
    pub fn at_temperature(&self, temperature: f64) -> Self {
        let rows: Vec<f64> = self.logarithms().into_iter().map(|x| x / temperature).collect();
        Predictions { log_odds: of_rows(&rows, self.classes), ..self.clone() }
    }

    /// The logarithm of the probability of each class, of log-odds l: -ln(1 + exp(-l)).
    fn logarithms(&self) -> Vec<f64> {
        self.log_odds.iter().map(|&l| l.min(0.0) - ln_1p(exp(-l.abs()))).collect()
    }

    /// The derivative of - sum_i ln p_(y_i) by b.
    fn slope(&self, logarithms: &[f64], b: f64) -> f64 {
        let of_image = |(row, &truth): (&[f64], &u32)| {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = row.iter().map(|x| exp(b * (x - largest))).collect();
            let mean = weights.iter().zip(row).map(|(w, x)| w * x).sum::<f64>() / weights.iter().sum::<f64>();
            mean - row[truth as usize]
        };
        logarithms.chunks_exact(self.classes).zip(&self.truth).map(of_image).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// So many images, of which the first `right` are of the class whose logit is `logit`, the others 0; the rest are of others.
    fn alike(right: usize, images: usize, logit: f32, classes: usize) -> Predictions {
        let truth: Vec<u32> =
            (0..images).map(|i| if i < right { 0 } else { 1 + (i % (classes - 1)) as u32 }).collect();
        let row: Vec<f32> = (0..classes).map(|class| if class == 0 { logit } else { 0.0 }).collect();
        Predictions::new(&truth, &row.repeat(images), classes).unwrap()
    }

    /// Of images alike, the likeliest probability is the share that is right: b x = ln(r (K - 1) / (1 - r)).
    #[test]
    fn images_alike_get_the_share_that_is_right() {
        for (right, images, logit, classes) in [(9, 10, 5.0_f32, 2), (30, 40, 0.25, 3), (50, 100, 20.0, 7)] {
            let found = alike(right, images, logit, classes);
            let share = right as f64 / images as f64;
            let b = (share * (classes - 1) as f64 / (1.0 - share)).ln() / f64::from(logit);
            let temperature = found.temperature().unwrap();
            assert!((temperature * b - 1.0).abs() < 1e-12, "{temperature}, expected {}", 1.0 / b);
            let tempered = Tempered::of(&found, &found, 0).unwrap();
            assert_eq!((tempered.temperature, tempered.fitted_on), (temperature, images));
            assert!(tempered.calibration.expected_error < 1e-12, "{}", tempered.calibration.expected_error);
        }
    }

    /// The least of - sum ln p over a fine grid of temperatures, of logits with noise.
    #[test]
    fn no_other_temperature_is_likelier() {
        let (images, classes) = (200, 4);
        let mut noise = vec![0.0; images * classes];
        Stream::new(3, "temperature", &[]).fill_normal(0, &mut noise);
        let truth: Vec<u32> = (0..images as u32).map(|i| i % 4).collect();
        let logits: Vec<f32> = (0..images * classes)
            .map(|i| 6.0 * (noise[i] + if (i % classes) as u32 == truth[i / classes] { 1.0 } else { 0.0 }))
            .collect();
        let loss = |temperature: f64| -> f64 {
            let of_image = |i: usize| {
                let row = &logits[i * classes..][..classes];
                let sum: f64 = row.iter().map(|&x| (f64::from(x) / temperature).exp()).sum();
                sum.ln() - f64::from(row[truth[i] as usize]) / temperature
            };
            (0..images).map(of_image).sum()
        };
        let found = Predictions::new(&truth, &logits, classes).unwrap();
        let temperature = found.temperature().unwrap();
        assert!(temperature > 1.5, "{temperature}");
        for hundredth in (-90..=200).filter(|&hundredth| hundredth != 0) {
            let other = temperature * (1.0 + f64::from(hundredth) / 100.0);
            assert!(loss(other) > loss(temperature), "{other} is likelier than {temperature}");
        }
        // The classes and their order are what they were.
        let tempered = found.at_temperature(temperature);
        assert_eq!(tempered.predicted, found.predicted);
        let scores = [&found, &tempered].map(|predictions| predictions.scores(0));
        assert_eq!(scores[0].accuracy, scores[1].accuracy);
        assert!(
            scores[1].calibration.as_ref().unwrap().expected_error
                < scores[0].calibration.as_ref().unwrap().expected_error
        );
    }

    #[test]
    fn none_follows_where_all_are_recognised_or_none_is_likelier_than_chance() {
        assert_eq!(alike(10, 10, 3.0, 2).temperature(), None);
        assert_eq!(alike(5, 10, 3.0, 2).temperature(), None);
        assert_eq!(alike(2, 10, 3.0, 4).temperature(), None);
        assert_eq!(Predictions::new(&[], &[], 2).unwrap().temperature(), None);
        // Logits far apart: one of a thousand is wrong by 1,000.
        let far = alike(999, 1_000, 1_000.0, 2).temperature().unwrap();
        assert!((far * 999.0_f64.ln() / 1_000.0 - 1.0).abs() < 1e-12, "{far}");
        assert_eq!(Tempered::of(&alike(9, 10, 1.0, 2), &Predictions::new(&[], &[], 2).unwrap(), 0), None);
    }
}
