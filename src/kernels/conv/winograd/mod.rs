//! Convolutions by values of polynomials: 36 products for 2 x 2 outputs of a 5 x 5 kernel, where windows take 100, and
//! for 4 x 4 outputs of a 3 x 3 kernel, where they take 144.
//!
//! Along an axis, six pixels and TAPS taps give TILE outputs, TAPS + TILE = 7 ([`points`](super::points)), so the output
//! is cut into tiles, each with a 6 x 6 part of the padded image. With V the values of the image's tiles, W those of the
//! weights and M their products, for every pair of points
//!
//! ```text
//! M = V W,   dV = dM W^T,   dW = V^T dM
//! ```
//!
//! are matrix products over (tiles) x (inputs) and (inputs) x (outputs), and the maps from x to V, from w to W and from M
//! to y (`maps.rs`) have transposes for the way back. Every tile of x is mapped once for all outputs.
//!
//! A thread takes a few whole images, and of these a few tiles at a time, so that V and M stay in its cache. Outputs
//! that are no whole number of vectors are filled up with zeros there.

mod maps;

use super::points::POINTS;
use super::{Images, Windows, images_per_partial, transpose_taps};
use crate::kernels::gemm::{Matrix, Packed, Start, gemm_packed, packed_len};
use crate::parallel::{self, with_scratch};
use crate::simd::{self, LANES};
use maps::{
    EvaluateImages, EvaluateImagesTransposed, EvaluateWeightsTransposed, Order, Outputs, OutputsTransposed,
    evaluate_weights,
};

/// Pairs of points.
const PAIRS: usize = POINTS * POINTS;
/// Rows of a matrix product: what is made of them stays in the cache.
const ROWS: usize = 48;
/// Rows of the matrix product of a weight gradient, whose result is kept from one to the next.
const LONG: usize = 96;

/// The layer, computed this way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tiles<const TAPS: usize, const TILE: usize> {
    windows: Windows,
    outputs: usize,
    /// Rows and columns of the output.
    output: (usize, usize),
    /// Tiles along the two axes.
    tiles: (usize, usize),
}

