//! The objective: the evidence lower bound and the two auxiliary classifiers.
//!
//! Summed over the batch, with one reparameterised sample z = mean + sd noise for each latent:
//!
//! ```text
//! labelled     L = - log p(x|z) + b (KL_d + KL_x + KL_y) + a_d CE(q(d|zd), d) + a_y CE(q(y|zy), y)
//! unlabelled   L = - log p(x|z) + b (KL_d + KL_x + sum_y q(y|zy) KL_y) + a_d CE(q(d|zd), d)
//!                  + sum_y q(y|zy) [log q(y|zy) - log p(y)]                        (not scaled by b)
//! ```
//!
//! KL_l = log q(z|x) - log p(z|l) at the sample (as published), or the divergence in closed form. Without a label, y
//! is summed out exactly under q(y|zy), and gradients flow through these weights. (Ilse et al. 2020, equations 1 to 4.)

use super::{Diva, LabelLatent};
use crate::autograd::{Tape, Var};
use crate::models::{Batch, Loss, Weights, divergence, normal};
use crate::prob::Normal;
use crate::tensor::Tensor;
use std::sync::Arc;

/// The standard normal noise of the three samples, (batch, latent) each.
#[derive(Clone, Debug)]
pub struct Noise {
    /// For zd.
    pub domain: Tensor,
    /// For zx.
    pub residual: Tensor,
    /// For zy.
    pub class: Tensor,
}

impl Noise {
    /// The noise of a training step: a function of (seed, step).
    pub fn of_step(seed: u64, step: u64, batch: usize, latent: usize) -> Self {
        let draw = |which| normal([seed, step, which], [batch, latent]);
        Noise { domain: draw(0), residual: draw(1), class: draw(2) }
    }
}

impl Diva {
    /// The loss of a batch: labelled if its classes are known, unlabelled otherwise. Of a latent that the model does
    /// not have, the noise is not looked at, and the terms are left out.
    #[track_caller]
    pub fn loss<'t>(&self, tape: &'t Tape<'t>, batch: &Batch, noise: &Noise, weights: Weights) -> Loss<'t> {
        let x = tape.input(&batch.images);
        let sample = |q: Normal<'t>, noise: &Tensor| (q, q.sample(tape.input(noise)));
        let of_domain = self.domain.as_ref();
        let of_domain = of_domain.map(|latent| (latent, sample(latent.encoder.forward(x), &noise.domain)));
        let of_residual = self.residual.as_ref();
        let of_residual = of_residual.map(|encoder| sample(encoder.forward(x), &noise.residual));
        let (q_zy, zy) = sample(self.class.encoder.forward(x), &noise.class);

        let zd = of_domain.map(|(_, (_, zd))| zd);
        let zx = of_residual.map(|(_, zx)| zx);
        let z: Vec<Var<'t>> = [zd, zx, Some(zy)].into_iter().flatten().collect();
        let p_zd = of_domain.map(|(latent, _)| latent.prior.forward(tape, &batch.domains));
        let p_zx = zx.map(|zx| Normal::standard(tape, zx.shape()));

        let kl = self.settings.kl;
        let reconstruction = self.decoder.negative_log_likelihood(Var::concat(&z), batch);
        let kl_d = of_domain.zip(p_zd).map(|((_, (q, z)), p)| divergence(q, p, z, kl).sum());
        let kl_x = of_residual.zip(p_zx).map(|((q, z), p)| divergence(q, p, z, kl).sum());
        let ce_d = of_domain.map(|(LabelLatent { classifier, .. }, (_, zd))| {
            classifier.forward(zd).cross_entropy(batch.domains.clone()).sum()
        });
        let (kl_y, of_y) = match &batch.classes {
            Some(classes) => {
                let p_zy = self.class.prior.forward(tape, classes);
                let ce_y = self.class.classifier.forward(zy).cross_entropy(classes.clone()).sum();
                (divergence(q_zy, p_zy, zy, kl).sum(), ("ce_y", ce_y, weights.alpha_y))
            }
            None => {
                let (kl_y, entropy_y) = self.sum_out_class(tape, q_zy, zy);
                (kl_y, ("entropy_y", entropy_y, 1.0))
            }
        };

        let (name_y, term_y, weight_y) = of_y;
        let all_kl = [kl_d, kl_x, Some(kl_y)].into_iter().flatten().reduce(|sum, kl| sum + kl);
        let mut total = reconstruction + all_kl.expect("there is zy").scale(weights.beta);
        if let Some(ce_d) = ce_d {
            total = total + ce_d.scale(weights.alpha_d);
        }
        total = total + term_y.scale(weight_y);
        let terms = [
            ("reconstruction", Some(reconstruction)),
            ("kl_d", kl_d),
            ("kl_x", kl_x),
            ("kl_y", Some(kl_y)),
            ("ce_d", ce_d),
            (name_y, Some(term_y)),
        ];
        let terms = terms.into_iter().filter_map(|(name, term)| Some((name, term?.item()))).collect();
        Loss { total, sum: total.item(), terms }
    }

