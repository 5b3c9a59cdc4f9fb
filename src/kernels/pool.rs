//! Maximum over 2x2 blocks of pixels, and its way back.
//!
//! The gradient goes to the first largest element of a block, in row-major order, as in PyTorch.

use crate::parallel;
use crate::simd::{self, Kernel, LANES, Simd};

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
        let corners = Corners { width: self.width, channels: self.channels };
        for (at, y) in self.y.chunks_exact_mut(self.channels).enumerate() {
            for (lane, y) in (0..self.channels).step_by(LANES).zip(y.chunks_mut(LANES)) {
                let [a, b, c, d] =
                    corners.of(at, lane).map(|from| s.load_head(&self.x[from..from + y.len()]));
                s.store_head(s.max(s.max(a, b), s.max(c, d)), y);
            }
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
        let corners = Corners { width: self.width, channels: self.channels };
        let zero = s.splat(0.0);
        for (at, dy) in self.dy.chunks_exact(self.channels).enumerate() {
            for (lane, dy) in (0..self.channels).step_by(LANES).zip(dy.chunks(LANES)) {
                let starts = corners.of(at, lane);
                let values = starts.map(|from| s.load_head(&self.x[from..from + dy.len()]));
                let [a, b, c, d] = values;
                let largest = s.max(s.max(a, b), s.max(c, d));
                // What is left to give away: all of it until the first element equal to the largest takes it.
                let mut left = s.load_head(dy);
                for (from, value) in starts.into_iter().zip(values) {
                    let is_largest = s.equal(value, largest);
                    s.store_head(s.select(is_largest, left, zero), &mut self.dx[from..from + dy.len()]);
                    left = s.select(is_largest, zero, left);
                }
            }
        }
    }
}

/// Where the 2x2 block of a pooled pixel lies in the image.
#[derive(Clone, Copy)]
struct Corners {
    width: usize,
    channels: usize,
}

impl Corners {
    /// The starts of channel `lane` of the four pixels of block `at`, row-major.
    #[inline(always)]
    fn of(self, at: usize, lane: usize) -> [usize; 4] {
        let blocks = self.width / 2;
        let (row, column) = (at / blocks * 2, at % blocks * 2);
        [(0, 0), (0, 1), (1, 0), (1, 1)]
            .map(|(r, c)| ((row + r) * self.width + column + c) * self.channels + lane)
    }
}
