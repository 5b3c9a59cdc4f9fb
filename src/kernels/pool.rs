//! Maximum over 2x2 blocks of pixels, and its way back.
//!
//! The gradient goes to the first largest element of a block, in row-major order, as in PyTorch. NaN is larger than every
//! number; of several NaNs in a block the first gets the gradient, in PyTorch the last.

use super::lanes::Lanes;
use crate::parallel;
use crate::simd::{self, Kernel, Simd};

/// y (n, height / 2, width / 2, channels) from x (n, height, width, channels); an odd last row or column is left out.
pub fn max_pool(x: &[f32], [height, width, channels]: [usize; 3], y: &mut [f32]) {
    let image = height * width * channels;
    parallel::for_each_chunk(y, (height / 2) * (width / 2) * channels, |n, y| {
        let x = &x[n * image..][..image];
        simd::run(Forward { x, width, channels, y });
    });
}

struct Forward<'a> {
    x: &'a [f32],
    width: usize,
    channels: usize,
    y: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (width, channels) = (self.width, self.channels);
        let rows = self.x.chunks_exact(2 * width * channels);
        for (x, y) in rows.zip(self.y.chunks_exact_mut(width / 2 * channels)) {
            Lanes::for_each(
                channels,
                #[inline(always)]
                |lanes| {
                    for block in 0..width / 2 {
                        let [a, b, c, d] = corners(width, channels, block);
                        let top = s.maximum(lanes.load(s, x, a), lanes.load(s, x, b));
                        let bottom = s.maximum(lanes.load(s, x, c), lanes.load(s, x, d));
                        lanes.store(s, s.maximum(top, bottom), y, block * channels);
                    }
                },
            );
        }
    }
}

/// dx from x and the gradient of the pooled image.
pub fn max_pool_gradient(x: &[f32], [height, width, channels]: [usize; 3], dy: &[f32], dx: &mut [f32]) {
    let image = height * width * channels;
    let pooled = (height / 2) * (width / 2) * channels;
    parallel::for_each_chunk(dx, image, |n, dx| {
        let (x, dy) = (&x[n * image..][..image], &dy[n * pooled..][..pooled]);
        // Elements outside of every block (odd sizes) get no gradient; the others are overwritten.
        if height % 2 == 1 || width % 2 == 1 {
            dx.fill(0.0);
        }
        simd::run(Backward { x, width, channels, dy, dx });
    });
}

struct Backward<'a> {
    x: &'a [f32],
    width: usize,
    channels: usize,
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (width, channels) = (self.width, self.channels);
        let zero = s.splat(0.0);
        let two_rows = 2 * width * channels;
        let rows = self.x.chunks_exact(two_rows).zip(self.dx.chunks_exact_mut(two_rows));
        for ((x, dx), dy) in rows.zip(self.dy.chunks_exact(width / 2 * channels)) {
            Lanes::for_each(
                channels,
                #[inline(always)]
                |lanes| {
                    for block in 0..width / 2 {
                        let at = corners(width, channels, block);
                        let mut values = [zero; 4];
                        for (value, at) in values.iter_mut().zip(at) {
                            *value = lanes.load(s, x, at);
                        }
                        let [a, b, c, d] = values;
                        let largest = s.maximum(s.maximum(a, b), s.maximum(c, d));
                        // Less than which a value is not the largest: infinity where that is NaN, for NaN is less than
                        // nothing.
                        let bound = s.select(s.equal(largest, largest), largest, s.splat(f32::INFINITY));
                        // What is left to give away: all of it until the first of the largest takes it.
                        let mut left = lanes.load(s, dy, block * channels);
                        for (value, at) in values.into_iter().zip(at) {
                            let is_smaller = s.less(value, bound);
                            lanes.store(s, s.select(is_smaller, zero, left), dx, at);
                            left = s.select(is_smaller, left, zero);
                        }
                    }
                },
            );
        }
    }
}

/// Where the four pixels of a block start in two rows of an image, row-major.
#[inline(always)]
pub(super) fn corners(width: usize, channels: usize, block: usize) -> [usize; 4] {
    let (top, bottom) = (2 * block * channels, (width + 2 * block) * channels);
    [top, top + channels, bottom, bottom + channels]
}
