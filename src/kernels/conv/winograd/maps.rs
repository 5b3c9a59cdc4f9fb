//! The maps of tiles to and from values at pairs of points, and their transposes: sixteen channels at a time, first
//! along the rows of a tile, then along its columns.

use super::super::Windows;
use super::super::points::{
    POINTS, along_both_axes, evaluate, evaluate_transposed, evaluate_weights as values_of_weights,
    evaluate_weights_transposed, interpolate, interpolate_transposed, load, store,
};
use super::{PAIRS, Part, Tiles};
use crate::kernels::gemm::{PANEL, packed_len};
use crate::kernels::lanes::{load_some, store_some};
use crate::simd::{self, Kernel, LANES, Simd};

/// The values of the weights (taps, taps, rows, outputs) at every pair of points, packed to be multiplied by as matrices
/// of the given sizes: beyond the rows and outputs that there are, zeros.
pub(super) fn evaluate_weights<const TAPS: usize>(
    w: &[f32],
    outputs: usize,
    [inner, columns]: [usize; 2],
    weights: &mut [f32],
) {
    let of_pair = packed_len(inner, columns);
    let rows = w.len() / (TAPS * TAPS * outputs);
    if PAIRS * rows * outputs < weights.len() {
        weights.fill(0.0);
    }
    for row in 0..rows {
        for column in (0..outputs).step_by(LANES) {
            let from = row * outputs + column;
            let to = (column / PANEL * inner + row) * PANEL + column % PANEL;
            let count = LANES.min(outputs - column);
            simd::run(EvaluateWeights::<TAPS> { w, from, count, to, of_pair, weights });
        }
    }
}

/// values\[p, q, tile, c\] of the 6 x 6 pixels of every tile, zero outside of the image.
pub(super) struct EvaluateImages<'a, const TAPS: usize, const TILE: usize> {
    pub(super) tiles: Tiles<TAPS, TILE>,
    pub(super) part: Part,
    pub(super) x: &'a [f32],
    pub(super) values: &'a mut [f32],
}

impl<const TAPS: usize, const TILE: usize> Kernel for EvaluateImages<'_, TAPS, TILE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Windows { height, width, channels, padding, .. } = self.tiles.windows;
        let image = self.tiles.windows.image_len();
        let Part { first, count } = self.part;
        for tile in 0..count {
            let (n, top, left) = self.tiles.corner(first + tile);
            for c in (0..channels).step_by(LANES) {
                along_both_axes(
                    s,
                    #[inline(always)]
                    |i, j| {
                        // A row or column before the first wraps around and is as far outside as one behind the last.
                        let (row, column) =
                            ((top + i).wrapping_sub(padding), (left + j).wrapping_sub(padding));
                        if row < height && column < width {
                            load(s, self.x, n * image + (row * width + column) * channels + c)
                        } else {
                            s.splat(0.0)
                        }
                    },
                    #[inline(always)]
                    |s, numbers| interpolate_transposed(s, numbers),
                    0..POINTS,
                    #[inline(always)]
                    |p, q, value| {
                        store(s, value, self.values, ((p * POINTS + q) * count + tile) * channels + c);
                    },
                );
            }
        }
    }
}

/// The transpose of [`EvaluateImages`], added to dx: tiles overlap.
pub(super) struct EvaluateImagesTransposed<'a, const TAPS: usize, const TILE: usize> {
    pub(super) tiles: Tiles<TAPS, TILE>,
    pub(super) part: Part,
    pub(super) values: &'a [f32],
    pub(super) dx: &'a mut [f32],
}

impl<const TAPS: usize, const TILE: usize> Kernel for EvaluateImagesTransposed<'_, TAPS, TILE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Windows { height, width, channels, padding, .. } = self.tiles.windows;
        let image = self.tiles.windows.image_len();
        let Part { first, count } = self.part;
        for tile in 0..count {
            let (n, top, left) = self.tiles.corner(first + tile);
            for c in (0..channels).step_by(LANES) {
                along_both_axes(
                    s,
                    #[inline(always)]
                    |p, q| load(s, self.values, ((p * POINTS + q) * count + tile) * channels + c),
                    #[inline(always)]
                    |s, numbers| interpolate(s, numbers),
                    padding.saturating_sub(left)..width + padding - left,
                    #[inline(always)]
                    |i, j, pixel| {
                        let row = (top + i).wrapping_sub(padding);
                        if row < height {
                            let at = n * image + (row * width + left + j - padding) * channels + c;
                            store(s, s.add(load(s, self.dx, at), pixel), self.dx, at);
                        }
                    },
                );
            }
        }
    }
}

/// y = what the products of every tile come to, and the bias.
pub(super) struct Outputs<'a, const TAPS: usize, const TILE: usize> {
    pub(super) tiles: Tiles<TAPS, TILE>,
    pub(super) part: Part,
    pub(super) products: &'a [f32],
    pub(super) bias: Option<&'a [f32]>,
    pub(super) y: &'a mut [f32],
}

