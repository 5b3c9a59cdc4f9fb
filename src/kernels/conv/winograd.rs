//! The 5 x 5 convolution by values of polynomials: 36 products for 2 x 2 outputs, where windows take 100.
//!
//! Along an axis, six pixels and five taps give two outputs ([`points`](super::points)), so the output is cut into
//! tiles of 2 x 2, each with a 6 x 6 part of the image. With V the values of the image's tiles, W those of the weights
//! and M their products, for every pair of points
//!
//! ```text
//! M = V W,   dV = dM W^T,   dW = V^T dM
//! ```
//!
//! are matrix products over (tiles) x (inputs) and (inputs) x (outputs), and the maps from x to V, from w to W and from M
//! to y have transposes for the way back. Every tile of x is mapped once for all outputs.

use super::points::{
    POINTS, evaluate2, evaluate2_transposed, evaluate5, evaluate5_transposed, interpolate,
    interpolate_transposed, load, store,
};
use super::{Windows, images_per_partial, transpose_taps};
use crate::kernels::gemm::{Matrix, PANEL, Packed, Start, gemm_packed, packed_len};
use crate::parallel::{self, with_scratch};
use crate::simd::{self, Kernel, LANES, Simd};

/// Outputs along an axis of a tile.
const TILE: usize = 2;
/// Taps along an axis of the kernel.
const TAPS: usize = 5;
/// Pairs of points.
const PAIRS: usize = POINTS * POINTS;
/// Rows of a matrix product: what is made of them stays in the cache.
const ROWS: usize = 48;
/// Rows of the matrix product of a weight gradient, whose result is kept from one to the next.
const LONG: usize = 96;

/// The layer, computed this way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles {
    windows: Windows,
    outputs: usize,
    /// Rows and columns of the output.
    output: (usize, usize),
    /// Tiles along the two axes.
    tiles: (usize, usize),
}

impl Tiles {
    /// The layer, if it can be computed this way: kernel 5, stride 1, no padding, whole vectors and panels of channels.
    pub(super) fn of(windows: &Windows, outputs: usize) -> Option<Self> {
        let fits = windows.kernel == TAPS
            && windows.stride == 1
            && windows.padding == 0
            && windows.channels.is_multiple_of(LANES)
            && outputs.is_multiple_of(PANEL)
            && windows.channels * outputs > 0;
        let output = windows.output().filter(|_| fits)?;
        let tiles = (output.0.div_ceil(TILE), output.1.div_ceil(TILE));
        Some(Tiles { windows: *windows, outputs, output, tiles })
    }

    fn inputs(&self) -> usize {
        self.windows.channels
    }

    fn tiles_of_image(&self) -> usize {
        self.tiles.0 * self.tiles.1
    }

    fn output_len(&self) -> usize {
        self.output.0 * self.output.1 * self.outputs
    }

    /// The image of a tile, and its first row and column, in x and in y.
    #[inline(always)]
    fn corner(&self, tile: usize) -> (usize, usize, usize) {
        let (n, tile) = (tile / self.tiles_of_image(), tile % self.tiles_of_image());
        (n, tile / self.tiles.1 * TILE, tile % self.tiles.1 * TILE)
    }

    /// How many multiply-adds the products of one image are, and those of each gradient.
    pub(super) fn multiply_adds(&self) -> usize {
        self.tiles_of_image() * PAIRS * self.inputs() * self.outputs
    }

    /// y from x and w.
    pub(super) fn forward(&self, x: &[f32], w: &[f32], y: &mut [f32]) {
        let (inputs, outputs) = (self.inputs(), self.outputs);
        let (image, output) = (self.windows.image_len(), self.output_len());
        let group = (ROWS / self.tiles_of_image()).max(1);
        let of_pair = packed_len(inputs, outputs);
        with_scratch(PAIRS * of_pair, |weights| {
            evaluate_weights(w, inputs, outputs, weights);
            parallel::for_each_chunk(y, group * output, |i, y| {
                let images = y.len() / output;
                let rows = images * self.tiles_of_image();
                with_scratch(PAIRS * rows * (inputs + outputs), |scratch| {
                    let (values, products) = scratch.split_at_mut(PAIRS * rows * inputs);
                    let x = &x[i * group * image..][..images * image];
                    simd::run(EvaluateImages { tiles: *self, x, values });
                    let pairs = values.chunks_exact(rows * inputs).zip(weights.chunks_exact(of_pair));
                    for ((values, weights), products) in pairs.zip(products.chunks_exact_mut(rows * outputs))
                    {
                        let weights = Packed::new(weights, inputs, outputs);
                        gemm_packed(Matrix::new(values, rows, inputs), weights, products, Start::Zero);
                    }
                    simd::run(Outputs { tiles: *self, products, y });
                });
            });
        });
    }

