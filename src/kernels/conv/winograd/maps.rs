//! The maps of tiles to and from values at pairs of points, and their transposes: sixteen channels at a time, first
//! along the rows of a tile, then along its columns.

use super::super::Windows;
use super::super::points::{
    POINTS, evaluate, evaluate_transposed, evaluate_weights as values_of_weights,
    evaluate_weights_transposed, interpolate, interpolate_transposed, load, store,
};
use super::{PAIRS, Part, Tiles};
use crate::kernels::gemm::{PANEL, packed_len};
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
                let mut along = [[s.splat(0.0); POINTS]; POINTS];
                for (i, along) in along.iter_mut().enumerate() {
                    let mut pixels = [s.splat(0.0); POINTS];
                    // A row or column before the first wraps around and is as far outside as one behind the last.
                    let row = (top + i).wrapping_sub(padding);
                    if row < height {
                        for (j, pixel) in pixels.iter_mut().enumerate() {
                            let column = (left + j).wrapping_sub(padding);
                            if column < width {
                                *pixel = load(s, self.x, n * image + (row * width + column) * channels + c);
                            }
                        }
                    }
                    *along = interpolate_transposed(s, pixels);
                }
                for q in 0..POINTS {
                    let mut pixels = [s.splat(0.0); POINTS];
                    for (pixel, along) in pixels.iter_mut().zip(&along) {
                        *pixel = along[q];
                    }
                    for (p, value) in interpolate_transposed(s, pixels).into_iter().enumerate() {
                        store(s, value, self.values, ((p * POINTS + q) * count + tile) * channels + c);
                    }
                }
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
                let mut along = [[s.splat(0.0); POINTS]; POINTS];
                for (p, along) in along.iter_mut().enumerate() {
                    let mut values = [s.splat(0.0); POINTS];
                    for (q, value) in values.iter_mut().enumerate() {
                        *value = load(s, self.values, ((p * POINTS + q) * count + tile) * channels + c);
                    }
                    *along = interpolate(s, values);
                }
                for j in 0..POINTS {
                    let column = (left + j).wrapping_sub(padding);
                    if column >= width {
                        continue;
                    }
                    let mut values = [s.splat(0.0); POINTS];
                    for (value, along) in values.iter_mut().zip(&along) {
                        *value = along[j];
                    }
                    for (i, pixel) in interpolate(s, values).into_iter().enumerate() {
                        let row = (top + i).wrapping_sub(padding);
                        if row < height {
                            let at = n * image + (row * width + column) * channels + c;
                            store(s, s.add(load(s, self.dx, at), pixel), self.dx, at);
                        }
                    }
                }
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
                let mut along = [[s.splat(0.0); TILE]; POINTS];
                for (p, along) in along.iter_mut().enumerate() {
                    let mut products = [s.splat(0.0); POINTS];
                    for (q, product) in products.iter_mut().enumerate() {
                        *product = load(s, self.products, ((p * POINTS + q) * count + tile) * columns + o);
                    }
                    *along = evaluate_transposed(s, products);
                }
                for j in 0..TILE.min(width - left) {
                    let mut products = [s.splat(0.0); POINTS];
                    for (product, along) in products.iter_mut().zip(&along) {
                        *product = along[j];
                    }
                    let numbers: [S::V; TILE] = evaluate_transposed(s, products);
                    for (i, number) in numbers.into_iter().enumerate() {
                        if top + i < height {
                            let at = n * image + ((top + i) * width + left + j) * outputs + o;
                            store_some(s, s.add(number, bias), &mut self.y[at..at + lanes]);
                        }
                    }
                }
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
                let mut along = [[s.splat(0.0); POINTS]; TILE];
                for (i, along) in along.iter_mut().enumerate() {
                    let mut numbers = [s.splat(0.0); TILE];
                    if top + i < height {
                        for (j, number) in numbers.iter_mut().enumerate() {
                            if left + j < width {
                                let at = n * image + ((top + i) * width + left + j) * outputs + o;
                                *number = load_some(s, &self.dy[at..at + lanes]);
                            }
                        }
                    }
                    *along = evaluate(s, numbers);
                }
                let place = o / PANEL * panel + tile * row + o % PANEL;
                for q in 0..POINTS {
                    let mut numbers = [s.splat(0.0); TILE];
                    for (number, along) in numbers.iter_mut().zip(&along) {
                        *number = along[q];
                    }
                    for (p, product) in evaluate(s, numbers).into_iter().enumerate() {
                        store(s, product, self.products, (p * POINTS + q) * pair + place);
                    }
                }
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
        let mut along = [[s.splat(0.0); POINTS]; TAPS];
        for (u, along) in along.iter_mut().enumerate() {
            let mut taps = [s.splat(0.0); TAPS];
            for (v, tap) in taps.iter_mut().enumerate() {
                let from = (u * TAPS + v) * of_tap + self.from;
                *tap = load_some(s, &self.w[from..from + self.count]);
            }
            *along = values_of_weights(s, taps);
        }
        for q in 0..POINTS {
            let mut taps = [s.splat(0.0); TAPS];
            for (tap, along) in taps.iter_mut().zip(&along) {
                *tap = along[q];
            }
            for (p, value) in values_of_weights(s, taps).into_iter().enumerate() {
                store(s, value, self.weights, (p * POINTS + q) * self.of_pair + self.to);
            }
        }
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
        let mut along = [[s.splat(0.0); TAPS]; POINTS];
        for (p, along) in along.iter_mut().enumerate() {
            let mut values = [s.splat(0.0); POINTS];
            for (q, value) in values.iter_mut().enumerate() {
                *value = load(s, self.weights, (p * POINTS + q) * of_tap + self.at);
            }
            *along = evaluate_weights_transposed(s, values);
        }
        for v in 0..TAPS {
            let mut values = [s.splat(0.0); POINTS];
            for (value, along) in values.iter_mut().zip(&along) {
                *value = along[v];
            }
            let taps: [S::V; TAPS] = evaluate_weights_transposed(s, values);
            for (u, tap) in taps.into_iter().enumerate() {
                store(s, tap, self.dw, (u * TAPS + v) * of_tap + self.at);
            }
        }
    }
}

/// Sixteen numbers, or as many as there are.
#[inline(always)]
fn load_some<S: Simd>(s: S, from: &[f32]) -> S::V {
    match from.first_chunk() {
        Some(from) => s.load(from),
        None => s.load_head(from),
    }
}

/// Writes sixteen numbers, or as many as there is room for.
#[inline(always)]
fn store_some<S: Simd>(s: S, v: S::V, to: &mut [f32]) {
    match to.first_chunk_mut() {
        Some(to) => s.store(v, to),
        None => s.store_head(v, to),
    }
}
