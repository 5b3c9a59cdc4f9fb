//! Batch normalisation, rectifier and the largest of every 2x2 block of pixels, as one op.
//!
//! ```text
//! z = max(gamma u + beta, 0) with u as in batch_norm.rs
//! y[n, i, j, c] = max over p, q in {0, 1} of z[n, 2 i + p, 2 j + q, c]
//!
//! g = dy at the first largest pixel of a block with y > 0, else 0
//! ```
//!
//! and from g on as in `batch_norm.rs`. An odd last row or column is left out of y, but counts in the statistics and
//! has a gradient through them. z is never held: the backward pass finds the largest pixels from x.

use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity, require};
use crate::kernels::norm_pool::Images;
use crate::ops::Activation::Relu;
use crate::ops::max_pool::image;
use crate::ops::statistics::{Normalization, Statistics};
use crate::parallel::with_scratch;
use crate::tensor::Shape;

/// What the op equals.
fn definition<'t>(x: Var<'t>, weights: [Var<'t>; 2], statistics: Statistics) -> Var<'t> {
    x.batch_norm(weights, statistics, Relu).max_pool()
}

#[derive(Clone, Copy, Debug)]
struct BatchNormMaxPool;

impl Op for BatchNormMaxPool {
    fn name(&self) -> &'static str {
        "batch_norm_max_pool"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x, gamma, beta] = arity(inputs)?;
        let Some([batch, height, width, channels]) = x.image() else {
            return Err(Mismatch("x must be (batch, height, width, channels)".into()));
        };
        require!(height >= 2 && width >= 2, "an image of {height} x {width} has no 2 x 2 block");
        Statistics::OfBatch.check(x, [gamma, beta])?;
        Ok(Plan::saving([batch, height / 2, width / 2, channels], 2 * channels))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let x = inputs[0].data;
        Statistics::OfBatch.write(x, saved);
        let norm = normalization(inputs, saved);
        with_scratch(2 * norm.columns(), |memory| {
            let size = image(inputs[0].shape);
            Images { x, size, affine: norm.affine(memory) }.rectified_max_pool(output);
        });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let (x, y, dy) = (at.inputs[0], at.output.data, at.grad);
        let norm = normalization(at.inputs, at.saved);
        let channels = norm.columns();
        let [dx, dgamma, dbeta] = gradients else { panic!("{} gradients of three inputs", gradients.len()) };
        with_scratch(7 * channels, |scratch| {
            let (memory, rest) = scratch.split_at_mut(2 * channels);
            let (sums, memory_of_coefficients) = rest.split_at_mut(2 * channels);
            let images = Images { x: x.data, size: image(x.shape), affine: norm.affine(memory) };
            images.gradient_sums(y, dy, sums);
            norm.parameter_gradients(sums, dgamma, dbeta);
            if let Some(dx) = dx {
                let coefficients = norm.coefficients(sums, x.shape.rows(), memory_of_coefficients);
                let through = coefficients.statistics.expect("statistics of the batch depend on x");
                images.input_gradient(y, dy, coefficients.gradient, through, dx);
            }
        });
    }
}

/// By the statistics of the batch, which were saved.
fn normalization<'a>(inputs: &[View<'a>], saved: &'a [f32]) -> Normalization<'a> {
    let [gamma, beta] = [1, 2].map(|i| inputs[i].data);
    Normalization { statistics: &Statistics::OfBatch, saved, gamma, beta, times: 1.0 }
}

impl<'t> Var<'t> {
    /// Every channel of x (batch, height, width, channels) batch-normalised with gamma and beta, rectified, and the largest
    /// of every 2x2 block of that: (batch, height / 2, width / 2, channels). By given statistics nothing is trained that
    /// would have to be held, and it is one op after the other. What it saved ([`Var::read_saved`]) by those of the batch are
    /// the means, then the biased variances.
    #[track_caller]
    pub fn batch_norm_max_pool(self, [gamma, beta]: [Var<'t>; 2], statistics: Statistics) -> Var<'t> {
        match statistics {
            Statistics::OfBatch => self.tape().apply(BatchNormMaxPool, &[self, gamma, beta]),
            Statistics::Given { .. } => definition(self, [gamma, beta], statistics),
        }
    }
}

#[cfg(test)]
pub(in crate::ops) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, Sizes, maximum};
    use crate::autograd::{Builder, Engine, Gradients, Init, Layout, Params, Tape};
    use crate::ops::statistics::tests::normalized;
    use crate::rng::Stream;

