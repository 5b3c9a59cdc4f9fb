//! The layer of kernel 5 by values of polynomials: 121 products where folding alone takes 576.
//!
//! Along an axis each phase is the full convolution of the small image with three taps, so the image is cut into tiles
//! of four pixels, each tile and each phase is a product of polynomials of degree 3 and 2 ([`points`]), and what a tile
//! gives beyond its four pixels is added to the next. Two things make this layer cheaper still than two phases of six
//! products an axis:
//!
//! * The padding costs nothing: tiles cover the 12 pixels of the image, not the 14 of the output.
//! * Both phases have the same value at the point 1, w0 + w1 + w2 + w3 + w4, for each only joins neighbouring taps. One
//!   product serves both: 11 for two phases, 121 for the four of an image.
//!
//! So for an image of 12 x 12 pixels, per pair of an input and an output channel: 9 tiles x 121 = 1,089 products
//! instead of 196 places x 4 phases x 9 taps = 7,056 folded, or 14,400 as the definition has it.
//!
//! The products of one pair (p, q) of points share their left factor, the values of the image there: they are one matrix
//! product, (tiles) x (inputs) by (inputs) x (products of p and q, outputs). It is computed for one panel of outputs at a
//! time, so that everything between the maps stays in the cache.
//!
//! The gradients are transposes of the same three maps: of the image to its values, of the weights to theirs, of the
//! products to y.

use super::Upsampled;
use crate::kernels::conv::points::{
    POINTS, evaluate3, evaluate3_transposed, evaluate4, evaluate4_transposed, interpolate,
    interpolate_transposed,
};
use crate::kernels::gemm::{Matrix, PANEL, Packed, Start, gemm_packed};
use crate::parallel::{for_each_chunk, with_scratch};
use crate::simd::{self, Kernel, LANES, Simd};

/// Pixels along an axis of a tile.
const TILE: usize = 4;
/// Taps along an axis of the kernel.
const TAPS: usize = 5;
/// Products along an axis, of both phases.
const PRODUCTS: usize = 11;
/// The first product of each point, in the order of the phases; the point 1 has one for both.
const FIRST: [usize; POINTS] = [0, 2, 3, 5, 7, 9];
/// How many products each point has.
const COUNT: [usize; POINTS] = [2, 1, 2, 2, 2, 2];
/// The point of each product.
const POINT: [usize; PRODUCTS] = [0, 0, 1, 2, 2, 3, 3, 4, 4, 5, 5];
/// Rows of a matrix product: few enough that what is made of them stays in the cache.
const ROWS: usize = 36;
/// Rows of the matrix product of a weight gradient: a block of sums.
const LONG: usize = 256;

/// The layer, computed this way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    layer: Upsampled,
    down: usize,
    across: usize,
}

/// Every pair of points.
fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..POINTS * POINTS).map(|i| (i / POINTS, i % POINTS))
}

/// How many products a pair of points has.
fn count(p: usize, q: usize) -> usize {
    COUNT[p] * COUNT[q]
}

/// How many products the pairs before this one have.
fn before(p: usize, q: usize) -> usize {
    FIRST[p] * PRODUCTS + COUNT[p] * FIRST[q]
}

/// Where in a block of memory the products of one panel lie: product (i, j) of row r starts at
/// `start[i][j] + r * row[i][j]`.
struct Map {
    start: [[usize; PRODUCTS]; PRODUCTS],
    row: [[usize; PRODUCTS]; PRODUCTS],
}

impl Map {
    /// From the numbers that one product takes in all, and functions of how many products a pair has: the steps to
    /// the next product and to the next row.
    fn new(size: usize, product: impl Fn(usize) -> usize, row: impl Fn(usize) -> usize) -> Self {
        let mut map = Map { start: [[0; PRODUCTS]; PRODUCTS], row: [[0; PRODUCTS]; PRODUCTS] };
        for i in 0..PRODUCTS {
            for j in 0..PRODUCTS {
                let (p, q) = (POINT[i], POINT[j]);
                let which = (i - FIRST[p]) * COUNT[q] + (j - FIRST[q]);
                map.start[i][j] = before(p, q) * size + which * product(count(p, q));
                map.row[i][j] = row(count(p, q));
            }
        }
        map
    }

