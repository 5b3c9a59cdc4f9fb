//! Batch normalisation by the statistics of the batch, with an optional rectifier, which may be leaky.
//!
//! Over the rows r of column c (for images: over all pixels of a channel), with R rows:
//!
//! ```text
//! m = (1/R) sum x,   v = (1/R) sum (x - m)^2,   u = (x - m) / sqrt(v + eps),   y = act(gamma u + beta)
//!
//! g = dy as act passes it back: where y > 0, elsewhere none of it or, if leaky, a hundredth
//! dbeta = sum g,   dgamma = sum g u,   dx = gamma / sqrt(v + eps) (g - dbeta / R - u dgamma / R)
//! ```
//!
//! Ioffe, Szegedy: "Batch normalization", ICML 2015. The rectifier is folded in because both are bound by memory.

use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity, require};
use crate::kernels::norm::{self, Activation, Affine, Coefficients, ThroughStatistics};
use crate::parallel::with_scratch;
use crate::tensor::Shape;

/// eps, which keeps the division by the standard deviation finite. PyTorch's default, used by the published models.
pub(crate) const EPSILON: f32 = 1e-5;

#[derive(Clone, Copy, Debug)]
struct BatchNorm(Activation);

impl Op for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x, gamma, beta] = arity(inputs)?;
        let columns = x.columns();
        require!(x.rank() >= 2 && x.rows() >= 2, "x needs at least 2 rows to have a variance");
        require!(
            gamma.sizes() == [columns] && beta.sizes() == [columns],
            "gamma and beta must have {columns} numbers"
        );
        Ok(Plan::saving(x, 2 * columns))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let [x, gamma, beta] = [0, 1, 2].map(|i| inputs[i].data);
        let columns = gamma.len();
        let (mean, variance) = saved.split_at_mut(columns);
        norm::mean_and_variance(x, mean, variance);
        with_scratch(columns, |scale| {
            scales(gamma, variance, scale);
            norm::affine(x, Affine { mean, scale, shift: beta }, self.0, output);
        });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let [x, gamma] = [0, 1].map(|i| at.inputs[i].data);
        let (y, dy) = (at.output.data, at.grad);
        let columns = gamma.len();
        let (mean, variance) = at.saved.split_at(columns);
        let rows = x.len() / columns;
        let [dx, dgamma, dbeta] = gradients else { panic!("{} gradients of three inputs", gradients.len()) };
        with_scratch(5 * columns, |scratch| {
            let (sums, coefficients) = scratch.split_at_mut(2 * columns);
            norm::gradient_sums(x, y, dy, mean, self.0, sums);
            let (plain, weighted) = sums.split_at(columns);
            if let Some(dgamma) = dgamma {
                gradient_of_gamma(weighted, variance, 1.0, dgamma);
            }
            if let Some(dbeta) = dbeta {
                dbeta.copy_from_slice(plain);
            }
            if let Some(dx) = dx {
                let coefficients =
                    Gradient { mean, variance, gamma, sums }.coefficients(rows, 1.0, coefficients);
                norm::input_gradient(x, y, dy, self.0, coefficients, dx);
            }
        });
    }
}

/// 1 / sqrt(v + eps), in f64: an error here would be one of all numbers of a column.
pub(super) fn one_over_sd(variance: f32) -> f64 {
    1.0 / (f64::from(variance) + f64::from(EPSILON)).sqrt()
}

/// What u is multiplied by: gamma / sqrt(v + eps).
pub(super) fn scales(gamma: &[f32], variance: &[f32], scale: &mut [f32]) {
    for ((scale, gamma), variance) in scale.iter_mut().zip(gamma).zip(variance) {
        *scale = (f64::from(*gamma) * one_over_sd(*variance)) as f32;
    }
}

/// dgamma, with all gradients `times` what they would be.
pub(super) fn gradient_of_gamma(weighted: &[f32], variance: &[f32], times: f32, dgamma: &mut [f32]) {
    for ((dgamma, weighted), variance) in dgamma.iter_mut().zip(weighted).zip(variance) {
        *dgamma = (f64::from(times * weighted) * one_over_sd(*variance)) as f32;
    }
}

