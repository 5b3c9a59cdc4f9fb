//! The end of a residual block: batch normalisation, times a number, plus what is skipped, which may be normalised too, and
//! an activation, as one op.
//!
//! ```text
//! y = act(t (gamma u(h) + beta) + r)   or   act(t (gamma u(h) + beta) + gamma' u(R) + beta')   with u as in batch_norm.rs
//! ```
//!
//! A block that keeps the size of its images adds r, which it was given. One that changes it adds R normalised: r itself if
//! that is as large as h. If r is half as high and wide, R is the image as large as h that has the pixels of r where row and
//! column are even and zeros elsewhere: what a transposed 1x1 convolution of stride 2 and output padding 1 makes of a
//! pointwise product r, without the zeros. Of R's pixels r has a share q = 1/4, so
//!
//! ```text
//! mean R = q mean r,   variance R = q variance r + q (1 - q) (mean r)^2
//! sum over R of g (R - mean R) = sum over r of g (r - mean R) - mean R (sum over R of g - sum over r of g)
//! ```
//!
//! With g = dy as act passes it back, all gradients are as in `batch_norm.rs`, h's t times; r's at its own pixels only, and g
//! itself if it is added as it is.
//!
//! He and others: "Deep residual learning for image recognition", CVPR 2016. Neither a normalised image nor the sum is
//! held. The activation is that with which the next block begins: nothing else sees the sum.

use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity, require};
use crate::kernels::norm::{self, Activation, Affine};
use crate::kernels::residual::Grid;
use crate::ops::max_pool::image;
use crate::ops::statistics::{Normalization, Statistics};
use crate::parallel::with_scratch;
use crate::tensor::Shape;