    /// The products of a pair side by side in every row: a row-major matrix.
    fn side_by_side(rows: usize) -> Self {
        Map::new(rows * PANEL, |_| PANEL, |count| count * PANEL)
    }

    /// Each product a panel.
    fn panels(rows: usize) -> Self {
        Map::new(rows * PANEL, |_| rows * PANEL, |_| PANEL)
    }
}

impl Tiles {
    /// The layer, if it can be computed this way: kernel 5, and whole vectors and panels of channels.
    pub(super) fn of(layer: Upsampled) -> Option<Self> {
        let fits = layer.kernel == TAPS
            && layer.inputs.is_multiple_of(LANES)
            && layer.outputs.is_multiple_of(PANEL)
            && layer.height * layer.width * layer.inputs * layer.outputs > 0;
        let [down, across] = [layer.height, layer.width].map(|size| size.div_ceil(TILE));
        fits.then_some(Tiles { layer, down, across })
    }

    /// Tiles of an image.
    fn tiles(&self) -> usize {
        self.down * self.across
    }

    /// Images whose tiles go through one matrix product.
    fn group(&self) -> usize {
        (ROWS / self.tiles()).clamp(1, 24)
    }

    fn panels(&self) -> usize {
        self.layer.outputs / PANEL
    }

    /// y from x and w.
    pub(super) fn forward(&self, x: &[f32], w: &[f32], y: &mut [f32]) {
        let Upsampled { inputs, .. } = self.layer;
        let (image, output) = (self.layer.image_len(), self.layer.output_len());
        let of_panel = PRODUCTS * PRODUCTS * inputs * PANEL;
        let group = self.group();
        with_scratch(self.panels() * of_panel, |weights| {
            self.evaluate_weights(w, weights);
            for_each_chunk(y, group * output, |i, y| {
                let images = y.len() / output;
                let rows = images * self.tiles();
                let (all_values, all_products) = self.room(rows);
                with_scratch(all_values + all_products, |scratch| {
                    let (values, products) = scratch.split_at_mut(all_values);
                    let x = &x[i * group * image..][..images * image];
                    simd::run(EvaluateImages { tiles: *self, x, values });
                    for (panel, weights) in weights.chunks_exact(of_panel).enumerate() {
                        for (p, q) in pairs() {
                            let (before, count) = (before(p, q) * PANEL, count(p, q) * PANEL);
                            gemm_packed(
                                self.values_at(p, q, rows, values),
                                Packed::new(&weights[before * inputs..][..count * inputs], inputs, count),
                                &mut products[before * rows..][..count * rows],
                                Start::Zero,
                            );
                        }
                        let map = &Map::side_by_side(rows);
                        simd::run(Interpolate { tiles: *self, map, products, channel: panel * PANEL, y });
                    }
                });
            });
        });
    }

    /// The gradient of the small images, from that of y.
    pub(super) fn input_gradient(&self, w: &[f32], dy: &[f32], dx: &mut [f32]) {
        let Upsampled { inputs, .. } = self.layer;
        let (image, output) = (self.layer.image_len(), self.layer.output_len());
        let width = inputs.next_multiple_of(PANEL);
        let of_panel = PRODUCTS * PRODUCTS * PANEL * width;
        let group = self.group();
        with_scratch(self.panels() * of_panel, |weights| {
            self.evaluate_weights_transposed(w, weights);
            for_each_chunk(dx, group * image, |i, dx| {
                let images = dx.len() / image;
                let rows = images * self.tiles();
                let (all_values, all_products) = self.room(rows);
                with_scratch(all_values + all_products, |scratch| {
                    let (values, products) = scratch.split_at_mut(all_values);
                    let dy = &dy[i * group * output..][..images * output];
                    for (panel, weights) in weights.chunks_exact(of_panel).enumerate() {
                        let map = &Map::side_by_side(rows);
                        simd::run(InterpolateTransposed {
                            tiles: *self,
                            map,
                            dy,
                            channel: panel * PANEL,
                            products,
                        });
                        let start = if panel == 0 { Start::Zero } else { Start::Kept };
                        for (p, q) in pairs() {
                            let (before, count) = (before(p, q) * PANEL, count(p, q) * PANEL);
                            gemm_packed(
                                Matrix::new(&products[before * rows..][..count * rows], rows, count),
                                Packed::new(&weights[before * width..][..count * width], count, inputs),
                                &mut values[(p * POINTS + q) * rows * inputs..][..rows * inputs],
                                start,
                            );
                        }
                    }
                    simd::run(EvaluateImagesTransposed { tiles: *self, values, dx });
                });
            });
        });
    }

