//! Statistics and affine maps of the columns of a matrix: batch normalisation.
//!
//! A batch of images is a matrix with a row for each pixel and a column for each channel; columns are contiguous, so
//! that sixteen channels are one vector. Mean and variance are found in one pass over memory: of a few rows, while they
//! are in the innermost cache, the mean and the sum of the squared deviations from it, so that nothing cancels, be all
//! rows far from 0 or one far from the others. These are joined in order, within a block in f32, with what rounding
//! leaves of both, then in f64, by the pairwise rule (Chan, Golub, LeVeque, "Algorithms for computing the sample
//! variance", The American Statistician 37, 1983).

mod gradient;
#[cfg(test)]
mod tests;

use super::lanes::Lanes;
use crate::parallel;
use crate::simd::{self, Kernel, LANES, Simd};
pub use gradient::{
    Coefficients, ThroughStatistics, finish_input_gradient, gradient_sums, input_gradient, pass_back,
    rectified_gradient_sums_of,
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

/// The mean and the biased variance of every column of `x` (rows x columns), within some units in the last place. A
/// variance beyond f32 is NaN, so that nobody divides by it and finds all rows equal.
///
/// # Panics
/// If there is no row or no column.
pub fn mean_and_variance(x: &[f32], mean: &mut [f32], variance: &mut [f32]) {
    let columns = mean.len();
    assert!(columns > 0 && x.len() >= columns, "statistics of {} numbers in {columns} columns", x.len());
    let rows = x.len() / columns;
    // Each block leaves its mean and its squared deviations over BLOCK side by side, each with what has no place in f32.
    parallel::with_scratch(rows.div_ceil(BLOCK) * 4 * columns, |partials| {
        parallel::for_each_chunk(partials, 4 * columns, |i, partial| {
            let x = &x[i * BLOCK * columns..x.len().min((i + 1) * BLOCK * columns)];
            let (mean, squares) = partial.split_at_mut(2 * columns);
            simd::run(BlockStatistics {
                x,
                mean: mean.split_at_mut(columns),
                squares: squares.split_at_mut(columns),
            });
        });
        for first in (0..columns).step_by(LANES) {
            let lanes = first..columns.min(first + LANES);
            let (mut means, mut squares) = ([0.0_f64; LANES], [0.0_f64; LANES]);
            for (i, partial) in partials.chunks_exact(4 * columns).enumerate() {
                let seen = i * BLOCK;
                let Joint { share, cross } = Joint::of(seen, BLOCK.min(rows - seen));
                for (lane, c) in lanes.clone().enumerate() {
                    let [mean, of_mean, of_block, of_squares] =
                        [0, 1, 2, 3].map(|part| f64::from(partial[part * columns + c]));
                    let delta = mean + of_mean - means[lane];
                    means[lane] += delta * share;
                    squares[lane] += (of_block + of_squares) * BLOCK as f64 + delta * delta * cross;
                }
            }
            for (c, (exact, squares)) in lanes.zip(means.into_iter().zip(squares)) {
                mean[c] = exact as f32;
                variance[c] = finite_or_nan(squares / rows as f64);
            }
        }
    });
}

/// A variance, or NaN if it is beyond f32.
pub fn finite_or_nan(variance: f64) -> f32 {
    let rounded = variance as f32;
    if rounded.is_finite() { rounded } else { f32::NAN }
}

/// How the statistics of some rows are joined with those of `seen` others, where delta is the difference of their means:
/// mean + share delta, and squares of both + cross delta^2.
struct Joint {
    share: f64,
    cross: f64,
}

impl Joint {
    fn of(seen: usize, count: usize) -> Self {
        let share = count as f64 / (seen + count) as f64;
        Joint { share, cross: seen as f64 * share }
    }
}

/// Two numbers for each column, whose sum is meant: the second is what rounding has left of the first.
struct BlockStatistics<'a> {
    x: &'a [f32],
    mean: (&'a mut [f32], &'a mut [f32]),
    /// Over [`BLOCK`]: of a variance that fits into f32 the sum might not.
    squares: (&'a mut [f32], &'a mut [f32]),
}

