//! Batch normalisation by given statistics, as used when nothing is trained.
//!
//! ```text
//! u = (x - mean) / sqrt(variance + eps),   y = act(gamma u + beta), column by column
//!
//! g = dy as act passes it back: where y > 0, elsewhere none of it or, if leaky, a hundredth;   k = 1 / sqrt(variance + eps)
//! dx = gamma k g,  dgamma = sum g u,  dbeta = sum g,  dmean = -gamma k sum g,
//! dvariance = -gamma k^2 / 2 sum g u
//! ```

use super::batch_norm::{one_over_sd, scales};
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
            scales(gamma, variance, scale);
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
        with_scratch(3 * columns, |scratch| {
            let (sums, gradient) = scratch.split_at_mut(2 * columns);
            norm::gradient_sums(x, y, dy, mean, self.0, sums);
            let (plain, weighted) = sums.split_at(columns);
            for c in 0..columns {
                let k = one_over_sd(variance[c]) as f32;
                gradient[c] = gamma[c] * k;
                let write = |slot: &mut Option<&mut [f32]>, value: f32| {
                    if let Some(slot) = slot {
                        slot[c] = value;
                    }
                };
                write(dgamma, weighted[c] * k);
                write(dbeta, plain[c]);
                write(dmean, -gradient[c] * plain[c]);
                // Not k^3 first, which would be lost in f32 if the variance is large.
                write(dvariance, -0.5 * gradient[c] * k * (k * weighted[c]));
            }
            if let Some(dx) = dx {
                let coefficients = Coefficients { gradient, statistics: None };
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
    use crate::ops::EPSILON;
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

    /// The gradients of x and gamma for rows of two columns.
    fn gradients(activation: Activation, x: &[f32], dy: &[f32]) -> [Vec<f32>; 2] {
        let two = Shape::from([2]);
        let inputs = [x, &[1.5, 0.5], &[0.25, 0.5], &[0.0, 0.5], &[3.0, 0.75]];
        let shapes = [[x.len() / 2, 2].into(), two, two, two, two];
        let views: Vec<View<'_>> =
            inputs.into_iter().zip(shapes).map(|(data, shape)| View { shape, data }).collect();
        let mut y = vec![0.0; x.len()];
        Normalize(activation).forward(&views, &mut y, &mut []);
        let (mut dx, mut dgamma) = (vec![0.0; x.len()], vec![0.0; 2]);
        let at = Point { inputs: &views, output: View { shape: shapes[0], data: &y }, saved: &[], grad: dy };
        Normalize(activation).backward(at, &mut [Some(&mut dx), Some(&mut dgamma), None, None, None]);
        [dx, dgamma]
    }

    /// dx = gamma / sqrt(variance + eps) g, whatever x is; g = dy where PyTorch's rectifiers pass it back: at NaN as it
    /// is, or a hundredth of it if leaky.
    #[test]
    fn rows_that_are_no_numbers_have_the_gradient_of_others_and_leave_it_alone() {
        let x = [0.5, 1.0, f32::NAN, 1.0, f32::INFINITY, 1.0, f32::NEG_INFINITY, 1.0];
        let dy = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        for (activation, of_nan, of_minus_infinity) in [
            (Activation::Identity, 1.0, 1.0),
            (Activation::Relu, 1.0, 0.0),
            (Activation::LeakyRelu, 0.01, 0.01),
        ] {
            let [dx, dgamma] = gradients(activation, &x, &dy);
            let passed = [1.0, 1.0, of_nan, 1.0, 1.0, 1.0, of_minus_infinity, 1.0];
            for (i, &dx) in dx.iter().enumerate() {
                let scale = [1.5 / 3.00001_f64.sqrt(), 0.5 / 0.75001_f64.sqrt()][i % 2];
                let expected = scale * f64::from(dy[i]) * passed[i];
                assert!(
                    (f64::from(dx) - expected).abs() <= 1e-6,
                    "{activation:?}: dx {i} is {dx}, not {expected}"
                );
            }
            assert!(dgamma[0].is_nan() && dgamma[1].is_finite(), "{activation:?}: {dgamma:?}");
        }
    }

    #[test]
    fn the_gradient_of_the_variance_is_right_at_any_variance() {
        for variance in [1.0, 1e28, 1e36_f32] {
            let shapes = [[2, 1], [1, 1]].map(Shape::from);
            let (x, sd) = ([variance.sqrt(), 0.0], f64::from(variance).sqrt());
            let inputs = [&x[..], &[1.0], &[0.0], &[0.0], &[variance]];
            let views =
                inputs.map(|data| View { shape: if data.len() == 2 { shapes[0] } else { [1].into() }, data });
            let mut dvariance = [f32::NAN];
            let at = Point {
                inputs: &views,
                output: View { shape: shapes[0], data: &x },
                saved: &[],
                grad: &[3.0, 1.0],
            };
            Normalize(Activation::Identity).backward(at, &mut [None, None, None, None, Some(&mut dvariance)]);
            let expected = -0.5 * 3.0 * f64::from(x[0]) / (sd * (sd * sd + f64::from(EPSILON)));
            let error = (f64::from(dvariance[0]) / expected - 1.0).abs();
            assert!(error < 1e-4, "at a variance of {variance:e}: {dvariance:?}, not {expected:e}");
        }
    }
}
