//! Statistics and affine maps of the columns of a matrix: batch normalisation.
//!
//! A batch of images is a matrix with a row for each pixel and a column for each channel; columns are contiguous, so
//! that sixteen channels are one vector. Mean and variance are found in one pass over memory. Each block of rows sums
//! d = x - k and d^2, where k is the first row of the block: a typical value, so that little cancels in
//! sum d^2 - (sum d)^2 / n. Blocks are joined in order, in f64, by the pairwise rule (both: Chan, Golub, LeVeque,
//! "Algorithms for computing the sample variance", The American Statistician 37, 1983).

use crate::parallel;
use crate::simd::{self, Kernel, LANES, Simd};

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
        for row in self.x.chunks_exact(columns) {
            let sums = self.mean.chunks_mut(LANES).zip(self.squares.chunks_mut(LANES));
            for ((x, shift), (sum, squares)) in row.chunks(LANES).zip(shift.chunks(LANES)).zip(sums) {
                let d = s.sub(s.load_head(x), s.load_head(shift));
                s.store_head(s.add(s.load_head(sum), d), sum);
                s.store_head(s.mul_add(d, d, s.load_head(squares)), squares);
            }
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
    fn of<S: Simd>(self, s: S, z: S::V) -> S::V {
        match self {
            Activation::Identity => z,
            Activation::Relu => s.max(z, s.splat(0.0)),
            Activation::LeakyRelu => s.select(s.less(s.splat(0.0), z), z, s.mul(z, s.splat(LEAK))),
        }
    }

    /// The gradient of z, from y and its gradient.
    #[inline(always)]
    fn passed<S: Simd>(self, s: S, y: S::V, dy: S::V) -> S::V {
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

/// For every column: the sums over the rows of g and of g (x - mean), where g is the gradient dy as the activation with
/// output y passes it back.
///
/// `sums` holds the two sums side by side.
pub fn gradient_sums(
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    mean: &[f32],
    activation: Activation,
    sums: &mut [f32],
) {
    let columns = mean.len();
    let block = BLOCK * columns;
    parallel::sum_of_partials(x.len().div_ceil(block), sums, |i, sums| {
        let range = i * block..x.len().min((i + 1) * block);
        let (x, y, dy) = (&x[range.clone()], &y[range.clone()], &dy[range]);
        simd::run(GradientSums { x, y, dy, mean, activation, sums });
    });
}

/// The same on the calling thread, for the few rows of a block behind a rectifier; `dy` becomes g.
pub fn rectified_gradient_sums_of(x: &[f32], y: &[f32], dy: &mut [f32], mean: &[f32], sums: &mut [f32]) {
    simd::run(Rectify { y, dy });
    simd::run(GradientSums { x, y: dy, dy, mean, activation: Activation::Identity, sums });
}

struct Rectify<'a> {
    y: &'a [f32],
    dy: &'a mut [f32],
}

impl Kernel for Rectify<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        simd::slice::update(
            s,
            self.dy,
            self.y,
            #[inline(always)]
            |s, dy, y| Activation::Relu.passed(s, y, dy),
        );
    }
}

struct GradientSums<'a> {
    x: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
    mean: &'a [f32],
    activation: Activation,
    sums: &'a mut [f32],
}

impl Kernel for GradientSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let columns = self.mean.len();
        self.sums.fill(0.0);
        let (plain, weighted) = self.sums.split_at_mut(columns);
        let rows =
            self.x.chunks_exact(columns).zip(self.y.chunks_exact(columns)).zip(self.dy.chunks_exact(columns));
        for ((x, y), dy) in rows {
            let lanes =
                x.chunks(LANES).zip(y.chunks(LANES)).zip(dy.chunks(LANES)).zip(self.mean.chunks(LANES));
            let sums = plain.chunks_mut(LANES).zip(weighted.chunks_mut(LANES));
            for ((((x, y), dy), mean), (plain, weighted)) in lanes.zip(sums) {
                let g = self.activation.passed(s, s.load_head(y), s.load_head(dy));
                let deviation = s.sub(s.load_head(x), s.load_head(mean));
                s.store_head(s.add(s.load_head(plain), g), plain);
                s.store_head(s.mul_add(g, deviation, s.load_head(weighted)), weighted);
            }
        }
    }
}

