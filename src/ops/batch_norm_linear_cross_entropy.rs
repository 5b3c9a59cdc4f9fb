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

use super::batch_norm::{Gradient, gradient_of_gamma, scales};
use crate::autograd::{Mismatch, MultiplyAdds, Op, Pass, Plan, Point, Var, View, arity, require};
use crate::kernels::linear_softmax::{Gradients, Layer};
use crate::kernels::norm::{self, Affine};
use crate::parallel::with_scratch;
use crate::simd::slice;
use crate::tensor::Shape;
use std::sync::Arc;

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
    mean: T,
    variance: T,
    sums: T,
    w: T,
    b: T,
}

impl<T> Saved<T> {
    /// Cuts `memory` with a function that splits a slice in two.
    fn cut(memory: T, inputs: usize, classes: usize, split: impl Fn(T, usize) -> (T, T)) -> Self {
        let (mean, rest) = split(memory, inputs);
        let (variance, rest) = split(rest, inputs);
        let (sums, rest) = split(rest, 2 * inputs);
        let (w, rest) = split(rest, inputs * classes);
        let (b, _) = split(rest, classes);
        Saved { mean, variance, sums, w, b }
    }
}

impl Op for BatchNormLinearCrossEntropy {
    fn name(&self) -> &'static str {
        "batch_norm_linear_cross_entropy"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x, gamma, beta, w, b] = arity(inputs)?;
        require!(x.rank() == 2 && w.rank() == 2, "x and w must be matrices");
        require!(x.rows() >= 2, "x needs at least 2 rows to have a variance");
        require!(x.columns() == w.rows(), "x has {} columns, w has {} rows", x.columns(), w.rows());
        let columns = x.columns();
        require!(
            gamma.sizes() == [columns] && beta.sizes() == [columns],
            "gamma and beta must have {columns} numbers"
        );
        require!(b.sizes() == [w.columns()], "b must have {} numbers", w.columns());
        require!(x.rows() == self.0.len(), "{} rows for {} labels", x.rows(), self.0.len());
        let largest = self.0.iter().max().copied().unwrap_or(0) as usize;
        require!(largest < w.columns(), "label {largest} with {} classes", w.columns());
        let saved = x.len() + 4 * columns + w.len() + b.len();
        Ok(Plan { draft: true, ..Plan::saving(Shape::SCALAR, saved) })
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let [x, gamma, beta, w, b] = [0, 1, 2, 3, 4].map(|i| inputs[i].data);
        let (draft, saved) = saved.split_at_mut(x.len());
        let saved = Saved::cut(saved, gamma.len(), b.len(), <[f32]>::split_at_mut);
        norm::mean_and_variance(x, saved.mean, saved.variance);
        with_scratch(gamma.len() + self.0.len(), |scratch| {
            let (scale, losses) = scratch.split_at_mut(gamma.len());
            scales(gamma, saved.variance, scale);
            let affine = Affine { mean: saved.mean, scale, shift: beta };
            let mut gradients = Gradients { normalized: draft, sums: saved.sums, w: saved.w, b: saved.b };
            Layer { affine, w, b, labels: &self.0 }.losses_and_gradients(x, losses, &mut gradients);
            output[0] = slice::sum_f64(losses) as f32;
        });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let [x, gamma, classes] = [at.inputs[0].data, at.inputs[1].data, at.inputs[4].data];
        let (columns, dy) = (gamma.len(), at.grad[0]);
        let saved = Saved::cut(at.saved, columns, classes.len(), <[f32]>::split_at);
        let (mean, variance, sums) = (saved.mean, saved.variance, saved.sums);
        let [dx, dgamma, dbeta, dw, db] = gradients else {
            panic!("{} gradients of five inputs", gradients.len())
        };
        if let Some(dx) = dx {
            with_scratch(3 * columns, |memory| {
                let rows = x.len() / columns;
                let coefficients = Gradient { mean, variance, gamma, sums }.coefficients(rows, dy, memory);
                norm::finish_input_gradient(x, coefficients, dx);
            });
        }
        if let Some(dgamma) = dgamma {
            gradient_of_gamma(&sums[columns..], variance, dy, dgamma);
        }
        for (slot, ready) in [(dbeta, &sums[..columns]), (dw, saved.w), (db, saved.b)] {
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

impl<'t> Var<'t> {
    /// The sum over the rows of the cross-entropy, in nats, of the logits h w + b with the labels, where h is x
    /// (rows, inputs) batch-normalised with gamma and beta (inputs) and rectified; w is (inputs, classes), b (classes).
    /// What it saved ([`Var::read_saved`]) begins with the means, then the biased variances.
    #[track_caller]
    pub fn batch_norm_linear_cross_entropy(
        self,
        [gamma, beta]: [Var<'t>; 2],
        [weight, bias]: [Var<'t>; 2],
        labels: impl Into<Arc<[u32]>>,
    ) -> Var<'t> {
        let op = BatchNormLinearCrossEntropy(labels.into());
        self.tape().apply(op, &[self, gamma, beta, weight, bias])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, EDGE_SIZES, Sizes, labels, maximum};
    use crate::ops::EPSILON;

    /// The loss of every row.
    fn reference(x: &[Array64], labels: &[u32], [rows, inputs, classes]: [usize; 3]) -> Array64 {
        let mut h = vec![vec![0.0; inputs]; rows];
        for c in 0..inputs {
            let column: Vec<f64> = (0..rows).map(|r| x[0].at([r, c])).collect();
            let mean = column.iter().sum::<f64>() / rows as f64;
            let variance = column.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / rows as f64;
            for (h, v) in h.iter_mut().zip(&column) {
                let u = (v - mean) / (variance + f64::from(EPSILON)).sqrt();
                h[c] = maximum(x[1].at([c]) * u + x[2].at([c]), 0.0);
            }
        }
        let loss = |r: usize| {
            let logit = |c: usize| x[4].at([c]) + (0..inputs).map(|i| h[r][i] * x[3].at([i, c])).sum::<f64>();
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
        let op = BatchNormLinearCrossEntropy(labels.clone());
        Case::new(op, shapes, move |x| reference(x, &labels, [rows, inputs, classes])).total()
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
