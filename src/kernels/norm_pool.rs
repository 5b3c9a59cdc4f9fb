//! Batch normalisation, rectifier and maximum over 2x2 blocks of pixels in one pass, and its way back.
//!
//! ```text
//! z = (x - mean) scale + shift,   y = the largest of 0 and the four z of a block
//! ```
//!
//! Memory bounds it, so the normalised image, four times as large as y, is never written. The way back computes z from x
//! again, by the same operations and so with the same bits: the pixel that gets the gradient is the first whose z
//! is not less than y, and none does if y is 0. If one z is NaN all of a channel are, since its statistics are or gamma or
//! beta: the first pixel of the block gets the gradient then.

use super::lanes::Lanes;
use super::norm::{Affine, ThroughStatistics};
use super::pool::corners;
use crate::parallel;
use crate::simd::{self, Kernel, Simd};

/// Images to be normalised by channel.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// (n, height, width, channels)
    pub x: &'a [f32],
    /// Height, width and channels.
    pub size: [usize; 3],
    /// What is done to each channel.
    pub affine: Affine<'a>,
}

impl<'a> Images<'a> {
    /// y (n, height / 2, width / 2, channels): normalised, rectified and pooled; an odd last row or column is left out.
    pub fn rectified_max_pool(self, y: &mut [f32]) {
        let [_, pooled] = self.lengths();
        parallel::for_each_chunk(y, pooled, |n, y| simd::run(Forward { image: self.image(n), y }));
    }

    /// For every channel: the sums over the pixels of g and of g (x - mean), where g is the gradient dy of the pooled
    /// image, brought to the pixels of x.
    ///
    /// `sums` holds the two sums side by side.
    pub fn gradient_sums(self, y: &[f32], dy: &[f32], sums: &mut [f32]) {
        let [_, pooled] = self.lengths();
        parallel::sum_of_partials(y.len() / pooled, sums, |n, sums| {
            let (y, dy) = (&y[n * pooled..][..pooled], &dy[n * pooled..][..pooled]);
            simd::run(GradientSums { image: self.image(n), y, dy, sums });
        });
    }

    /// dx = a g + b (x - mean) + c with g as in [`Images::gradient_sums`]; a stands in `gradient`.
    pub fn input_gradient(
        self,
        y: &[f32],
        dy: &[f32],
        gradient: &[f32],
        statistics: ThroughStatistics<'_>,
        dx: &mut [f32],
    ) {
        let [whole, pooled] = self.lengths();
        parallel::for_each_chunk(dx, whole, |n, dx| {
            let (y, dy) = (&y[n * pooled..][..pooled], &dy[n * pooled..][..pooled]);
            simd::run(InputGradient { image: self.image(n), y, dy, gradient, statistics, dx });
        });
    }

    /// How many numbers an image has, and how many are left when it is pooled.
    fn lengths(self) -> [usize; 2] {
        let [height, width, channels] = self.size;
        [height * width * channels, (height / 2) * (width / 2) * channels]
    }

    fn image(self, n: usize) -> Images<'a> {
        let [whole, _] = self.lengths();
        Images { x: &self.x[n * whole..][..whole], ..self }
    }
}

struct Forward<'a> {
    image: Images<'a>,
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Images { x, size: [_, width, channels], affine } = self.image;
        let rows = x.chunks_exact(2 * width * channels);
        for (x, y) in rows.zip(self.y.chunks_exact_mut(width / 2 * channels)) {
            Lanes::for_each(
                channels,
                #[inline(always)]
                |lanes| {
                    let [mean, scale, shift] = affine.load(s, lanes);
                    for block in 0..width / 2 {
                        // From 0 on, the largest is rectified.
                        let mut largest = s.splat(0.0);
                        for at in corners(width, channels, block) {
                            let deviation = s.sub(lanes.load(s, x, at), mean);
                            largest = s.maximum(s.mul_add(deviation, scale, shift), largest);
                        }
                        lanes.store(s, largest, y, block * channels);
                    }
                },
            );
        }
    }
}

struct GradientSums<'a> {
    image: Images<'a>,
    y: &'a [f32],
    dy: &'a [f32],
    sums: &'a mut [f32],
}

