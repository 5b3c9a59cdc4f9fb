//! A linear layer and the softmax cross-entropy of its rows, as one op.
//!
//! ```text
//! l = x w + b,   y[r] = ln(sum over c of exp l[r, c]) - l[r, label[r]]
//!
//! dl[r, c] = dy[r] (softmax(l[r])[c] - [c = label[r]]),   dx = dl w^T,   dw = x^T dl,   db = the sum of the rows of dl
//! ```
//!
//! A 1x1 convolution is a linear layer on every pixel: with 256 grey levels as classes this is the decoder's last
//! layer and its likelihood, whose logits are too many to be kept (`kernels/linear_softmax.rs`).

use crate::autograd::{Mismatch, MultiplyAdds, Op, Pass, Plan, Point, Var, View, arity, require};
use crate::kernels::linear_softmax::Layer;
use crate::parallel::with_scratch;
use crate::tensor::Shape;
use std::sync::Arc;

#[derive(Clone)]
struct LinearCrossEntropy(Arc<[u32]>);

impl std::fmt::Debug for LinearCrossEntropy {
    /// Without the labels, of which there is one a pixel.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LinearCrossEntropy({} labels)", self.0.len())
    }
}

impl LinearCrossEntropy {
    fn layer<'a>(&'a self, inputs: &[View<'a>]) -> Layer<'a> {
        Layer { w: inputs[1].data, b: inputs[2].data, labels: &self.0 }
    }
}

impl Op for LinearCrossEntropy {
    fn name(&self) -> &'static str {
        "linear_cross_entropy"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x, w, b] = arity(inputs)?;
        require!(x.rank() == 2 && w.rank() == 2, "x and w must be matrices");
        require!(x.columns() == w.rows(), "x has {} columns, w has {} rows", x.columns(), w.rows());
        require!(b.sizes() == [w.columns()], "b must have {} numbers", w.columns());
        require!(x.rows() == self.0.len(), "{} rows for {} labels", x.rows(), self.0.len());
        let largest = self.0.iter().max().copied().unwrap_or(0) as usize;
        require!(largest < w.columns(), "label {largest} with {} classes", w.columns());
        Ok(Plan { output: [x.rows()].into(), saved: x.rows() })
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        self.layer(inputs).forward(inputs[0].data, output, saved);
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let sizes: [usize; 3] = std::array::from_fn(|i| at.inputs[i].data.len());
        let [dx, dw, db] = gradients else { panic!("{} gradients of three inputs", gradients.len()) };
        // The three come out of one pass; what nobody asked for goes to scratch memory.
        let missing = |slot: &Option<&mut [f32]>, size: usize| if slot.is_some() { 0 } else { size };
        let room = [missing(dx, sizes[0]), missing(dw, sizes[1]), missing(db, sizes[2])];
        with_scratch(room.iter().sum(), |scratch| {
            let (for_x, rest) = scratch.split_at_mut(room[0]);
            let (for_w, for_b) = rest.split_at_mut(room[1]);
            self.layer(at.inputs).backward(
                at.inputs[0].data,
                at.saved,
                at.grad,
                dx.as_deref_mut().unwrap_or(for_x),
                dw.as_deref_mut().unwrap_or(for_w),
                db.as_deref_mut().unwrap_or(for_b),
            );
        });
    }

    fn multiply_adds(&self, inputs: &[Shape], _output: Shape, pass: Pass<'_>) -> MultiplyAdds {
        let product = inputs[0].len() * inputs[1].columns();
        // Backward: the logits once more, and both gradients, whoever asked for them.
        let computed = if pass == Pass::Forward { product } else { 3 * product };
        MultiplyAdds { computed, naive: product * pass.products() }
    }
}

impl<'t> Var<'t> {
    /// The cross-entropy, in nats, of every row of the logits x w + b with its label: x (rows, inputs),
    /// w (inputs, classes), b (classes), to (rows).
    #[track_caller]
    pub fn linear_cross_entropy(self, weight: Var<'t>, bias: Var<'t>, labels: impl Into<Arc<[u32]>>) -> Var<'t> {
        self.tape().apply(LinearCrossEntropy(labels.into()), &[self, weight, bias])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, EDGE_SIZES, Sizes, labels};

    fn case(rows: usize, inputs: usize, classes: usize) -> Case {
        let labels = labels(13, rows, classes);
        let shapes = [[rows, inputs].into(), [inputs, classes].into(), [classes].into()];
        Case::new(LinearCrossEntropy(labels.clone()), shapes, move |x| {
            Array64::build([rows], |[r, ..]| {
                let logit = |c: usize| {
                    let products = (0..inputs).map(|i| x[0].at([r, i]) * x[1].at([i, c]));
                    products.sum::<f64>() + x[2].at([c])
                };
                let logits: Vec<f64> = (0..classes).map(logit).collect();
                let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = logits.iter().map(|l| (l - largest).exp()).sum();
                largest + sum.ln() - logits[labels[r] as usize]
            })
        })
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let edges = EDGE_SIZES[1..].iter().flat_map(|&n| [case(3, 2, n), case(5, n, 7), case(n, 3, 4)]);
        edges.chain([case(1, 1, 2), case(300, 4, 33), case(250, 16, 256)]).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(sizes.next(1, 300), sizes.next(1, 20), sizes.next(2, 40))
    }
}
