//! A linear layer and the cross-entropy of its rows, without ever holding all logits.
//!
//! Of R rows with C classes the logits are R x C numbers: 80 MB for the pixels of a hundred 28x28 images. They are
//! made for a block of rows at a time, used while they are in cache, and made again for the gradient: that costs one
//! more product and saves writing and reading them five times.

use super::gemm::{Matrix, Packed, Start, gemm, gemm_packed, with_packed};
use super::softmax::{cross_entropy_gradient_of, log_sum_exp_of};
use crate::parallel::{self, with_scratch};
use crate::simd::slice;

/// Rows whose logits are held at a time.
const BLOCK: usize = 120;

/// Partial sums of the gradient of the weights: a number that no shape and no thread changes.
const PIECES: usize = 16;

/// The layer: w (inputs, classes), b (classes), and the label of every row.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// The weights.
    pub w: &'a [f32],
    /// The bias.
    pub b: &'a [f32],
    /// A label for each row.
    pub labels: &'a [u32],
}

impl Layer<'_> {
    fn classes(&self) -> usize {
        self.b.len()
    }

    fn inputs(&self) -> usize {
        self.w.len() / self.b.len()
    }

    fn weights(&self) -> Matrix<'_> {
        Matrix::new(self.w, self.inputs(), self.classes())
    }

    /// The logits of some rows of x.
    fn logits(&self, x: &[f32], w: Packed<'_>, logits: &mut [f32]) {
        gemm_packed(Matrix::new(x, x.len() / self.inputs(), self.inputs()), w, logits, Start::Row(self.b));
    }

    /// `y[r] = lse[r] - (x w + b)[r, label[r]]`, and lse, the log-sum-exp of every row.
    pub fn forward(&self, x: &[f32], y: &mut [f32], lse: &mut [f32]) {
        let (inputs, classes) = (self.inputs(), self.classes());
        with_packed(self.weights(), |w| {
            parallel::for_each_chunk2(y, lse, [BLOCK; 2], |i, y, lse| {
                let first = i * BLOCK;
                with_scratch(y.len() * classes, |logits| {
                    self.logits(&x[first * inputs..][..y.len() * inputs], w, logits);
                    log_sum_exp_of(logits, classes, lse);
                    let labels = &self.labels[first..first + y.len()];
                    for (((y, lse), row), &label) in
                        y.iter_mut().zip(lse).zip(logits.chunks_exact(classes)).zip(labels)
                    {
                        *y = *lse - row[label as usize];
                    }
                });
            });
        });
    }

    /// The gradients of x, w and b, from that of y.
    pub fn backward(
        &self,
        x: &[f32],
        lse: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        dw: &mut [f32],
        db: &mut [f32],
    ) {
        let (inputs, classes) = (self.inputs(), self.classes());
        let rows = dy.len();
        let share = rows.div_ceil(PIECES).next_multiple_of(BLOCK);
        // Each piece leaves its part of dw and db side by side.
        let partial = self.w.len() + classes;
        with_scratch(rows.div_ceil(share) * partial, |partials| {
            with_packed(self.weights(), |w| {
                with_packed(self.weights().transposed(), |w_transposed| {
                    parallel::for_each_chunk2(dx, partials, [share * inputs, partial], |i, dx, partial| {
                        let (dw, db) = partial.split_at_mut(self.w.len());
                        db.fill(0.0);
                        let mut start = Start::Zero;
                        for (block, dx) in dx.chunks_mut(BLOCK * inputs).enumerate() {
                            let count = dx.len() / inputs;
                            let first = i * share + block * BLOCK;
                            let of_block = first..first + count;
                            let x = &x[first * inputs..][..count * inputs];
                            with_scratch(count * classes, |logits| {
                                self.logits(x, w, logits);
                                let labels = &self.labels[of_block.clone()];
                                let (lse, dy) = (&lse[of_block.clone()], &dy[of_block.clone()]);
                                cross_entropy_gradient_of(logits, lse, labels, dy);
                                let gradient = Matrix::new(logits, count, classes);
                                gemm_packed(gradient, w_transposed, dx, Start::Zero);
                                gemm(Matrix::new(x, count, inputs).transposed(), gradient, dw, start);
                                for row in logits.chunks_exact(classes) {
                                    slice::accumulate(db, row);
                                }
                            });
                            start = Start::Kept;
                        }
                    });
                });
            });
            dw.fill(0.0);
            db.fill(0.0);
            for partial in partials.chunks_exact(partial) {
                slice::accumulate(dw, &partial[..dw.len()]);
                slice::accumulate(db, &partial[dw.len()..]);
            }
        });
    }
}
