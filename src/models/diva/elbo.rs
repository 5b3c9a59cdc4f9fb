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

use super::networks::Encoder;
use super::{Diva, Kl, LogitLayout};
use crate::autograd::{Tape, Var};
use crate::prob::Normal;
use crate::rng::Stream;
use crate::tensor::Tensor;
use std::sync::Arc;

/// A batch of images with what is known of them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// (batch, 28, 28, 1), grey in 0..1.
    pub images: Tensor,
    /// The same as grey levels 0..=255, row-major: what the likelihood is of.
    pub levels: Arc<[u32]>,
    /// The domain of each image.
    pub domains: Arc<[u32]>,
    /// The class of each image, if known.
    pub classes: Option<Arc<[u32]>>,
}

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
        let draw = |which: u64| {
            let mut noise = Tensor::zeros([batch, latent]);
            Stream::new(seed, "noise", &[step, which]).fill_normal(0, noise.data_mut());
            noise
        };
        Noise { domain: draw(0), residual: draw(1), class: draw(2) }
    }
}

/// The weights of the terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// b, of the divergences.
    pub beta: f32,
    /// a_d, of the domain classifier.
    pub alpha_d: f32,
    /// a_y, of the class classifier.
    pub alpha_y: f32,
}

/// The loss of a batch, and its terms as numbers for the log.
#[derive(Debug)]
pub struct Loss<'t> {
    /// What is minimised: a single number.
    pub total: Var<'t>,
    /// The terms by name, in nats, summed over the batch, without their weights.
    pub terms: Vec<(&'static str, f32)>,
}

impl Diva {
    /// The loss of a batch: labelled if its classes are known, unlabelled otherwise.
    #[track_caller]
    pub fn loss<'t>(&self, tape: &'t Tape<'t>, batch: &Batch, noise: &Noise, weights: Weights) -> Loss<'t> {
        let x = tape.input(&batch.images);
        let sample = |encoder: &Encoder, noise: &Tensor| {
            let q = encoder.forward(x);
            (q, q.sample(tape.input(noise)))
        };
        let (q_zd, zd) = sample(&self.encode_domain, &noise.domain);
        let (q_zx, zx) = sample(&self.encode_residual, &noise.residual);
        let (q_zy, zy) = sample(&self.encode_class, &noise.class);

        let p_zd = self.prior_domain.forward(tape, &batch.domains);
        let p_zx = Normal::standard(tape, zx.shape());

        let reconstruction = self.negative_log_likelihood(Var::concat(&[zd, zx, zy]), &batch.levels);
        let kl_d = self.divergence(q_zd, p_zd, zd).sum();
        let kl_x = self.divergence(q_zx, p_zx, zx).sum();
        let ce_d = self.classify_domain.forward(zd).cross_entropy(batch.domains.clone()).sum();
        let (kl_y, of_y) = match &batch.classes {
            Some(classes) => {
                let p_zy = self.prior_class.forward(tape, classes);
                let ce_y = self.classify_class.forward(zy).cross_entropy(classes.clone()).sum();
                (self.divergence(q_zy, p_zy, zy).sum(), ("ce_y", ce_y, weights.alpha_y))
            }
            None => {
                let (kl_y, entropy_y) = self.sum_out_class(tape, q_zy, zy);
                (kl_y, ("entropy_y", entropy_y, 1.0))
            }
        };

        let (name_y, term_y, weight_y) = of_y;
        let total = reconstruction
            + (kl_d + kl_x + kl_y).scale(weights.beta)
            + ce_d.scale(weights.alpha_d)
            + term_y.scale(weight_y);
        let terms = [
            ("reconstruction", reconstruction),
            ("kl_d", kl_d),
            ("kl_x", kl_x),
            ("kl_y", kl_y),
            ("ce_d", ce_d),
            (name_y, term_y),
        ];
        Loss { total, terms: terms.map(|(name, term)| (name, term.item())).into() }
    }

    /// -log p(x|z) of all pixels together, given as grey levels.
    #[track_caller]
    fn negative_log_likelihood<'t>(&self, z: Var<'t>, levels: &Arc<[u32]>) -> Var<'t> {
        match self.settings.logits {
            LogitLayout::PerPixel => self.decoder.negative_log_likelihood(z, levels),
            LogitLayout::Published => self.pixel_logits(z).cross_entropy(levels.clone()).sum(),
        }
    }

    /// KL of a posterior from a prior, one number an image: at the sample z, or in closed form.
    #[track_caller]
    fn divergence<'t>(&self, q: Normal<'t>, p: Normal<'t>, z: Var<'t>) -> Var<'t> {
        match self.settings.kl {
            Kl::Sampled => q.log_prob(z) - p.log_prob(z),
            Kl::ClosedForm => q.kl(&p),
        }
    }

    /// For images without a class: sum_y q(y|zy) KL_y and sum_y q(y|zy) [log q(y|zy) - log p(y)], over the batch.
    #[track_caller]
    fn sum_out_class<'t>(&self, tape: &'t Tape<'t>, q_zy: Normal<'t>, zy: Var<'t>) -> (Var<'t>, Var<'t>) {
        let (batch, classes) = (zy.shape().rows(), self.settings.classes);
        let log_q = self.classify_class.forward(zy).log_softmax();
        let q = log_q.exp();

        // Every image with every class: image 0 with all classes, then image 1, ...
        let every_class: Arc<[u32]> = (0..classes as u32).collect();
        let image_of: Arc<[u32]> = (0..batch * classes).map(|i| (i / classes) as u32).collect();
        let class_of: Arc<[u32]> = (0..batch * classes).map(|i| (i % classes) as u32).collect();
        let p_zy = self.prior_class.forward_repeated(tape, &every_class, batch).gather_rows(&class_of);
        let kl = self.divergence(q_zy.gather_rows(&image_of), p_zy, zy.gather_rows(image_of.clone()));

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