    /// The gradient of w, from the small images and the gradient of y.
    pub(super) fn weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let Upsampled { inputs, outputs, .. } = self.layer;
        let (image, output) = (self.layer.image_len(), self.layer.output_len());
        let images = x.len() / image;
        let group = (LONG / self.tiles()).max(1);
        let of_image = self.tiles() * POINTS * POINTS * inputs;
        let of_panel = TAPS * TAPS * inputs * PANEL;
        with_scratch(images * of_image + dw.len(), |scratch| {
            let (values, by_panel) = scratch.split_at_mut(images * of_image);
            for_each_chunk(values, group * of_image, |i, values| {
                let x = &x[i * group * image..][..values.len() / of_image * image];
                simd::run(EvaluateImages { tiles: *self, x, values });
            });
            for_each_chunk(by_panel, of_panel, |panel, dw| {
                let all_products = self.room(group.min(images) * self.tiles()).1;
                let all_weights = PRODUCTS * PRODUCTS * inputs * PANEL;
                with_scratch(all_products + all_weights, |scratch| {
                    let (products, weights) = scratch.split_at_mut(all_products);
                    let groups = values.chunks(group * of_image).zip(dy.chunks(group * output));
                    for (i, (values, dy)) in groups.enumerate() {
                        let rows = dy.len() / output * self.tiles();
                        let channel = panel * PANEL;
                        let map = &Map::panels(rows);
                        simd::run(InterpolateTransposed { tiles: *self, map, dy, channel, products });
                        let start = if i == 0 { Start::Zero } else { Start::Kept };
                        for (p, q) in pairs() {
                            let (before, count) = (before(p, q) * PANEL, count(p, q) * PANEL);
                            gemm_packed(
                                self.values_at(p, q, rows, values).transposed(),
                                Packed::new(&products[before * rows..][..count * rows], rows, count),
                                &mut weights[before * inputs..][..count * inputs],
                                start,
                            );
                        }
                    }
                    let map = &Map::side_by_side(inputs);
                    for row in 0..inputs {
                        for lane in (0..PANEL).step_by(LANES) {
                            let to = row * PANEL + lane;
                            let step = inputs * PANEL;
                            simd::run(EvaluateWeightsTransposed { weights, map, row, lane, dw, to, step });
                        }
                    }
                });
            });
            for (panel, of_panel) in by_panel.chunks_exact(of_panel).enumerate() {
                for (dw, part) in dw.chunks_exact_mut(outputs).zip(of_panel.chunks_exact(PANEL)) {
                    dw[panel * PANEL..][..PANEL].copy_from_slice(part);
                }
            }
        });
    }

    /// How many numbers the values and the products of a panel are.
    fn room(&self, rows: usize) -> (usize, usize) {
        (POINTS * POINTS * rows * self.layer.inputs, PRODUCTS * PRODUCTS * rows * PANEL)
    }

    /// The values of the images at a pair of points: (tiles) x (inputs).
    fn values_at<'a>(&self, p: usize, q: usize, rows: usize, values: &'a [f32]) -> Matrix<'a> {
        let len = rows * self.layer.inputs;
        Matrix::new(&values[(p * POINTS + q) * len..][..len], rows, self.layer.inputs)
    }

    /// The values of the weights, panel by panel of outputs, ready to be multiplied by.
    fn evaluate_weights(&self, w: &[f32], weights: &mut [f32]) {
        let Upsampled { inputs, outputs, .. } = self.layer;
        let map = &Map::panels(inputs);
        for_each_chunk(weights, PRODUCTS * PRODUCTS * inputs * PANEL, |panel, weights| {
            for row in 0..inputs {
                for lane in (0..PANEL).step_by(LANES) {
                    let (from, step) = (row * outputs + panel * PANEL + lane, inputs * outputs);
                    simd::run(EvaluateWeights { w, from, step, map, row, lane, weights });
                }
            }
        });
    }

    /// The same for the transposed product: from each panel of outputs to all inputs, in panels of inputs.
    fn evaluate_weights_transposed(&self, w: &[f32], weights: &mut [f32]) {
        let Upsampled { inputs, outputs, .. } = self.layer;
        let width = inputs.next_multiple_of(PANEL);
        let step = inputs * outputs;
        with_scratch(w.len(), |transposed| {
            for_each_chunk(transposed, step, |tap, transposed| {
                let w = &w[tap * step..][..step];
                for (o, transposed) in transposed.chunks_exact_mut(inputs).enumerate() {
                    for (to, from) in transposed.iter_mut().zip(w[o..].iter().step_by(outputs)) {
                        *to = *from;
                    }
                }
            });
            let map = &Map::new(PANEL * width, |_| PANEL * PANEL, |count| count * PANEL * PANEL);
            for_each_chunk(weights, PRODUCTS * PRODUCTS * PANEL * width, |panel, weights| {
                if width > inputs {
                    weights.fill(0.0);
                }
                for output in 0..PANEL {
                    for input in (0..inputs).step_by(LANES) {
                        let from = (panel * PANEL + output) * inputs + input;
                        let (row, lane) = (input / PANEL, output * PANEL + input % PANEL);
                        simd::run(EvaluateWeights { w: transposed, from, step, map, row, lane, weights });
                    }
                }
            });
        });
    }
}

