//! The logarithm of the softmax of every row.
//!
//! ```text
//! y[r, c] = x[r, c] - ln(sum over k of exp x[r, k]),   dx[r, c] = dy[r, c] - exp(y[r, c]) (sum over k of dy[r, k])
//! ```

use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity, require};
use crate::kernels::softmax;
use crate::tensor::Shape;

#[derive(Clone, Copy, Debug)]
struct LogSoftmax;

impl Op for LogSoftmax {
    fn name(&self) -> &'static str {
        "log_softmax"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x] = arity(inputs)?;
        require!(x.rank() >= 2, "the logits must have rows and columns");
        Ok(Plan::output(x))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        softmax::log_softmax(inputs[0].data, inputs[0].shape.columns(), output);
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        if let Some(dx) = &mut gradients[0] {
            softmax::log_softmax_gradient(at.output.data, at.grad, at.output.shape.columns(), dx);
        }
    }
}

impl<'t> Var<'t> {
    /// ln softmax over the innermost axis, in nats.
    #[track_caller]
    pub fn log_softmax(self) -> Var<'t> {
        self.tape().apply(LogSoftmax, &[self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, EDGE_SIZES, Sizes};

    fn case(rows: usize, classes: usize) -> Case {
        Case::new(LogSoftmax, [[rows, classes].into()], move |x| {
            Array64::build([rows, classes], |[r, c, ..]| {
                let row = &x[0].data[r * classes..(r + 1) * classes];
                let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                x[0].at([r, c]) - largest - row.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
            })
        })
        .between(0, -8.0, 8.0)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        EDGE_SIZES[1..]
            .iter()
            .map(|&n| case(3, n))
            .chain([case(1, 2), case(100, 10), case(70, 256), case(40, 12).between(0, 9970.0, 10_030.0)])
            .collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(sizes.next(1, 30), sizes.next(2, 60))
    }
}
