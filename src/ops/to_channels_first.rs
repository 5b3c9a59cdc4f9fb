//! NHWC images in the order of NCHW.
//!
//! ```text
//! y[n, c, i, j] = x[n, i, j, c]
//! ```
//!
//! The gradient is moved back.

use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity};
use crate::parallel;
use crate::tensor::Shape;

#[derive(Clone, Copy, Debug)]
struct ToChannelsFirst;

/// Writes the transpose of every (rows x columns) matrix of `from` to `to`.
fn transpose(from: &[f32], rows: usize, columns: usize, to: &mut [f32]) {
    parallel::for_each_chunk(to, rows * columns, |n, to| {
        let from = &from[n * rows * columns..][..rows * columns];
        for (column, to) in to.chunks_exact_mut(rows).enumerate() {
            for (row, to) in to.iter_mut().enumerate() {
                *to = from[row * columns + column];
            }
        }
    });
}

impl Op for ToChannelsFirst {
    fn name(&self) -> &'static str {
        "to_channels_first"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x] = arity(inputs)?;
        let Some([batch, height, width, channels]) = x.image() else {
            return Err(Mismatch("x must be (batch, height, width, channels)".into()));
        };
        Ok(Plan::output([batch, channels, height, width]))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        let [_, height, width, channels] = inputs[0].shape.image().expect("the plan was made for an image");
        transpose(inputs[0].data, height * width, channels, output);
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let [_, height, width, channels] =
            at.inputs[0].shape.image().expect("the plan was made for an image");
        if let Some(dx) = &mut gradients[0] {
            transpose(at.grad, channels, height * width, dx);
        }
    }
}

impl<'t> Var<'t> {
    /// (batch, height, width, channels) to (batch, channels, height, width).
    #[track_caller]
    pub fn to_channels_first(self) -> Var<'t> {
        self.tape().apply(ToChannelsFirst, &[self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, Sizes};

    fn case([n, h, w, c]: [usize; 4]) -> Case {
        Case::new(ToChannelsFirst, [[n, h, w, c].into()], move |x| {
            Array64::build([n, c, h, w], |[n, c, i, j]| x[0].at([n, i, j, c]))
        })
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        [[1, 1, 1, 1], [2, 3, 5, 17], [3, 4, 4, 1], [1, 1, 7, 33]].map(case).into()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case([sizes.next(1, 4), sizes.next(1, 9), sizes.next(1, 9), sizes.next(1, 20)])
    }
}
