//! Softmax cross-entropy with integer labels, one number a row.
//!
//! ```text
//! y[r] = ln(sum over c of exp x[r, c]) - x[r, label[r]],   dy[r]/dx[r, c] = softmax(x[r])[c] - [c = label[r]]
//! ```

use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity, require};
use crate::kernels::softmax;
use crate::tensor::Shape;
use std::sync::Arc;

#[derive(Clone)]
struct CrossEntropy(Arc<[u32]>);

impl std::fmt::Debug for CrossEntropy {
    /// Without the labels, of which there is one a pixel.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CrossEntropy({} labels)", self.0.len())
    }
}

impl Op for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x] = arity(inputs)?;
        require!(x.rank() >= 2, "the logits must have rows and columns");
        require!(x.rows() == self.0.len(), "{} rows of logits for {} labels", x.rows(), self.0.len());
        let largest = self.0.iter().max().copied().unwrap_or(0) as usize;
        require!(largest < x.columns(), "label {largest} with {} classes", x.columns());
        // The largest logit of every row, then the sum of the others' powers.
        Ok(Plan::saving([x.rows()], 2 * x.rows()))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let (largest, others) = saved.split_at_mut(output.len());
        softmax::cross_entropy(inputs[0].data, &self.0, output, [largest, others]);
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        if let Some(dx) = &mut gradients[0] {
            let (largest, others) = at.saved.split_at(at.grad.len());
            let x = at.inputs[0].data;
            softmax::cross_entropy_gradient(x, [largest, others], &self.0, at.grad, dx);
        }
    }
}

impl<'t> Var<'t> {
    /// The cross-entropy, in nats, of every row of logits (..., classes) with its label: (rows).
    #[track_caller]
    pub fn cross_entropy(self, labels: impl Into<Arc<[u32]>>) -> Var<'t> {
        self.tape().apply(CrossEntropy(labels.into()), &[self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, EDGE_SIZES, Sizes, labels};

    fn case(rows: usize, classes: usize) -> Case {
        let labels = labels(11, rows, classes);
        Case::new(CrossEntropy(labels.clone()), [[rows, classes].into()], move |x| {
            Array64::build([rows], |[r, ..]| {
                let row = &x[0].data[r * classes..(r + 1) * classes];
                let largest = (0..classes).fold(0, |best, c| if row[c] > row[best] { c } else { best });
                let power = |c: usize| if c == largest { 0.0 } else { (row[c] - row[largest]).exp() };
                row[largest] - row[labels[r] as usize] + (0..classes).map(power).sum::<f64>().ln_1p()
            })
        })
        .between(0, -20.0, 20.0)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        EDGE_SIZES[1..]
            .iter()
            .map(|&n| case(3, n))
            .chain([case(1, 2), case(100, 10), case(80, 256), case(40, 12).between(0, 9970.0, 10_030.0)])
            .collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(sizes.next(1, 30), sizes.next(2, 60))
    }
}
