//! A mark for images that look unlike those of the training domains.
//!
//! The ELBO of an image is a lower bound of the logarithm of the density that the model gives to it
//! (`models/evidence.rs`). An image is marked if its ELBO is lower or higher than those of nearly all images of the domain
//! that it looks most like, by q(d | mean of q(zd|x)): [`SHARE`] of images like the training images are, half of them below and
//! half above. Both sides count because plain images of quite another kind have a higher ELBO than the model's own (Nalisnick,
//! Matsukawa, Teh, Gorur, Lakshminarayanan: "Do deep generative models know what they don't know?", ICLR 2019), and each domain
//! has limits of its own because the ELBOs of several may lie far apart, with room between them.
//!
//! The limits are taken from images that are held back for the selection of the epoch, where there are [`ENOUGH`]: the model has not
//! learned these by heart. Otherwise they are of those that it was trained on, and more than that share of new images is marked.
//! Of each domain at most [`MOST_IMAGES`] are drawn by the run's seed, with and without a class, as they are on the disk (not
//! flipped or turned).
//!
//! What that is. A sign that the image is not of the kind that the model was made from: another stain, bright on dark
//! instead of dark on bright, noise. Its class probabilities then rest on nothing, however near to 0 or 1 they are.
//!
//! What it is not. It does not say that the answer is wrong, and its absence does not say that the answer is right or the
//! domain known. Images that differ in what few pixels show, such as a new kind of parasite, do not move an ELBO. It is no test with
//! a level of significance for a whole new patient; for that, compare the share of marked images with [`SHARE`].

use super::evaluate;
use crate::autograd::Params;
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::models::{LabelPredictor, Model, elbos};
use crate::rng::Stream;
use crate::scores::Share;
use crate::scores::prediction_interval::prediction_interval;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The share of images like the training images that is marked.
pub const SHARE: f64 = 0.01;

/// The most images of a domain that limits are taken from.
pub const MOST_IMAGES: usize = 400;

/// So many images that are held back are better to take limits from than all that were trained on.
pub const ENOUGH: usize = 20;

/// The ELBOs between which an image is like the training images, and what an ELBO depends on besides the parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnlikeTraining {
    /// The share of images like the training images that is marked.
    pub share: f64,
    /// The images that the limits were taken from: "validation" or "training".
    pub taken_from: String,
    /// Of each training domain in the order of their labels, or the only ones of a model that does not tell domains.
    pub limits: Vec<Limits>,
    /// p(y) in these ELBOs, one probability a class: it may be the frequency in training images that are not there any more.
    pub prior_y: Vec<f64>,
}

/// The ELBOs of images that look like those of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// How many images they were taken from.
    pub images: usize,
    /// Below it an image is marked, in nats.
    pub lowest: f64,
    /// Above it an image is marked, in nats; nothing in runs of earlier versions, which marked on one side.
    pub highest: Option<f64>,
}

/// The file of earlier versions.
#[derive(Deserialize)]
struct OneSided {
    quantile: f64,
    threshold: f64,
    images: usize,
    prior_y: Vec<f64>,
}

impl From<OneSided> for UnlikeTraining {
    fn from(OneSided { quantile, threshold, images, prior_y }: OneSided) -> Self {
        let limits = vec![Limits { images, lowest: threshold, highest: None }];
        UnlikeTraining { share: quantile, taken_from: "training".into(), limits, prior_y }
    }
}

impl UnlikeTraining {
    /// The limits of a trained model; `seed` is the run's. Nothing of a model without a decoder, which has no ELBO.
    ///
    /// # Errors
    /// If an ELBO or a logit is not finite.
    ///
    /// # Panics
    /// If the model is not for such images.
    #[track_caller]
    pub fn of_trained(model: &Model, params: &Params, split: &Split, seed: u64) -> Result<Option<Self>> {
        let Some(variables) = model.latent_variables() else { return Ok(None) };
        let prior_y = &variables.settings().prior_y;
        let held_back = split.validation.as_ref().filter(|data| data.len() >= ENOUGH);
        let (taken_from, parts) = match held_back {
            Some(data) => ("validation", vec![data]),
            None => ("training", split.trained_on().map(|(_, data)| data).collect()),
        };
        let of_domain = model.domain_predictor(params);
        let mut sorted = vec![Vec::new(); of_domain.as_ref().map_or(1, LabelPredictor::labels)];
        for domain in 0..split.domain_names.len() as u32 {
            let drawn = drawn(&parts, domain, seed);
            let likeliest = match &of_domain {
                Some(predictor) => evaluate::predict(predictor, &drawn)?,
                None => vec![0; drawn.len()],
            };
            let images: Vec<&[u8]> = (0..drawn.len()).map(|index| drawn.image(index)).collect();
            for (label, elbo) in likeliest.into_iter().zip(elbos(variables, params, prior_y, &images)) {
                sorted[label as usize].push(elbo);
            }
        }
        Self::new(sorted, taken_from, prior_y).map(Some)
    }

