//! The folded layer as matrix products: windows of the small image times the folded weights.
//!
//! The four phases share their windows, so they are one product with 4 x outputs columns and then a shuffle of pixels.
//! The gradient of w is the transpose of the sums that fold it.

use super::Upsampled;
use crate::kernels::conv::{Windows, images_per_partial, images_per_product};
use crate::kernels::gemm::{Matrix, Start, gemm, gemm_packed, with_packed};
use crate::parallel;
use crate::simd::slice;

/// The layer, computed this way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folded(pub(super) Upsampled);

/// The folded tap on which tap r of phase a falls: ceil((r - a) / 2).
fn folded_tap(r: usize, a: usize) -> usize {
    (r + 1 - a) / 2
}

impl Folded {
    /// T, the number of taps of a phase along an axis.
    fn taps(&self) -> usize {
        self.0.kernel.div_ceil(2)
    }

    /// The windows of the small image, shared by the four phases.
    fn windows(&self) -> Windows {
        let Upsampled { height, width, inputs: channels, .. } = self.0;
        Windows { height, width, channels, kernel: self.taps(), stride: 1, padding: self.taps() - 1 }
    }

    /// How many numbers the folded weights are.
    fn folded_len(&self) -> usize {
        self.taps() * self.taps() * self.0.inputs * 4 * self.0.outputs
    }

    /// Calls `pair(start in w, start in folded)` for the `outputs` numbers of every tap of every phase of input c.
    ///
    /// Rows of the folded matrix are (u, v, c) with u = T - 1 - t, because windows count upwards and t downwards.
    fn for_each_tap(&self, c: usize, mut pair: impl FnMut(usize, usize)) {
        let (k, taps) = (self.0.kernel, self.taps());
        for phase in 0..4 {
            for r in 0..k {
                for s in 0..k {
                    let u = taps - 1 - folded_tap(r, phase / 2);
                    let v = taps - 1 - folded_tap(s, phase % 2);
                    let here = ((r * k + s) * self.0.inputs + c) * self.0.outputs;
                    let there = (((u * taps + v) * self.0.inputs + c) * 4 + phase) * self.0.outputs;
                    pair(here, there);
                }
            }
        }
    }

    /// The folded weights, from w (kernel, kernel, inputs, outputs).
    fn fold(&self, w: &[f32], folded: &mut [f32]) {
        folded.fill(0.0);
        for c in 0..self.0.inputs {
            self.for_each_tap(c, |here, there| {
                slice::accumulate(
                    &mut folded[there..there + self.0.outputs],
                    &w[here..here + self.0.outputs],
                );
            });
        }
    }

    /// The gradient of w, from that of the folded weights.
    fn unfold(&self, dfolded: &[f32], dw: &mut [f32]) {
        dw.fill(0.0);
        for c in 0..self.0.inputs {
            self.for_each_tap(c, |here, there| {
                slice::accumulate(
                    &mut dw[here..here + self.0.outputs],
                    &dfolded[there..there + self.0.outputs],
                );
            });
        }
    }

    /// Between the four phases, (i, j) x (phase, output), and the output image: calls `pair(phases, image)` with the
    /// starts of the `outputs` numbers of every output pixel.
    fn for_each_pixel(&self, mut pair: impl FnMut(usize, usize)) {
        let (rows, columns) = self.0.output();
        for p in 0..rows {
            for q in 0..columns {
                let (place, phase) = (p / 2 * (columns / 2) + q / 2, p % 2 * 2 + q % 2);
                pair((place * 4 + phase) * self.0.outputs, (p * columns + q) * self.0.outputs);
            }
        }
    }

    /// Sorts the four phases of images into their pixels.
    fn join_phases(&self, phases: &[f32], images: &mut [f32]) {
        let len = self.0.output_len();
        for (phases, image) in phases.chunks_exact(len).zip(images.chunks_exact_mut(len)) {
            self.for_each_pixel(|from, to| {
                image[to..to + self.0.outputs].copy_from_slice(&phases[from..from + self.0.outputs]);
            });
        }
    }