/// What dx depends on, by column: the statistics, gamma, and the sums of g and of g (x - mean).
pub(super) struct Gradient<'a> {
    pub(super) mean: &'a [f32],
    pub(super) variance: &'a [f32],
    pub(super) gamma: &'a [f32],
    pub(super) sums: &'a [f32],
}

impl<'a> Gradient<'a> {
    /// a of the numbers that give `times` dx, by column.
    pub(super) fn scale(&self, times: f32, gradient: &mut [f32]) {
        scales(self.gamma, self.variance, gradient);
        gradient.iter_mut().for_each(|gradient| *gradient *= times);
    }

    /// b and c of these numbers, from a and in memory for two a column.
    pub(super) fn through_statistics(
        self,
        rows: usize,
        gradient: &[f32],
        memory: &'a mut [f32],
    ) -> ThroughStatistics<'a> {
        let Gradient { mean, variance, sums, .. } = self;
        let (columns, rows) = (gradient.len(), rows as f32);
        let (plain, weighted) = sums.split_at(columns);
        let (input, constant) = memory.split_at_mut(columns);
        for c in 0..columns {
            let one_over_sd = one_over_sd(variance[c]);
            // dgamma first, whose size is that of g.
            let dgamma = f64::from(weighted[c]) * one_over_sd;
            input[c] = (-f64::from(gradient[c]) * one_over_sd * (dgamma / f64::from(rows))) as f32;
            constant[c] = -gradient[c] * plain[c] / rows;
        }
        ThroughStatistics { mean, input, constant }
    }

    /// The numbers that give `times` dx, in memory for three a column.
    pub(super) fn coefficients(self, rows: usize, times: f32, memory: &'a mut [f32]) -> Coefficients<'a> {
        let (gradient, rest) = memory.split_at_mut(self.gamma.len());
        self.scale(times, gradient);
        let statistics = Some(self.through_statistics(rows, gradient, rest));
        Coefficients { gradient, statistics }
    }
}