    /// Takes the text of the file apart in which a run keeps its limits; `path` is what error messages call it. Memory: at
    /// most 24 times the text's length, and 16 KiB.
    ///
    /// # Errors
    /// If it is not one.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let wrong = |what: &str| {
            let path = path.display();
            Error::request(format!("cannot read {path}: it is not the limits of unlike images ({what})"))
        };
        let found = match serde_json::from_str::<OneSided>(text) {
            Ok(earlier) => Ok(earlier.into()),
            Err(_) => serde_json::from_str::<Self>(text),
        };
        let found = found.map_err(|cause| wrong(&cause.to_string()))?;
        let is_probability = |number: &f64| (0.0..=1.0).contains(number);
        let is_in_order = |limits: &Limits| limits.highest.is_none_or(|highest| limits.lowest <= highest);
        if !is_probability(&found.share) || found.limits.is_empty() || !found.limits.iter().all(is_in_order) {
            return Err(wrong(
                "a share is from 0 to 1, and the lowest of the limits is not above the highest",
            ));
        }
        if !found.prior_y.iter().all(is_probability) || (found.prior_y.iter().sum::<f64>() - 1.0).abs() > 1e-6
        {
            return Err(wrong("prior_y holds probabilities of classes, which add up to 1"));
        }
        Ok(found)
    }

    /// The text of such a file.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("limits are plain data") + "\n"
    }

    /// The limits of images with these ELBOs, in nats, by the domain that they look most like. Their order does not matter. A
    /// domain that fewer than two look like has those of all.
    ///
    /// # Errors
    /// If there are fewer than two, or one is not finite.
    pub fn new(mut of_domains: Vec<Vec<f64>>, taken_from: &str, prior_y: &[f64]) -> Result<Self> {
        let mut all = of_domains.concat();
        if let Some(elbo) = all.iter().find(|elbo| !elbo.is_finite()) {
            return Err(Error::work(format!(
                "the ELBO of a {taken_from} image is {elbo}, expected a finite number"
            )));
        }
        if all.len() < 2 {
            return Err(Error::request(format!(
                "the ELBOs that images are held against were asked for of {} {taken_from} images, expected at least two",
                all.len()
            )));
        }
        let limits = |elbos: &mut Vec<f64>| {
            elbos.sort_by(f64::total_cmp);
            let [lowest, highest] = prediction_interval(elbos, SHARE);
            Limits { images: elbos.len(), lowest, highest: Some(highest) }
        };
        let of_all = limits(&mut all);
        let limits =
            of_domains.iter_mut().map(|elbos| if elbos.len() < 2 { of_all } else { limits(elbos) }).collect();
        Ok(UnlikeTraining { share: SHARE, taken_from: taken_from.into(), limits, prior_y: prior_y.to_vec() })
    }

    /// Whether an image that looks most like the domain of this label, if the model tells, is marked for its ELBO, in nats. One
    /// without a number as its ELBO is.
    ///
    /// # Panics
    /// If there are no limits of that domain.
    #[track_caller]
    pub fn marks(&self, domain: Option<u32>, elbo: f64) -> bool {
        let limits = match &self.limits[..] {
            [only] => only,
            all => &all[domain.expect("limits of domains are asked for by domain") as usize],
        };
        elbo.is_nan() || elbo < limits.lowest || limits.highest.is_some_and(|highest| elbo > highest)
    }
}

/// How many images of the unseen domain look unlike the training images, and how well the others are recognised.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnlikeShare {
    /// Of all of them.
    pub marked: Share,
    /// The accuracy on the others, if there are any.
    pub accuracy_of_others: Option<Share>,
}

impl UnlikeShare {
    /// Of images, of each whether it is marked and whether its class is recognised; nothing if of one it is not known whether it is
    /// marked, or there are none.
    pub fn of(images: impl Iterator<Item = (Option<bool>, bool)>) -> Option<Self> {
        let (mut all, mut marked, mut right) = (0, 0, 0);
        for (is_marked, is_right) in images {
            all += 1;
            marked += usize::from(is_marked?);
            right += usize::from(is_right && !is_marked?);
        }
        let marked_share = Share::new(marked, all)?;
        Some(UnlikeShare { marked: marked_share, accuracy_of_others: Share::new(right, all - marked) })
    }

    /// In a sentence.
    pub fn in_words(&self) -> String {
        let Share { count, of, value, .. } = self.marked;
        let others = self
            .accuracy_of_others
            .map_or(String::new(), |share| format!("; of the others are recognised {share}"));
        format!("{count} of {of} images ({:.1} %) look unlike the training images{others}", 100.0 * value)
    }
}