    /// Of both signs of gamma: with a negative one the smallest x of a block counts.
    fn case(x: [usize; 4]) -> Case {
        let channels = [x[3]].into();
        Case::new(BatchNormMaxPool, [x.into(), channels, channels], move |inputs| {
            let z = normalized(&Statistics::OfBatch, Relu, &inputs[0], &inputs[1], &inputs[2]);
            Array64::build([x[0], x[1] / 2, x[2] / 2, x[3]], |[n, i, j, c]| {
                let corners = [(0, 0), (0, 1), (1, 0), (1, 1)];
                corners.map(|(p, q)| z.at([n, 2 * i + p, 2 * j + q, c])).into_iter().fold(0.0, maximum)
            })
        })
        .distinct(0)
        .not_near_zero(1, -1.0, 1.0, 0.5)
        .between(2, -0.5, 0.5)
        .defined_by(|x| definition(x[0], [x[1], x[2]], Statistics::OfBatch))
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let shapes = [
            [1, 2, 2, 1],
            [3, 4, 6, 16],
            [2, 5, 7, 15],
            [2, 8, 4, 33],
            [4, 3, 2, 17],
            [2, 2, 3, 31],
            [5, 6, 5, 32],
            [1, 24, 24, 3],
        ];
        shapes.map(case).into()
    }

    /// Channels that pass the rectifier as a whole or not at all: a random input would sometimes hit its kink.
    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case([sizes.next(1, 3), sizes.next(2, 9), sizes.next(2, 9), sizes.next(1, 40)])
            .not_near_zero(2, -1.0, 1.0, 6.0)
    }

    /// The output, the statistics and the gradients of x, gamma and beta, by `apply`.
    fn results(
        x: [usize; 4],
        apply: impl for<'t> Fn(Var<'t>, Var<'t>, Var<'t>) -> (Var<'t>, Vec<f32>),
    ) -> (Vec<f32>, Vec<f32>, [Vec<f32>; 3]) {
        let mut params = Params::new();
        let mut builder = Builder::new(&mut params, 0);
        let shapes: [Shape; 3] = [x.into(), [x[3]].into(), [x[3]].into()];
        let handles = ["x", "gamma", "beta"].map(|name| {
            let shape = shapes[usize::from(name != "x")];
            builder.weight(name, shape, Layout::same(shape), Init::Constant(0.0))
        });
        for (i, &handle) in handles.iter().enumerate() {
            let stream = Stream::new(3, "batch_norm_max_pool", &[i as u64]);
            for (n, value) in params.get_mut(handle).iter_mut().enumerate() {
                let uniform = stream.uniform(n as u64);
                // Six values of x: most blocks have several largest pixels, and many have no z above 0.
                *value = [(uniform * 6.0).floor() - 2.0, uniform * 3.0 - 1.5, uniform * 3.0 - 2.0][i];
            }
        }
        // All z of a channel are equal where gamma is 0, though its pixels are not.
        let [_, gamma, beta] = handles;
        params.get_mut(gamma)[0] = 0.0;
        params.get_mut(beta)[0] = 0.5;
        let engine = Engine::new();
        let mut gradients = Gradients::new(&params);
        let (y, saved) = {
            let tape = Tape::train(&engine, &params);
            let [x, gamma, beta] = handles.map(|handle| tape.param(handle));
            let (y, saved) = apply(x, gamma, beta);
            let weights = tape.constant(y.shape(), |weights| {
                let stream = Stream::new(3, "batch_norm_max_pool/upstream", &[]);
                weights.iter_mut().enumerate().for_each(|(n, w)| *w = stream.uniform(n as u64) - 0.3);
            });
            let output = y.read(<[f32]>::to_vec);
            (y * weights).sum().backward(&mut gradients);
            (output, saved)
        };
        (y, saved, handles.map(|handle| gradients.get(&params, handle).to_vec()))
    }

    #[test]
    fn it_is_batch_norm_and_max_pool_with_equal_pixels_too() {
        let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        for x in [[3, 8, 6, 16], [4, 7, 5, 33], [9, 24, 24, 20], [1, 2, 2, 7]] {
            let (y, saved, gradients) = results(x, |x, gamma, beta| {
                let y = x.batch_norm_max_pool([gamma, beta], Statistics::OfBatch);
                (y, y.read_saved(<[f32]>::to_vec))
            });
            let (expected_y, expected_saved, expected_gradients) = results(x, |x, gamma, beta| {
                let z = x.batch_norm([gamma, beta], Statistics::OfBatch, Relu);
                (z.max_pool(), z.read_saved(<[f32]>::to_vec))
            });
            assert_eq!(bits(&y), bits(&expected_y), "{x:?}");
            assert_eq!(bits(&saved), bits(&expected_saved), "{x:?}");
            assert!(y.contains(&0.0) && y.iter().any(|&y| y > 0.0), "{x:?} leaves no case out");
            for (name, (found, expected)) in
                ["x", "gamma", "beta"].into_iter().zip(gradients.iter().zip(&expected_gradients))
            {
                let largest = expected.iter().fold(0.0_f32, |largest, g| largest.max(g.abs()));
                assert!(largest > 0.0, "{name} of {x:?}");
                for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                    let error = (found - expected).abs();
                    assert!(error <= 1e-6 * largest, "d{name} of {x:?} at {i} is {found}, not {expected}");
                }
            }
        }
    }
}