impl<const TAPS: usize, const TILE: usize> Kernel for Outputs<'_, TAPS, TILE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Tiles { outputs, output: (height, width), .. } = self.tiles;
        let (image, columns) = (self.tiles.output_len(), self.tiles.columns());
        let Part { first, count } = self.part;
        for tile in 0..count {
            let (n, top, left) = self.tiles.corner(first + tile);
            for o in (0..outputs).step_by(LANES) {
                let lanes = LANES.min(outputs - o);
                // Added to minus zero, a number stays what it is, even minus zero.
                let mut bias = s.splat(-0.0);
                if let Some(given) = self.bias {
                    bias = s.load_head(&given[o..o + lanes]);
                }
                along_both_axes(
                    s,
                    #[inline(always)]
                    |p, q| load(s, self.products, ((p * POINTS + q) * count + tile) * columns + o),
                    #[inline(always)]
                    |s, numbers| evaluate_transposed::<S, TILE>(s, numbers),
                    0..width - left,
                    #[inline(always)]
                    |i, j, number| {
                        if top + i < height {
                            let at = n * image + ((top + i) * width + left + j) * outputs + o;
                            store_some(s, s.add(number, bias), &mut self.y[at..at + lanes]);
                        }
                    },
                );
            }
        }
    }
}

/// How the products of a pair of points lie: row-major, or in panels to be multiplied by.
#[derive(Clone, Copy)]
pub(super) enum Order {
    Rows,
    Panels,
}

/// The transpose of [`Outputs`].
pub(super) struct OutputsTransposed<'a, const TAPS: usize, const TILE: usize> {
    pub(super) tiles: Tiles<TAPS, TILE>,
    pub(super) part: Part,
    pub(super) dy: &'a [f32],
    pub(super) order: Order,
    pub(super) products: &'a mut [f32],
}

impl<const TAPS: usize, const TILE: usize> Kernel for OutputsTransposed<'_, TAPS, TILE> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Tiles { outputs, output: (height, width), .. } = self.tiles;
        let (image, columns) = (self.tiles.output_len(), self.tiles.columns());
        let Part { first, count } = self.part;
        // From panel to panel, from row to row, from pair to pair.
        let [panel, row, pair] = match self.order {
            Order::Rows => [PANEL, columns, count * columns],
            Order::Panels => [count * PANEL, PANEL, packed_len(count, outputs)],
        };
        for tile in 0..count {
            let (n, top, left) = self.tiles.corner(first + tile);
            for o in (0..outputs).step_by(LANES) {
                let lanes = LANES.min(outputs - o);
                let place = o / PANEL * panel + tile * row + o % PANEL;
                along_both_axes(
                    s,
                    #[inline(always)]
                    |i, j| {
                        if top + i < height && left + j < width {
                            let at = n * image + ((top + i) * width + left + j) * outputs + o;
                            load_some(s, &self.dy[at..at + lanes])
                        } else {
                            s.splat(0.0)
                        }
                    },
                    #[inline(always)]
                    |s, numbers| evaluate::<S, TILE>(s, numbers),
                    0..POINTS,
                    #[inline(always)]
                    |p, q, product| store(s, product, self.products, (p * POINTS + q) * pair + place),
                );
            }
        }
    }
}

/// The values of the taps of up to sixteen neighbours, from `from` in every tap to `to` in every pair of points.
struct EvaluateWeights<'a, const TAPS: usize> {
    w: &'a [f32],
    from: usize,
    count: usize,
    to: usize,
    of_pair: usize,
    weights: &'a mut [f32],
}

impl<const TAPS: usize> Kernel for EvaluateWeights<'_, TAPS> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let of_tap = self.w.len() / (TAPS * TAPS);
        along_both_axes(
            s,
            #[inline(always)]
            |u, v| load_some(s, &self.w[(u * TAPS + v) * of_tap + self.from..][..self.count]),
            #[inline(always)]
            |s, numbers| values_of_weights::<S, TAPS>(s, numbers),
            0..POINTS,
            #[inline(always)]
            |p, q, value| store(s, value, self.weights, (p * POINTS + q) * self.of_pair + self.to),
        );
    }
}

/// The transpose of [`EvaluateWeights`] for weights that lie in every pair of points as in every tap.
pub(super) struct EvaluateWeightsTransposed<'a, const TAPS: usize> {
    pub(super) weights: &'a [f32],
    pub(super) at: usize,
    pub(super) dw: &'a mut [f32],
}

impl<const TAPS: usize> Kernel for EvaluateWeightsTransposed<'_, TAPS> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let of_tap = self.dw.len() / (TAPS * TAPS);
        along_both_axes(
            s,
            #[inline(always)]
            |p, q| load(s, self.weights, (p * POINTS + q) * of_tap + self.at),
            #[inline(always)]
            |s, numbers| evaluate_weights_transposed::<S, TAPS>(s, numbers),
            0..TAPS,
            #[inline(always)]
            |u, v, tap| store(s, tap, self.dw, (u * TAPS + v) * of_tap + self.at),
        );
    }
}
