//! A flag for images that look unlike those of the training domains.
//!
//! The ELBO of an image is a lower bound of the logarithm of the density that the model gives to it. The flag is up when it
//! is below a quantile of the ELBOs of the training images: at the quantile 0.01, the model finds the image stranger than
//! it finds 99 of 100 training images.
//!
//! What that is. A sign that the image is not of the kind that the model was made from: another stain, a fragment, a
//! blurred or empty picture. Its class probabilities then rest on nothing, however near to 0 or 1 they are. By
//! construction about the share `quantile` of images like the training images get the flag as well.
//!
//! What it is not. It does not say that the answer is wrong, and its absence does not say that the answer is right or the
//! domain known: densities of deep models can be higher for plainer images of quite another kind than for their own
//! (Nalisnick, Matsukawa, Teh, Gorur, Lakshminarayanan: "Do deep generative models know what they don't know?", ICLR
//! 2019). Images that differ in what few pixels show, such as a new kind of parasite, do not move it. It is no test with a
//! level of significance for a whole new patient; for that, compare the share of flagged images with `quantile`.

use crate::error::{Error, Result};
use crate::scores::quantile::quantile;
use serde::{Deserialize, Serialize};

/// The ELBO below which an image gets the flag.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnlikeTraining {
    /// The share of the training images that are below the threshold, or as near as their number allows.
    pub quantile: f64,
    /// In nats.
    pub threshold: f64,
    /// How many training images it was taken from.
    pub images: usize,
}

impl UnlikeTraining {
    /// The threshold at the quantile `share` (0..1) of the ELBOs, in nats, of training images. Their order does not matter.
    ///
    /// # Errors
    /// If there are none, one is not finite, or `share` is not in 0..1.
    pub fn new(training_elbos: &[f64], share: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&share) {
            return Err(Error::request(format!(
                "the quantile of the training images' ELBOs is {share}, expected a number from 0 to 1"
            )));
        }
        if training_elbos.is_empty() {
            return Err(Error::request(
                "the ELBO that images are held against was asked for, but there are no training images to take it from",
            ));
        }
        if let Some(image) = training_elbos.iter().position(|elbo| !elbo.is_finite()) {
            return Err(Error::work(format!(
                "the ELBO of training image {image} is {}, expected a finite number",
                training_elbos[image]
            )));
        }
        let mut ascending = training_elbos.to_vec();
        ascending.sort_by(f64::total_cmp);
        let threshold = quantile(&ascending, share);
        Ok(UnlikeTraining { quantile: share, threshold, images: ascending.len() })
    }

    /// Whether an image with this ELBO, in nats, gets the flag. One without a number as its ELBO does.
    pub fn flags(&self, elbo: f64) -> bool {
        elbo.is_nan() || elbo < self.threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_the_quantile_gets_the_flag() {
        // Not in order; numpy.quantile(elbos, 0.05) is -88.75.
        let elbos = [-70.0, -95.0, -10.0, -20.0, -30.0, -40.0];
        let unlike = UnlikeTraining::new(&elbos, 0.05).unwrap();
        let expected = UnlikeTraining { quantile: 0.05, threshold: -88.75, images: 6 };
        assert_eq!(unlike, expected);
        assert!(unlike.flags(-88.750_001) && unlike.flags(-1e30) && unlike.flags(f64::NEG_INFINITY));
        assert!(!unlike.flags(-88.75) && !unlike.flags(0.0));
        assert!(unlike.flags(f64::NAN));
        let many: Vec<f64> = (0..1000).map(|i| -f64::from((i * 617) % 1000)).collect();
        let unlike = UnlikeTraining::new(&many, 0.01).unwrap();
        assert_eq!(unlike.threshold, -989.01); // numpy's
        assert_eq!(many.iter().filter(|&&elbo| unlike.flags(elbo)).count(), 10);
        assert_eq!(
            serde_json::from_str::<UnlikeTraining>(&serde_json::to_string(&unlike).unwrap()).unwrap(),
            unlike
        );
    }

    #[test]
    fn what_gives_no_threshold_is_refused_in_a_sentence() {
        for (elbos, share, words) in [
            (&[1.0][..], 1.5, "is 1.5, expected a number from 0 to 1"),
            (&[1.0], f64::NAN, "is NaN, expected a number from 0 to 1"),
            (&[], 0.01, "no training images"),
            (&[1.0, f64::NAN], 0.01, "training image 1 is NaN"),
            (&[f64::NEG_INFINITY], 0.01, "training image 0 is -inf"),
        ] {
            let refusal = UnlikeTraining::new(elbos, share).unwrap_err().to_string();
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}
