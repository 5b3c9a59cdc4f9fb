//! A linear layer and the mixture of discretised logistic distributions that it gives the parameters of, with all
//! gradients, in one pass.
//!
//! Of a hundred 64x64 images the parameters are 410,000 rows of 100 numbers, 164 MB, and as much again for their
//! gradient. Neither is ever held: a block of rows is multiplied, turned into its losses and their gradient, and
//! multiplied back, all while it is in cache (as in `linear_softmax.rs`, and for its reasons: the result is a sum, so
//! whoever scales it scales the gradients).

use super::gemm::{Matrix, Start, gemm, gemm_packed, with_packed};
use super::logistic_mixture::{Mixture, losses_and_gradient_of};
use crate::parallel::{self, with_scratch};
use crate::simd::slice;

/// Rows whose parameters are held at a time: whole vectors, and whole tiles of the matrix product.
const BLOCK: usize = 192;

/// Partial sums of the gradient of the weights: a number that no shape and no thread changes.
const PIECES: usize = 16;

/// The layer: w (inputs, parameters) and b (parameters), and what its rows are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Layer<'a> {
    /// The weights.
    pub w: &'a [f32],
    /// The bias.
    pub b: &'a [f32],
    /// The form of the mixture.
    pub mixture: Mixture,
    /// For each row the levels of its channels.
    pub levels: &'a [u32],
}

/// Where the gradients of the sum of all losses go.
#[derive(Debug)]
pub struct Gradients<'a> {
    /// Of the rows: (rows, inputs).
    pub x: &'a mut [f32],
    /// Of the weights.
    pub w: &'a mut [f32],
    /// Of the bias.
    pub b: &'a mut [f32],
}

impl Layer<'_> {
    /// Writes -ln p of every row, in nats, and the gradients.
    pub fn losses_and_gradients(&self, x: &[f32], losses: &mut [f32], gradients: &mut Gradients<'_>) {
        let columns = self.mixture.parameters();
        let (inputs, channels) = (self.w.len() / columns, self.mixture.channels());
        let rows = losses.len();
        let share = rows.div_ceil(PIECES).next_multiple_of(BLOCK);
        let weights = Matrix::new(self.w, inputs, columns);
        // Each piece leaves its part of the two sums, and its losses, side by side.
        let (in_w, in_b) = (self.w.len(), self.w.len() + columns);
        let partial = in_b + share;
        with_scratch(rows.div_ceil(share) * partial, |partials| {
            with_packed(weights, |w| {
                with_packed(weights.transposed(), |w_transposed| {
                    let sizes = [share * inputs, partial];
                    parallel::for_each_chunk2(&mut *gradients.x, partials, sizes, |i, dx, partial| {
                        let (dw, rest) = partial.split_at_mut(in_w);
                        let (db, losses) = rest.split_at_mut(columns);
                        db.fill(0.0);
                        let mut start = Start::Zero;
                        for (block, dx) in dx.chunks_mut(BLOCK * inputs).enumerate() {
                            let count = dx.len() / inputs;
                            let first = i * share + block * BLOCK;
                            let x = Matrix::new(&x[first * inputs..][..dx.len()], count, inputs);
                            let levels = &self.levels[first * channels..][..count * channels];
                            with_scratch(count * columns, |theta| {
                                gemm_packed(x, w, theta, Start::Row(self.b));
                                let losses = &mut losses[block * BLOCK..][..count];
                                losses_and_gradient_of(self.mixture, theta, levels, losses);
                                let gradient = Matrix::new(theta, count, columns);
                                gemm_packed(gradient, w_transposed, dx, Start::Zero);
                                gemm(x.transposed(), gradient, dw, start);
                                for row in theta.chunks_exact(columns) {
                                    slice::accumulate(db, row);
                                }
                            });
                            start = Start::Kept;
                        }
                    });
                });
            });
            gradients.w.fill(0.0);
            gradients.b.fill(0.0);
            for (partial, losses) in partials.chunks_exact(partial).zip(losses.chunks_mut(share)) {
                slice::accumulate(gradients.w, &partial[..in_w]);
                slice::accumulate(gradients.b, &partial[in_w..in_b]);
                losses.copy_from_slice(&partial[in_b..][..losses.len()]);
            }
        });
    }
}