    /// Sorts the pixels of images into their four phases.
    fn split_phases(&self, images: &[f32], phases: &mut [f32]) {
        let len = self.0.output_len();
        for (image, phases) in images.chunks_exact(len).zip(phases.chunks_exact_mut(len)) {
            self.for_each_pixel(|to, from| {
                phases[to..to + self.0.outputs].copy_from_slice(&image[from..from + self.0.outputs]);
            });
        }
    }

    /// How many multiply-adds the output of one image takes, and each of its gradients.
    pub(super) fn multiply_adds(&self) -> usize {
        self.windows().count() * self.folded_len()
    }

    /// Lends the folded weights to `work`.
    fn with_folded(&self, w: &[f32], work: impl FnOnce(Matrix<'_>)) {
        parallel::with_scratch(self.folded_len(), |folded| {
            self.fold(w, folded);
            work(Matrix::new(folded, self.windows().len(), 4 * self.0.outputs));
        });
    }

    /// How many numbers `count` images are as windows, and as phases.
    fn room(&self, count: usize) -> [usize; 2] {
        let windows = self.windows();
        [count * windows.count() * windows.len(), count * self.0.output_len()]
    }

    /// y from x and w.
    pub(super) fn forward(&self, x: &[f32], w: &[f32], y: &mut [f32]) {
        let (windows, image, output) = (self.windows(), self.0.image_len(), self.0.output_len());
        let group = images_per_product(x.len() / image, windows.count());
        self.with_folded(w, |folded| {
            with_packed(folded, |folded| {
                parallel::for_each_chunk(y, group * output, |i, y| {
                    let count = y.len() / output;
                    let room = self.room(count);
                    parallel::with_scratch(room[0] + room[1], |scratch| {
                        let (gathered, phases) = scratch.split_at_mut(room[0]);
                        windows.gather(&x[i * group * image..][..count * image], gathered);
                        let rows = Matrix::new(gathered, count * windows.count(), windows.len());
                        gemm_packed(rows, folded, phases, Start::Zero);
                        self.join_phases(phases, y);
                    });
                });
            });
        });
    }

    /// The gradient of the small images, from that of y.
    pub(super) fn input_gradient(&self, w: &[f32], dy: &[f32], dx: &mut [f32]) {
        let (windows, image, output) = (self.windows(), self.0.image_len(), self.0.output_len());
        let group = images_per_product(dx.len() / image, windows.count());
        self.with_folded(w, |folded| {
            with_packed(folded.transposed(), |folded| {
                parallel::for_each_chunk(dx, group * image, |i, dx| {
                    let count = dx.len() / image;
                    let room = self.room(count);
                    parallel::with_scratch(room[0] + room[1], |scratch| {
                        let (gathered, phases) = scratch.split_at_mut(room[0]);
                        self.split_phases(&dy[i * group * output..][..count * output], phases);
                        let rows = Matrix::new(phases, count * windows.count(), 4 * self.0.outputs);
                        gemm_packed(rows, folded, gathered, Start::Zero);
                        windows.scatter(gathered, dx);
                    });
                });
            });
        });
    }

    /// The gradient of w, from the small images and the gradient of y.
    pub(super) fn weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let (windows, image, output) = (self.windows(), self.0.image_len(), self.0.output_len());
        let images = x.len() / image;
        let (share, group) = (images_per_partial(images), images_per_product(images, windows.count()));
        parallel::with_scratch(self.folded_len(), |dfolded| {
            parallel::sum_of_partials(images.div_ceil(share), dfolded, |i, dfolded| {
                let mut start = Start::Zero;
                let last = ((i + 1) * share).min(images);
                for first in (i * share..last).step_by(group) {
                    let count = group.min(last - first);
                    let room = self.room(count);
                    parallel::with_scratch(room[0] + room[1], |scratch| {
                        let (gathered, phases) = scratch.split_at_mut(room[0]);
                        windows.gather(&x[first * image..][..count * image], gathered);
                        self.split_phases(&dy[first * output..][..count * output], phases);
                        let places = count * windows.count();
                        let gathered = Matrix::new(gathered, places, windows.len()).transposed();
                        gemm(gathered, Matrix::new(phases, places, 4 * self.0.outputs), dfolded, start);
                    });
                    start = Start::Kept;
                }
            });
            self.unfold(dfolded, dw);
        });
    }
}
