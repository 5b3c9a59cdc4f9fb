//! The end of a residual block that changes the size of its images: the sum of two batch normalisations, and an
//! activation, as one op.
//!
//! ```text
//! y = act(t (gamma u(h) + beta) + gamma' u(R) + beta') with u as in batch_norm.rs
//! ```
//!
//! R is r itself if that is as large as h. If r is half as high and wide, R is the image as large as h that has the
//! pixels of r where row and column are even and zeros elsewhere: what a transposed 1x1 convolution of stride 2 and
//! output padding 1 makes of a pointwise product r, without the zeros. Of R's pixels r has a share q = 1/4, so
//!
//! ```text
//! mean R = q mean r,   variance R = q variance r + q (1 - q) (mean r)^2
//! sum over R of g (R - mean R) = sum over r of g (r - mean R) - mean R (sum over R of g - sum over r of g)
//! ```
//!
//! With g = dy as act passes it back, all gradients are as in `batch_norm.rs`; r's at its own pixels only.

use super::max_pool::image;
use super::statistics::{Normalization, Statistics};
use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity, require};
use crate::kernels::norm::{self, Activation};
use crate::kernels::residual::Grid;
use crate::parallel::with_scratch;
use crate::tensor::Shape;

#[derive(Clone, Debug)]
struct BatchNormPair {
    times: f32,
    /// Those of h and of r.
    statistics: [Statistics; 2],
    activation: Activation,
}

/// How the pixels of r lie among those of h.
fn grid(h: Shape, r: Shape) -> Result<Grid, Mismatch> {
    require!(h.image().is_some() && r.image().is_some(), "h and r must be (batch, height, width, channels)");
    let ([height, width, channels], [rows, columns, of_r]) = (image(h), image(r));
    require!(
        (h.sizes()[0], channels) == (r.sizes()[0], of_r),
        "h and r differ in their number of images or channels"
    );
    for step in [1, 2] {
        if [step * rows, step * columns] == [height, width] {
            return Ok(Grid { height, width, channels, step });
        }
    }
    Err(Mismatch(format!("r of {rows} x {columns} is neither as large as h nor half of it")))
}

impl BatchNormPair {
    /// The normalisations of h and r, from the inputs behind each and what was saved.
    fn normalizations<'a>(&'a self, inputs: &[View<'a>], saved: &'a [f32]) -> [Normalization<'a>; 2] {
        let (of_h, of_r) = saved.split_at(saved.len() / 2);
        [(0, of_h, self.times), (1, of_r, 1.0)].map(|(i, saved, times)| Normalization {
            statistics: &self.statistics[i],
            saved,
            gamma: inputs[3 * i + 1].data,
            beta: inputs[3 * i + 2].data,
            times,
        })
    }
}

impl Op for BatchNormPair {
    fn name(&self) -> &'static str {
        "batch_norm_pair"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [h, gamma, beta, r, gamma_of_r, beta_of_r] = arity(inputs)?;
        let columns = h.columns();
        grid(h, r)?;
        require!(
            [gamma, beta, gamma_of_r, beta_of_r].iter().all(|s| s.sizes() == [columns]),
            "both gamma and beta must have {columns} numbers"
        );
        for statistics in &self.statistics {
            statistics.check(h.rows(), columns)?;
        }
        Ok(Plan::saving(h, 4 * columns))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let (h, r, columns) = (inputs[0], inputs[3], inputs[1].data.len());
        let grid = grid(h.shape, r.shape).expect("the plan was made for these shapes");
        let (of_h, of_r) = saved.split_at_mut(2 * columns);
        self.statistics[0].write(h.data, of_h);
        self.statistics[1].write(r.data, of_r);
        if grid.step > 1 && matches!(self.statistics[1], Statistics::OfBatch) {
            with_zeros(of_r, 1.0 / (grid.step * grid.step) as f32);
        }
        let [of_h, of_r] = self.normalizations(inputs, saved);
        with_scratch(4 * columns, |scratch| {
            let (first, second) = scratch.split_at_mut(2 * columns);
            let (h, r) = ((h.data, of_h.affine(first)), (r.data, of_r.affine(second)));
            grid.activated_sum(self.activation, h, r, output);
        });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let (h, r) = (at.inputs[0], at.inputs[3]);
        let grid = grid(h.shape, r.shape).expect("the plan was made for these shapes");
        let [of_h, of_r] = self.normalizations(at.inputs, at.saved);
        let (columns, rows) = (of_h.columns(), h.shape.rows());
        let (y, dy) = (at.output.data, at.grad);
        let [dh, dgamma, dbeta, dr, dgamma_of_r, dbeta_of_r] = gradients else {
            panic!("{} gradients of six inputs", gradients.len())
        };
        with_scratch(7 * columns, |scratch| {
            let (sums, rest) = scratch.split_at_mut(2 * columns);
            let (sums_of_r, memory) = rest.split_at_mut(2 * columns);
            norm::gradient_sums(h.data, y, dy, &of_h.saved[..columns], self.activation, sums);
            of_h.parameter_gradients(sums, dgamma, dbeta);
            if let Some(dh) = dh {
                let coefficients = of_h.coefficients(sums, rows, memory);
                norm::input_gradient(h.data, y, dy, self.activation, coefficients, dh);
            }
            let mut of_second = |g: &mut [f32], wanted: bool| {
                let mean = &of_r.saved[..columns];
                grid.passed_back(self.activation, y, dy, g);
                norm::gradient_sums(r.data, g, g, mean, Activation::Identity, sums_of_r);
                let (plain, weighted) = sums_of_r.split_at_mut(columns);
                for c in 0..columns {
                    weighted[c] -= mean[c] * (sums[c] - plain[c]);
                }
                plain.copy_from_slice(&sums[..columns]);
                of_r.parameter_gradients(sums_of_r, dgamma_of_r, dbeta_of_r);
                if wanted {
                    let coefficients = of_r.coefficients(sums_of_r, rows, memory);
                    norm::finish_input_gradient(r.data, coefficients, g);
                }
            };
            match dr {
                Some(dr) => of_second(dr, true),
                None => with_scratch(r.data.len(), |g| of_second(g, false)),
            }
        });
    }
}

