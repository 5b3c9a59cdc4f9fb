//! A flag for images that look unlike those of the training domains.
//!
//! The ELBO of an image is a lower bound of the logarithm of the density that the model gives to it
//! (`models/evidence.rs`). The flag is up when it is below a quantile of the ELBOs of training images: at the quantile
//! 0.01, the model finds the image stranger than it finds 99 of 100 training images. These are at most [`MOST_IMAGES`],
//! drawn by the run's seed from all that were trained on, with and without a class, as they are on the disk (not flipped or
//! turned): a thousand forward passes are little beside a training, and a hundredth of them is still ten images.
//!
//! What that is. A sign that the image is not of the kind that the model was made from: another stain, bright on dark
//! instead of dark on bright, noise. Its class probabilities then rest on nothing, however near to 0 or 1 they are. By
//! construction about the share `quantile` of images like the training images get the flag as well.
//!
//! What it is not. It does not say that the answer is wrong, and its absence does not say that the answer is right or the
//! domain known: densities of deep models can be higher for plainer images of quite another kind than for their own
//! (Nalisnick, Matsukawa, Teh, Gorur, Lakshminarayanan: "Do deep generative models know what they don't know?", ICLR
//! 2019). So an empty or a blurred picture may get no flag: there is little in it to be surprised at. Images that differ in
//! what few pixels show, such as a new kind of parasite, do not move it. It is no test with a level of significance for a
//! whole new patient; for that, compare the share of flagged images with `quantile`. The model has seen the training images,
//! so of new ones of the same kind more than that share get the flag where it has learned its images by heart.

use crate::autograd::Params;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::models::{LatentVariableModel, elbos};
use crate::rng::Stream;
use crate::scores::quantile::quantile;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The share of training images that get the flag.
pub const QUANTILE: f64 = 0.01;

/// The most training images that a threshold is taken from.
pub const MOST_IMAGES: usize = 1000;

/// The ELBO below which an image gets the flag, and what an ELBO depends on besides the parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnlikeTraining {
    /// The share of the training images that are below the threshold, or as near as their number allows.
    pub quantile: f64,
    /// In nats.
    pub threshold: f64,
    /// How many training images it was taken from.
    pub images: usize,
    /// p(y) in these ELBOs, one probability a class: it may be the frequency in training images that are not there any more.
    pub prior_y: Vec<f64>,
}

impl UnlikeTraining {
    /// The threshold of a trained model: at [`QUANTILE`] of the ELBOs of the images that it was trained on, or of
    /// [`MOST_IMAGES`] of them. `seed` is the run's.
    ///
    /// # Errors
    /// If an ELBO is not finite.
    ///
    /// # Panics
    /// If the model is not for such images.
    #[track_caller]
    pub fn of_trained(
        model: &dyn LatentVariableModel,
        params: &Params,
        split: &Split,
        seed: u64,
    ) -> Result<Self> {
        let prior_y = &model.settings().prior_y;
        let elbos = elbos(model, params, prior_y, &drawn(split, seed));
        Self::new(&elbos, QUANTILE, prior_y)
    }

    /// Takes the text of the file apart in which a run keeps its threshold; `path` is what error messages call it. Memory: at
    /// most 24 times the text's length, and 16 KiB.
    ///
    /// # Errors
    /// If it is not one.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let wrong = |what: &str| {
            let path = path.display();
            Error::request(format!("cannot read {path}: it is not the threshold of unlike images ({what})"))
        };
        let found: Self = serde_json::from_str(text).map_err(|cause| wrong(&cause.to_string()))?;
        let is_probability = |number: &f64| (0.0..=1.0).contains(number);
        if !is_probability(&found.quantile) || !found.threshold.is_finite() {
            return Err(wrong("a quantile is from 0 to 1, a threshold is finite"));
        }
        if !found.prior_y.iter().all(is_probability) || (found.prior_y.iter().sum::<f64>() - 1.0).abs() > 1e-6
        {
            return Err(wrong("prior_y holds probabilities of classes, which add up to 1"));
        }
        Ok(found)
    }

    /// The text of such a file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a threshold is plain data") + "\n"
    }

    /// The threshold at the quantile `share` (0..1) of the ELBOs, in nats, of training images. Their order does not matter.
    ///
    /// # Errors
    /// If there are none, one is not finite, or `share` is not in 0..1.
    pub fn new(training_elbos: &[f64], share: f64, prior_y: &[f64]) -> Result<Self> {
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
        Ok(UnlikeTraining { quantile: share, threshold, images: ascending.len(), prior_y: prior_y.to_vec() })
    }

    /// Whether an image with this ELBO, in nats, gets the flag. One without a number as its ELBO does.
    pub fn flags(&self, elbo: f64) -> bool {
        elbo.is_nan() || elbo < self.threshold
    }
}

