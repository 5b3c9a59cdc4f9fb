//! A convolution, batch normalisation and an activation, as one op: for a first layer, whose output is many times its
//! input and made in no time.
//!
//! ```text
//! c = x * w,   y = act(gamma u(c) + beta) with u as in batch_norm.rs
//! ```
//!
//! Of an image of three channels a layer makes 32: held before and behind the normalisation, that is 21 times the image.
//! Here c is normalised where it lies, and on the way back each thread computes an image of it again, in its cache:
//! once for the sums that the gradient of c depends on, once for that gradient, which goes on to w (and to x, where a
//! weight lies behind it) and is never held either.

use crate::autograd::{Mismatch, MultiplyAdds, Op, Pass, Plan, Point, Var, View, arity};
use crate::kernels::conv::{self, Windows};
use crate::kernels::norm::{self, Activation, Coefficients};
use crate::ops::Conv2d;
use crate::ops::statistics::{Normalization, Statistics};
use crate::parallel::{self, with_scratch};
use crate::tensor::Shape;

/// What the op equals.
#[cfg(test)]
fn definition<'t>(
    x: Var<'t>,
    w: Var<'t>,
    settings: Conv2d,
    weights: [Var<'t>; 2],
    statistics: Statistics,
    activation: Activation,
) -> Var<'t> {
    x.conv2d(w, None, settings).batch_norm(weights, statistics, activation)
}

#[derive(Clone, Debug)]
struct Conv2dBatchNorm {
    settings: Conv2d,
    statistics: Statistics,
    activation: Activation,
}

/// An image and what lies behind it.
struct Layer<'a> {
    windows: Windows,
    x: &'a [f32],
    w: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
    activation: Activation,
}

impl Layer<'_> {
    fn outputs(&self) -> usize {
        self.w.len() / self.windows.len()
    }

    /// Calls `work` with image n: x, c, y, dy, and room for the gradient of c.
    fn with_image<R>(
        &self,
        n: usize,
        work: impl FnOnce(&[f32], &[f32], &[f32], &[f32], &mut [f32]) -> R,
    ) -> R {
        let (of_x, of_y) = (self.windows.image_len(), self.windows.count() * self.outputs());
        let x = &self.x[n * of_x..][..of_x];
        let [y, dy] = [self.y, self.dy].map(|all| &all[n * of_y..][..of_y]);
        with_scratch(2 * of_y, |scratch| {
            let (c, dc) = scratch.split_at_mut(of_y);
            conv::forward(&self.windows, x, self.w, None, c);
            work(x, c, y, dy, dc)
        })
    }

    fn images(&self) -> usize {
        self.x.len() / self.windows.image_len()
    }

    /// The sums of g and of g (c - mean).
    fn gradient_sums(&self, mean: &[f32], sums: &mut [f32]) {
        parallel::sum_of_partials(self.images(), sums, |n, sums| {
            self.with_image(n, |_, c, y, dy, _| norm::gradient_sums(c, y, dy, mean, self.activation, sums));
        });
    }

    fn weight_gradient(&self, coefficients: Coefficients<'_>, dw: &mut [f32]) {
        parallel::sum_of_partials(self.images(), dw, |n, dw| {
            self.with_image(n, |x, c, y, dy, dc| {
                norm::input_gradient(c, y, dy, self.activation, coefficients, dc);
                conv::weight_gradient(&self.windows, x, &*dc, dw);
            });
        });
    }

    fn input_gradient(&self, coefficients: Coefficients<'_>, dx: &mut [f32]) {
        parallel::for_each_chunk(dx, self.windows.image_len(), |n, dx| {
            self.with_image(n, |_, c, y, dy, dc| {
                norm::input_gradient(c, y, dy, self.activation, coefficients, dc);
                conv::input_gradient(&self.windows, self.w, &*dc, dx);
            });
        });
    }
}