    /// The gradient of the images, from that of y.
    pub(super) fn input_gradient(&self, w: &[f32], dy: &[f32], dx: &mut [f32]) {
        let (inputs, outputs) = (self.inputs(), self.outputs);
        let (image, output) = (self.windows.image_len(), self.output_len());
        let group = (ROWS / self.tiles_of_image()).max(1);
        let of_pair = packed_len(outputs, inputs);
        with_scratch(PAIRS * of_pair, |weights| {
            with_scratch(w.len(), |transposed| {
                transpose_taps(w, inputs, outputs, transposed);
                evaluate_weights(transposed, outputs, inputs, weights);
            });
            parallel::for_each_chunk(dx, group * image, |i, dx| {
                let images = dx.len() / image;
                let rows = images * self.tiles_of_image();
                with_scratch(PAIRS * rows * (inputs + outputs), |scratch| {
                    let (values, products) = scratch.split_at_mut(PAIRS * rows * inputs);
                    let dy = &dy[i * group * output..][..images * output];
                    simd::run(OutputsTransposed { tiles: *self, dy, steps: [PANEL, outputs], products });
                    let pairs = products.chunks_exact(rows * outputs).zip(weights.chunks_exact(of_pair));
                    for ((products, weights), values) in pairs.zip(values.chunks_exact_mut(rows * inputs)) {
                        let weights = Packed::new(weights, outputs, inputs);
                        gemm_packed(Matrix::new(products, rows, outputs), weights, values, Start::Zero);
                    }
                    dx.fill(0.0);
                    simd::run(EvaluateImagesTransposed { tiles: *self, values, dx });
                });
            });
        });
    }

    /// The gradient of the weights, from the images and the gradient of y.
    pub(super) fn weight_gradient(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let (inputs, outputs) = (self.inputs(), self.outputs);
        let (image, output) = (self.windows.image_len(), self.output_len());
        let images = x.len() / image;
        let (share, group) = (images_per_partial(images), (LONG / self.tiles_of_image()).max(1));
        with_scratch(PAIRS * inputs * outputs, |dweights| {
            parallel::sum_of_partials(images.div_ceil(share), dweights, |i, dweights| {
                let mut start = Start::Zero;
                let last = ((i + 1) * share).min(images);
                for first in (i * share..last).step_by(group) {
                    let count = group.min(last - first);
                    let rows = count * self.tiles_of_image();
                    with_scratch(PAIRS * rows * (inputs + outputs), |scratch| {
                        let (values, products) = scratch.split_at_mut(PAIRS * rows * inputs);
                        let (x, dy) = (&x[first * image..][..count * image], &dy[first * output..]);
                        simd::run(EvaluateImages { tiles: *self, x, values });
                        let steps = [rows * PANEL, PANEL];
                        let dy = &dy[..count * output];
                        simd::run(OutputsTransposed { tiles: *self, dy, steps, products });
                        let pairs = values.chunks_exact(rows * inputs);
                        let pairs = pairs.zip(products.chunks_exact(rows * outputs));
                        for ((values, products), dweights) in
                            pairs.zip(dweights.chunks_exact_mut(inputs * outputs))
                        {
                            let values = Matrix::new(values, rows, inputs).transposed();
                            gemm_packed(values, Packed::new(products, rows, outputs), dweights, start);
                        }
                    });
                    start = Start::Kept;
                }
            });
            for at in (0..inputs * outputs).step_by(LANES) {
                simd::run(EvaluateWeightsTransposed { weights: dweights, at, dw });
            }
        });
    }
}

