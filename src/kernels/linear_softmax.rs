//! Batch normalisation, rectifier, linear layer and cross-entropy of many rows, with all gradients, in one pass.
//!
//! Of R rows with C classes the logits are R x C numbers: 80 MB for the pixels of a hundred 28x28 images, and what the
//! linear layer sees is as much. Neither is ever held: a block of rows is normalised, multiplied, turned into its
//! losses and their gradient, and multiplied back, all while it is in cache. That needs the gradient of the loss with
//! respect to itself, 1: the result is the sum over the rows, and whoever scales it scales the gradients. Three
//! matrix products, as many as there are; made again in a backward pass, the logits would cost a fourth.

use super::gemm::{Matrix, Start, gemm, gemm_packed, with_packed};
use super::norm::{self, Activation, Affine};
use super::softmax::cross_entropy_and_gradient_of;
use crate::parallel::{self, with_scratch};
use crate::simd::slice;

/// Rows whose logits are held at a time.
const BLOCK: usize = 120;

/// Partial sums of the gradient of the weights: a number that no shape and no thread changes.
const PIECES: usize = 16;

/// The layer: an affine map of the columns of x (rows, inputs), rectified, then w (inputs, classes) and b (classes).
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// The normalisation.
    pub affine: Affine<'a>,
    /// The weights.
    pub w: &'a [f32],
    /// The bias.
    pub b: &'a [f32],
    /// A label for each row.
    pub labels: &'a [u32],
}

/// Where the gradients of the sum of all losses go.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Of the normalised rows, 0 where the rectifier left them at 0: (rows, inputs).
    pub normalized: &'a mut [f32],
    /// For every column the sum of `normalized` and that of `normalized` (x - mean), side by side.
    pub sums: &'a mut [f32],
    /// Of the weights.
    pub w: &'a mut [f32],
    /// Of the bias.
    pub b: &'a mut [f32],
}

impl Layer<'_> {
    /// Writes the cross-entropy of every row, and the gradients.
    pub fn losses_and_gradients(&self, x: &[f32], losses: &mut [f32], gradients: &mut Gradients<'_>) {
        let (inputs, classes) = (self.w.len() / self.b.len(), self.b.len());
        let rows = losses.len();
        let share = rows.div_ceil(PIECES).next_multiple_of(BLOCK);
        let weights = Matrix::new(self.w, inputs, classes);
        // Each piece leaves its part of the three sums, and its losses, side by side.
        let (in_w, in_b) = (self.w.len(), self.w.len() + classes);
        let sums = in_b + 2 * inputs;
        let partial = sums + share;
        with_scratch(rows.div_ceil(share) * partial, |partials| {
            with_packed(weights, |w| {
                with_packed(weights.transposed(), |w_transposed| {
                    let sizes = [share * inputs, partial];
                    parallel::for_each_chunk2(
                        &mut *gradients.normalized,
                        partials,
                        sizes,
                        |i, dh, partial| {
                            let (dw, rest) = partial.split_at_mut(in_w);
                            let (sums, losses) = rest.split_at_mut(sums - in_w);
                            sums.fill(0.0);
                            let (db, of_columns) = sums.split_at_mut(classes);
                            let mut start = Start::Zero;
                            for (block, dh) in dh.chunks_mut(BLOCK * inputs).enumerate() {
                                let count = dh.len() / inputs;
                                let first = i * share + block * BLOCK;
                                let x = &x[first * inputs..][..dh.len()];
                                with_scratch(count * (inputs + classes) + 2 * inputs, |scratch| {
                                    let (h, rest) = scratch.split_at_mut(dh.len());
                                    let (logits, of_block) = rest.split_at_mut(count * classes);
                                    norm::affine_of(x, self.affine, Activation::Relu, h);
                                    let h = Matrix::new(h, count, inputs);
                                    gemm_packed(h, w, logits, Start::Row(self.b));
                                    let losses = &mut losses[block * BLOCK..][..count];
                                    cross_entropy_and_gradient_of(
                                        logits,
                                        &self.labels[first..][..count],
                                        losses,
                                    );
                                    let gradient = Matrix::new(logits, count, classes);
                                    gemm_packed(gradient, w_transposed, dh, Start::Zero);
                                    gemm(h.transposed(), gradient, dw, start);
                                    for row in logits.chunks_exact(classes) {
                                        slice::accumulate(db, row);
                                    }
                                    norm::rectified_gradient_sums_of(
                                        x,
                                        h.data(),
                                        dh,
                                        self.affine.mean,
                                        of_block,
                                    );
                                    slice::accumulate(of_columns, of_block);
                                });
                                start = Start::Kept;
                            }
                        },
                    );
                });
            });
            gradients.w.fill(0.0);
            gradients.b.fill(0.0);
            gradients.sums.fill(0.0);
            for (partial, losses) in partials.chunks_exact(partial).zip(losses.chunks_mut(share)) {
                slice::accumulate(gradients.w, &partial[..in_w]);
                slice::accumulate(gradients.b, &partial[in_w..in_b]);
                slice::accumulate(gradients.sums, &partial[in_b..sums]);
                losses.copy_from_slice(&partial[sums..][..losses.len()]);
            }
        });
    }
}
