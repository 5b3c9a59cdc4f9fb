//! Batch normalisation with running statistics.

use super::Features;
use crate::autograd::{Builder, Init, Layout, Param, Params, Var};
use crate::ops::Activation::{self, Relu};
use crate::ops::EPSILON;
use std::sync::Arc;

/// How much of a new batch enters the running statistics: PyTorch's default, used by the published models.
const MOMENTUM: f32 = 0.1;

/// Normalises every channel: in training by the statistics of the batch, otherwise by their running averages.
///
/// The batch is normalised with its biased variance, and the unbiased one is averaged (PyTorch's rule).
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    gamma: Param,
    beta: Param,
    mean: Param,
    variance: Param,
}

impl BatchNorm {
    /// A layer over `channels`; of a flattened image if the layer before it is one ([`Features::ToImage`]).
    pub fn new(builder: &mut Builder<'_>, channels: usize, features: Features) -> Self {
        let shape = vec![channels];
        let layout = match features {
            Features::ToImage { channels: of_pixel } => {
                Layout { view: vec![of_pixel, channels / of_pixel], order: vec![1, 0], shape }
            }
            Features::Plain | Features::FromImage { .. } => Layout::same([channels].into()),
        };
        BatchNorm {
            gamma: builder.weight("weight", [channels], layout.clone(), Init::Constant(1.0)),
            beta: builder.weight("bias", [channels], layout.clone(), Init::Constant(0.0)),
            mean: builder.statistic("running_mean", [channels], layout.clone(), 0.0),
            variance: builder.statistic("running_var", [channels], layout, 1.0),
        }
    }

    /// x (..., channels) to the same shape.
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>, activation: Activation) -> Var<'t> {
        self.forward_repeated(x, activation, 1)
    }

    /// As `forward` on a batch in which every row of x stands `repeats` times: the same mean and biased variance,
    /// but an unbiased variance of more rows.
    #[track_caller]
    pub fn forward_repeated<'t>(&self, x: Var<'t>, activation: Activation, repeats: usize) -> Var<'t> {
        let tape = x.tape();
        let [gamma, beta] = [self.gamma, self.beta].map(|p| tape.param(p));
        if !tape.is_training() {
            return x.normalize([gamma, beta], [self.mean, self.variance].map(|p| tape.param(p)), activation);
        }
        let y = x.batch_norm(gamma, beta, activation);
        self.observe(y, x.shape().rows() * repeats);
        y
    }

    /// The largest of every 2x2 block of the normalised and rectified x: (batch, height, width, channels) to (batch,
    /// height / 2, width / 2, channels); in training without holding the normalised image.
    #[track_caller]
    pub fn rectified_max_pool<'t>(&self, x: Var<'t>) -> Var<'t> {
        let tape = x.tape();
        if !tape.is_training() {
            return self.forward(x, Relu).max_pool();
        }
        let [gamma, beta] = [self.gamma, self.beta].map(|p| tape.param(p));
        let y = x.batch_norm_max_pool(gamma, beta);
        self.observe(y, x.shape().rows());
        y
    }

    /// The sum over the rows of x (rows, channels) of the cross-entropy, in nats, between labels and the logits h w + b
    /// of the normalised and rectified rows h, with w (channels, classes) and b (classes): in training without holding
    /// h or the logits.
    #[track_caller]
    pub fn rectified_cross_entropy<'t>(
        &self,
        x: Var<'t>,
        weight_and_bias: [Var<'t>; 2],
        labels: &Arc<[u32]>,
    ) -> Var<'t> {
        let tape = x.tape();
        if !tape.is_training() {
            let [weight, bias] = weight_and_bias;
            return self.forward(x, Relu).linear(weight, Some(bias)).cross_entropy(labels.clone()).sum();
        }
        let gamma_and_beta = [self.gamma, self.beta].map(|p| tape.param(p));
        let y = x.batch_norm_linear_cross_entropy(gamma_and_beta, weight_and_bias, labels.clone());
        self.observe(y, x.shape().rows());
        y
    }

    /// Averages the statistics that y saved, the means and the biased variances of so many rows.
    fn observe(&self, y: Var<'_>, rows: usize) {
        let tape = y.tape();
        let channels = tape.param(self.mean).shape().len();
        let unbiased = (rows as f64 / (rows as f64 - 1.0)) as f32;
        y.read_saved(|saved| {
            let (mean, variance) = (&saved[..channels], &saved[channels..2 * channels]);
            tape.observe(self.mean, |old, new| average(old, mean, 1.0, new));
            tape.observe(self.variance, |old, new| average(old, variance, unbiased, new));
        });
    }
}

impl BatchNorm {
    /// What it does to each channel by the running statistics, in f64: y = scale x + shift.
    pub(super) fn scale_and_shift(&self, params: &Params) -> Vec<(f64, f64)> {
        let [gamma, beta, mean, variance] =
            [self.gamma, self.beta, self.mean, self.variance].map(|param| params.get(param));
        let of_channel = |c: usize| {
            let scale = f64::from(gamma[c]) / (f64::from(variance[c]) + f64::from(EPSILON)).sqrt();
            (scale, f64::from(beta[c]) - f64::from(mean[c]) * scale)
        };
        (0..gamma.len()).map(of_channel).collect()
    }
}

/// new = (1 - momentum) old + momentum (factor x)
fn average(old: &[f32], x: &[f32], factor: f32, new: &mut [f32]) {
    for ((new, old), x) in new.iter_mut().zip(old).zip(x) {
        *new = (1.0 - MOMENTUM) * old + MOMENTUM * (factor * x);
    }
}
