//! Batch normalisation by the statistics of the batch or by given ones, with an optional rectifier, which may be leaky.
//!
//! Over the rows r of column c (for images: over all pixels of a channel), with R rows:
//!
//! ```text
//! m = (1/R) sum x,   v = (1/R) sum (x - m)^2,   or both given
//! u = (x - m) / sqrt(v + eps),   y = act(gamma u + beta)
//!
//! g = dy as act passes it back: where y > 0, elsewhere none of it or, if leaky, a hundredth
//! dbeta = sum g,   dgamma = sum g u,   dx = gamma / sqrt(v + eps) (g - dbeta / R - u dgamma / R)
//! ```
//!
//! Given statistics are numbers that do not change: of dx the first term is left then. Ioffe, Szegedy: "Batch
//! normalization", ICML 2015. The rectifier is folded in because both are bound by memory.

use super::statistics::{Normalization, Statistics};
use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity};
use crate::kernels::norm::{self, Activation};
use crate::parallel::with_scratch;
use crate::tensor::Shape;

#[derive(Clone, Debug)]
struct BatchNorm {
    statistics: Statistics,
    activation: Activation,
}

impl BatchNorm {
    fn normalization<'a>(&'a self, inputs: &[View<'a>], saved: &'a [f32]) -> Normalization<'a> {
        let [gamma, beta] = [1, 2].map(|i| inputs[i].data);
        Normalization { statistics: &self.statistics, saved, gamma, beta, times: 1.0 }
    }
}

impl Op for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x, gamma, beta] = arity(inputs)?;
        self.statistics.check(x, [gamma, beta])?;
        Ok(Plan::saving(x, 2 * x.columns()))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let x = inputs[0].data;
        self.statistics.write(x, saved);
        let norm = self.normalization(inputs, saved);
        with_scratch(2 * norm.columns(), |memory| {
            norm::affine(x, norm.affine(memory), self.activation, output);
        });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let (x, y, dy) = (at.inputs[0].data, at.output.data, at.grad);
        let norm = self.normalization(at.inputs, at.saved);
        let columns = norm.columns();
        let [dx, dgamma, dbeta] = gradients else { panic!("{} gradients of three inputs", gradients.len()) };
        with_scratch(5 * columns, |scratch| {
            let (sums, memory) = scratch.split_at_mut(2 * columns);
            norm::gradient_sums(x, y, dy, norm.mean(), self.activation, sums);
            norm.parameter_gradients(sums, dgamma, dbeta);
            if let Some(dx) = dx {
                let coefficients = norm.coefficients(sums, x.len() / columns, memory);
                norm::input_gradient(x, y, dy, self.activation, coefficients, dx);
            }
        });
    }
}

impl<'t> Var<'t> {
    /// Every column of x (..., columns) less its mean and over its standard deviation, times gamma plus beta, then the
    /// activation. What it saved ([`Var::read_saved`]) are the means, then the biased variances.
    #[track_caller]
    pub fn batch_norm(
        self,
        [gamma, beta]: [Var<'t>; 2],
        statistics: Statistics,
        activation: Activation,
    ) -> Var<'t> {
        self.tape().apply(BatchNorm { statistics, activation }, &[self, gamma, beta])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, EDGE_SIZES, Sizes};
    use crate::ops::EPSILON;
    use crate::ops::statistics::tests::{given, normalized};
    use crate::rng::Stream;

    fn case_by(x: impl Into<Shape>, statistics: Statistics, activation: Activation) -> Case {
        let x = x.into();
        let columns = [x.columns()].into();
        let op = BatchNorm { statistics: statistics.clone(), activation };
        Case::new(op, [x, columns, columns], move |x| {
            normalized(&statistics, activation, &x[0], &x[1], &x[2])
        })
        .between(1, 0.5, 1.5)
        .between(2, -0.5, 0.5)
    }

    fn case(x: impl Into<Shape>, activation: Activation) -> Case {
        case_by(x, Statistics::OfBatch, activation)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let edges = EDGE_SIZES.into_iter().flat_map(|n| {
            [
                case([7, n], Activation::Relu),
                case([n + 2, 3], Activation::Identity),
                case_by([7, n], given(n), Activation::LeakyRelu),
                case_by([n, 3], given(3), Activation::Identity),
            ]
        });
        let others = [
            case([3, 5, 4, 16], Activation::Relu),
            case([3, 5, 4, 16], Activation::LeakyRelu),
            case([9, 33], Activation::LeakyRelu),
            case([600, 17], Activation::Identity),
            case_by([3, 5, 4, 16], given(16), Activation::LeakyRelu),
            // Means far from zero, where a careless variance (mean square less squared mean) cancels.
            case([300, 4], Activation::Identity).between(0, 10.0, 10.5),
        ];
        edges.chain(others).collect()
    }

    /// Without the rectifier, whose kink a random input would sometimes hit.
    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        let x = [sizes.next(3, 300), sizes.next(1, 40)];
        let statistics = if sizes.next(0, 1) == 0 { given(x[1]) } else { Statistics::OfBatch };
        case_by(x, statistics, Activation::Identity)
    }

    /// Not in the table: a rectifier that holds back numbers lets NaN and its gradient through.
    #[test]
    fn given_statistics_with_a_rectifier_equal_the_reference() {
        for n in EDGE_SIZES {
            assert_eq!(case_by([7, n], given(n), Activation::Relu).check(3), Ok(()));
        }
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
        let op = BatchNorm { statistics: Statistics::OfBatch, activation: Activation::Identity };
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

    /// The gradients of x and gamma for rows of two columns.
    fn gradients(activation: Activation, x: &[f32], dy: &[f32]) -> [Vec<f32>; 2] {
        let two = Shape::from([2]);
        let inputs = [x, &[1.5, 0.5], &[0.25, 0.5]];
        let shapes = [[x.len() / 2, 2].into(), two, two];
        let views: Vec<View<'_>> =
            inputs.into_iter().zip(shapes).map(|(data, shape)| View { shape, data }).collect();
        let statistics = Statistics::Given { mean: [0.0, 0.5].into(), variance: [3.0, 0.75].into() };
        let op = BatchNorm { statistics, activation };
        let (mut y, mut saved) = (vec![0.0; x.len()], vec![0.0; 4]);
        op.forward(&views, &mut y, &mut saved);
        let (mut dx, mut dgamma) = (vec![0.0; x.len()], vec![0.0; 2]);
        let at =
            Point { inputs: &views, output: View { shape: shapes[0], data: &y }, saved: &saved, grad: dy };
        op.backward(at, &mut [Some(&mut dx), Some(&mut dgamma), None]);
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
}
