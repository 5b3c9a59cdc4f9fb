//! The products of the windows of one image with the weights: the loop that both ways forward share.

use super::Windows;
use crate::kernels::gemm::BLOCK;
use crate::kernels::lanes::store_some;
use crate::simd::{Kernel, LANES, Simd};

/// Places of a tile for what the large ones leave over: sums enough to hide the latency of an addition.
const FEW: usize = 4;

/// The kernel, by tiles of T places and V vectors of outputs: 12 x 2 sums fill the registers of AVX-512, 4 x 1 or
/// 6 x 1 halves of a vector each those of AVX2.
///
/// With one corner a place becomes a pixel of y as it is. With four, the places whose rows and columns are 2 i, 2 i + 1
/// and 2 j, 2 j + 1 become one: the largest of the four, or 0 if that is larger; NaN if one of them is.
pub(super) struct Products<'a, const CORNERS: usize, const T: usize, const V: usize> {
    /// Without padding, and with four corners without stride.
    pub(super) windows: Windows,
    /// The weights as [`super::pack`] leaves them.
    pub(super) panels: &'a [f32],
    /// One number an output.
    pub(super) bias: Option<&'a [f32]>,
    pub(super) outputs: usize,
    /// One image.
    pub(super) x: &'a [f32],
    pub(super) y: &'a mut [f32],
}

impl<const CORNERS: usize, const T: usize, const V: usize> Kernel for Products<'_, CORNERS, T, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let panels = self.outputs.div_ceil(LANES);
        let mut panel = 0;
        while panel + V <= panels {
            self.outputs::<S, V>(s, panel);
            panel += V;
        }
        while panel < panels {
            self.outputs::<S, 1>(s, panel);
            panel += 1;
        }
    }
}

impl<'a, const CORNERS: usize, const T: usize, const V: usize> Products<'a, CORNERS, T, V> {
    /// All pixels of the outputs of W panels.
    #[inline(always)]
    fn outputs<S: Simd, const W: usize>(&mut self, s: S, panel: usize) {
        let (pixels, many, few) = (self.y.len() / self.outputs, T / CORNERS, FEW / CORNERS);
        let mut pixel = 0;
        while pixel + many <= pixels {
            self.tile::<S, T, W>(s, panel, pixel);
            pixel += many;
        }
        while pixel < pixels && few <= pixels {
            // The last tile begins early enough to be whole: what it computes again comes to the same.
            self.tile::<S, FEW, W>(s, panel, pixel.min(pixels - few));
            pixel += few;
        }
        while pixel < pixels {
            self.tile::<S, CORNERS, W>(s, panel, pixel);
            pixel += 1;
        }
    }

    /// The pixels of y that Q places become, from `pixel` on, for the outputs of W panels from `panel` on.
    #[inline(always)]
    fn tile<S: Simd, const Q: usize, const W: usize>(&mut self, s: S, panel: usize, pixel: usize) {
        let totals: [[S::V; W]; Q] = self.totals(s, panel, self.places(pixel));
        let outputs = self.outputs;
        let (pixels, _) = totals.as_chunks::<CORNERS>();
        for (y, corners) in self.y[pixel * outputs..].chunks_exact_mut(outputs).zip(pixels) {
            for (w, &upper_left) in corners[0].iter().enumerate() {
                let mut result = upper_left;
                if CORNERS == 4 {
                    let upper = s.maximum(upper_left, corners[1][w]);
                    let lower = s.maximum(corners[2][w], corners[3][w]);
                    result = s.max(s.splat(0.0), s.maximum(upper, lower));
                }
                let first = (panel + w) * LANES;
                store_some(s, result, &mut y[first..outputs.min(first + LANES)]);
            }
        }
    }

    /// The parts of the image that the windows of the places of some pixels reach over, from `pixel` on.
    #[inline(always)]
    fn places<const Q: usize>(&self, pixel: usize) -> [&'a [f32]; Q] {
        let Windows { width, channels, kernel, stride, .. } = self.windows;
        let line = width * channels;
        let reach = (kernel - 1) * line + kernel * channels;
        let mut places = [&self.x[..0]; Q];
        let (step, across) = match CORNERS {
            4 => (2, (width - kernel).div_ceil(2)),
            _ => (stride, (width - kernel) / stride + 1),
        };
        let (mut row, mut column) = (pixel / across, pixel % across);
        let (corners, _) = places.as_chunks_mut::<CORNERS>();
        for corners in corners {
            let first = step * (row * line + column * channels);
            for (i, corner) in corners.iter_mut().enumerate() {
                *corner = &self.x[first + i / 2 * line + i % 2 * channels..][..reach];
            }
            column += 1;
            if column == across {
                (row, column) = (row + 1, 0);
            }
        }
        places
    }

    /// The bias and the products of Q places with the weights of W panels from `panel` on.
    #[inline(always)]
    fn totals<S: Simd, const Q: usize, const W: usize>(
        &self,
        s: S,
        panel: usize,
        places: [&[f32]; Q],
    ) -> [[S::V; W]; Q] {
        let Windows { width, channels, kernel, .. } = self.windows;
        let (line, span) = (width * channels, kernel * channels);
        let inner = kernel * span;
        let (weights, _) = self.panels[panel * inner * LANES..].as_chunks::<LANES>();
        let mut columns = [&weights[..0]; W];
        for (w, column) in columns.iter_mut().enumerate() {
            *column = &weights[w * inner..][..inner];
        }

        // Added to minus zero, a number stays what it is, even minus zero.
        let mut totals = [[s.splat(-0.0); W]; Q];
        if let Some(bias) = self.bias {
            for totals in &mut totals {
                for (w, total) in totals.iter_mut().enumerate() {
                    let first = (panel + w) * LANES;
                    *total = s.load_head(&bias[first..bias.len().min(first + LANES)]);
                }
            }
        }
        let (mut row, mut within) = (0, 0);
        for first in (0..inner).step_by(BLOCK) {
            let end = inner.min(first + BLOCK);
            let mut sums = [[s.splat(0.0); W]; Q];
            let mut k = first;
            while k < end {
                // What is left of this row of the windows, or of the block.
                let count = (span - within).min(end - k);
                let offset = row * line + within;
                let mut numbers = [&self.x[..0]; Q];
                for (numbers, place) in numbers.iter_mut().zip(places) {
                    *numbers = &place[offset..][..count];
                }
                let mut weights = [&weights[..0]; W];
                for (weights, column) in weights.iter_mut().zip(columns) {
                    *weights = &column[k..][..count];
                }
                for step in 0..count {
                    let mut vectors = [s.splat(0.0); W];
                    for (vector, weights) in vectors.iter_mut().zip(weights) {
                        *vector = s.load(&weights[step]);
                    }
                    for (sums, numbers) in sums.iter_mut().zip(numbers) {
                        let x = s.splat(numbers[step]);
                        for (sum, vector) in sums.iter_mut().zip(vectors) {
                            *sum = s.mul_add(x, vector, *sum);
                        }
                    }
                }
                k += count;
                within += count;
                if within == span {
                    (row, within) = (row + 1, 0);
                }
            }
            for (totals, sums) in totals.iter_mut().zip(sums) {
                for (total, sum) in totals.iter_mut().zip(sums) {
                    *total = s.add(*total, sum);
                }
            }
        }
        totals
    }
}
