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
        Ok(Plan::saving([x.rows()], x.rows()))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let (x, columns) = (inputs[0].data, inputs[0].shape.columns());
        softmax::log_sum_exp(x, columns, saved);
        for (((y, lse), row), &label) in
            output.iter_mut().zip(saved).zip(x.chunks_exact(columns)).zip(&*self.0)
        {
            *y = *lse - row[label as usize];
        }
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        if let Some(dx) = &mut gradients[0] {
            softmax::cross_entropy_gradient(at.inputs[0].data, at.saved, &self.0, at.grad, dx);
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
                let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = row.iter().map(|x| (x - largest).exp()).sum();
                largest + sum.ln() - row[labels[r] as usize]
            })
        })
        .between(0, -20.0, 20.0)
        // The logarithm of a sum less a logit; a probability less 1.
        .difference_of_ones()
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        EDGE_SIZES[1..]
            .iter()
            .map(|&n| case(3, n))
            .chain([case(1, 2), case(100, 10), case(80, 256)])
            .collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(sizes.next(1, 30), sizes.next(2, 60))
    }
}