/// The images that a threshold is taken from.
fn drawn(split: &Split, seed: u64) -> Vec<&[u8]> {
    let all = split.trained_on().flat_map(|(_, data)| (0..data.len()).map(move |index| data.image(index)));
    let all: Vec<&[u8]> = all.collect();
    let mut order = Stream::new(seed, "unlike", &[]).permutation(all.len());
    order.truncate(MOST_IMAGES);
    order.into_iter().map(|index| all[index]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::data::Dataset;
    use crate::train::dataset;
    use crate::train::trainer::Trainer;

    fn of(elbos: &[f64], share: f64) -> Result<UnlikeTraining> {
        UnlikeTraining::new(elbos, share, &[0.25, 0.75])
    }

    #[test]
    fn what_is_below_the_quantile_gets_the_flag() {
        // Not in order; numpy.quantile(elbos, 0.05) is -88.75.
        let elbos = [-70.0, -95.0, -10.0, -20.0, -30.0, -40.0];
        let unlike = of(&elbos, 0.05).unwrap();
        let expected =
            UnlikeTraining { quantile: 0.05, threshold: -88.75, images: 6, prior_y: vec![0.25, 0.75] };
        assert_eq!(unlike, expected);
        assert!(unlike.flags(-88.750_001) && unlike.flags(-1e30) && unlike.flags(f64::NEG_INFINITY));
        assert!(!unlike.flags(-88.75) && !unlike.flags(0.0));
        assert!(unlike.flags(f64::NAN));
        let many: Vec<f64> = (0..1000).map(|i| -f64::from((i * 617) % 1000)).collect();
        let unlike = of(&many, 0.01).unwrap();
        assert_eq!(unlike.threshold, -989.01); // numpy's
        assert_eq!(many.iter().filter(|&&elbo| unlike.flags(elbo)).count(), 10);
        assert_eq!(UnlikeTraining::parse(&unlike.to_json(), Path::new("unlike.json")).unwrap(), unlike);
    }

    #[test]
    fn what_is_no_such_file_is_refused_in_a_sentence() {
        let path = Path::new("run/unlike.json");
        let good = of(&[-3.0, -2.0], 0.01).unwrap().to_json();
        for (from, to, words) in [
            ("0.01", "1.5", "a quantile is from 0 to 1"),
            ("-2.99", "null", "invalid type: null"),
            ("0.25", "-0.25", "prior_y holds probabilities"),
            ("\"threshold\"", "\"limit\"", "missing field"),
        ] {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good);
            let refusal = UnlikeTraining::parse(&text, path).unwrap_err().to_string();
            assert!(refusal.contains(words) && refusal.contains("run/unlike.json"), "{refusal}");
        }
    }

    /// A model that was trained for one step, so that no two images have the same ELBO.
    fn trainer(settings: &[&str]) -> Trainer {
        let mut all =
            vec!["data.domains=[0,30,75]", "data.per_class=2", "model.width=0.0625", "train.batch=20"];
        all.extend(settings);
        let overrides: Vec<String> = all.into_iter().map(str::to_owned).collect();
        let config = Config::resolve(None, None, &overrides, None).unwrap();
        let split = dataset::load(&config).unwrap();
        let mut trainer = Trainer::new(config, split).unwrap();
        let order = trainer.order().unwrap();
        trainer.step(&order).unwrap();
        trainer
    }

    #[test]
    fn the_threshold_is_the_quantile_of_all_training_images() {
        let trainer = trainer(&["data.unlabelled.subsets=1"]);
        let (split, params) = (trainer.split(), &trainer.state().params);
        let model = trainer.model().latent_variables().unwrap();
        let unlike = UnlikeTraining::of_trained(model, params, split, 3).unwrap();
        let mut found = Vec::new();
        for data in [&split.train, split.unlabelled.as_ref().unwrap()] {
            let images: Vec<&[u8]> = (0..data.len()).map(|i| data.image(i)).collect();
            found.extend(elbos(model, params, &[0.1; 10], &images));
        }
        assert_eq!((unlike.images, unlike.quantile, &unlike.prior_y), (80, 0.01, &vec![0.1; 10]));
        // Of 80 numbers the quantile lies 0.79 of the way from the lowest to the next.
        found.sort_by(f64::total_cmp);
        assert!((unlike.threshold - (0.21 * found[0] + 0.79 * found[1])).abs() < 1e-9, "{unlike:?}");
        assert_eq!(found.iter().filter(|&&elbo| unlike.flags(elbo)).count(), 1);
        assert_eq!(UnlikeTraining::of_trained(model, params, split, 4).unwrap(), unlike);
    }

    #[test]
    fn of_many_images_a_thousand_are_drawn() {
        let image = |number: u32| number.to_le_bytes()[..2].to_vec();
        let data = |numbers: std::ops::Range<u32>| {
            let labels = vec![0; numbers.len()];
            Dataset::new([1, 2, 1], numbers.flat_map(image).collect(), labels.clone(), labels)
        };
        let split = Split {
            train: data(0..1200),
            validation: Some(data(5000..5100)),
            unlabelled: Some(data(1200..3000)),
            test: data(6000..6100),
            disjoint_test: None,
            test_origins: None,
            domain_names: vec!["A".into()],
            test_domain: "B".into(),
            classes: 1,
            class_names: vec!["0".into()],
        };
        let numbers = |seed| -> Vec<u16> {
            let images = drawn(&split, seed);
            images.into_iter().map(|image| u16::from_le_bytes([image[0], image[1]])).collect()
        };
        let mut found = numbers(1);
        assert_eq!(found, numbers(1));
        assert_ne!(found, numbers(2));
        // 40 in 100 are labelled; the standard deviation of their share in a thousand is 1.3 of 100.
        let labelled = found.iter().filter(|&&number| number < 1200).count();
        assert!((350..450).contains(&labelled), "{labelled} labelled images of 1000");
        found.sort_unstable();
        found.dedup();
        assert!(found.len() == MOST_IMAGES && found[999] < 3000, "{} images", found.len());
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
            let refusal = of(elbos, share).unwrap_err().to_string();
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}
