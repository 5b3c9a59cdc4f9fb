//! Batch normalisation, rectifier, linear layer and softmax cross-entropy, summed over the rows, as one op.
//!
//! ```text
//! h = max(gamma u + beta, 0) with u as in batch_norm.rs,   l = h w + b
//! y = sum over r of (ln(sum over c of exp l[r, c]) - l[r, label[r]])
//!
//! dl[r, c] = dy (softmax(l[r])[c] - [c = label[r]]),   dh = dl w^T,   dw = h^T dl,   db = the sum of the rows of dl
//! ```
//!
//! and from dh on as in `batch_norm.rs`. A 1x1 convolution is a linear layer on every pixel: with 256 grey levels as
//! classes this is the end of the decoder and its likelihood. Neither h nor the logits are ever held, and the forward
//! pass computes the gradients up to the factor dy, a single number (`kernels/linear_softmax.rs`).

use crate::autograd::{Mismatch, MultiplyAdds, Op, Pass, Plan, Point, Var, View, arity, require};
use crate::kernels::linear_softmax::{Gradients, Layer};
use crate::kernels::norm;
use crate::ops::Activation::Relu;
use crate::ops::statistics::{Normalization, Statistics};
use crate::parallel::with_scratch;
use crate::simd::slice;
use crate::tensor::Shape;
use std::sync::Arc;

/// What the op equals.
fn definition<'t>(
    x: Var<'t>,
    weights: [Var<'t>; 2],
    statistics: Statistics,
    [w, b]: [Var<'t>; 2],
    labels: Arc<[u32]>,
) -> Var<'t> {
    x.batch_norm(weights, statistics, Relu).linear(w, Some(b)).cross_entropy(labels).sum()
}

#[derive(Clone)]
struct BatchNormLinearCrossEntropy(Arc<[u32]>);

impl std::fmt::Debug for BatchNormLinearCrossEntropy {
    /// Without the labels, of which there is one a pixel.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BatchNormLinearCrossEntropy({} labels)", self.0.len())
    }
}

/// What the forward pass leaves behind the draft of dx (g for dy = 1): the statistics, two sums for each column, and the
/// gradients of w and b for dy = 1.
struct Saved<T> {
    statistics: T,
    sums: T,
    w: T,
    b: T,
}

impl<T> Saved<T> {
    /// Cuts `memory` with a function that splits a slice in two.
    fn cut(memory: T, inputs: usize, classes: usize, split: impl Fn(T, usize) -> (T, T)) -> Self {
        let (statistics, rest) = split(memory, 2 * inputs);
        let (sums, rest) = split(rest, 2 * inputs);
        let (w, rest) = split(rest, inputs * classes);
        let (b, _) = split(rest, classes);
        Saved { statistics, sums, w, b }
    }
}

impl Op for BatchNormLinearCrossEntropy {
    fn name(&self) -> &'static str {
        "batch_norm_linear_cross_entropy"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x, gamma, beta, w, b] = arity(inputs)?;
        require!(x.rank() == 2 && w.rank() == 2, "x and w must be matrices");
        require!(x.columns() == w.rows(), "x has {} columns, w has {} rows", x.columns(), w.rows());
        Statistics::OfBatch.check(x, [gamma, beta])?;
        require!(b.sizes() == [w.columns()], "b must have {} numbers", w.columns());
        require!(x.rows() == self.0.len(), "{} rows for {} labels", x.rows(), self.0.len());
        let largest = self.0.iter().max().copied().unwrap_or(0) as usize;
        require!(largest < w.columns(), "label {largest} with {} classes", w.columns());
        let saved = x.len() + 4 * x.columns() + w.len() + b.len();
        Ok(Plan { draft: true, ..Plan::saving(Shape::SCALAR, saved) })
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let [x, gamma, beta, w, b] = [0, 1, 2, 3, 4].map(|i| inputs[i].data);
        let (draft, saved) = saved.split_at_mut(x.len());
        let saved = Saved::cut(saved, gamma.len(), b.len(), <[f32]>::split_at_mut);
        Statistics::OfBatch.write(x, saved.statistics);
        let norm = normalization([gamma, beta], saved.statistics, 1.0);
        with_scratch(2 * gamma.len() + self.0.len(), |scratch| {
            let (memory, losses) = scratch.split_at_mut(2 * gamma.len());
            let affine = norm.affine(memory);
            let mut gradients = Gradients { normalized: draft, sums: saved.sums, w: saved.w, b: saved.b };
            Layer { affine, w, b, labels: &self.0 }.losses_and_gradients(x, losses, &mut gradients);
            output[0] = slice::sum_f64(losses) as f32;
        });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let [x, gamma, beta, classes] = [0, 1, 2, 4].map(|i| at.inputs[i].data);
        let (columns, dy) = (gamma.len(), at.grad[0]);
        let saved = Saved::cut(at.saved, columns, classes.len(), <[f32]>::split_at);
        let norm = normalization([gamma, beta], saved.statistics, dy);
        let [dx, dgamma, dbeta, dw, db] = gradients else {
            panic!("{} gradients of five inputs", gradients.len())
        };
        if let Some(dx) = dx {
            with_scratch(3 * columns, |memory| {
                let rows = x.len() / columns;
                norm::finish_input_gradient(x, norm.coefficients(saved.sums, rows, memory), dx);
            });
        }
        norm.parameter_gradients(saved.sums, dgamma, dbeta);
        for (slot, ready) in [(dw, saved.w), (db, saved.b)] {
            if let Some(slot) = slot {
                slot.iter_mut().zip(ready).for_each(|(to, from)| *to = dy * from);
            }
        }
    }

    fn multiply_adds(&self, inputs: &[Shape], _output: Shape, pass: Pass<'_>) -> MultiplyAdds {
        let product = inputs[0].len() * inputs[3].columns();
        match pass {
            // The logits and both gradients, whoever will ask for them.
            Pass::Forward => MultiplyAdds { computed: 3 * product, naive: product },
            Pass::Backward { wanted } => {
                let gradients = usize::from(wanted[0]) + usize::from(wanted[3]);
                MultiplyAdds { computed: 0, naive: gradients * product }
            }
        }
    }
}

