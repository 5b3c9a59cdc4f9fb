//! The maps along both axes, sixteen channels at a time: images and weights to their values, products to y, and the
//! transposes of all three. Each struct is one map; what it reads and writes is told by its fields.

use super::{COUNT, FIRST, PRODUCTS, TAPS, TILE, Tiles, Upsampled, before, count};
use crate::kernels::conv::points::{
    POINTS, along_both_axes, evaluate, evaluate_transposed, evaluate_weights, evaluate_weights_transposed,
    interpolate, interpolate_transposed, load, store,
};
use crate::kernels::gemm::PANEL;
use crate::simd::{Kernel, LANES, Simd};

/// The point of each product.
const POINT: [usize; PRODUCTS] = [0, 0, 1, 2, 2, 3, 3, 4, 4, 5, 5];
/// The numbers of the two phases along an axis for one tile.
const SPAN: usize = 2 * POINTS;

/// Where in a block of memory the products of one panel lie: product (i, j) of row r starts at
/// `start[i][j] + r * row[i][j]`.
pub(super) struct Map {
    start: [[usize; PRODUCTS]; PRODUCTS],
    row: [[usize; PRODUCTS]; PRODUCTS],
}

impl Map {
    /// From the numbers that one product takes in all, and functions of how many products a pair has: the steps to
    /// the next product and to the next row.
    pub(super) fn new(size: usize, product: impl Fn(usize) -> usize, row: impl Fn(usize) -> usize) -> Self {
        let mut map = Map { start: [[0; PRODUCTS]; PRODUCTS], row: [[0; PRODUCTS]; PRODUCTS] };
        for (i, p) in POINT.into_iter().enumerate() {
            for (j, q) in POINT.into_iter().enumerate() {
                let which = (i - FIRST[p]) * COUNT[q] + (j - FIRST[q]);
                map.start[i][j] = before(p, q) * size + which * product(count(p, q));
                map.row[i][j] = row(count(p, q));
            }
        }
        map
    }

    /// Where product (i, j) of a row starts.
    #[inline(always)]
    fn place(&self, i: usize, j: usize, row: usize) -> usize {
        self.start[i][j] + row * self.row[i][j]
    }

    /// The products of a pair side by side in every row: a row-major matrix.
    pub(super) fn side_by_side(rows: usize) -> Self {
        Map::new(rows * PANEL, |_| PANEL, |count| count * PANEL)
    }

    /// Each product a panel.
    pub(super) fn panels(rows: usize) -> Self {
        Map::new(rows * PANEL, |_| rows * PANEL, |_| PANEL)
    }
}

/// The products of a phase along an axis, one for each point.
#[inline(always)]
fn of_phase<V: Copy>(products: [V; PRODUCTS], phase: usize) -> [V; POINTS] {
    let [zero, one, minus, half, two, infinity] = FIRST;
    let e = products;
    [e[zero + phase], e[one], e[minus + phase], e[half + phase], e[two + phase], e[infinity + phase]]
}

/// The numbers of both phases along an axis, taking turns.
#[inline(always)]
fn interpolate_phases<S: Simd>(s: S, products: [S::V; PRODUCTS]) -> [S::V; SPAN] {
    let mut numbers = [s.splat(0.0); SPAN];
    for phase in 0..2 {
        for (i, number) in interpolate(s, of_phase(products, phase)).into_iter().enumerate() {
            numbers[2 * i + phase] = number;
        }
    }
    numbers
}

/// The transpose of [`interpolate_phases`].
#[inline(always)]
fn interpolate_phases_transposed<S: Simd>(s: S, numbers: [S::V; SPAN]) -> [S::V; PRODUCTS] {
    let mut phases = [[s.splat(0.0); POINTS]; 2];
    for (i, number) in numbers.into_iter().enumerate() {
        phases[i % 2][i / 2] = number;
    }
    let [a, b] = phases;
    let (a, b) = (interpolate_transposed(s, a), interpolate_transposed(s, b));
    [a[0], b[0], s.add(a[1], b[1]), a[2], b[2], a[3], b[3], a[4], b[4], a[5], b[5]]
}

