//! Nearest up-sampling to twice the size, then a transposed convolution, without the larger image.
//!
//! With X[r, s] = x[r div 2, s div 2] the transposed convolution of odd kernel k and stride 1 is
//!
//! ```text
//! y[p, q, o] = sum over (r, s, c) of X[p - r, q - s, c] w[r, s, c, o],     0 <= p, q < 2 H + k - 1
//! ```
//!
//! Write p = 2 i + a with a in {0, 1}. Then (p - r) div 2 = i - t with t = ceil((r - a) / 2): several of the k taps
//! fall on the same pixel of the small image, and their weights can be summed once instead of multiplied each. With
//! T = (k + 1) / 2 taps, each of the four phases (a, b) is a T x T convolution of the small image padded by T - 1:
//!
//! ```text
//! y[2 i + a, 2 j + b, o] = sum over (t, t', c) of x[i - t, j - t', c] f[t, t', c, (a, b), o]
//! f[t, t', c, (a, b), o] = sum of w[r, s, c, o] over the r, s that fall on t, t'
//! ```
//!
//! For k = 5 these are 9 products instead of 25, exactly. The four phases share their windows, so they are one product
//! with 4 x outputs columns and then a shuffle of pixels. The gradient of w is the transpose of the same sums.

use super::{Windows, images_per_partial, images_per_product};
use crate::kernels::gemm::{Matrix, Start, gemm, gemm_packed, with_packed};
use crate::parallel;
use crate::simd::slice;

/// The sizes of the layer: an image (height, width, inputs), an odd kernel, and the output channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upsampled {
    /// Rows of the small image.
    pub height: usize,
    /// Columns of the small image.
    pub width: usize,
    /// Channels of the small image.
    pub inputs: usize,
    /// Rows and columns of the kernel; odd.
    pub kernel: usize,
    /// Channels of the output.
    pub outputs: usize,
}

/// The folded tap on which tap r of phase a falls: ceil((r - a) / 2).
fn folded_tap(r: usize, a: usize) -> usize {
    (r + 1 - a) / 2
}

impl Upsampled {
    /// T, the number of taps of a phase along an axis.
    fn taps(&self) -> usize {
        self.kernel.div_ceil(2)
    }

    /// The windows of the small image, shared by the four phases.
    fn windows(&self) -> Windows {
        let Upsampled { height, width, inputs: channels, .. } = *self;
        Windows { height, width, channels, kernel: self.taps(), stride: 1, padding: self.taps() - 1 }
    }

    /// (rows, columns) of the output.
    pub fn output(&self) -> (usize, usize) {
        (2 * self.height + self.kernel - 1, 2 * self.width + self.kernel - 1)
    }

    /// How many numbers the folded weights are.
    pub fn folded_len(&self) -> usize {
        self.taps() * self.taps() * self.inputs * 4 * self.outputs
    }

    /// How many multiply-adds the output of one image takes, and each of its gradients.
    pub fn multiply_adds(&self) -> usize {
        self.windows().count() * self.folded_len()
    }

    fn output_len(&self) -> usize {
        let (rows, columns) = self.output();
        rows * columns * self.outputs
    }

    /// Calls `pair(start in w, start in folded)` for the `outputs` numbers of every tap of every phase of input c.
    ///
    /// Rows of the folded matrix are (u, v, c) with u = T - 1 - t, because windows count upwards and t downwards.
    fn for_each_tap(&self, c: usize, mut pair: impl FnMut(usize, usize)) {
        let (k, taps) = (self.kernel, self.taps());
        for phase in 0..4 {
            for r in 0..k {
                for s in 0..k {
                    let u = taps - 1 - folded_tap(r, phase / 2);
                    let v = taps - 1 - folded_tap(s, phase % 2);
                    let here = ((r * k + s) * self.inputs + c) * self.outputs;
                    let there = (((u * taps + v) * self.inputs + c) * 4 + phase) * self.outputs;
                    pair(here, there);
                }
            }
        }
    }

    /// The folded weights, from w (kernel, kernel, inputs, outputs).
    pub fn fold(&self, w: &[f32], folded: &mut [f32]) {
        folded.fill(0.0);
        for c in 0..self.inputs {
            self.for_each_tap(c, |here, there| {
                slice::accumulate(&mut folded[there..there + self.outputs], &w[here..here + self.outputs]);
            });
        }
    }

    /// The gradient of w, from that of the folded weights.
    pub fn unfold(&self, dfolded: &[f32], dw: &mut [f32]) {
        dw.fill(0.0);
        for c in 0..self.inputs {
            self.for_each_tap(c, |here, there| {
                slice::accumulate(&mut dw[here..here + self.outputs], &dfolded[there..there + self.outputs]);
            });
        }
    }