/// The values of the weights (5, 5, rows, columns) at every pair of points, packed to be multiplied by.
fn evaluate_weights(w: &[f32], rows: usize, columns: usize, weights: &mut [f32]) {
    if !columns.is_multiple_of(PANEL) {
        weights.fill(0.0);
    }
    for row in 0..rows {
        for column in (0..columns).step_by(LANES) {
            let to = (column / PANEL * rows + row) * PANEL + column % PANEL;
            let of_pair = packed_len(rows, columns);
            simd::run(EvaluateWeights { w, from: row * columns + column, to, of_pair, weights });
        }
    }
}

/// values\[p, q, tile, c\] of the 6 x 6 pixels of every tile, zero outside of the image.
struct EvaluateImages<'a> {
    tiles: Tiles,
    x: &'a [f32],
    values: &'a mut [f32],
}

impl Kernel for EvaluateImages<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Windows { height, width, channels, .. } = self.tiles.windows;
        let image = self.tiles.windows.image_len();
        let rows = self.x.len() / image * self.tiles.tiles_of_image();
        for row in 0..rows {
            let (n, top, left) = self.tiles.corner(row);
            for c in (0..channels).step_by(LANES) {
                let mut along = [[s.splat(0.0); POINTS]; POINTS];
                for (i, along) in along.iter_mut().enumerate() {
                    let mut pixels = [s.splat(0.0); POINTS];
                    for (j, pixel) in pixels.iter_mut().enumerate() {
                        if top + i < height && left + j < width {
                            let at = n * image + ((top + i) * width + left + j) * channels + c;
                            *pixel = load(s, self.x, at);
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
                        store(s, value, self.values, ((p * POINTS + q) * rows + row) * channels + c);
                    }
                }
            }
        }
    }
}

/// The transpose of [`EvaluateImages`], added to dx: tiles overlap.
struct EvaluateImagesTransposed<'a> {
    tiles: Tiles,
    values: &'a [f32],
    dx: &'a mut [f32],
}

impl Kernel for EvaluateImagesTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Windows { height, width, channels, .. } = self.tiles.windows;
        let image = self.tiles.windows.image_len();
        let rows = self.dx.len() / image * self.tiles.tiles_of_image();
        for row in 0..rows {
            let (n, top, left) = self.tiles.corner(row);
            for c in (0..channels).step_by(LANES) {
                let mut along = [[s.splat(0.0); POINTS]; POINTS];
                for (p, along) in along.iter_mut().enumerate() {
                    let mut values = [s.splat(0.0); POINTS];
                    for (q, value) in values.iter_mut().enumerate() {
                        *value = load(s, self.values, ((p * POINTS + q) * rows + row) * channels + c);
                    }
                    *along = interpolate(s, values);
                }
                for j in 0..POINTS {
                    let mut values = [s.splat(0.0); POINTS];
                    for (value, along) in values.iter_mut().zip(&along) {
                        *value = along[j];
                    }
                    for (i, pixel) in interpolate(s, values).into_iter().enumerate() {
                        if top + i < height && left + j < width {
                            let at = n * image + ((top + i) * width + left + j) * channels + c;
                            store(s, s.add(load(s, self.dx, at), pixel), self.dx, at);
                        }
                    }
                }
            }
        }
    }
}

/// y = what the products of every tile come to.
struct Outputs<'a> {
    tiles: Tiles,
    products: &'a [f32],
    y: &'a mut [f32],
}