/// From means and variances to those with zeros around, so that what was there is this share.
fn with_zeros(statistics: &mut [f32], share: f32) {
    let (mean, variance) = statistics.split_at_mut(statistics.len() / 2);
    for (mean, variance) in mean.iter_mut().zip(variance) {
        let [m, v, q] = [*mean, *variance, share].map(f64::from);
        *variance = norm::finite_or_nan(q * v + q * (1.0 - q) * m * m);
        *mean *= share;
    }
}

impl<'t> Var<'t> {
    /// act(times (h normalised) + r normalised), where h is this variable (batch, height, width, channels), and r as
    /// large or, to be filled up with zeros behind every pixel, half as high and wide. Each has its gamma, beta and
    /// statistics. What it saved ([`Var::read_saved`]) are the means of h, the biased variances of h, and the same of r.
    #[track_caller]
    pub fn batch_norm_pair(
        self,
        [gamma, beta]: [Var<'t>; 2],
        r: Var<'t>,
        [gamma_of_r, beta_of_r]: [Var<'t>; 2],
        statistics: [Statistics; 2],
        times: f32,
        activation: Activation,
    ) -> Var<'t> {
        let op = BatchNormPair { times, statistics, activation };
        self.tape().apply(op, &[self, gamma, beta, r, gamma_of_r, beta_of_r])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, Sizes};
    use crate::ops::batch_norm::tests::activated;
    use crate::ops::statistics::tests::{given, normalized};

    fn case(h: [usize; 4], step: usize, statistics: [Statistics; 2], activation: Activation) -> Case {
        let times = 0.5;
        let op = BatchNormPair { times, statistics: statistics.clone(), activation };
        let (columns, r) = ([h[3]].into(), [h[0], h[1] / step, h[2] / step, h[3]]);
        Case::new(op, [h.into(), columns, columns, r.into(), columns, columns], move |x| {
            let filled_up = Array64::build(h, |[n, i, j, c]| {
                if i % step == 0 && j % step == 0 { x[3].at([n, i / step, j / step, c]) } else { 0.0 }
            });
            let mut y = normalized(&statistics[0], &x[0], &x[1], &x[2]);
            let skip = normalized(&statistics[1], &filled_up, &x[4], &x[5]);
            for (y, skip) in y.data.iter_mut().zip(skip.data) {
                *y = activated(activation, f64::from(times) * *y + skip);
            }
            y
        })
        .between(1, 0.5, 1.5)
        .between(2, -0.5, 0.5)
        .between(4, 0.5, 1.5)
        .between(5, -0.5, 0.5)
    }

    fn of_batch() -> [Statistics; 2] {
        [Statistics::OfBatch, Statistics::OfBatch]
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        vec![
            case([3, 4, 6, 16], 2, of_batch(), Activation::LeakyRelu),
            case([3, 4, 6, 16], 1, of_batch(), Activation::LeakyRelu),
            case([2, 2, 2, 33], 2, of_batch(), Activation::Identity),
            case([2, 3, 5, 17], 1, of_batch(), Activation::Identity),
            case([2, 4, 4, 15], 2, [given(15), given(15)], Activation::LeakyRelu),
            // Means far from 0, with zeros beside them.
            case([4, 8, 8, 3], 2, of_batch(), Activation::Identity).between(3, 1.0, 2.0),
        ]
    }

    /// Without the rectifier, whose kink a random input would sometimes hit.
    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        let step = sizes.next(1, 2);
        let [rows, columns] = [0, 1].map(|_| step * sizes.next(1, 3));
        case([sizes.next(3, 5), rows, columns, sizes.next(1, 40)], step, of_batch(), Activation::Identity)
    }

    #[test]
    fn an_image_of_another_size_is_refused() {
        let plan = |r: [usize; 4]| {
            let op = BatchNormPair { times: 1.0, statistics: of_batch(), activation: Activation::Identity };
            let three = Shape::from([3]);
            op.plan(&[[2, 4, 4, 3].into(), three, three, r.into(), three, three]).unwrap_err().0
        };
        assert_eq!(plan([2, 2, 4, 3]), "r of 2 x 4 is neither as large as h nor half of it");
        assert_eq!(plan([1, 4, 4, 3]), "h and r differ in their number of images or channels");
    }
}