impl Op for Conv2dBatchNorm {
    fn name(&self) -> &'static str {
        "conv2d_batch_norm"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x, w, gamma, beta] = arity(inputs)?;
        let plan = self.settings.plan(&[x, w])?;
        self.statistics.check(plan.output, [gamma, beta])?;
        Ok(Plan { saved: 2 * plan.output.columns(), ..plan })
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let [x, w, gamma, beta] = [0, 1, 2, 3].map(|i| inputs[i].data);
        let windows = self.settings.planned(inputs[0].shape, inputs[1].shape);
        conv::forward(&windows, x, w, None, output);
        self.statistics.write(output, saved);
        with_scratch(2 * gamma.len(), |memory| {
            let norm = Normalization { statistics: &self.statistics, saved, gamma, beta, times: 1.0 };
            norm::affine_in_place(norm.affine(memory), self.activation, output);
        });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let [x, w, gamma, beta] = [0, 1, 2, 3].map(|i| at.inputs[i].data);
        let windows = self.settings.planned(at.inputs[0].shape, at.inputs[1].shape);
        let layer = Layer { windows, x, w, y: at.output.data, dy: at.grad, activation: self.activation };
        let norm = Normalization { statistics: &self.statistics, saved: at.saved, gamma, beta, times: 1.0 };
        let (columns, rows) = (gamma.len(), at.output.shape.rows());
        let [dx, dw, dgamma, dbeta] = gradients else {
            panic!("{} gradients of four inputs", gradients.len())
        };
        with_scratch(5 * columns, |scratch| {
            let (sums, memory) = scratch.split_at_mut(2 * columns);
            layer.gradient_sums(norm.mean(), sums);
            norm.parameter_gradients(sums, dgamma, dbeta);
            let coefficients = norm.coefficients(sums, rows, memory);
            if let Some(dw) = dw {
                layer.weight_gradient(coefficients, dw);
            }
            if let Some(dx) = dx {
                layer.input_gradient(coefficients, dx);
            }
        });
    }

    fn multiply_adds(&self, inputs: &[Shape], output: Shape, pass: Pass<'_>) -> MultiplyAdds {
        let forward = self.settings.multiply_adds(&inputs[..2], output, Pass::Forward);
        let MultiplyAdds { mut computed, naive } = self.settings.multiply_adds(&inputs[..2], output, pass);
        if let Pass::Backward { wanted } = pass {
            // The output again, for the sums and for every gradient behind it.
            computed += (1 + wanted[..2].iter().filter(|&&wanted| wanted).count()) * forward.computed;
        }
        MultiplyAdds { computed, naive }
    }
}

impl<'t> Var<'t> {
    /// act(the convolution of this variable (batch, height, width, inputs) with w (kernel, kernel, inputs, outputs),
    /// normalised with gamma and beta), without holding what is normalised. What it saved ([`Var::read_saved`]) are the
    /// means of that, then the biased variances.
    #[track_caller]
    pub fn conv2d_batch_norm(
        self,
        weight: Var<'t>,
        settings: Conv2d,
        [gamma, beta]: [Var<'t>; 2],
        statistics: Statistics,
        activation: Activation,
    ) -> Var<'t> {
        self.tape().apply(Conv2dBatchNorm { settings, statistics, activation }, &[self, weight, gamma, beta])
    }
}

#[cfg(test)]
pub(in crate::ops) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::conv2d;
    use crate::ops::statistics::tests::{given, normalized};

    fn case(
        x: [usize; 4],
        kernel: usize,
        outputs: usize,
        settings: Conv2d,
        statistics: Statistics,
        activation: Activation,
    ) -> Case {
        let op = Conv2dBatchNorm { settings, statistics: statistics.clone(), activation };
        let (columns, by) = ([outputs].into(), statistics.clone());
        Case::new(op, [x.into(), [kernel, kernel, x[3], outputs].into(), columns, columns], move |x| {
            let c = conv2d::tests::reference(settings, &x[0], &x[1], None);
            normalized(&by, activation, &c, &x[2], &x[3])
        })
        .between(2, 0.5, 1.5)
        .between(3, -0.5, 0.5)
        .defined_by(move |x| definition(x[0], x[1], settings, [x[2], x[3]], statistics.clone(), activation))
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let op = |stride, padding| Conv2d { stride, padding };
        let batch = || Statistics::OfBatch;
        vec![
            case([3, 6, 7, 3], 3, 16, op(1, 1), batch(), Activation::LeakyRelu),
            case([9, 5, 4, 2], 3, 17, op(2, 1), batch(), Activation::LeakyRelu),
            case([2, 8, 8, 16], 3, 20, op(1, 1), batch(), Activation::Identity),
            case([2, 9, 9, 1], 2, 5, op(1, 0), batch(), Activation::Relu),
            case([2, 3, 3, 4], 1, 1, op(1, 0), given(1), Activation::LeakyRelu),
        ]
    }

    /// Without the rectifier, whose kink a random input would sometimes hit; and of several weights an output, for what
    /// is normalised does not depend on the size of a single one.
    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        let kernel = sizes.next(2, 3);
        let x = [sizes.next(3, 5), sizes.next(5, 7), sizes.next(5, 7), sizes.next(1, 4)];
        let settings = Conv2d { stride: sizes.next(1, 2), padding: sizes.next(0, 1) };
        case(x, kernel, sizes.next(1, 20), settings, Statistics::OfBatch, Activation::Identity)
    }
}