/// The sixteen numbers from `at` on.
#[inline(always)]
fn load<S: Simd>(s: S, from: &[f32], at: usize) -> S::V {
    let lanes: &[f32; LANES] = from[at..at + LANES].try_into().expect("sixteen numbers");
    s.load(lanes)
}

#[inline(always)]
fn store<S: Simd>(s: S, v: S::V, to: &mut [f32], at: usize) {
    let lanes: &mut [f32; LANES] = (&mut to[at..at + LANES]).try_into().expect("sixteen numbers");
    s.store(v, lanes);
}

/// The products of a phase along an axis, one for each point.
#[inline(always)]
fn of_phase<V: Copy>(products: [V; PRODUCTS], phase: usize) -> [V; POINTS] {
    let [zero, one, minus, half, two, infinity] = FIRST;
    let e = products;
    [e[zero + phase], e[one], e[minus + phase], e[half + phase], e[two + phase], e[infinity + phase]]
}

/// The transpose of both phases of [`of_phase`].
#[inline(always)]
fn of_phases_transposed<S: Simd>(s: S, a: [S::V; POINTS], b: [S::V; POINTS]) -> [S::V; PRODUCTS] {
    [a[0], b[0], s.add(a[1], b[1]), a[2], b[2], a[3], b[3], a[4], b[4], a[5], b[5]]
}

/// The values of five taps: folded to three for each phase.
#[inline(always)]
fn evaluate_taps<S: Simd>(s: S, [w0, w1, w2, w3, w4]: [S::V; TAPS]) -> [S::V; PRODUCTS] {
    let a = evaluate3(s, [w0, s.add(w1, w2), s.add(w3, w4)]);
    let b = evaluate3(s, [s.add(w0, w1), s.add(w2, w3), w4]);
    [a[0], b[0], a[1], a[2], b[2], a[3], b[3], a[4], b[4], a[5], b[5]]
}

/// The transpose of [`evaluate_taps`].
#[inline(always)]
fn evaluate_taps_transposed<S: Simd>(s: S, g: [S::V; PRODUCTS]) -> [S::V; TAPS] {
    let a = evaluate3_transposed(s, of_phase(g, 0));
    // The value at 1 is that of phase 0.
    let mut of_b = of_phase(g, 1);
    of_b[1] = s.splat(0.0);
    let b = evaluate3_transposed(s, of_b);
    [s.add(a[0], b[0]), s.add(a[1], b[0]), s.add(a[1], b[1]), s.add(a[2], b[1]), s.add(a[2], b[2])]
}