impl Kernel for GradientSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Images { x, size: [_, width, channels], affine } = self.image;
        let zero = s.splat(0.0);
        self.sums.fill(0.0);
        let (plain, weighted) = self.sums.split_at_mut(channels);
        let pooled = width / 2 * channels;
        let rows = x.chunks_exact(2 * width * channels);
        for ((x, y), dy) in rows.zip(self.y.chunks_exact(pooled)).zip(self.dy.chunks_exact(pooled)) {
            Lanes::for_each(
                channels,
                #[inline(always)]
                |lanes| {
                    let [mean, scale, shift] = affine.load(s, lanes);
                    // A sum for each row of blocks: it costs nothing and keeps f32 sums short.
                    let (mut row_plain, mut row_weighted) = (zero, zero);
                    for block in 0..width / 2 {
                        let y = lanes.load(s, y, block * channels);
                        let g = s.select(s.less_equal(y, zero), zero, lanes.load(s, dy, block * channels));
                        // Backwards, so that the first of equals has the last word.
                        let mut of_largest = zero;
                        for at in corners(width, channels, block).into_iter().rev() {
                            let deviation = s.sub(lanes.load(s, x, at), mean);
                            let z = s.mul_add(deviation, scale, shift);
                            of_largest = s.select(s.less(z, y), of_largest, deviation);
                        }
                        row_plain = s.add(row_plain, g);
                        row_weighted = s.mul_add(g, of_largest, row_weighted);
                    }
                    lanes.store(s, s.add(lanes.load(s, plain, 0), row_plain), plain, 0);
                    lanes.store(s, s.add(lanes.load(s, weighted, 0), row_weighted), weighted, 0);
                },
            );
        }
    }
}

struct InputGradient<'a> {
    image: Images<'a>,
    y: &'a [f32],
    dy: &'a [f32],
    gradient: &'a [f32],
    statistics: ThroughStatistics<'a>,
    dx: &'a mut [f32],
}

impl Kernel for InputGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Images { x, size: [height, width, channels], affine } = self.image;
        let zero = s.splat(0.0);
        let (two_rows, pooled) = (2 * width * channels, width / 2 * channels);
        let in_blocks = height / 2 * two_rows;
        let (x, last_x) = x.split_at(in_blocks);
        let (dx, last_dx) = self.dx.split_at_mut(in_blocks);
        let images = x.chunks_exact(two_rows).zip(dx.chunks_exact_mut(two_rows));
        let blocks = self.y.chunks_exact(pooled).zip(self.dy.chunks_exact(pooled));
        for ((x, dx), (y, dy)) in images.zip(blocks) {
            Lanes::for_each(
                channels,
                #[inline(always)]
                |lanes| {
                    let [mean, scale, shift] = affine.load(s, lanes);
                    let gradient = lanes.load(s, self.gradient, 0);
                    let [input, constant] = [self.statistics.input, self.statistics.constant].map(
                        #[inline(always)]
                        |column: &[f32]| lanes.load(s, column, 0),
                    );
                    for block in 0..width / 2 {
                        let y = lanes.load(s, y, block * channels);
                        // What is left to give away: all of it until the first pixel equal to the largest takes it.
                        let mut left =
                            s.select(s.less_equal(y, zero), zero, lanes.load(s, dy, block * channels));
                        for at in corners(width, channels, block) {
                            let deviation = s.sub(lanes.load(s, x, at), mean);
                            let is_smaller = s.less(s.mul_add(deviation, scale, shift), y);
                            let g = s.select(is_smaller, zero, left);
                            left = s.select(is_smaller, left, zero);
                            let rest = s.mul_add(input, deviation, constant);
                            lanes.store(s, s.mul_add(gradient, g, rest), dx, at);
                        }
                    }
                },
            );
            if width % 2 == 1 {
                for at in [(width - 1) * channels, (2 * width - 1) * channels] {
                    let pixel = at..at + channels;
                    outside(s, &x[pixel.clone()], self.statistics, &mut dx[pixel]);
                }
            }
        }
        for (x, dx) in last_x.chunks_exact(channels).zip(last_dx.chunks_exact_mut(channels)) {
            outside(s, x, self.statistics, dx);
        }
    }
}

/// dx of a pixel outside of every block, which has no g.
#[inline(always)]
fn outside<S: Simd>(s: S, x: &[f32], by_column: ThroughStatistics<'_>, dx: &mut [f32]) {
    simd::slice::zip4(
        s,
        x,
        by_column.mean,
        by_column.input,
        by_column.constant,
        dx,
        #[inline(always)]
        |s, x, mean, input, constant| s.mul_add(input, s.sub(x, mean), constant),
    );
}