/// The numbers, by column, of dx = a g + b (x - mean) + c.
#[derive(Clone, Copy, Debug)]
pub struct Coefficients<'a> {
    /// mean
    pub mean: &'a [f32],
    /// a
    pub gradient: &'a [f32],
    /// b
    pub input: &'a [f32],
    /// c
    pub constant: &'a [f32],
}

/// dx = a g + b (x - mean) + c with g as in [`gradient_sums`].
pub fn input_gradient(
    x: &[f32],
    y: &[f32],
    dy: &[f32],
    activation: Activation,
    coefficients: Coefficients<'_>,
    dx: &mut [f32],
) {
    let columns = coefficients.gradient.len();
    let chunk = parallel::rows_per_task(columns) * columns;
    parallel::for_each_chunk(dx, chunk, |i, dx| {
        let range = i * chunk..i * chunk + dx.len();
        let (x, y, dy) = (&x[range.clone()], &y[range.clone()], &dy[range]);
        simd::run(InputGradient { x, y, dy, activation, coefficients, dx });
    });
}

struct InputGradient<'a> {
    x: &'a [f32],
    y: &'a [f32],
    dy: &'a [f32],
    activation: Activation,
    coefficients: Coefficients<'a>,
    dx: &'a mut [f32],
}

impl Kernel for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Coefficients { mean, gradient, input, constant } = self.coefficients;
        let columns = gradient.len();
        let rows =
            self.x.chunks_exact(columns).zip(self.y.chunks_exact(columns)).zip(self.dy.chunks_exact(columns));
        for (((x, y), dy), dx) in rows.zip(self.dx.chunks_exact_mut(columns)) {
            for (lane, dx) in (0..columns).step_by(LANES).zip(dx.chunks_mut(LANES)) {
                let at = lane..lane + dx.len();
                let [x, y, dy] = [x, y, dy].map(
                    #[inline(always)]
                    |row: &[f32]| s.load_head(&row[at.clone()]),
                );
                let [mean, gradient, input, constant] = [mean, gradient, input, constant].map(
                    #[inline(always)]
                    |column: &[f32]| s.load_head(&column[at.clone()]),
                );
                let g = self.activation.passed(s, y, dy);
                let rest = s.mul_add(input, s.sub(x, mean), constant);
                s.store_head(s.mul_add(gradient, g, rest), dx);
            }
        }
    }
}

/// The same in place, where dx holds g.
pub fn finish_input_gradient(x: &[f32], coefficients: Coefficients<'_>, dx: &mut [f32]) {
    let columns = coefficients.gradient.len();
    let chunk = parallel::rows_per_task(columns) * columns;
    parallel::for_each_chunk(dx, chunk, |i, dx| {
        let x = &x[i * chunk..][..dx.len()];
        simd::run(FinishInputGradient { x, coefficients, dx });
    });
}

struct FinishInputGradient<'a> {
    x: &'a [f32],
    coefficients: Coefficients<'a>,
    dx: &'a mut [f32],
}

impl Kernel for FinishInputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Coefficients { mean, gradient, input, constant } = self.coefficients;
        let columns = gradient.len();
        for (x, dx) in self.x.chunks_exact(columns).zip(self.dx.chunks_exact_mut(columns)) {
            for (lane, dx) in (0..columns).step_by(LANES).zip(dx.chunks_mut(LANES)) {
                let at = lane..lane + dx.len();
                let deviation = s.sub(s.load_head(&x[at.clone()]), s.load_head(&mean[at.clone()]));
                let rest =
                    s.mul_add(s.load_head(&input[at.clone()]), deviation, s.load_head(&constant[at.clone()]));
                s.store_head(s.mul_add(s.load_head(&gradient[at]), s.load_head(dx), rest), dx);
            }
        }
    }
}