/// values\[p, q, tile, c\] = the value at (p, q) of the 4 x 4 pixels of the tile, zero outside of the image.
struct EvaluateImages<'a> {
    tiles: Tiles,
    x: &'a [f32],
    values: &'a mut [f32],
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
                let mut along = [[s.splat(0.0); POINTS]; TILE];
                for (i, along) in along.iter_mut().enumerate() {
                    let mut pixels = [s.splat(0.0); TILE];
                    for (j, pixel) in pixels.iter_mut().enumerate() {
                        if top + i < height && left + j < width {
                            let at = n * image + ((top + i) * width + left + j) * inputs + c;
                            *pixel = load(s, self.x, at);
                        }
                    }
                    *along = evaluate4(s, pixels);
                }
                for q in 0..POINTS {
                    let down = evaluate4(s, [along[0][q], along[1][q], along[2][q], along[3][q]]);
                    for (p, value) in down.into_iter().enumerate() {
                        store(s, value, self.values, ((p * POINTS + q) * rows + row) * inputs + c);
                    }
                }
            }
        }
    }
}

/// The transpose of [`EvaluateImages`].
struct EvaluateImagesTransposed<'a> {
    tiles: Tiles,
    values: &'a [f32],
    dx: &'a mut [f32],
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
                let mut along = [[s.splat(0.0); POINTS]; TILE];
                for q in 0..POINTS {
                    let mut values = [s.splat(0.0); POINTS];
                    for (p, value) in values.iter_mut().enumerate() {
                        *value = load(s, self.values, ((p * POINTS + q) * rows + row) * inputs + c);
                    }
                    for (along, value) in along.iter_mut().zip(evaluate4_transposed(s, values)) {
                        along[q] = value;
                    }
                }
                for (i, along) in along.into_iter().enumerate() {
                    for (j, pixel) in evaluate4_transposed(s, along).into_iter().enumerate() {
                        if top + i < height && left + j < width {
                            let at = n * image + ((top + i) * width + left + j) * inputs + c;
                            store(s, pixel, self.dx, at);
                        }
                    }
                }
            }
        }
    }
}

impl Tiles {
    /// The image of a tile, and its first row and column there.
    #[inline(always)]
    fn corner(&self, tile: usize) -> (usize, usize, usize) {
        let (n, tile) = (tile / self.tiles(), tile % self.tiles());
        (n, tile / self.across * TILE, tile % self.across * TILE)
    }
}

/// The numbers of the two phases along an axis for one tile.
const SPAN: usize = 2 * POINTS;

/// y = what the products of every tile come to; where tiles overlap, their sum.
struct Interpolate<'a> {
    tiles: Tiles,
    map: &'a Map,
    products: &'a [f32],
    /// The first of the panel's channels.
    channel: usize,
    y: &'a mut [f32],
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
                let mut along = [[s.splat(0.0); SPAN]; PRODUCTS];
                for (i, along) in along.iter_mut().enumerate() {
                    let mut products = [s.splat(0.0); PRODUCTS];
                    for (j, product) in products.iter_mut().enumerate() {
                        let at = self.map.start[i][j] + row * self.map.row[i][j] + lane;
                        *product = load(s, self.products, at);
                    }
                    for b in 0..2 {
                        let line = interpolate(s, of_phase(products, b));
                        for (j, number) in line.into_iter().enumerate() {
                            along[2 * j + b] = number;
                        }
                    }
                }
                for j in 0..SPAN {
                    let column = 2 * left + j;
                    if column >= width {
                        break;
                    }
                    let mut products = [s.splat(0.0); PRODUCTS];
                    for (product, along) in products.iter_mut().zip(&along) {
                        *product = along[j];
                    }
                    for a in 0..2 {
                        let line = interpolate(s, of_phase(products, a));
                        for (i, number) in line.into_iter().enumerate() {
                            let (i, line) = (2 * i + a, 2 * top + 2 * i + a);
                            if line >= height {
                                continue;
                            }
                            let at =
                                n * output + (line * width + column) * layer.outputs + self.channel + lane;
                            // The last two pixels of a tile, in both phases, are the first of the next.
                            let seen = (top > 0 && i < 4) || (left > 0 && j < 4);
                            let number = if seen { s.add(load(s, self.y, at), number) } else { number };
                            store(s, number, self.y, at);
                        }
                    }
                }
            }
        }
    }
}

