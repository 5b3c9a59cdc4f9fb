//! Batch normalisation by given statistics, as used when nothing is trained.
//!
//! ```text
//! u = (x - mean) / sqrt(variance + eps),   y = act(gamma u + beta), column by column
//!
//! g = dy as act passes it back: where y > 0, elsewhere none of it or, if leaky, a hundredth;   k = 1 / sqrt(variance + eps)
//! dx = gamma k g,  dgamma = sum g u,  dbeta = sum g,  dmean = -gamma k sum g,
//! dvariance = -gamma k^2 / 2 sum g u
//! ```

use super::batch_norm::EPSILON;
use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity, require};
use crate::kernels::norm::{self, Activation, Affine, Coefficients};
use crate::parallel::with_scratch;
use crate::tensor::Shape;

#[derive(Clone, Copy, Debug)]
struct Normalize(Activation);

impl Op for Normalize {
    fn name(&self) -> &'static str {
        "normalize"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x, by_column @ ..]: [Shape; 5] = arity(inputs)?;
        let columns = x.columns();
        require!(x.rank() >= 2, "x must have rows and columns");
        require!(
            by_column.iter().all(|s| s.sizes() == [columns]),
            "the other inputs must have {columns} numbers"
        );
        Ok(Plan::output(x))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        let [x, gamma, beta, mean, variance] = [0, 1, 2, 3, 4].map(|i| inputs[i].data);
        let columns = gamma.len();
        with_scratch(columns, |scale| {
            for c in 0..columns {
                scale[c] = gamma[c] / (variance[c] + EPSILON).sqrt();
            }
            norm::affine(x, Affine { mean, scale, shift: beta }, self.0, output);
        });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let [x, gamma, _, mean, variance] = [0, 1, 2, 3, 4].map(|i| at.inputs[i].data);
        let (y, dy) = (at.output.data, at.grad);
        let columns = gamma.len();
        let [dx, dgamma, dbeta, dmean, dvariance] = gradients else {
            panic!("{} gradients of five inputs", gradients.len())
        };
        with_scratch(4 * columns, |scratch| {
            let (sums, coefficients) = scratch.split_at_mut(2 * columns);
            norm::gradient_sums(x, y, dy, mean, self.0, sums);
            let (plain, weighted) = sums.split_at(columns);
            let (gradient, zero) = coefficients.split_at_mut(columns);
            zero.fill(0.0);
            for c in 0..columns {
                let k = 1.0 / (variance[c] + EPSILON).sqrt();
                gradient[c] = gamma[c] * k;
                let write = |slot: &mut Option<&mut [f32]>, value: f32| {
                    if let Some(slot) = slot {
                        slot[c] = value;
                    }
                };
                write(dgamma, weighted[c] * k);
                write(dbeta, plain[c]);
                write(dmean, -gradient[c] * plain[c]);
                write(dvariance, -0.5 * gradient[c] * k * k * weighted[c]);
            }
            if let Some(dx) = dx {
                let coefficients = Coefficients { mean, gradient, input: zero, constant: zero };
                norm::input_gradient(x, y, dy, self.0, coefficients, dx);
            }
        });
    }
}

impl<'t> Var<'t> {
    /// Every column of x (..., columns) shifted and scaled by given statistics (mean, variance), then by gamma and
    /// beta, then the activation.
    #[track_caller]
    pub fn normalize(
        self,
        [gamma, beta]: [Var<'t>; 2],
        [mean, variance]: [Var<'t>; 2],
        activation: Activation,
    ) -> Var<'t> {
        self.tape().apply(Normalize(activation), &[self, gamma, beta, mean, variance])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, EDGE_SIZES, Sizes};
    use crate::ops::batch_norm::tests::activated;

    fn case(x: impl Into<Shape>, activation: Activation) -> Case {
        let x: Shape = x.into();
        let columns = x.columns();
        let by_column = Shape::from([columns]);
        Case::new(Normalize(activation), [x, by_column, by_column, by_column, by_column], move |a| {
            let [gamma, beta, mean, variance] = [1, 2, 3, 4].map(|i| &a[i].data);
            let mut y = a[0].clone();
            for (i, y) in y.data.iter_mut().enumerate() {
                let c = i % columns;
                let u = (*y - mean[c]) / (variance[c] + f64::from(EPSILON)).sqrt();
                let z = gamma[c] * u + beta[c];
                *y = activated(activation, z);
            }
            y
        })
        .between(1, 0.5, 1.5)
        .between(4, 0.5, 2.0)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let edges = EDGE_SIZES
            .into_iter()
            .flat_map(|n| [case([7, n], Activation::Relu), case([n, 3], Activation::Identity)]);
        edges.chain([Activation::Relu, Activation::LeakyRelu].map(|a| case([3, 5, 4, 16], a))).collect()
    }

    /// Without the rectifier, whose kink a random input would sometimes hit.
    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case([sizes.next(1, 300), sizes.next(1, 40)], Activation::Identity)
    }
}