impl Kernel for Outputs<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Tiles { outputs, output: (height, width), .. } = self.tiles;
        let image = self.tiles.output_len();
        let rows = self.y.len() / image * self.tiles.tiles_of_image();
        for row in 0..rows {
            let (n, top, left) = self.tiles.corner(row);
            for o in (0..outputs).step_by(LANES) {
                let mut along = [[s.splat(0.0); TILE]; POINTS];
                for (p, along) in along.iter_mut().enumerate() {
                    let mut products = [s.splat(0.0); POINTS];
                    for (q, product) in products.iter_mut().enumerate() {
                        *product = load(s, self.products, ((p * POINTS + q) * rows + row) * outputs + o);
                    }
                    *along = evaluate2_transposed(s, products);
                }
                for j in 0..TILE {
                    let mut products = [s.splat(0.0); POINTS];
                    for (product, along) in products.iter_mut().zip(&along) {
                        *product = along[j];
                    }
                    for (i, number) in evaluate2_transposed(s, products).into_iter().enumerate() {
                        if top + i < height && left + j < width {
                            let at = n * image + ((top + i) * width + left + j) * outputs + o;
                            store(s, number, self.y, at);
                        }
                    }
                }
            }
        }
    }
}

/// The transpose of [`Outputs`], row-major or in panels: `steps` lead from panel to panel and from row to row.
struct OutputsTransposed<'a> {
    tiles: Tiles,
    dy: &'a [f32],
    steps: [usize; 2],
    products: &'a mut [f32],
}

impl Kernel for OutputsTransposed<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Tiles { outputs, output: (height, width), .. } = self.tiles;
        let image = self.tiles.output_len();
        let rows = self.dy.len() / image * self.tiles.tiles_of_image();
        for row in 0..rows {
            let (n, top, left) = self.tiles.corner(row);
            for o in (0..outputs).step_by(LANES) {
                let mut along = [[s.splat(0.0); POINTS]; TILE];
                for (i, along) in along.iter_mut().enumerate() {
                    let mut numbers = [s.splat(0.0); TILE];
                    for (j, number) in numbers.iter_mut().enumerate() {
                        if top + i < height && left + j < width {
                            let at = n * image + ((top + i) * width + left + j) * outputs + o;
                            *number = load(s, self.dy, at);
                        }
                    }
                    *along = evaluate2(s, numbers);
                }
                let [first, second] = along;
                let place = o / PANEL * self.steps[0] + row * self.steps[1] + o % PANEL;
                for q in 0..POINTS {
                    for (p, product) in evaluate2(s, [first[q], second[q]]).into_iter().enumerate() {
                        let at = (p * POINTS + q) * rows * outputs + place;
                        store(s, product, self.products, at);
                    }
                }
            }
        }
    }
}

/// The values of the 5 x 5 taps of sixteen neighbours, from `from` in every tap to `to` in every pair of points.
struct EvaluateWeights<'a> {
    w: &'a [f32],
    from: usize,
    to: usize,
    of_pair: usize,
    weights: &'a mut [f32],
}

impl Kernel for EvaluateWeights<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let of_tap = self.w.len() / (TAPS * TAPS);
        let mut along = [[s.splat(0.0); POINTS]; TAPS];
        for (u, along) in along.iter_mut().enumerate() {
            let mut taps = [s.splat(0.0); TAPS];
            for (v, tap) in taps.iter_mut().enumerate() {
                *tap = load(s, self.w, (u * TAPS + v) * of_tap + self.from);
            }
            *along = evaluate5(s, taps);
        }
        for q in 0..POINTS {
            let mut taps = [s.splat(0.0); TAPS];
            for (tap, along) in taps.iter_mut().zip(&along) {
                *tap = along[q];
            }
            for (p, value) in evaluate5(s, taps).into_iter().enumerate() {
                store(s, value, self.weights, (p * POINTS + q) * self.of_pair + self.to);
            }
        }
    }
}

/// The transpose of [`EvaluateWeights`] for weights that lie in every pair of points as in every tap.
struct EvaluateWeightsTransposed<'a> {
    weights: &'a [f32],
    at: usize,
    dw: &'a mut [f32],
}

impl Kernel for EvaluateWeightsTransposed<'_> {
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
            *along = evaluate5_transposed(s, values);
        }
        for v in 0..TAPS {
            let mut values = [s.splat(0.0); POINTS];
            for (value, along) in values.iter_mut().zip(&along) {
                *value = along[v];
            }
            for (u, tap) in evaluate5_transposed(s, values).into_iter().enumerate() {
                store(s, tap, self.dw, (u * TAPS + v) * of_tap + self.at);
            }
        }
    }
}