/// The values of five taps: folded to three for each phase.
#[inline(always)]
fn evaluate_taps<S: Simd>(s: S, [w0, w1, w2, w3, w4]: [S::V; TAPS]) -> [S::V; PRODUCTS] {
    let a = evaluate_weights(s, [w0, s.add(w1, w2), s.add(w3, w4)]);
    let b = evaluate_weights(s, [s.add(w0, w1), s.add(w2, w3), w4]);
    [a[0], b[0], a[1], a[2], b[2], a[3], b[3], a[4], b[4], a[5], b[5]]
}

/// The transpose of [`evaluate_taps`].
#[inline(always)]
fn evaluate_taps_transposed<S: Simd>(s: S, g: [S::V; PRODUCTS]) -> [S::V; TAPS] {
    let a = evaluate_weights_transposed::<S, 3>(s, of_phase(g, 0));
    // The value at 1 is that of phase 0.
    let mut of_b = of_phase(g, 1);
    of_b[1] = s.splat(0.0);
    let b = evaluate_weights_transposed::<S, 3>(s, of_b);
    [s.add(a[0], b[0]), s.add(a[1], b[0]), s.add(a[1], b[1]), s.add(a[2], b[1]), s.add(a[2], b[2])]
}

/// values\[p, q, tile, c\] = the value at (p, q) of the 4 x 4 pixels of the tile, zero outside of the image.
pub(super) struct EvaluateImages<'a> {
    pub(super) tiles: Tiles,
    pub(super) x: &'a [f32],
    pub(super) values: &'a mut [f32],
}

impl Kernel for EvaluateImages<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Tiles { layer, down, across } = self.tiles;
        let Upsampled { height, width, inputs, .. } = layer;
        let image = layer.image_len();
        let rows = self.x.len() / image * down * across;
        for row in 0..rows {
            let (n, top, left) = self.tiles.corner(row);
            for c in (0..inputs).step_by(LANES) {
                along_both_axes(
                    s,
                    #[inline(always)]
                    |i, j| {
                        if top + i < height && left + j < width {
                            load(s, self.x, n * image + ((top + i) * width + left + j) * inputs + c)
                        } else {
                            s.splat(0.0)
                        }
                    },
                    #[inline(always)]
                    |s, numbers| evaluate::<S, TILE>(s, numbers),
                    0..POINTS,
                    #[inline(always)]
                    |p, q, value| {
                        store(s, value, self.values, ((p * POINTS + q) * rows + row) * inputs + c);
                    },
                );
            }
        }
    }
}

/// The transpose of [`EvaluateImages`].
pub(super) struct EvaluateImagesTransposed<'a> {
    pub(super) tiles: Tiles,
    pub(super) values: &'a [f32],
    pub(super) dx: &'a mut [f32],
}

impl Kernel for EvaluateImagesTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Tiles { layer, down, across } = self.tiles;
        let Upsampled { height, width, inputs, .. } = layer;
        let image = layer.image_len();
        let rows = self.dx.len() / image * down * across;
        for row in 0..rows {
            let (n, top, left) = self.tiles.corner(row);
            for c in (0..inputs).step_by(LANES) {
                // Down the columns first: as the transpose has it, last in, first out.
                along_both_axes(
                    s,
                    #[inline(always)]
                    |q, p| load(s, self.values, ((p * POINTS + q) * rows + row) * inputs + c),
                    #[inline(always)]
                    |s, numbers| evaluate_transposed::<S, TILE>(s, numbers),
                    0..height - top,
                    #[inline(always)]
                    |j, i, pixel| {
                        if left + j < width {
                            let at = n * image + ((top + i) * width + left + j) * inputs + c;
                            store(s, pixel, self.dx, at);
                        }
                    },
                );
            }
        }
    }
}

/// y = what the products of every tile come to; where tiles overlap, their sum.
pub(super) struct Interpolate<'a> {
    pub(super) tiles: Tiles,
    pub(super) map: &'a Map,
    pub(super) products: &'a [f32],
    /// The first of the panel's channels.
    pub(super) channel: usize,
    pub(super) y: &'a mut [f32],
}

