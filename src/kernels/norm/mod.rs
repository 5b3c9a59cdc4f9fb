//! Statistics and affine maps of the columns of a matrix: batch normalisation.
//!
//! A batch of images is a matrix with a row for each pixel and a column for each channel; columns are contiguous, so
//! that sixteen channels are one vector. Mean and variance are found in one pass over memory. Each block of rows sums
//! d = x - k and d^2, where k is the first row of the block: a typical value, so that little cancels in
//! sum d^2 - (sum d)^2 / n. Blocks are joined in order, in f64, by the pairwise rule (both: Chan, Golub, LeVeque,
//! "Algorithms for computing the sample variance", The American Statistician 37, 1983).

mod gradient;

use super::pool::Lanes;
use crate::parallel;
use crate::simd::{self, Kernel, LANES, Simd};
pub use gradient::{
    Coefficients, finish_input_gradient, gradient_sums, input_gradient, pass_back, rectified_gradient_sums_of,
};

/// `sums` = for every column of `x`, the sum over its rows.
pub fn column_sums(x: &[f32], sums: &mut [f32]) {
    let columns = sums.len();
    let block = BLOCK * columns;
    parallel::sum_of_partials(x.len().div_ceil(block), sums, |i, sums| {
        let x = &x[i * block..x.len().min((i + 1) * block)];
        simd::run(ColumnSums { x, sums });
    });
}

/// Rows of a block: few enough that f32 sums over them lose nothing that matters.
const BLOCK: usize = 128;

/// Rows that sums go down column by column, in registers: few enough that memory is still read in its order.
const FEW_ROWS: usize = 8;

struct ColumnSums<'a> {
    x: &'a [f32],
    sums: &'a mut [f32],
}

impl Kernel for ColumnSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        self.sums.fill(0.0);
        for row in self.x.chunks_exact(self.sums.len()) {
            simd::slice::add_assign(s, self.sums, row);
        }
    }
}

/// The mean and the biased variance of every column of `x` (rows x columns).
///
/// # Panics
/// If there is no row.
pub fn mean_and_variance(x: &[f32], mean: &mut [f32], variance: &mut [f32]) {
    let columns = mean.len();
    let rows = x.len() / columns;
    assert!(rows > 0, "statistics of no rows");
    // Each block leaves its mean and its sum of squared deviations from it side by side.
    let blocks = rows.div_ceil(BLOCK);
    parallel::with_scratch(blocks * 2 * columns, |partials| {
        parallel::for_each_chunk(partials, 2 * columns, |i, partial| {
            let x = &x[i * BLOCK * columns..x.len().min((i + 1) * BLOCK * columns)];
            let (mean, squares) = partial.split_at_mut(columns);
            simd::run(BlockStatistics { x, mean, squares });
        });
        mean.fill(0.0);
        variance.fill(0.0);
        let mut seen = 0;
        for (i, partial) in partials.chunks_exact(2 * columns).enumerate() {
            let count = BLOCK.min(rows - i * BLOCK);
            let (block_mean, block_squares) = partial.split_at(columns);
            let total = (seen + count) as f64;
            let (share, cross) = (count as f64 / total, seen as f64 * count as f64 / total);
            for c in 0..columns {
                let delta = f64::from(block_mean[c]) - f64::from(mean[c]);
                mean[c] = (f64::from(mean[c]) + delta * share) as f32;
                variance[c] =
                    (f64::from(variance[c]) + f64::from(block_squares[c]) + delta * delta * cross) as f32;
            }
            seen += count;
        }
    });
    for v in variance {
        *v /= rows as f32;
    }
}

struct BlockStatistics<'a> {
    x: &'a [f32],
    mean: &'a mut [f32],
    squares: &'a mut [f32],
}

impl Kernel for BlockStatistics<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let columns = self.mean.len();
        let rows = self.x.len() / columns;
        let shift = &self.x[..columns];
        self.mean.fill(0.0);
        self.squares.fill(0.0);
        for x in self.x.chunks(FEW_ROWS * columns) {
            Lanes::for_each(
                columns,
                #[inline(always)]
                |lanes| {
                    let shift = lanes.load(s, shift, 0);
                    let (mut sum, mut squares) =
                        (lanes.load(s, self.mean, 0), lanes.load(s, self.squares, 0));
                    for row in (0..x.len()).step_by(columns) {
                        let d = s.sub(lanes.load(s, x, row), shift);
                        sum = s.add(sum, d);
                        squares = s.mul_add(d, d, squares);
                    }
                    lanes.store(s, sum, self.mean, 0);
                    lanes.store(s, squares, self.squares, 0);
                },
            );
        }
        let one_over = s.splat(1.0 / rows as f32);
        let sums = self.mean.chunks_mut(LANES).zip(self.squares.chunks_mut(LANES));
        for (shift, (mean, squares)) in shift.chunks(LANES).zip(sums) {
            let sum = s.load_head(mean);
            let average = s.mul(sum, one_over);
            s.store_head(s.mul_add(s.neg(sum), average, s.load_head(squares)), squares);
            s.store_head(s.add(s.load_head(shift), average), mean);
        }
    }
}

