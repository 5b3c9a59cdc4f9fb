//! Prediction of a label without a tape.
//!
//! Of a model with latents the mean decides: q(y | mean of q(zy|x)) needs one encoder, of its two heads the one of the
//! mean, and nothing of the decoder. The tests compare with the same by the tape.

use super::networks::{AuxiliaryClassifier, ClassifierHead, Encoder, Trunk};
use crate::autograd::Params;
use crate::nn::Frozen;

/// Networks from images to the logits of labels, with the values that the parameters had when it was made.
#[derive(Clone, Debug)]
pub struct LabelPredictor {
    network: Frozen,
}

impl LabelPredictor {
    /// Predicts by the mean of a latent of images of (height, width, channels).
    pub(super) fn of_latent(
        image: [usize; 3],
        encoder: &Encoder,
        classifier: &AuxiliaryClassifier,
        params: &Params,
    ) -> Self {
        let stages = [&encoder.stages_to_mean(), classifier.stages()].concat();
        LabelPredictor { network: Frozen::new(image, &stages, params) }
    }

    /// Predicts by the features of a model without latents.
    pub(super) fn of_features(
        image: [usize; 3],
        trunk: &Trunk,
        head: &ClassifierHead,
        params: &Params,
    ) -> Self {
        let stages = [trunk.stages(), head.stages()].concat();
        LabelPredictor { network: Frozen::new(image, &stages, params) }
    }

    /// How many numbers an image is.
    pub fn values(&self) -> usize {
        self.network.inputs()
    }

    /// How many labels there are.
    pub fn labels(&self) -> usize {
        self.network.outputs()
    }

    /// Overwrites `logits` (images, labels) with those of `images` (images, height, width, channels), in 0..1.
    ///
    /// # Panics
    /// If the two are not of the same number of whole images.
    #[track_caller]
    pub fn logits(&self, images: &[f32], logits: &mut [f32]) {
        self.network.forward(images, logits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::gradcheck::CHOOSING;
    use crate::autograd::{Builder, Engine, Gradients, Role, Tape};
    use crate::data::embedded;
    use crate::models::{Diva, Kl, LogitLayout, ModelKind, Networks, SIDE, Settings, argmax};
    use crate::optim::Adam;
    use crate::parallel::with_threads;
    use crate::simd::Isa;
    use crate::tensor::Tensor;
    use std::collections::BTreeSet;
    use std::sync::{Arc, PoisonError};

    /// A model with encoders of full width and 100 real digits, on which it was trained a little: to tell the classes,
    /// and the classes modulo 5, called domains.
    fn model_and_digits() -> (Diva, Params, Tensor) {
        let settings = Settings {
            kind: ModelKind::Diva,
            networks: Networks::Lenet,
            image: [SIDE, SIDE, 1],
            encoder_width: 1.0,
            decoder_width: 0.05,
            latent: 64,
            domains: 5,
            classes: 10,
            logits: LogitLayout::PerPixel,
            kl: Kl::Sampled,
            prior_y: vec![0.1; 10],
        };
        let mut params = Params::new();
        let diva = Diva::new(&mut Builder::new(&mut params, 3), settings);
        let digits = embedded::test();
        let chosen: Vec<usize> = (0..100).map(|i| i * 7).collect();
        let mut images = Tensor::zeros([100, SIDE, SIDE, 1]);
        for (x, &i) in images.data_mut().chunks_exact_mut(SIDE * SIDE).zip(&chosen) {
            let levels = &digits.images[i * SIDE * SIDE..][..SIDE * SIDE];
            x.iter_mut().zip(levels).for_each(|(x, &level)| *x = f32::from(level) / 255.0);
        }
        let classes: Arc<[u32]> = chosen.iter().map(|&i| u32::from(digits.labels[i])).collect();
        let domains: Arc<[u32]> = classes.iter().map(|class| class % 5).collect();
        let (engine, mut gradients) = (Engine::new(), Gradients::new(&params));
        let mut adam = Adam::new(&params, 0.003);
        for step in 0..=6 {
            let tape = Tape::train(&engine, &params);
            let x = tape.input(&images);
            let of_class = diva.class_logits(x).cross_entropy(classes.clone()).sum();
            let of_domain = diva.domain_logits(x).unwrap().cross_entropy(domains.clone()).sum();
            (of_class + of_domain).backward(&mut gradients);
            drop(tape);
            if step < 6 {
                adam.step(&mut params, &gradients);
                continue;
            }
            // What the running averages would come to: new = 0.9 old + 0.1 (that of the batch).
            let old = params.clone();
            for param in old.handles().filter(|&param| old.entry(param).role == Role::Statistic) {
                let averages = old.get(param).iter().zip(gradients.get(&old, param));
                for (x, (old, new)) in params.get_mut(param).iter_mut().zip(averages) {
                    *x = (new - 0.9 * old) * 10.0;
                }
            }
        }
        (diva, params, images)
    }

    fn logits(predictor: &LabelPredictor, images: &[f32]) -> Vec<f32> {
        let mut logits = vec![f32::NAN; images.len() / (SIDE * SIDE) * predictor.labels()];
        predictor.logits(images, &mut logits);
        logits
    }

    #[test]
    fn predictions_equal_those_of_the_tape() {
        let (diva, params, images) = model_and_digits();
        let engine = Engine::new();
        let tape = Tape::inference(&engine, &params);
        let x = tape.input(&images);
        for (predictor, expected) in [
            (diva.class_predictor(&params), diva.class_logits(x)),
            (diva.domain_predictor(&params).unwrap(), diva.domain_logits(x).unwrap()),
        ] {
            let found = logits(&predictor, images.data());
            expected.read(|expected| {
                let largest = expected.iter().fold(0.0, |l: f32, x| l.max(x.abs()));
                for (i, (y, e)) in found.iter().zip(expected).enumerate() {
                    assert!((y - e).abs() < 1e-5 * largest, "logit {i}: {y}, expected {e}");
                }
                let labels = |logits: &[f32]| argmax(logits, predictor.labels()).collect::<Vec<_>>();
                assert_eq!(labels(&found), labels(expected));
                let different: BTreeSet<u32> = labels(&found).into_iter().collect();
                assert!(different.len() >= 4, "only the answers {different:?}");
            });
        }
    }

    #[test]
    fn logits_do_not_depend_on_company_threads_or_instruction_set() {
        let (diva, params, images) = model_and_digits();
        let predictor = diva.class_predictor(&params);
        let together = logits(&predictor, images.data());
        for threads in [1, 2, 3] {
            assert_eq!(with_threads(threads, || logits(&predictor, images.data())), together, "{threads}");
        }
        let alone: Vec<f32> =
            images.data().chunks_exact(SIDE * SIDE).flat_map(|image| logits(&predictor, image)).collect();
        assert_eq!(alone, together);
        let _guard = CHOOSING.lock().unwrap_or_else(PoisonError::into_inner);
        let before = Isa::current();
        for &isa in Isa::supported() {
            isa.choose();
            let found = logits(&predictor, images.data());
            before.choose();
            assert_eq!(found, together, "{}", isa.name());
        }
    }
}
