//! A convolution and -ln p of pixels under the mixtures of discretised logistic distributions that it gives the
//! parameters of, summed over the pixels, as one op.
//!
//! ```text
//! theta = x * w + b,   y = sum over pixels of -ln p(levels[pixel] | theta[pixel])
//! ```
//!
//! and the gradients of `conv2d.rs` from dtheta = dy d(-ln p)/dtheta. This is the end of the decoder of cells and its
//! likelihood. A pixel has a hundred parameters there, which with their gradient would be by far the largest arrays of a
//! step. As dy is a single number, the forward pass can go there and back for a few images at a time, with dy = 1: the
//! parameters become their gradient where they lie, and no more of them are held than of those few images.

use crate::autograd::{Mismatch, MultiplyAdds, Op, Pass, Plan, Point, Var, View, arity};
use crate::kernels::conv;
use crate::kernels::logistic_mixture::{Mixture, losses_leaving_gradient};
use crate::kernels::norm::column_sums;
use crate::ops::Conv2d;
use crate::ops::logistic_mixture::Levels;
use crate::parallel::{self, with_scratch};
use crate::simd::slice;
use crate::tensor::Shape;
use std::sync::Arc;

/// What the op equals.
#[cfg(test)]
fn definition<'t>(
    x: Var<'t>,
    [w, b]: [Var<'t>; 2],
    conv: Conv2d,
    levels: Arc<[u32]>,
    channels: usize,
) -> Var<'t> {
    x.conv2d(w, Some(b), conv).logistic_mixture(levels, channels).sum()
}

/// 32 MiB of parameters: some twenty images of 64x64 pixels.
const ROOM: usize = 1 << 23;

#[derive(Clone, Debug)]
struct Conv2dLogisticMixture {
    conv: Conv2d,
    levels: Levels,
    /// How many parameters are held at a time, unless one image has more.
    room: usize,
}

impl Op for Conv2dLogisticMixture {
    fn name(&self) -> &'static str {
        "conv2d_logistic_mixture"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x, w, b] = arity(inputs)?;
        let theta = self.conv.plan(&[x, w, b])?.output;
        self.levels.mixture(theta.rows(), theta.columns())?;
        // The draft of dx, then the gradients of w and b for dy = 1.
        Ok(Plan { draft: true, ..Plan::saving(Shape::SCALAR, x.len() + w.len() + b.len()) })
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let [x, w, b] = [0, 1, 2].map(|i| inputs[i].data);
        let windows = self.conv.planned(inputs[0].shape, inputs[1].shape);
        let Levels { levels, channels } = &self.levels;
        let mixture = Mixture::new(b.len(), *channels).expect("parameters that the plan has accepted");
        let [image, pixels] = [windows.image_len(), windows.count()];
        let images = (self.room / (pixels * b.len())).clamp(1, x.len() / image);
        let (dx, rest) = saved.split_at_mut(x.len());
        let (dw, db) = rest.split_at_mut(w.len());
        dw.fill(0.0);
        db.fill(0.0);
        let mut sum = 0.0;
        let lens = [images * pixels * b.len(), images * pixels, w.len(), b.len()];
        with_scratch(lens.iter().sum(), |scratch| {
            let (theta, rest) = scratch.split_at_mut(lens[0]);
            let (losses, rest) = rest.split_at_mut(lens[1]);
            let (dw_of_group, db_of_group) = rest.split_at_mut(lens[2]);
            let groups = x.chunks(images * image).zip(dx.chunks_mut(images * image));
            for ((x, dx), levels) in groups.zip(levels.chunks(images * pixels * channels)) {
                let pixels = levels.len() / channels;
                let (theta, losses) = (&mut theta[..pixels * b.len()], &mut losses[..pixels]);
                conv::forward(&windows, x, w, Some(b), theta);
                losses_leaving_gradient(mixture, theta, levels, losses);
                sum += slice::sum_f64(losses);
                conv::input_gradient(&windows, w, &*theta, dx);
                conv::weight_gradient(&windows, x, &*theta, dw_of_group);
                column_sums(theta, db_of_group);
                slice::accumulate(dw, dw_of_group);
                slice::accumulate(db, db_of_group);
            }
        });
        output[0] = sum as f32;
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let dy = at.grad[0];
        let [dx, dw, db] = gradients else { panic!("{} gradients of three inputs", gradients.len()) };
        if let Some(dx) = dx {
            parallel::for_each_chunk(dx, parallel::GRAIN, |_, dx| dx.iter_mut().for_each(|dx| *dx *= dy));
        }
        let (of_w, of_b) = at.saved.split_at(at.inputs[1].data.len());
        for (slot, ready) in [(dw, of_w), (db, of_b)] {
            if let Some(slot) = slot {
                slot.iter_mut().zip(ready).for_each(|(to, from)| *to = dy * from);
            }
        }
    }

    fn multiply_adds(&self, inputs: &[Shape], _output: Shape, pass: Pass<'_>) -> MultiplyAdds {
        let theta = self.conv.plan(inputs).expect("the plan was made for these shapes").output;
        let product = self.conv.multiply_adds(inputs, theta, Pass::Forward);
        match pass {
            // The parameters and both gradients, whoever will ask for them.
            Pass::Forward => MultiplyAdds { computed: 3 * product.computed, ..product },
            Pass::Backward { .. } => MultiplyAdds { computed: 0, naive: pass.products() * product.naive },
        }
    }
}

