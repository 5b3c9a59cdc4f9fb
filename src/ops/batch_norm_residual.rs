//! The end of a residual block: batch normalisation, times a number, plus what is skipped, and an activation, as one op.
//!
//! ```text
//! y = act(t (gamma u + beta) + skip) with u as in batch_norm.rs
//!
//! g = dy as act passes it back;   dskip = g;   dbeta, dgamma and dh as in batch_norm.rs, t times
//! ```
//!
//! He and others: "Deep residual learning for image recognition", CVPR 2016. Neither the normalised image nor the sum is
//! held. The activation is that with which the next block begins: nothing else sees the sum.

use super::max_pool::image;
use super::statistics::{Normalization, Statistics};
use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity, require};
use crate::kernels::norm::{self, Activation, Affine};
use crate::kernels::residual::Grid;
use crate::parallel::with_scratch;
use crate::tensor::Shape;

#[derive(Clone, Debug)]
struct BatchNormResidual {
    times: f32,
    statistics: Statistics,
    activation: Activation,
}

impl BatchNormResidual {
    fn normalization<'a>(&'a self, gamma: &'a [f32], beta: &'a [f32], saved: &'a [f32]) -> Normalization<'a> {
        Normalization { statistics: &self.statistics, saved, gamma, beta, times: self.times }
    }
}

/// Images of which no pixel is left out.
fn grid(h: Shape) -> Grid {
    let [height, width, channels] = image(h);
    Grid { height, width, channels, step: 1 }
}

impl Op for BatchNormResidual {
    fn name(&self) -> &'static str {
        "batch_norm_residual"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [h, gamma, beta, skip] = arity(inputs)?;
        let columns = h.columns();
        require!(h.image().is_some(), "h must be (batch, height, width, channels)");
        require!(
            gamma.sizes() == [columns] && beta.sizes() == [columns],
            "gamma and beta must have {columns} numbers"
        );
        self.statistics.check(h.rows(), columns)?;
        require!(skip == h, "the shapes of h and skip differ");
        Ok(Plan::saving(h, 2 * columns))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let [h, gamma, beta, skip] = [0, 1, 2, 3].map(|i| inputs[i].data);
        let columns = gamma.len();
        self.statistics.write(h, saved);
        with_scratch(5 * columns, |scratch| {
            let (memory, identity) = scratch.split_at_mut(2 * columns);
            identity.fill(0.0);
            let (ones, zeros) = identity.split_at_mut(columns);
            ones.fill(1.0);
            let as_it_is = Affine { mean: &zeros[..columns], scale: ones, shift: &zeros[columns..] };
            let of_h = self.normalization(gamma, beta, saved).affine(memory);
            grid(inputs[0].shape).activated_sum(self.activation, (h, of_h), (skip, as_it_is), output);
        });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let [h, gamma, beta] = [0, 1, 2].map(|i| at.inputs[i].data);
        let columns = gamma.len();
        let normalization = self.normalization(gamma, beta, at.saved);
        let [dh, dgamma, dbeta, dskip] = gradients else {
            panic!("{} gradients of four inputs", gradients.len())
        };
        let (mut y, mut g, mut activation) = (at.output.data, at.grad, self.activation);
        if let Some(dskip) = dskip {
            // From here on the gradient behind the activation is there to be read.
            grid(at.inputs[0].shape).passed_back(activation, y, g, dskip);
            let behind: &[f32] = dskip;
            (y, g, activation) = (behind, behind, Activation::Identity);
        }
        with_scratch(5 * columns, |scratch| {
            let (sums, memory) = scratch.split_at_mut(2 * columns);
            norm::gradient_sums(h, y, g, &at.saved[..columns], activation, sums);
            normalization.parameter_gradients(sums, dgamma, dbeta);
            if let Some(dh) = dh {
                let coefficients = normalization.coefficients(sums, h.len() / columns, memory);
                norm::input_gradient(h, y, g, activation, coefficients, dh);
            }
        });
    }
}

impl<'t> Var<'t> {
    /// act(times (h normalised with gamma and beta) + skip), where h is this variable (batch, height, width, channels).
    /// What it saved ([`Var::read_saved`]) are the means of h, then the biased variances.
    #[track_caller]
    pub fn batch_norm_residual(
        self,
        [gamma, beta]: [Var<'t>; 2],
        statistics: Statistics,
        skip: Var<'t>,
        times: f32,
        activation: Activation,
    ) -> Var<'t> {
        self.tape().apply(BatchNormResidual { times, statistics, activation }, &[self, gamma, beta, skip])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::batch_norm::tests::activated;
    use crate::ops::statistics::tests::{given, normalized};

    fn case(h: [usize; 4], statistics: Statistics, activation: Activation) -> Case {
        let times = 0.5;
        let op = BatchNormResidual { times, statistics: statistics.clone(), activation };
        let columns = [h[3]].into();
        Case::new(op, [h.into(), columns, columns, h.into()], move |x| {
            let mut y = normalized(&statistics, &x[0], &x[1], &x[2]);
            for (y, skip) in y.data.iter_mut().zip(&x[3].data) {
                *y = activated(activation, f64::from(times) * *y + skip);
            }
            y
        })
        .between(1, 0.5, 1.5)
        .between(2, -0.5, 0.5)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        vec![
            case([3, 4, 5, 16], Statistics::OfBatch, Activation::LeakyRelu),
            case([2, 3, 3, 33], Statistics::OfBatch, Activation::LeakyRelu),
            case([9, 1, 7, 15], Statistics::OfBatch, Activation::Identity),
            case([2, 2, 2, 1], Statistics::OfBatch, Activation::Identity),
            case([2, 3, 2, 17], given(17), Activation::LeakyRelu),
            case([5, 9, 8, 32], Statistics::OfBatch, Activation::Relu),
        ]
    }

    /// Without the rectifier, whose kink a random input would sometimes hit.
    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        let h = [sizes.next(1, 4), sizes.next(2, 6), sizes.next(2, 6), sizes.next(1, 40)];
        let statistics = if sizes.next(0, 3) == 0 { given(h[3]) } else { Statistics::OfBatch };
        case(h, statistics, Activation::Identity)
    }
}