/// By the statistics of the batch, which were saved, and a factor.
fn normalization<'a>([gamma, beta]: [&'a [f32]; 2], saved: &'a [f32], times: f32) -> Normalization<'a> {
    Normalization { statistics: &Statistics::OfBatch, saved, gamma, beta, times }
}

impl<'t> Var<'t> {
    /// The sum over the rows of the cross-entropy, in nats, of the logits h w + b with the labels, where h is x
    /// (rows, inputs) batch-normalised with gamma and beta (inputs) and rectified; w is (inputs, classes), b (classes).
    /// By given statistics nothing is trained, no gradient needs to be ready, and it is one op after the other. What it saved
    /// ([`Var::read_saved`]) by those of the batch begins with the means, then the biased variances.
    #[track_caller]
    pub fn batch_norm_linear_cross_entropy(
        self,
        [gamma, beta]: [Var<'t>; 2],
        statistics: Statistics,
        [weight, bias]: [Var<'t>; 2],
        labels: impl Into<Arc<[u32]>>,
    ) -> Var<'t> {
        let labels = labels.into();
        match statistics {
            Statistics::OfBatch => {
                let op = BatchNormLinearCrossEntropy(labels);
                self.tape().apply(op, &[self, gamma, beta, weight, bias])
            }
            Statistics::Given { .. } => definition(self, [gamma, beta], statistics, [weight, bias], labels),
        }
    }
}

#[cfg(test)]
pub(in crate::ops) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, EDGE_SIZES, Sizes, labels};
    use crate::ops::statistics::tests::normalized;

    /// The loss of every row.
    fn reference(x: &[Array64], labels: &[u32], [rows, inputs, classes]: [usize; 3]) -> Array64 {
        let h = normalized(&Statistics::OfBatch, Relu, &x[0], &x[1], &x[2]);
        let loss = |r: usize| {
            let logit =
                |c: usize| x[4].at([c]) + (0..inputs).map(|i| h.at([r, i]) * x[3].at([i, c])).sum::<f64>();
            let logits: Vec<f64> = (0..classes).map(logit).collect();
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|l| (l - largest).exp()).sum();
            largest + sum.ln() - logits[labels[r] as usize]
        };
        Array64::new([rows], (0..rows).map(loss).collect())
    }

    fn case(rows: usize, inputs: usize, classes: usize) -> Case {
        let labels = labels(13, rows, classes);
        let shapes = [
            [rows, inputs].into(),
            [inputs].into(),
            [inputs].into(),
            [inputs, classes].into(),
            [classes].into(),
        ];
        let (op, of_rows) = (BatchNormLinearCrossEntropy(labels.clone()), labels.clone());
        Case::new(op, shapes, move |x| reference(x, &of_rows, [rows, inputs, classes])).total().defined_by(
            move |x| definition(x[0], [x[1], x[2]], Statistics::OfBatch, [x[3], x[4]], labels.clone()),
        )
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let edges = EDGE_SIZES[1..].iter().flat_map(|&n| [case(3, 2, n), case(5, n, 7), case(n, 3, 4)]);
        edges.chain([case(2, 1, 2), case(300, 4, 33), case(250, 16, 256)]).collect()
    }

    /// Columns that pass the rectifier as a whole or not at all: a random input would sometimes hit its kink. Two rows
    /// would be normalised to 1 and -1 whatever they are.
    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(sizes.next(3, 300), sizes.next(1, 20), sizes.next(2, 40))
            .between(1, 0.2, 0.8)
            .not_near_zero(2, -1.0, 1.0, 2.0)
    }
}