impl<'t> Var<'t> {
    /// Every column of x (..., columns) brought to mean beta and standard deviation gamma over the rows, then the
    /// activation. What it saved ([`Var::read_saved`]) are the means, then the biased variances.
    #[track_caller]
    pub fn batch_norm(self, gamma: Var<'t>, beta: Var<'t>, activation: Activation) -> Var<'t> {
        self.tape().apply(BatchNorm(activation), &[self, gamma, beta])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, EDGE_SIZES, Sizes, maximum};
    use crate::rng::Stream;

    pub(in crate::ops) fn reference(
        activation: Activation,
        x: &Array64,
        gamma: &Array64,
        beta: &Array64,
    ) -> Array64 {
        let (rows, columns) = (x.shape.rows(), x.shape.columns());
        let mut y = x.clone();
        for c in 0..columns {
            let column = || (0..rows).map(|r| x.data[r * columns + c]);
            let mean = column().sum::<f64>() / rows as f64;
            let variance = column().map(|x| (x - mean).powi(2)).sum::<f64>() / rows as f64;
            for r in 0..rows {
                let u = (x.data[r * columns + c] - mean) / (variance + f64::from(EPSILON)).sqrt();
                let z = gamma.data[c] * u + beta.data[c];
                y.data[r * columns + c] = activated(activation, z);
            }
        }
        y
    }

    pub(in crate::ops) fn activated(activation: Activation, z: f64) -> f64 {
        match activation {
            Activation::Identity => z,
            Activation::Relu => maximum(z, 0.0),
            Activation::LeakyRelu => maximum(z, 0.01 * z),
        }
    }

    fn case(x: impl Into<Shape>, activation: Activation) -> Case {
        let x = x.into();
        let columns = [x.columns()].into();
        Case::new(BatchNorm(activation), [x, columns, columns], move |x| {
            reference(activation, &x[0], &x[1], &x[2])
        })
        .between(1, 0.5, 1.5)
        .between(2, -0.5, 0.5)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let edges = EDGE_SIZES
            .into_iter()
            .flat_map(|n| [case([7, n], Activation::Relu), case([n + 2, 3], Activation::Identity)]);
        let others = [
            case([3, 5, 4, 16], Activation::Relu),
            case([3, 5, 4, 16], Activation::LeakyRelu),
            case([9, 33], Activation::LeakyRelu),
            case([600, 17], Activation::Identity),
            // Means far from zero, where a careless variance (mean square less squared mean) cancels.
            case([300, 4], Activation::Identity).between(0, 10.0, 10.5),
        ];
        edges.chain(others).collect()
    }

    /// Without the rectifier, whose kink a random input would sometimes hit.
    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case([sizes.next(3, 300), sizes.next(1, 40)], Activation::Identity)
    }

    /// The output and the gradients of x and gamma, for x (rows, columns) of this spread; and all of them in f64.
    fn at_a_spread(spread: f32) -> [[Vec<f64>; 3]; 2] {
        let (rows, columns) = (40, 3);
        let stream = Stream::new(23, "batch_norm/spread", &[]);
        let uniform = |first: u64, count: usize| {
            (0..count as u64).map(move |i| 2.0 * stream.uniform(first + i) - 1.0).collect::<Vec<f32>>()
        };
        let x: Vec<f32> = uniform(0, rows * columns).iter().map(|x| x * spread).collect();
        let (dy, gamma, beta) = (uniform(1000, rows * columns), [0.7, -1.2, 1.0], [0.1, 0.2, -0.3]);
        let shapes: [Shape; 3] = [[rows, columns].into(), [columns].into(), [columns].into()];
        let inputs = [&x[..], &gamma, &beta];
        let views = [0, 1, 2].map(|i| View { shape: shapes[i], data: inputs[i] });
        let (mut y, mut saved) = (vec![f32::NAN; x.len()], vec![f32::NAN; 2 * columns]);
        let op = BatchNorm(Activation::Identity);
        op.forward(&views, &mut y, &mut saved);
        let (mut dx, mut dgamma) = (vec![f32::NAN; x.len()], vec![f32::NAN; columns]);
        let output = View { shape: shapes[0], data: &y };
        let at = Point { inputs: &views, output, saved: &saved, grad: &dy };
        op.backward(at, &mut [Some(&mut dx), Some(&mut dgamma), None]);

        let mut exact = [vec![0.0; x.len()], vec![0.0; x.len()], vec![0.0; columns]];
        for c in 0..columns {
            let of = |numbers: &[f32]| -> Vec<f64> {
                numbers[c..].iter().step_by(columns).map(|&x| f64::from(x)).collect()
            };
            let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / rows as f64;
            let (x, g) = (of(&x), of(&dy));
            let m = mean(&x);
            let variance = mean(&x.iter().map(|x| (x - m) * (x - m)).collect::<Vec<_>>());
            let sd = (variance + f64::from(EPSILON)).sqrt();
            let u: Vec<f64> = x.iter().map(|x| (x - m) / sd).collect();
            let with_u = mean(&u.iter().zip(&g).map(|(u, g)| u * g).collect::<Vec<_>>());
            for r in 0..rows {
                let gamma = f64::from(gamma[c]);
                exact[0][r * columns + c] = gamma * u[r] + f64::from(beta[c]);
                exact[1][r * columns + c] = gamma / sd * (g[r] - mean(&g) - u[r] * with_u);
            }
            exact[2][c] = with_u * rows as f64;
        }
        let wide = |numbers: Vec<f32>| numbers.into_iter().map(f64::from).collect();
        [[y, dx, dgamma].map(wide), exact]
    }

    #[test]
    fn gradients_are_right_at_any_spread() {
        for spread in [1e-2, 1.0, 1e10, 1e14, 1e16, 1e18] {
            let [found, expected] = at_a_spread(spread);
            for (name, (found, expected)) in ["y", "dx", "dgamma"].iter().zip(found.iter().zip(&expected)) {
                let largest = expected.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
                for (found, expected) in found.iter().zip(expected) {
                    let error = (found - expected).abs() / largest;
                    assert!(error < 2e-6, "{name} at a spread of {spread:e} is {found:e}, not {expected:e}");
                }
            }
        }
    }

    /// Divided by an infinite variance, all rows would become beta, as if they were alike: PyTorch's way.
    #[test]
    fn a_variance_beyond_f32_is_not_hidden() {
        let [[y, dx, dgamma], _] = at_a_spread(1e20);
        assert!(y.iter().chain(&dx).chain(&dgamma).all(|x| x.is_nan()), "{y:?} {dx:?} {dgamma:?}");
    }
}
