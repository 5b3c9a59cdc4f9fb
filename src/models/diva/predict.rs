//! Prediction of a label, by the mean of its latent, without a tape.
//!
//! q(y | mean of q(zy|x)) needs one of the three encoders, of its two heads the one of the mean, and nothing of the
//! decoder. [`Diva::class_logits`] is the same by the tape, which the tests compare it with.

use super::networks::{AuxiliaryClassifier, Encoder};
use super::{Diva, SIDE};
use crate::autograd::Params;
use crate::nn::Frozen;

/// An encoder and its classifier, with the values that the parameters had when it was made.
#[derive(Clone, Debug)]
pub struct LabelPredictor {
    network: Frozen,
}

impl LabelPredictor {
    /// Predicts classes, by zy.
    pub fn of_classes(diva: &Diva, params: &Params) -> Self {
        Self::new(&diva.encode_class, &diva.classify_class, params)
    }

    /// Predicts domains, by zd.
    pub fn of_domains(diva: &Diva, params: &Params) -> Self {
        Self::new(&diva.encode_domain, &diva.classify_domain, params)
    }

    fn new(encoder: &Encoder, classifier: &AuxiliaryClassifier, params: &Params) -> Self {
        let mean = encoder.freeze_mean(Frozen::new([SIDE, SIDE, 1]), params);
        LabelPredictor { network: classifier.freeze(mean, params) }
    }

    /// How many labels there are.
    pub fn labels(&self) -> usize {
        self.network.outputs()
    }

    /// Overwrites `logits` (images, labels) with those of `images` (images, 28, 28, 1), grey in 0..1.
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
    use crate::autograd::{Builder, Engine, Role, Tape};
    use crate::data::embedded;
    use crate::models::diva::{Kl, LogitLayout, Settings, argmax};
    use crate::parallel::with_threads;
    use crate::rng::Stream;
    use crate::simd::Isa;
    use crate::tensor::Tensor;

    /// A model at full width whose batch normalisation has seen something, and 100 real digits.
    fn model_and_digits() -> (Diva, Params, Tensor) {
        let settings = Settings {
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
        for (i, param) in params.handles().enumerate() {
            let name = &params.entry(param).name;
            let is_of_norm = params.entry(param).shape.rank() == 1 && !name.contains("fc");
            let is_variance = name.ends_with("running_var");
            let stream = Stream::new(4, "predict", &[i as u64]);
            if is_of_norm {
                let values = params.get_mut(param);
                stream.fill_uniform(-0.4, 0.4, values);
                if is_variance {
                    values.iter_mut().for_each(|x| *x += 0.6);
                }
            }
        }
        assert!(params.entries().iter().any(|entry| entry.role == Role::Statistic));
        let digits = embedded::test();
        let mut images = Tensor::zeros([100, SIDE, SIDE, 1]);
        for (x, &level) in images.data_mut().iter_mut().zip(&digits.images) {
            *x = f32::from(level) / 255.0;
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
            (LabelPredictor::of_classes(&diva, &params), diva.class_logits(x)),
            (LabelPredictor::of_domains(&diva, &params), diva.domain_logits(x)),
        ] {
            let found = logits(&predictor, images.data());
            expected.read(|expected| {
                let largest = expected.iter().fold(0.0, |l: f32, x| l.max(x.abs()));
                for (i, (y, e)) in found.iter().zip(expected).enumerate() {
                    assert!((y - e).abs() < 1e-5 * largest, "logit {i}: {y}, expected {e}");
                }
                let labels = |logits: &[f32]| argmax(logits, predictor.labels()).collect::<Vec<_>>();
                assert_eq!(labels(&found), labels(expected));
                assert!(labels(&found).iter().any(|label| *label != labels(&found)[0]), "one answer for all");
            });
        }
    }

    #[test]
    fn logits_do_not_depend_on_company_threads_or_instruction_set() {
        let (diva, params, images) = model_and_digits();
        let predictor = LabelPredictor::of_classes(&diva, &params);
        let together = logits(&predictor, images.data());
        for threads in [1, 2, 3] {
            assert_eq!(with_threads(threads, || logits(&predictor, images.data())), together, "{threads}");
        }
        let alone: Vec<f32> =
            images.data().chunks_exact(SIDE * SIDE).flat_map(|image| logits(&predictor, image)).collect();
        assert_eq!(alone, together);
        let before = Isa::current();
        for &isa in Isa::supported() {
            isa.choose();
            let found = logits(&predictor, images.data());
            before.choose();
            assert_eq!(found, together, "{}", isa.name());
        }
    }
}