    /// For images without a class: sum_y q(y|zy) KL_y and sum_y q(y|zy) [log q(y|zy) - log p(y)], over the batch.
    #[track_caller]
    fn sum_out_class<'t>(&self, tape: &'t Tape<'t>, q_zy: Normal<'t>, zy: Var<'t>) -> (Var<'t>, Var<'t>) {
        let (batch, classes) = (zy.shape().rows(), self.settings.classes);
        let log_q = self.class.classifier.forward(zy).log_softmax();
        let q = log_q.exp();

        // Every image with every class: image 0 with all classes, then image 1, ...
        let every_class: Arc<[u32]> = (0..classes as u32).collect();
        let image_of: Arc<[u32]> = (0..batch * classes).map(|i| (i / classes) as u32).collect();
        let class_of: Arc<[u32]> = (0..batch * classes).map(|i| (i % classes) as u32).collect();
        let p_zy = self.class.prior.forward_repeated(tape, &every_class, batch).gather_rows(&class_of);
        let (q_zy, zy) = (q_zy.gather_rows(&image_of), zy.gather_rows(image_of.clone()));
        let kl = divergence(q_zy, p_zy, zy, self.settings.kl);

        let prior = tape.constant([batch, classes], |numbers| {
            for row in numbers.chunks_exact_mut(classes) {
                for (number, &probability) in row.iter_mut().zip(&self.settings.prior_y) {
                    *number = probability as f32;
                }
            }
        });
        ((q * kl.reshape([batch, classes])).sum(), (q * (log_q - prior.ln())).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{Builder, Engine, Gradients, Params};
    use crate::models::{Kl, LogitLayout, ModelKind, Networks, SIDE, Settings};
    use crate::rng::Stream;

    /// Two images without a class: the entropy term, and its gradient by the logits, which are all biases.
    fn entropy(logits: &[f32], prior_y: &[f64]) -> (f32, Vec<f32>) {
        let classes = logits.len();
        let settings = Settings {
            kind: ModelKind::DivaNoZd,
            networks: Networks::Lenet,
            image: [SIDE, SIDE, 1],
            encoder_width: 0.05,
            decoder_width: 0.05,
            latent: 2,
            domains: 2,
            classes,
            logits: LogitLayout::PerPixel,
            kl: Kl::ClosedForm,
            prior_y: prior_y.to_vec(),
        };
        let mut params = Params::new();
        let diva = Diva::new(&mut Builder::new(&mut params, 4), settings);
        let [weight, bias] = ["qy.fc1.weight", "qy.fc1.bias"].map(|name| params.find(name).unwrap());
        params.get_mut(weight).fill(0.0);
        params.get_mut(bias).copy_from_slice(logits);
        let mut images = Tensor::zeros([2, SIDE, SIDE, 1]);
        Stream::new(1, "images", &[]).fill_uniform(0.0, 1.0, images.data_mut());
        let levels = images.data().iter().map(|x| (255.0 * x) as u32).collect();
        let batch = Batch { images, levels, domains: [0, 1].into(), classes: None };
        let (engine, mut gradients) = (Engine::new(), Gradients::new(&params));
        let tape = Tape::train(&engine, &params);
        let weights = Weights { beta: 0.0, alpha_d: 0.0, alpha_y: 1.0 };
        let loss = diva.loss(&tape, &batch, &Noise::of_step(1, 1, 2, 2), weights);
        loss.total.backward(&mut gradients);
        let (_, entropy) = loss.terms.into_iter().find(|(name, _)| *name == "entropy_y").unwrap();
        (entropy, gradients.get(&params, bias).to_vec())
    }

    #[test]
    fn a_class_is_summed_out_at_every_height_and_however_sure_the_classifier_is() {
        let prior_y = [0.5, 0.3, 0.2];
        for height in [0.0_f32, 1e4, -1e6, 1e8] {
            for above in [0.0_f32, 1.0, 8.0, 16.0, 32.0, 80.0, 1000.0, 1e30] {
                let logits = [height, height + above, height];
                let (found, gradient) = entropy(&logits, &prior_y);
                let below = |c: usize| f64::from(logits[c]) - f64::from(logits[1]);
                let others: f64 = [0, 2].into_iter().map(|c| below(c).exp()).sum();
                let log_q = |c: usize| below(c) - others.ln_1p();
                // Of a class that is all but impossible, q ln q is 0.
                let term = |c: usize| log_q(c).exp() * (log_q(c) - prior_y[c].ln());
                let expected: f64 = (0..3).map(term).sum();
                let what = format!("{logits:?}");
                let error = (f64::from(found) - 2.0 * expected).abs();
                assert!(error < 1e-6, "{what}: {found}, expected {}", 2.0 * expected);
                // q(c) times how much more c costs than all do on average.
                let costs = |c: usize| log_q(c) - prior_y[c].ln();
                let more = |c: usize| -> f64 {
                    (0..3).filter(|d| *d != c).map(|d| log_q(d).exp() * (costs(c) - costs(d))).sum()
                };
                for (c, &found) in gradient.iter().enumerate() {
                    let expected = 2.0 * log_q(c).exp() * more(c);
                    let near = (f64::from(found) - expected).abs() <= 2e-6 * expected.abs() + 1e-42;
                    assert!(near, "{what}: slope {c} is {found:e}, expected {expected:e}");
                }
            }
        }
    }

    /// Of a single class nothing is left to be summed out: the loss without classes is the loss with them, whose prior is
    /// evaluated on the whole batch.
    #[test]
    fn of_one_class_the_loss_is_the_same_whether_it_is_known_or_not() {
        let settings = Settings {
            kind: ModelKind::Diva,
            networks: Networks::Lenet,
            image: [SIDE, SIDE, 1],
            encoder_width: 0.05,
            decoder_width: 0.05,
            latent: 3,
            domains: 2,
            classes: 1,
            logits: LogitLayout::PerPixel,
            kl: Kl::Sampled,
            prior_y: vec![1.0],
        };
        let mut params = Params::new();
        let diva = Diva::new(&mut Builder::new(&mut params, 4), settings);
        let mut images = Tensor::zeros([2, SIDE, SIDE, 1]);
        Stream::new(1, "images", &[]).fill_uniform(0.0, 1.0, images.data_mut());
        let levels: Arc<[u32]> = images.data().iter().map(|x| (255.0 * x) as u32).collect();
        let of = |classes: Option<Arc<[u32]>>| {
            let (images, levels) = (images.clone(), levels.clone());
            let batch = Batch { images, levels, domains: [0, 1].into(), classes };
            let (engine, mut gradients) = (Engine::new(), Gradients::new(&params));
            let tape = Tape::train(&engine, &params);
            let weights = Weights { beta: 1.0, alpha_d: 2.0, alpha_y: 3.0 };
            let loss = diva.loss(&tape, &batch, &Noise::of_step(1, 1, 2, 3), weights);
            let terms: Vec<f32> = loss.terms.iter().map(|(_, term)| *term).collect();
            loss.total.backward(&mut gradients);
            let of_params = params.handles().map(|param| gradients.get(&params, param).to_vec());
            std::iter::once(terms).chain(of_params).collect::<Vec<_>>()
        };
        let (known, unknown) = (of(Some([0; 2].into())), of(None));
        let names = params.handles().map(|param| params.entry(param).name.as_str());
        for ((name, found), expected) in std::iter::once("terms").chain(names).zip(&unknown).zip(&known) {
            // In front of the prior's normalisation stands what rounding leaves of 0, over the root of epsilon.
            let largest = expected.iter().fold(10.0_f32, |largest, x| largest.max(x.abs()));
            for (found, expected) in found.iter().zip(expected) {
                let error = (found - expected).abs();
                assert!(error <= 1e-5 * largest, "{name}: {found}, expected {expected}");
            }
        }
    }
}