impl<'t> Var<'t> {
    /// The sum over the pixels of -ln p, in nats, of levels as for [`Var::logistic_mixture`] under the mixtures with the
    /// parameters that the convolution of this variable (batch, height, width, inputs) gives, as [`Var::conv2d`].
    #[track_caller]
    pub fn conv2d_logistic_mixture(
        self,
        [weight, bias]: [Var<'t>; 2],
        conv: Conv2d,
        levels: impl Into<Arc<[u32]>>,
        channels: usize,
    ) -> Var<'t> {
        let op =
            Conv2dLogisticMixture { conv, levels: Levels { levels: levels.into(), channels }, room: ROOM };
        self.tape().apply(op, &[self, weight, bias])
    }
}

#[cfg(test)]
pub(in crate::ops) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, Sizes};
    use crate::ops::conv2d::tests::reference;
    use crate::ops::logistic_mixture::tests::{levels, losses};

    fn case(x: [usize; 4], kernel: usize, components: usize, channels: usize, conv: Conv2d) -> Case {
        let outputs = components * if channels == 1 { 3 } else { 10 };
        let shapes: [Shape; 3] = [x.into(), [kernel, kernel, x[3], outputs].into(), [outputs].into()];
        let pixels = conv.plan(&shapes).unwrap().output.rows() / x[0];
        let weights = (shapes[1].rows() as f64).sqrt();
        let drawn = levels(x[0] * pixels * channels);
        // Two images at a time, so that some cases have several groups and a smaller last one.
        let op = Conv2dLogisticMixture {
            conv,
            levels: Levels { levels: drawn.clone(), channels },
            room: 2 * pixels * outputs,
        };
        let of_definition = drawn.clone();
        Case::new(op, shapes, move |x| {
            let theta = reference(conv, &x[0], &x[1], Some(&x[2]));
            Array64::new([], vec![losses(&theta.data, &drawn, channels).data.iter().sum()])
        })
        .difference_of_ones()
        // Parameters of a size that rounding them does little: log-scales of -5 would make a hundred times of it.
        .between(1, -0.25 / weights, 0.25 / weights)
        .between(2, -0.25, 0.25)
        .defined_by(move |x| definition(x[0], [x[1], x[2]], conv, of_definition.clone(), channels))
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let padded = Conv2d { stride: 1, padding: 1 };
        vec![
            case([2, 5, 4, 3], 3, 2, 3, padded),
            case([3, 4, 3, 2], 3, 3, 1, padded),
            case([1, 1, 1, 1], 1, 1, 1, Conv2d { stride: 1, padding: 0 }),
            case([3, 5, 7, 2], 2, 1, 3, Conv2d { stride: 2, padding: 0 }),
            // Winograd's way.
            case([2, 8, 9, 32], 3, 4, 3, padded),
        ]
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        let kernel = sizes.next(1, 3);
        let conv = Conv2d { stride: sizes.next(1, 2), padding: sizes.next(0, 1) };
        let x = [sizes.next(1, 3), sizes.next(kernel, 6), sizes.next(kernel, 6), sizes.next(1, 4)];
        case(x, kernel, sizes.next(1, 3), [1, 3][sizes.next(0, 1)], conv)
    }
}