impl Kernel for BlockStatistics<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let ((mean, of_mean), (squares, of_squares)) = (self.mean, self.squares);
        let columns = mean.len();
        squares.fill(0.0);
        of_squares.fill(0.0);
        let (zero, of_block) = (s.splat(0.0), s.splat(1.0 / BLOCK as f32));
        for (i, x) in self.x.chunks(FEW_ROWS * columns).enumerate() {
            let count = x.len() / columns;
            let Joint { share, cross } = Joint::of(i * FEW_ROWS, count);
            let [one_over, share, cross] = [1.0 / count as f64, share, cross].map(
                #[inline(always)]
                |number| s.splat(number as f32),
            );
            Lanes::for_each(
                columns,
                #[inline(always)]
                |lanes| {
                    let mut sum = zero;
                    for row in (0..x.len()).step_by(columns) {
                        sum = s.add(sum, lanes.load(s, x, row));
                    }
                    let average = s.mul(sum, one_over);
                    let (mut deviations, mut sum) = (zero, zero);
                    for row in (0..x.len()).step_by(columns) {
                        let d = s.sub(lanes.load(s, x, row), average);
                        deviations = s.add(deviations, d);
                        sum = s.mul_add(d, d, sum);
                    }
                    let (mut before, mut rest) = (average, zero);
                    if i > 0 {
                        (before, rest) = (lanes.load(s, mean, 0), lanes.load(s, of_mean, 0));
                    }
                    let delta = s.add(s.sub(average, before), s.mul_add(deviations, one_over, s.neg(rest)));
                    let joined = s.mul_add(delta, share, before);
                    let lost = s.mul_add(delta, share, s.sub(before, joined));
                    lanes.store(s, joined, mean, 0);
                    lanes.store(s, s.add(rest, lost), of_mean, 0);
                    let sum = s.mul_add(s.mul(delta, delta), cross, sum);
                    let before = lanes.load(s, squares, 0);
                    let joined = s.mul_add(sum, of_block, before);
                    let lost = s.mul_add(sum, of_block, s.sub(before, joined));
                    lanes.store(s, joined, squares, 0);
                    lanes.store(s, s.add(lanes.load(s, of_squares, 0), lost), of_squares, 0);
                },
            );
        }
    }
}

/// What follows the affine map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// y = z
    Identity,
    /// y = max(z, 0); NaN where z is.
    Relu,
    /// y = z where z > 0, else [`LEAK`] z
    LeakyRelu,
}

/// The slope of a leaky rectifier below 0: PyTorch's default, used by the published models.
pub const LEAK: f32 = 0.01;

impl Activation {
    /// y
    #[inline(always)]
    pub fn of<S: Simd>(self, s: S, z: S::V) -> S::V {
        match self {
            Activation::Identity => z,
            Activation::Relu => s.max(s.splat(0.0), z),
            Activation::LeakyRelu => s.select(s.less(s.splat(0.0), z), z, s.mul(z, s.splat(LEAK))),
        }
    }

    /// The gradient of z, from y and its gradient. Where y is NaN that is dy, of the leaky one a hundredth of it, as in
    /// PyTorch.
    #[inline(always)]
    pub fn passed<S: Simd>(self, s: S, y: S::V, dy: S::V) -> S::V {
        let zero = s.splat(0.0);
        match self {
            Activation::Identity => dy,
            Activation::Relu => s.select(s.less_equal(y, zero), zero, dy),
            Activation::LeakyRelu => s.select(s.less(zero, y), dy, s.mul(dy, s.splat(LEAK))),
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

impl Affine<'_> {
    /// Mean, scale and shift of these columns.
    #[inline(always)]
    pub(super) fn load<S: Simd>(&self, s: S, lanes: Lanes) -> [S::V; 3] {
        [self.mean, self.scale, self.shift].map(
            #[inline(always)]
            |numbers| lanes.load(s, numbers, 0),
        )
    }
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
