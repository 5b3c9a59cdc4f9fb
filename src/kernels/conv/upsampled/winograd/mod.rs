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

mod maps;

use super::Upsampled;
use crate::kernels::conv::points::POINTS;
use crate::kernels::conv::transpose_taps;
use crate::kernels::gemm::{Matrix, PANEL, Packed, Start, gemm_packed};
use crate::parallel::{for_each_chunk, with_scratch};
use crate::simd::{self, LANES};
use maps::{
    EvaluateImages, EvaluateImagesTransposed, EvaluateWeights, EvaluateWeightsTransposed, Interpolate,
    InterpolateTransposed, Map,
};

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
/// Fewer input channels stay with the folded products. With 16 both ways took the same time, with 32 a training step was
/// a fifth slower folded; but narrow models are what results are compared on, and there the smaller error counts: every
/// rounding moves a few numbers across the kink of the rectifier that follows.
const FEWEST: usize = 64;
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

impl Tiles {
    /// The layer, if it can be computed this way: kernel 5, and whole vectors and panels of channels, not too few.
    pub(super) fn of(layer: Upsampled) -> Option<Self> {
        let fits = layer.kernel == TAPS
            && layer.inputs >= FEWEST
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

    /// The image of a tile, and its first row and column there.
    #[inline(always)]
    fn corner(&self, tile: usize) -> (usize, usize, usize) {
        let (n, tile) = (tile / self.tiles(), tile % self.tiles());
        (n, tile / self.across * TILE, tile % self.across * TILE)
    }

    /// Images whose tiles go through one matrix product.
    fn group(&self) -> usize {
        (ROWS / self.tiles()).clamp(1, 24)
    }

    fn panels(&self) -> usize {
        self.layer.outputs / PANEL
    }

    /// How many multiply-adds the products of one image are, and those of each gradient.
    pub(super) fn multiply_adds(&self) -> usize {
        self.tiles() * PRODUCTS * PRODUCTS * self.layer.inputs * self.layer.outputs
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
            transpose_taps(w, inputs, outputs, transposed);
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