/// What the op equals, with r at every pixel of h if that is larger.
#[cfg(test)]
fn definition<'t>(
    h: Var<'t>,
    weights: [Var<'t>; 2],
    statistics: Statistics,
    r: Var<'t>,
    norm_of_r: Option<([Var<'t>; 2], Statistics)>,
    (times, activation): (f32, Activation),
) -> Var<'t> {
    let added = match norm_of_r {
        None => r,
        Some((weights, statistics)) => {
            tests::as_large_as(h, r).batch_norm(weights, statistics, Activation::Identity)
        }
    };
    (h.batch_norm(weights, statistics, Activation::Identity).scale(times) + added).activate(activation)
}

#[derive(Clone, Debug)]
struct BatchNormResidual {
    times: f32,
    of_h: Statistics,
    /// If r is normalised.
    of_r: Option<Statistics>,
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

impl BatchNormResidual {
    /// The normalisation of h, and that of r if it has one, from the inputs (h, gamma, beta, r, ...) and what was saved.
    fn normalizations<'a>(
        &'a self,
        inputs: &[View<'a>],
        saved: &'a [f32],
    ) -> (Normalization<'a>, Option<Normalization<'a>>) {
        let (of_h, of_r) = saved.split_at(2 * inputs[1].data.len());
        let normalization = |statistics, saved, first: usize, times| {
            let [gamma, beta] = [first, first + 1].map(|i| inputs[i].data);
            Normalization { statistics, saved, gamma, beta, times }
        };
        let of_r = self.of_r.as_ref().map(|statistics| normalization(statistics, of_r, 4, 1.0));
        (normalization(&self.of_h, of_h, 1, self.times), of_r)
    }
}

impl Op for BatchNormResidual {
    fn name(&self) -> &'static str {
        "batch_norm_residual"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let columns = inputs.first().map_or(0, Shape::columns);
        let (h, r) = match &self.of_r {
            None => {
                let [h, gamma, beta, r] = arity(inputs)?;
                self.of_h.check(h, [gamma, beta])?;
                require!(r == h, "the shapes of h and r differ");
                (h, r)
            }
            Some(of_r) => {
                let [h, gamma, beta, r, gamma_of_r, beta_of_r] = arity(inputs)?;
                self.of_h.check(h, [gamma, beta])?;
                // By the pixels of h, which r has as many of, be it zeros.
                of_r.check(h, [gamma_of_r, beta_of_r])?;
                (h, r)
            }
        };
        grid(h, r)?;
        Ok(Plan::saving(h, 2 * columns * (1 + usize::from(self.of_r.is_some()))))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let (h, r, columns) = (inputs[0], inputs[3], inputs[1].data.len());
        let grid = grid(h.shape, r.shape).expect("the plan was made for these shapes");
        let (saved_of_h, saved_of_r) = saved.split_at_mut(2 * columns);
        self.of_h.write(h.data, saved_of_h);
        if let Some(of_r) = &self.of_r {
            of_r.write(r.data, saved_of_r);
            if grid.step > 1 && matches!(of_r, Statistics::OfBatch) {
                with_zeros(saved_of_r, 1.0 / (grid.step * grid.step) as f32);
            }
        }
        let (of_h, of_r) = self.normalizations(inputs, saved);
        with_scratch(5 * columns, |scratch| {
            let (first, second) = scratch.split_at_mut(2 * columns);
            let of_r = match of_r {
                Some(of_r) => of_r.affine(&mut second[..2 * columns]),
                None => as_it_is(second),
            };
            grid.activated_sum(self.activation, (h.data, of_h.affine(first)), (r.data, of_r), output);
        });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let (h, r) = (at.inputs[0], at.inputs[3]);
        let grid = grid(h.shape, r.shape).expect("the plan was made for these shapes");
        let (of_h, of_r) = self.normalizations(at.inputs, at.saved);
        let (columns, rows) = (of_h.columns(), h.shape.rows());
        let [dh, dgamma, dbeta, dr, of_norm_of_r @ ..] = gradients else {
            panic!("{} gradients of four or six inputs", gradients.len())
        };
        let (mut y, mut dy, mut activation) = (at.output.data, at.grad, self.activation);
        let (added, normalized) = match of_r {
            None => (dr.as_deref_mut(), None),
            Some(_) => (None, dr.as_deref_mut()),
        };
        if let Some(dr) = added {
            // From here on the gradient behind the activation is there to be read.
            grid.passed_back(activation, y, dy, dr);
            let behind: &[f32] = dr;
            (y, dy, activation) = (behind, behind, Activation::Identity);
        }
        with_scratch(7 * columns, |scratch| {
            let (sums, rest) = scratch.split_at_mut(2 * columns);
            let (sums_of_r, memory) = rest.split_at_mut(2 * columns);
            norm::gradient_sums(h.data, y, dy, of_h.mean(), activation, sums);
            of_h.parameter_gradients(sums, dgamma, dbeta);
            if let Some(dh) = dh {
                let coefficients = of_h.coefficients(sums, rows, memory);
                norm::input_gradient(h.data, y, dy, activation, coefficients, dh);
            }
            let (Some(of_r), [dgamma_of_r, dbeta_of_r]) = (of_r, of_norm_of_r) else { return };
            let mut of_second = |g: &mut [f32], wanted: bool| {
                let mean = of_r.mean();
                grid.passed_back(activation, at.output.data, at.grad, g);
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
            match normalized {
                Some(dr) => of_second(dr, true),
                None => with_scratch(r.data.len(), |g| of_second(g, false)),
            }
        });
    }
}

/// The affine map that changes nothing, in memory for three numbers a column.
fn as_it_is(memory: &mut [f32]) -> Affine<'_> {
    let columns = memory.len() / 3;
    memory.fill(0.0);
    let (ones, zeros) = memory.split_at_mut(columns);
    ones.fill(1.0);
    Affine { mean: &zeros[..columns], scale: ones, shift: &zeros[columns..] }
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
    /// act(times (h normalised with gamma and beta) + r), where h is this variable (batch, height, width, channels) and r as
    /// large; or the same with r normalised, if it has gamma, beta and statistics, and then it may be half as high and wide,
    /// to be filled up with zeros behind every pixel. What it saved ([`Var::read_saved`]) are the means of h, then the biased
    /// variances, and the same of an r that is normalised.
    #[track_caller]
    pub fn batch_norm_residual(
        self,
        [gamma, beta]: [Var<'t>; 2],
        of_h: Statistics,
        r: Var<'t>,
        norm_of_r: Option<([Var<'t>; 2], Statistics)>,
        times: f32,
        activation: Activation,
    ) -> Var<'t> {
        let mut inputs = vec![self, gamma, beta, r];
        let of_r = norm_of_r.map(|(weights, statistics)| {
            inputs.extend(weights);
            statistics
        });
        self.tape().apply(BatchNormResidual { times, of_h, of_r, activation }, &inputs)
    }
}

#[cfg(test)]
pub(in crate::ops) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, Sizes};
    use crate::ops::ConvTranspose2d;
    use crate::ops::statistics::tests::{activated, given, normalized};
    use Activation::{Identity, LeakyRelu, Relu};
    use Statistics::OfBatch;

    /// r with zeros between its pixels, so that it is as large as h: a 1x1 convolution, every channel by itself.
    pub(super) fn as_large_as<'t>(h: Var<'t>, r: Var<'t>) -> Var<'t> {
        let stride = image(h.shape())[0] / image(r.shape())[0];
        let channels = r.shape().columns();
        let each = r.tape().constant([1, 1, channels, channels], |weights| {
            weights.fill(0.0);
            weights.iter_mut().step_by(channels + 1).for_each(|weight| *weight = 1.0);
        });
        r.conv_transpose2d(each, ConvTranspose2d { stride, padding: 0, output_padding: stride - 1 })
    }

    /// r as it is.
    fn case(h: [usize; 4], statistics: Statistics, activation: Activation) -> Case {
        let times = 0.5;
        let op = BatchNormResidual { times, of_h: statistics.clone(), of_r: None, activation };
        let (columns, by) = ([h[3]].into(), statistics.clone());
        Case::new(op, [h.into(), columns, columns, h.into()], move |x| {
            let mut y = normalized(&by, Identity, &x[0], &x[1], &x[2]);
            for (y, r) in y.data.iter_mut().zip(&x[3].data) {
                *y = activated(activation, f64::from(times) * *y + r);
            }
            y
        })
        .between(1, 0.5, 1.5)
        .between(2, -0.5, 0.5)
        .defined_by(move |x| {
            definition(x[0], [x[1], x[2]], statistics.clone(), x[3], None, (times, activation))
        })
    }

    /// r normalised.
    fn pair(h: [usize; 4], step: usize, statistics: Statistics, activation: Activation) -> Case {
        let times = 0.5;
        let of_r = Some(statistics.clone());
        let op = BatchNormResidual { times, of_h: statistics.clone(), of_r, activation };
        let (columns, r) = ([h[3]].into(), [h[0], h[1] / step, h[2] / step, h[3]]);
        let by = statistics.clone();
        Case::new(op, [h.into(), columns, columns, r.into(), columns, columns], move |x| {
            let filled_up = Array64::build(h, |[n, i, j, c]| {
                if i % step == 0 && j % step == 0 { x[3].at([n, i / step, j / step, c]) } else { 0.0 }
            });
            let mut y = normalized(&by, Identity, &x[0], &x[1], &x[2]);
            let added = normalized(&by, Identity, &filled_up, &x[4], &x[5]);
            for (y, r) in y.data.iter_mut().zip(added.data) {
                *y = activated(activation, f64::from(times) * *y + r);
            }
            y
        })
        .between(1, 0.5, 1.5)
        .between(2, -0.5, 0.5)
        .between(4, 0.5, 1.5)
        .between(5, -0.5, 0.5)
        .defined_by(move |x| {
            let norm_of_r = Some(([x[4], x[5]], statistics.clone()));
            definition(x[0], [x[1], x[2]], statistics.clone(), x[3], norm_of_r, (times, activation))
        })
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        vec![
            case([3, 4, 5, 16], OfBatch, LeakyRelu),
            case([2, 3, 3, 33], OfBatch, LeakyRelu),
            case([9, 1, 7, 15], OfBatch, Identity),
            case([2, 2, 2, 1], OfBatch, Identity),
            case([2, 3, 2, 17], given(17), LeakyRelu),
            case([5, 9, 8, 32], OfBatch, Relu),
            pair([3, 4, 6, 16], 2, OfBatch, LeakyRelu),
            pair([3, 4, 6, 16], 1, OfBatch, LeakyRelu),
            pair([2, 2, 2, 33], 2, OfBatch, Identity),
            pair([2, 3, 5, 17], 1, OfBatch, Identity),
            pair([2, 4, 4, 15], 2, given(15), LeakyRelu),
            // Means far from 0, with zeros beside them.
            pair([4, 8, 8, 3], 2, OfBatch, Identity).between(3, 1.0, 2.0),
        ]
    }

    /// Without the rectifier, whose kink a random input would sometimes hit.
    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        let step = sizes.next(0, 2);
        if step == 0 {
            let h = [sizes.next(1, 4), sizes.next(2, 6), sizes.next(2, 6), sizes.next(1, 40)];
            let statistics = if sizes.next(0, 3) == 0 { given(h[3]) } else { OfBatch };
            return case(h, statistics, Identity);
        }
        let [rows, columns] = [0, 1].map(|_| step * sizes.next(1, 3));
        pair([sizes.next(3, 5), rows, columns, sizes.next(1, 40)], step, OfBatch, Identity)
    }

    #[test]
    fn an_image_of_another_size_is_refused() {
        let plan = |r: [usize; 4]| {
            let op =
                BatchNormResidual { times: 1.0, of_h: OfBatch, of_r: Some(OfBatch), activation: Identity };
            let three = Shape::from([3]);
            op.plan(&[[2, 4, 4, 3].into(), three, three, r.into(), three, three]).unwrap_err().0
        };
        assert_eq!(plan([2, 2, 4, 3]), "r of 2 x 4 is neither as large as h nor half of it");
        assert_eq!(plan([1, 4, 4, 3]), "h and r differ in their number of images or channels");
    }
}