/// The transpose of [`Interpolate`].
struct InterpolateTransposed<'a> {
    tiles: Tiles,
    map: &'a Map,
    dy: &'a [f32],
    /// The first of the panel's channels.
    channel: usize,
    products: &'a mut [f32],
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
                let mut along = [[s.splat(0.0); PRODUCTS]; SPAN];
                for (i, along) in along.iter_mut().enumerate() {
                    let line = 2 * top + i;
                    if line >= height {
                        break;
                    }
                    let mut numbers = [[s.splat(0.0); POINTS]; 2];
                    for j in 0..SPAN {
                        let column = 2 * left + j;
                        if column < width {
                            let at =
                                n * output + (line * width + column) * layer.outputs + self.channel + lane;
                            numbers[j % 2][j / 2] = load(s, self.dy, at);
                        }
                    }
                    let [a, b] = numbers;
                    let (a, b) = (interpolate_transposed(s, a), interpolate_transposed(s, b));
                    *along = of_phases_transposed(s, a, b);
                }
                for j in 0..PRODUCTS {
                    let mut numbers = [[s.splat(0.0); POINTS]; 2];
                    for (i, along) in along.iter().enumerate() {
                        numbers[i % 2][i / 2] = along[j];
                    }
                    let [a, b] = numbers;
                    let (a, b) = (interpolate_transposed(s, a), interpolate_transposed(s, b));
                    for (i, product) in of_phases_transposed(s, a, b).into_iter().enumerate() {
                        let at = self.map.start[i][j] + row * self.map.row[i][j] + lane;
                        store(s, product, self.products, at);
                    }
                }
            }
        }
    }
}

/// The values of the 5 x 5 taps of sixteen neighbours: the taps are `step` apart in w, the first is at `from`.
struct EvaluateWeights<'a> {
    w: &'a [f32],
    from: usize,
    step: usize,
    map: &'a Map,
    row: usize,
    lane: usize,
    weights: &'a mut [f32],
}

impl Kernel for EvaluateWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut along = [[s.splat(0.0); PRODUCTS]; TAPS];
        for (r, along) in along.iter_mut().enumerate() {
            let mut taps = [s.splat(0.0); TAPS];
            for (c, tap) in taps.iter_mut().enumerate() {
                *tap = load(s, self.w, self.from + (r * TAPS + c) * self.step);
            }
            *along = evaluate_taps(s, taps);
        }
        for j in 0..PRODUCTS {
            let down = evaluate_taps(s, [along[0][j], along[1][j], along[2][j], along[3][j], along[4][j]]);
            for (i, value) in down.into_iter().enumerate() {
                let at = self.map.start[i][j] + self.row * self.map.row[i][j] + self.lane;
                store(s, value, self.weights, at);
            }
        }
    }
}

/// The transpose of [`EvaluateWeights`]: writes the taps `step` apart, the first to `to`.
struct EvaluateWeightsTransposed<'a> {
    weights: &'a [f32],
    map: &'a Map,
    row: usize,
    lane: usize,
    dw: &'a mut [f32],
    to: usize,
    step: usize,
}

impl Kernel for EvaluateWeightsTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut along = [[s.splat(0.0); PRODUCTS]; TAPS];
        for j in 0..PRODUCTS {
            let mut values = [s.splat(0.0); PRODUCTS];
            for (i, value) in values.iter_mut().enumerate() {
                let at = self.map.start[i][j] + self.row * self.map.row[i][j] + self.lane;
                *value = load(s, self.weights, at);
            }
            for (along, value) in along.iter_mut().zip(evaluate_taps_transposed(s, values)) {
                along[j] = value;
            }
        }
        for (r, along) in along.into_iter().enumerate() {
            for (c, tap) in evaluate_taps_transposed(s, along).into_iter().enumerate() {
                store(s, tap, self.dw, self.to + (r * TAPS + c) * self.step);
            }
        }
    }
}
