//! The way back through an affine map of columns and its activation: sums over the rows, and the gradient of what went in.

use super::{Activation, Affine, BLOCK, FEW_ROWS};
use crate::kernels::lanes::Lanes;
use crate::parallel;
use crate::simd::{self, Kernel, LANES, Simd};

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
        let few = FEW_ROWS * columns;
        let rows = self.x.chunks(few).zip(self.y.chunks(few)).zip(self.dy.chunks(few));
        for ((x, y), dy) in rows {
            Lanes::for_each(
                columns,
                #[inline(always)]
                |lanes| {
                    let mean = lanes.load(s, self.mean, 0);
                    let (mut plain_sum, mut weighted_sum) =
                        (lanes.load(s, plain, 0), lanes.load(s, weighted, 0));
                    for row in (0..x.len()).step_by(columns) {
                        let (y, dy) = (lanes.load(s, y, row), lanes.load(s, dy, row));
                        let g = self.activation.passed(s, y, dy);
                        let deviation = s.sub(lanes.load(s, x, row), mean);
                        plain_sum = s.add(plain_sum, g);
                        weighted_sum = s.mul_add(g, deviation, weighted_sum);
                    }
                    lanes.store(s, plain_sum, plain, 0);
                    lanes.store(s, weighted_sum, weighted, 0);
                },
            );
        }
    }
}

/// Turns the gradient of activation(z), z = (x - mean) scale + shift, into g, that of z; `sums` = the sums over the rows
/// of g and of g (x - mean), side by side.
pub fn pass_back(x: &[f32], by_column: Affine<'_>, activation: Activation, g: &mut [f32], sums: &mut [f32]) {
    let block = BLOCK * by_column.mean.len();
    parallel::for_each_chunk_and_sum(g, block, sums, |i, g, sums| {
        let x = &x[i * block..][..g.len()];
        simd::run(PassBack { x, by_column, activation, g, sums });
    });
}

struct PassBack<'a> {
    x: &'a [f32],
    by_column: Affine<'a>,
    activation: Activation,
    g: &'a mut [f32],
    sums: &'a mut [f32],
}

impl Kernel for PassBack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let columns = self.by_column.mean.len();
        self.sums.fill(0.0);
        let (plain, weighted) = self.sums.split_at_mut(columns);
        let few = FEW_ROWS * columns;
        for (x, g) in self.x.chunks(few).zip(self.g.chunks_mut(few)) {
            Lanes::for_each(
                columns,
                #[inline(always)]
                |lanes| {
                    let [mean, scale, shift] = self.by_column.load(s, lanes);
                    let (mut plain_sum, mut weighted_sum) =
                        (lanes.load(s, plain, 0), lanes.load(s, weighted, 0));
                    for row in (0..x.len()).step_by(columns) {
                        let deviation = s.sub(lanes.load(s, x, row), mean);
                        // The sign of z is that of what the activation made of it.
                        let z = s.mul_add(deviation, scale, shift);
                        let passed = self.activation.passed(s, z, lanes.load(s, g, row));
                        lanes.store(s, passed, g, row);
                        plain_sum = s.add(plain_sum, passed);
                        weighted_sum = s.mul_add(passed, deviation, weighted_sum);
                    }
                    lanes.store(s, plain_sum, plain, 0);
                    lanes.store(s, weighted_sum, weighted, 0);
                },
            );
        }
    }
}

/// The numbers, by column, of dx = a g + b (x - mean) + c.
#[derive(Clone, Copy, Debug)]
pub struct Coefficients<'a> {
    /// a
    pub gradient: &'a [f32],
    /// b and c. None if the statistics are given: then dx = a g, even where x is no number.
    pub statistics: Option<ThroughStatistics<'a>>,
}

/// What x does through the statistics that depend on it, by column: b (x - mean) + c.
#[derive(Clone, Copy, Debug)]
pub struct ThroughStatistics<'a> {
    /// mean
    pub mean: &'a [f32],
    /// b
    pub input: &'a [f32],
    /// c
    pub constant: &'a [f32],
}

impl ThroughStatistics<'_> {
    /// b (x - mean) + c of the columns from `first` on, of which x holds some.
    #[inline(always)]
    fn of<S: Simd>(self, s: S, x: &[f32], first: usize) -> S::V {
        let [mean, input, constant] = [self.mean, self.input, self.constant].map(
            #[inline(always)]
            |column: &[f32]| s.load_head(&column[first..first + x.len()]),
        );
        s.mul_add(input, s.sub(s.load_head(x), mean), constant)
    }
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
        let Coefficients { gradient, statistics } = self.coefficients;
        let columns = gradient.len();
        let rows =
            self.x.chunks_exact(columns).zip(self.y.chunks_exact(columns)).zip(self.dy.chunks_exact(columns));
        for (((x, y), dy), dx) in rows.zip(self.dx.chunks_exact_mut(columns)) {
            for (lane, dx) in (0..columns).step_by(LANES).zip(dx.chunks_mut(LANES)) {
                let at = lane..lane + dx.len();
                let [y, dy, gradient] = [y, dy, gradient].map(
                    #[inline(always)]
                    |row: &[f32]| s.load_head(&row[at.clone()]),
                );
                let g = self.activation.passed(s, y, dy);
                let result = match statistics {
                    Some(statistics) => s.mul_add(gradient, g, statistics.of(s, &x[at], lane)),
                    None => s.mul(gradient, g),
                };
                s.store_head(result, dx);
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
        let Coefficients { gradient, statistics } = self.coefficients;
        let columns = gradient.len();
        for (x, dx) in self.x.chunks_exact(columns).zip(self.dx.chunks_exact_mut(columns)) {
            for (lane, dx) in (0..columns).step_by(LANES).zip(dx.chunks_mut(LANES)) {
                let at = lane..lane + dx.len();
                let (gradient, g) = (s.load_head(&gradient[at.clone()]), s.load_head(dx));
                let result = match statistics {
                    Some(statistics) => s.mul_add(gradient, g, statistics.of(s, &x[at], lane)),
                    None => s.mul(gradient, g),
                };
                s.store_head(result, dx);
            }
        }
    }
}
