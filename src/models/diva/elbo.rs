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
        let of_domain = self.domain.map(|latent| (latent, sample(latent.encoder.forward(x), &noise.domain)));
        let of_residual = self.residual.map(|encoder| sample(encoder.forward(x), &noise.residual));
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