impl<const TAPS: usize, const TILE: usize> Tiles<TAPS, TILE> {
    /// The layer, if it can be computed this way (its kernel, stride 1, whole vectors of input channels) and that pays:
    /// there is a vector of outputs, and at most half as many products as windows take.
    pub(super) fn of(windows: &Windows, outputs: usize) -> Option<Self> {
        let Windows { channels, kernel, stride, .. } = *windows;
        let fits = kernel == TAPS && stride == 1 && channels.is_multiple_of(LANES) && channels > 0;
        let output = windows.output().filter(|_| fits && outputs >= LANES)?;
        let tiles = (output.0.div_ceil(TILE), output.1.div_ceil(TILE));
        let pays = 2 * PAIRS * tiles.0 * tiles.1 <= TAPS * TAPS * output.0 * output.1;
        pays.then_some(Tiles { windows: *windows, outputs, output, tiles })
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

    /// Outputs in whole vectors.
    fn columns(&self) -> usize {
        self.outputs.next_multiple_of(LANES)
    }

    /// The image of a tile, and its first row and column: those of y, and those of x in the padded image.
    #[inline(always)]
    fn corner(&self, tile: usize) -> (usize, usize, usize) {
        let (n, tile) = (tile / self.tiles_of_image(), tile % self.tiles_of_image());
        (n, tile / self.tiles.1 * TILE, tile % self.tiles.1 * TILE)
    }

    /// How many multiply-adds the products of one image are, and those of each gradient.
    pub(super) fn multiply_adds(&self) -> usize {
        self.tiles_of_image() * PAIRS * self.inputs() * self.outputs
    }

    /// How many images a thread takes, and how many of their tiles it holds at a time.
    fn group(&self) -> (usize, usize) {
        let tiles = self.tiles_of_image();
        let images = (ROWS / tiles).max(1);
        (images, (images * tiles).min(ROWS))
    }

    /// How many numbers the values of the weights are, packed.
    pub(super) fn weights_len(&self) -> usize {
        PAIRS * packed_len(self.inputs(), self.columns())
    }

    /// Writes the values of the weights w, packed.
    pub(super) fn prepare(&self, w: &[f32], weights: &mut [f32]) {
        evaluate_weights::<TAPS>(w, self.outputs, [self.inputs(), self.columns()], weights);
    }

    /// y from x, w and perhaps a bias.
    pub(super) fn forward(&self, x: Images<'_>, w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
        let (image, output) = (self.windows.image_len(), self.output_len());
        let (group, _) = self.group();
        with_scratch(self.weights_len(), |weights| {
            self.prepare(w, weights);
            parallel::for_each_chunk(y, group * output, |i, y| {
                let first = i * group * image;
                let images = first..first + y.len() / output * image;
                x.with(images, |x| self.forward_of(weights, bias, x, y));
            });
        });
    }

    /// y from images x, weights as [`Tiles::prepare`] leaves them and perhaps a bias, on the calling thread.
    pub(super) fn forward_of(&self, weights: &[f32], bias: Option<&[f32]>, x: &[f32], y: &mut [f32]) {
        let (inputs, columns) = (self.inputs(), self.columns());
        let of_pair = packed_len(inputs, columns);
        let (_, at_once) = self.group();
        self.for_each_part(y.len() / self.output_len(), at_once, |part| {
            let rows = part.count;
            with_scratch(PAIRS * rows * (inputs + columns), |scratch| {
                let (values, products) = scratch.split_at_mut(PAIRS * rows * inputs);
                simd::run(EvaluateImages { tiles: *self, part, x, values });
                let pairs = values.chunks_exact(rows * inputs).zip(weights.chunks_exact(of_pair));
                let pairs = pairs.zip(products.chunks_exact_mut(rows * columns));
                for ((values, weights), products) in pairs {
                    let weights = Packed::new(weights, inputs, columns);
                    gemm_packed(Matrix::new(values, rows, inputs), weights, products, Start::Zero);
                }
                simd::run(Outputs { tiles: *self, part, products, bias, y });
            });
        });
    }

    /// The gradient of the images, from that of y.
    pub(super) fn input_gradient(&self, w: &[f32], dy: Images<'_>, dx: &mut [f32]) {
        let (inputs, columns) = (self.inputs(), self.columns());
        let (image, output) = (self.windows.image_len(), self.output_len());
        let (group, at_once) = self.group();
        let of_pair = packed_len(columns, inputs);
        with_scratch(PAIRS * of_pair, |weights| {
            with_scratch(w.len(), |transposed| {
                transpose_taps(w, inputs, self.outputs, transposed);
                evaluate_weights::<TAPS>(transposed, inputs, [columns, inputs], weights);
            });
            parallel::for_each_chunk(dx, group * image, |i, dx| {
                let images = dx.len() / image;
                let first = i * group * output;
                dx.fill(0.0);
                dy.with(first..first + images * output, |dy| {
                    self.for_each_part(images, at_once, |part| {
                        let rows = part.count;
                        with_scratch(PAIRS * rows * (inputs + columns), |scratch| {
                            let (values, products) = scratch.split_at_mut(PAIRS * rows * inputs);
                            let order = Order::Rows;
                            simd::run(OutputsTransposed { tiles: *self, part, dy, order, products });
                            let pairs =
                                products.chunks_exact(rows * columns).zip(weights.chunks_exact(of_pair));
                            let pairs = pairs.zip(values.chunks_exact_mut(rows * inputs));
                            for ((products, weights), values) in pairs {
                                let weights = Packed::new(weights, columns, inputs);
                                let products = Matrix::new(products, rows, columns);
                                gemm_packed(products, weights, values, Start::Zero);
                            }
                            simd::run(EvaluateImagesTransposed { tiles: *self, part, values, dx });
                        });
                    });
                });
            });
        });
    }

    /// The gradient of the weights, from the images and the gradient of y.
    pub(super) fn weight_gradient(&self, x: Images<'_>, dy: Images<'_>, dw: &mut [f32]) {
        let (inputs, outputs) = (self.inputs(), self.outputs);
        let (image, output) = (self.windows.image_len(), self.output_len());
        let tiles = self.tiles_of_image();
        let images = x.len() / image;
        let (share, group) = (images_per_partial(images), (LONG / tiles).max(1));
        with_scratch(PAIRS * inputs * outputs, |dweights| {
            parallel::sum_of_partials(images.div_ceil(share), dweights, |i, dweights| {
                let mut start = Start::Zero;
                let last = ((i + 1) * share).min(images);
                for first in (i * share..last).step_by(group) {
                    let end = last.min(first + group);
                    x.with(first * image..end * image, |x| {
                        dy.with(first * output..end * output, |dy| {
                            self.for_each_part(end - first, (group * tiles).min(LONG), |part| {
                                self.add_weight_gradient(part, x, dy, dweights, start);
                                start = Start::Kept;
                            });
                        });
                    });
                }
            });
            for at in (0..inputs * outputs).step_by(LANES) {
                simd::run(EvaluateWeightsTransposed::<TAPS> { weights: dweights, at, dw });
            }
        });
    }

    /// What some tiles of images x and gradients dy contribute to the values of the weights' gradient.
    fn add_weight_gradient(&self, part: Part, x: &[f32], dy: &[f32], dweights: &mut [f32], start: Start<'_>) {
        let (inputs, outputs, rows) = (self.inputs(), self.outputs, part.count);
        let of_pair = packed_len(rows, outputs);
        with_scratch(PAIRS * (rows * inputs + of_pair), |scratch| {
            let (values, products) = scratch.split_at_mut(PAIRS * rows * inputs);
            simd::run(EvaluateImages { tiles: *self, part, x, values });
            let order = Order::Panels;
            simd::run(OutputsTransposed { tiles: *self, part, dy, order, products });
            let pairs = values.chunks_exact(rows * inputs).zip(products.chunks_exact(of_pair));
            for ((values, products), dweights) in pairs.zip(dweights.chunks_exact_mut(inputs * outputs)) {
                let values = Matrix::new(values, rows, inputs).transposed();
                gemm_packed(values, Packed::new(products, rows, outputs), dweights, start);
            }
        });
    }

    /// All tiles of so many images, `at_once` at a time.
    fn for_each_part(&self, images: usize, at_once: usize, mut work: impl FnMut(Part)) {
        let all = images * self.tiles_of_image();
        for first in (0..all).step_by(at_once) {
            work(Part { first, count: at_once.min(all - first) });
        }
    }
}

/// Some neighbouring tiles of a few images.
#[derive(Clone, Copy, Debug)]
struct Part {
    first: usize,
    count: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every place whose window holds the NaN is NaN; of others only those of tiles that hold it, and no other image's.
    #[test]
    fn a_nan_spreads_over_its_tiles_and_no_further() {
        let windows = Windows { height: 14, width: 9, channels: 16, kernel: 3, stride: 1, padding: 1 };
        let tiles = Tiles::<3, 4>::of(&windows, 16).unwrap();
        for (row, column) in [(0, 0), (5, 4), (13, 8)] {
            let mut x = vec![1.0; 3 * windows.image_len()];
            x[windows.image_len() + (row * 9 + column) * 16 + 7] = f32::NAN;
            let mut y = vec![0.0; 3 * 14 * 9 * 16];
            tiles.forward(Images::from(&x), &[0.5; 9 * 16 * 16], None, &mut y);
            for (i, pixel) in y.chunks_exact(16).enumerate() {
                let (image, at) = (i / (14 * 9), [i / 9 % 14, i % 9]);
                let needs = |at: usize, nan: usize| at.abs_diff(nan) <= 1;
                // The tile of four places from t on holds the pixels t - 1 to t + 4.
                let holds = |at: usize, nan: usize| (at / 4 * 4..at / 4 * 4 + 6).contains(&(nan + 1));
                let all =
                    |is: &dyn Fn(usize, usize) -> bool| image == 1 && is(at[0], row) && is(at[1], column);
                let found = pixel.iter().filter(|y| y.is_nan()).count();
                assert!(found == 16 || !all(&needs), "{at:?} of image {image}, NaN at {row}, {column}");
                assert!(found == 0 || all(&holds), "{at:?} of image {image}, NaN at {row}, {column}");
            }
        }
    }
}
