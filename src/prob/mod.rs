//! Distributions over variables on a tape.

mod logistic_mixture;

pub use logistic_mixture::LogisticMixture;

use crate::autograd::{Tape, Var};
use crate::tensor::Shape;
use std::sync::Arc;

/// Independent normal distributions: one for every element of a (batch, latent) matrix.
#[derive(Clone, Copy, Debug)]
pub struct Normal<'t> {
    /// The means.
    pub mean: Var<'t>,
    /// The standard deviations, all positive.
    pub sd: Var<'t>,
}

impl<'t> Normal<'t> {
    /// N(0, 1) for every element of a matrix.
    pub fn standard(tape: &'t Tape<'t>, shape: Shape) -> Self {
        let all = |value: f32| tape.constant(shape, |numbers| numbers.fill(value));
        Normal { mean: all(0.0), sd: all(1.0) }
    }

    /// A reparameterised sample, mean + sd noise, for standard normal noise: gradients flow to mean and sd
    /// (Kingma, Welling: "Auto-encoding variational Bayes", ICLR 2014, section 2.4).
    #[track_caller]
    pub fn sample(&self, noise: Var<'t>) -> Var<'t> {
        self.mean + self.sd * noise
    }

    /// ln of the density at z, in nats, summed over the latent dimensions: (batch).
    #[track_caller]
    pub fn log_prob(&self, z: Var<'t>) -> Var<'t> {
        z.normal_log_prob(self.mean, self.sd).sum_columns()
    }

    /// KL(self || other), in nats, summed over the latent dimensions: (batch).
    #[track_caller]
    pub fn kl(&self, other: &Normal<'t>) -> Var<'t> {
        self.mean.normal_kl(self.sd, [other.mean, other.sd]).sum_columns()
    }

    /// The distributions of the rows that `index` names, in its order.
    #[track_caller]
    pub fn gather_rows(&self, index: &Arc<[u32]>) -> Self {
        Normal { mean: self.mean.gather_rows(index.clone()), sd: self.sd.gather_rows(index.clone()) }
    }
}