/// What follows the affine map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// y = z
    Identity,
    /// y = max(z, 0)
    Relu,
    /// y = z where z > 0, else [`LEAK`] z
    LeakyRelu,
}

/// The slope of a leaky rectifier below 0: PyTorch's default, used by the published models.
pub const LEAK: f32 = 0.01;

impl Activation {
    /// y
    #[inline(always)]
    pub(super) fn of<S: Simd>(self, s: S, z: S::V) -> S::V {
        match self {
            Activation::Identity => z,
            Activation::Relu => s.max(z, s.splat(0.0)),
            Activation::LeakyRelu => s.select(s.less(s.splat(0.0), z), z, s.mul(z, s.splat(LEAK))),
        }
    }

    /// The gradient of z, from y and its gradient.
    #[inline(always)]
    pub(super) fn passed<S: Simd>(self, s: S, y: S::V, dy: S::V) -> S::V {
        let is_positive = s.less(s.splat(0.0), y);
        match self {
            Activation::Identity => dy,
            Activation::Relu => s.select(is_positive, dy, s.splat(0.0)),
            Activation::LeakyRelu => s.select(is_positive, dy, s.mul(dy, s.splat(LEAK))),
        }
    }
}

/// The numbers of an affine map of columns: y = (x - mean) scale + shift.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// Taken off first, so that a mean far from 0 costs no digits.
    pub mean: &'a [f32],
    /// The factor.
    pub scale: &'a [f32],
    /// Added last.
    pub shift: &'a [f32],
}

/// y = activation((x - mean) scale + shift), by column.
pub fn affine(x: &[f32], by_column: Affine<'_>, activation: Activation, y: &mut [f32]) {
    let columns = by_column.scale.len();
    let chunk = parallel::rows_per_task(columns) * columns;
    parallel::for_each_chunk(y, chunk, |i, y| {
        affine_of(&x[i * chunk..][..y.len()], by_column, activation, y);
    });
}

/// The same on the calling thread.
pub fn affine_of(x: &[f32], by_column: Affine<'_>, activation: Activation, y: &mut [f32]) {
    simd::run(Forward { x, by_column, activation, y });
}

/// The same where x lies.
pub fn affine_in_place(by_column: Affine<'_>, activation: Activation, x: &mut [f32]) {
    let columns = by_column.scale.len();
    parallel::for_each_chunk(x, parallel::rows_per_task(columns) * columns, |_, x| {
        simd::run(ForwardInPlace { by_column, activation, x });
    });
}

struct ForwardInPlace<'a> {
    by_column: Affine<'a>,
    activation: Activation,
    x: &'a mut [f32],
}

impl Kernel for ForwardInPlace<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Affine { mean, scale, shift } = self.by_column;
        for x in self.x.chunks_exact_mut(scale.len()) {
            for (lane, x) in (0..scale.len()).step_by(LANES).zip(x.chunks_mut(LANES)) {
                let [mean, scale, shift] = [mean, scale, shift].map(
                    #[inline(always)]
                    |column: &[f32]| s.load_head(&column[lane..lane + x.len()]),
                );
                let z = s.mul_add(s.sub(s.load_head(x), mean), scale, shift);
                s.store_head(self.activation.of(s, z), x);
            }
        }
    }
}

struct Forward<'a> {
    x: &'a [f32],
    by_column: Affine<'a>,
    activation: Activation,
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Affine { mean, scale, shift } = self.by_column;
        let columns = scale.len();
        for (x, y) in self.x.chunks_exact(columns).zip(self.y.chunks_exact_mut(columns)) {
            simd::slice::zip4(
                s,
                x,
                mean,
                scale,
                shift,
                y,
                #[inline(always)]
                |s, x, mean, scale, shift| self.activation.of(s, s.mul_add(s.sub(x, mean), scale, shift)),
            );
        }
    }
}