impl Kernel for Interpolate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let layer = self.tiles.layer;
        let (height, width) = layer.output();
        let output = layer.output_len();
        for row in 0..self.y.len() / output * self.tiles.tiles() {
            let (n, top, left) = self.tiles.corner(row);
            for lane in (0..PANEL).step_by(LANES) {
                along_both_axes(
                    s,
                    #[inline(always)]
                    |i, j| load(s, self.products, self.map.place(i, j, row) + lane),
                    #[inline(always)]
                    |s, numbers| interpolate_phases(s, numbers),
                    0..width - 2 * left,
                    #[inline(always)]
                    |i, j, number| {
                        let (line, column) = (2 * top + i, 2 * left + j);
                        if line < height {
                            let pixel = n * output + (line * width + column) * layer.outputs;
                            let at = pixel + self.channel + lane;
                            // The last two pixels of a tile, in both phases, are the first of the next.
                            let seen = (top > 0 && i < 4) || (left > 0 && j < 4);
                            let number = if seen { s.add(load(s, self.y, at), number) } else { number };
                            store(s, number, self.y, at);
                        }
                    },
                );
            }
        }
    }
}

/// The transpose of [`Interpolate`].
pub(super) struct InterpolateTransposed<'a> {
    pub(super) tiles: Tiles,
    pub(super) map: &'a Map,
    pub(super) dy: &'a [f32],
    /// The first of the panel's channels.
    pub(super) channel: usize,
    pub(super) products: &'a mut [f32],
}

impl Kernel for InterpolateTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let layer = self.tiles.layer;
        let (height, width) = layer.output();
        let output = layer.output_len();
        for row in 0..self.dy.len() / output * self.tiles.tiles() {
            let (n, top, left) = self.tiles.corner(row);
            for lane in (0..PANEL).step_by(LANES) {
                along_both_axes(
                    s,
                    #[inline(always)]
                    |i, j| {
                        let (line, column) = (2 * top + i, 2 * left + j);
                        if line < height && column < width {
                            let pixel = n * output + (line * width + column) * layer.outputs;
                            load(s, self.dy, pixel + self.channel + lane)
                        } else {
                            s.splat(0.0)
                        }
                    },
                    #[inline(always)]
                    |s, numbers| interpolate_phases_transposed(s, numbers),
                    0..PRODUCTS,
                    #[inline(always)]
                    |i, j, product| store(s, product, self.products, self.map.place(i, j, row) + lane),
                );
            }
        }
    }
}

/// The values of the 5 x 5 taps of sixteen neighbours: the taps are `step` apart in w, the first is at `from`.
pub(super) struct EvaluateWeights<'a> {
    pub(super) w: &'a [f32],
    pub(super) from: usize,
    pub(super) step: usize,
    pub(super) map: &'a Map,
    pub(super) row: usize,
    pub(super) lane: usize,
    pub(super) weights: &'a mut [f32],
}

impl Kernel for EvaluateWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        along_both_axes(
            s,
            #[inline(always)]
            |r, c| load(s, self.w, self.from + (r * TAPS + c) * self.step),
            #[inline(always)]
            |s, numbers| evaluate_taps(s, numbers),
            0..PRODUCTS,
            #[inline(always)]
            |i, j, value| store(s, value, self.weights, self.map.place(i, j, self.row) + self.lane),
        );
    }
}

/// The transpose of [`EvaluateWeights`]: writes the taps `step` apart, the first to `to`.
pub(super) struct EvaluateWeightsTransposed<'a> {
    pub(super) weights: &'a [f32],
    pub(super) map: &'a Map,
    pub(super) row: usize,
    pub(super) lane: usize,
    pub(super) dw: &'a mut [f32],
    pub(super) to: usize,
    pub(super) step: usize,
}

impl Kernel for EvaluateWeightsTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // Down the columns first, as for the images.
        along_both_axes(
            s,
            #[inline(always)]
            |j, i| load(s, self.weights, self.map.place(i, j, self.row) + self.lane),
            #[inline(always)]
            |s, numbers| evaluate_taps_transposed(s, numbers),
            0..TAPS,
            #[inline(always)]
            |c, r, tap| store(s, tap, self.dw, self.to + (r * TAPS + c) * self.step),
        );
    }
}