    /// Between the four phases, (i, j) x (phase, output), and the output image: calls `pair(phases, image)` with the
    /// starts of the `outputs` numbers of every output pixel.
    fn for_each_pixel(&self, mut pair: impl FnMut(usize, usize)) {
        let (rows, columns) = self.output();
        for p in 0..rows {
            for q in 0..columns {
                let (place, phase) = (p / 2 * (columns / 2) + q / 2, p % 2 * 2 + q % 2);
                pair((place * 4 + phase) * self.outputs, (p * columns + q) * self.outputs);
            }
        }
    }

    /// Sorts the four phases of images into their pixels.
    fn join_phases(&self, phases: &[f32], images: &mut [f32]) {
        let len = self.output_len();
        for (phases, image) in phases.chunks_exact(len).zip(images.chunks_exact_mut(len)) {
            self.for_each_pixel(|from, to| {
                image[to..to + self.outputs].copy_from_slice(&phases[from..from + self.outputs]);
            });
        }
    }

    /// Sorts the pixels of images into their four phases.
    fn split_phases(&self, images: &[f32], phases: &mut [f32]) {
        let len = self.output_len();
        for (image, phases) in images.chunks_exact(len).zip(phases.chunks_exact_mut(len)) {
            self.for_each_pixel(|to, from| {
                phases[to..to + self.outputs].copy_from_slice(&image[from..from + self.outputs]);
            });
        }
    }

    /// y from x and the folded weights.
    pub fn forward(&self, x: &[f32], folded: &[f32], y: &mut [f32]) {
        let windows = self.windows();
        let (places, rows, columns) = (windows.count(), windows.len(), 4 * self.outputs);
        let (image, output) = (windows.image_len(), self.output_len());
        let folded = Matrix::new(folded, rows, columns);
        let group = images_per_product(x.len() / image, places);
        with_packed(folded, |folded| {
            parallel::for_each_chunk(y, group * output, |i, y| {
                let count = y.len() / output;
                parallel::with_scratch(count * places * (rows + columns), |scratch| {
                    let (gathered, phases) = scratch.split_at_mut(count * places * rows);
                    windows.gather(&x[i * group * image..][..count * image], gathered);
                    gemm_packed(Matrix::new(gathered, count * places, rows), folded, phases, Start::Zero);
                    self.join_phases(phases, y);
                });
            });
        });
    }

    /// The gradient of the small images, from that of y.
    pub fn input_gradient(&self, folded: &[f32], dy: &[f32], dx: &mut [f32]) {
        let windows = self.windows();
        let (places, rows, columns) = (windows.count(), windows.len(), 4 * self.outputs);
        let (image, output) = (windows.image_len(), self.output_len());
        let folded = Matrix::new(folded, rows, columns).transposed();
        let group = images_per_product(dx.len() / image, places);
        with_packed(folded, |folded| {
            parallel::for_each_chunk(dx, group * image, |i, dx| {
                let count = dx.len() / image;
                parallel::with_scratch(count * places * (rows + columns), |scratch| {
                    let (gathered, phases) = scratch.split_at_mut(count * places * rows);
                    self.split_phases(&dy[i * group * output..][..count * output], phases);
                    gemm_packed(Matrix::new(phases, count * places, columns), folded, gathered, Start::Zero);
                    windows.scatter(gathered, dx);
                });
            });
        });
    }

    /// The gradient of the folded weights, from the small images and the gradient of y.
    pub fn folded_gradient(&self, x: &[f32], dy: &[f32], dfolded: &mut [f32]) {
        let windows = self.windows();
        let (places, rows, columns) = (windows.count(), windows.len(), 4 * self.outputs);
        let (image, output) = (windows.image_len(), self.output_len());
        let images = x.len() / image;
        let (share, group) = (images_per_partial(images), images_per_product(images, places));
        parallel::sum_of_partials(images.div_ceil(share), dfolded, |i, dfolded| {
            let mut start = Start::Zero;
            let last = ((i + 1) * share).min(images);
            for first in (i * share..last).step_by(group) {
                let count = group.min(last - first);
                parallel::with_scratch(count * places * (rows + columns), |scratch| {
                    let (gathered, phases) = scratch.split_at_mut(count * places * rows);
                    windows.gather(&x[first * image..][..count * image], gathered);
                    self.split_phases(&dy[first * output..][..count * output], phases);
                    let gathered = Matrix::new(gathered, count * places, rows).transposed();
                    gemm(gathered, Matrix::new(phases, count * places, columns), dfolded, start);
                });
                start = Start::Kept;
            }
        });
    }
}