/// Of the images of a domain, those that limits are taken from.
fn drawn(parts: &[&Dataset], domain: u32, seed: u64) -> Dataset {
    let places: Vec<(&Dataset, usize)> = parts
        .iter()
        .flat_map(|&data| (0..data.len()).map(move |index| (data, index)))
        .filter(|&(data, index)| data.domains[index] == domain)
        .collect();
    let mut order = Stream::new(seed, "unlike", &[domain.into()]).permutation(places.len());
    order.truncate(MOST_IMAGES);
    let Dataset { height, width, channels, .. } = *parts[0];
    let pixels = order.iter().flat_map(|&place| places[place].0.image(places[place].1)).copied().collect();
    Dataset::new([height, width, channels], pixels, vec![0; order.len()], vec![domain; order.len()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::data::Dataset;
    use crate::train::dataset;
    use crate::train::trainer::Trainer;

    #[test]
    fn what_is_outside_the_limits_of_its_domain_is_marked() {
        // Not in order. NumPy's quantiles 0.005 and 0.995 by Weibull of 0, 1, ..., 999 are 4.005 and 994.995.
        let many: Vec<f64> = (0..1000).map(|i| f64::from((i * 617) % 1000)).collect();
        let few = vec![-70.0, 5.0, -30.0, -20.0, -10.0];
        let of_domains = vec![many.clone(), few, vec![3.0]];
        let unlike = UnlikeTraining::new(of_domains, "validation", &[0.25, 0.75]).unwrap();
        assert_eq!(
            (unlike.share, &unlike.taken_from[..], &unlike.prior_y[..]),
            (0.01, "validation", &[0.25, 0.75][..])
        );
        let images: Vec<usize> = unlike.limits.iter().map(|limits| limits.images).collect();
        assert_eq!(images, [1000, 5, 1006]); // one image is too few: the limits of all
        let Limits { lowest, highest, .. } = unlike.limits[0];
        assert!((lowest - 4.005).abs() < 1e-9 && (highest.unwrap() - 994.995).abs() < 1e-9);
        let marked = |domain, elbo| unlike.marks(Some(domain), elbo);
        assert_eq!(many.iter().filter(|&&elbo| marked(0, elbo)).count(), 10);
        assert!(marked(0, 1e30) && marked(0, -1e30) && marked(0, f64::NEG_INFINITY) && marked(0, f64::NAN));
        assert!(!marked(0, 500.0) && marked(1, 500.0) && !marked(1, -150.0) && marked(0, -150.0));
        assert_eq!(UnlikeTraining::parse(&unlike.to_json(), Path::new("unlike.json")).unwrap(), unlike);

        let only = UnlikeTraining::new(vec![many], "training", &[1.0]).unwrap();
        assert!(only.marks(None, 996.0) && only.marks(Some(7), 3.0) && !only.marks(None, 5.0));
    }

    #[test]
    fn the_share_that_is_marked_is_counted_and_left_out() {
        let images =
            [(true, true), (false, true), (false, false), (true, false), (false, true), (false, true)];
        let known = images.map(|(marked, right)| (Some(marked), right));
        let share = UnlikeShare::of(known.into_iter()).unwrap();
        assert_eq!((share.marked.count, share.marked.of), (2, 6));
        assert_eq!(share.accuracy_of_others, Share::new(3, 4));
        let sentence = "2 of 6 images (33.3 %) look unlike the training images; of the others are recognised 75.0 % (30.1 to 95.4 %), 3 of 4";
        assert_eq!(share.in_words(), sentence);
        let all = UnlikeShare::of([(Some(true), true)].into_iter()).unwrap();
        assert_eq!(all.in_words(), "1 of 1 images (100.0 %) look unlike the training images");
        assert_eq!(UnlikeShare::of([(Some(true), true), (None, true)].into_iter()), None);
        assert_eq!(UnlikeShare::of(std::iter::empty()), None);
    }

    #[test]
    fn the_limit_of_an_earlier_version_has_one_side() {
        let text = r#"{"quantile": 0.05, "threshold": -88.75, "images": 6, "prior_y": [0.25, 0.75]}"#;
        let unlike = UnlikeTraining::parse(text, Path::new("unlike.json")).unwrap();
        assert_eq!((unlike.share, unlike.limits[0].images), (0.05, 6));
        assert!(
            unlike.marks(Some(3), -88.750_001) && !unlike.marks(None, -88.75) && !unlike.marks(None, 1e30)
        );
    }

    #[test]
    fn what_is_no_such_file_is_refused_in_a_sentence() {
        let path = Path::new("run/unlike.json");
        let good =
            UnlikeTraining::new(vec![vec![-3.0, -2.5, -2.0]], "training", &[0.25, 0.75]).unwrap().to_json();
        let lowest = format!("{}", UnlikeTraining::parse(&good, path).unwrap().limits[0].lowest);
        for (from, to, words) in [
            ("0.01", "1.5", "a share is from 0 to 1"),
            (&lowest[..], "null", "invalid type: null"),
            (&lowest[..], "1e9", "the lowest of the limits is not above the highest"),
            ("0.25", "-0.25", "prior_y holds probabilities"),
            ("\"limits\"", "\"limit\"", "missing field"),
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

    /// The images of a split by the domain that a model finds likeliest, one by one.
    fn elbos_by_likeliest(trainer: &Trainer, parts: &[&Dataset]) -> Vec<Vec<f64>> {
        let (model, params) = (trainer.model(), &trainer.state().params);
        let predictor = model.domain_predictor(params).unwrap();
        let mut found = vec![Vec::new(); predictor.labels()];
        for data in parts {
            for (index, label) in evaluate::predict(&predictor, data).unwrap().into_iter().enumerate() {
                let variables = model.latent_variables().unwrap();
                let prior_y = &variables.settings().prior_y;
                found[label as usize].extend(elbos(variables, params, prior_y, &[data.image(index)]));
            }
        }
        found
    }

    #[test]
    fn limits_are_those_of_the_images_that_look_like_a_domain() {
        let trainer = trainer(&["data.unlabelled.subsets=1"]);
        let (split, params) = (trainer.split(), &trainer.state().params);
        let parts = [&split.train, split.unlabelled.as_ref().unwrap()];
        let found = elbos_by_likeliest(&trainer, &parts);
        let unlike = UnlikeTraining::of_trained(trainer.model(), params, split, 3).unwrap().unwrap();
        assert_eq!(unlike, UnlikeTraining::new(found, "training", &[0.1; 10]).unwrap());
        assert_eq!(UnlikeTraining::of_trained(trainer.model(), params, split, 4).unwrap().unwrap(), unlike);

        // Held-back images are better, where there are enough.
        let mut with_validation = split.clone();
        with_validation.validation = Some(split.test.clone());
        with_validation.validation.as_mut().unwrap().domains.fill(0);
        let found = elbos_by_likeliest(&trainer, &[&split.test]);
        let unlike =
            UnlikeTraining::of_trained(trainer.model(), params, &with_validation, 3).unwrap().unwrap();
        assert_eq!(unlike, UnlikeTraining::new(found, "validation", &[0.1; 10]).unwrap());
    }

    #[test]
    fn of_many_images_of_a_domain_some_are_drawn() {
        let image = |number: u32| number.to_le_bytes()[..2].to_vec();
        let data = |numbers: std::ops::Range<u32>| {
            let domains: Vec<u32> = numbers.clone().map(|number| number % 2).collect();
            Dataset::new([1, 2, 1], numbers.flat_map(image).collect(), vec![0; domains.len()], domains)
        };
        let (labelled, unlabelled) = (data(0..1200), data(1200..3000));
        let numbers = |seed| -> Vec<u16> {
            let drawn = drawn(&[&labelled, &unlabelled], 1, seed);
            assert!(drawn.domains.iter().all(|&domain| domain == 1));
            (0..drawn.len()).map(|i| u16::from_le_bytes([drawn.image(i)[0], drawn.image(i)[1]])).collect()
        };
        let mut found = numbers(1);
        assert_eq!(found, numbers(1));
        assert_ne!(found, numbers(2));
        // 40 in 100 are labelled; the standard deviation of their share in 400 is 2.3 of 100.
        let labelled = found.iter().filter(|&&number| number < 1200).count();
        assert!((120..200).contains(&labelled), "{labelled} labelled images of 400");
        assert!(found.iter().all(|number| number % 2 == 1));
        found.sort_unstable();
        found.dedup();
        assert!(found.len() == MOST_IMAGES && found[399] < 3000, "{} images", found.len());
        assert_eq!(drawn(&[&data(0..9)], 0, 1).len(), 5);
    }

    #[test]
    fn what_gives_no_limits_is_refused_in_a_sentence() {
        for (elbos, words) in [
            (vec![vec![], vec![1.0]], "of 1 training images, expected at least two"),
            (vec![vec![1.0], vec![2.0, f64::NAN]], "the ELBO of a training image is NaN"),
            (vec![vec![f64::NEG_INFINITY]], "is -inf"),
        ] {
            let refusal = UnlikeTraining::new(elbos, "training", &[1.0]).unwrap_err().to_string();
            assert!(refusal.contains(words), "{refusal}");
        }
    }
}
