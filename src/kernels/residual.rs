//! The sum of two images, each through an affine map of its channels, with an activation; and the activation's way back.
//!
//! ```text
//! y[n, i, j] = act(F(h[n, i, j]) + S(r[n, i / q, j / q])),   r = 0 where q divides not both of i and j
//! ```
//!
//! This is the end of a residual block: F and S are batch normalisations, or S leaves r as it is. With a step q of 2, r
//! is a quarter of h: the pixels that a transposed 1x1 convolution of stride 2 reaches, the others being 0. Memory
//! bounds it, so that neither the normalised images nor the sum are written.

use super::lanes::Lanes;
use super::norm::{Activation, Affine};
use crate::parallel;
use crate::simd::{self, Kernel, Simd};

/// The sizes of h and y, and the step of r.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// Rows of an image; a multiple of the step.
    pub height: usize,
    /// Columns of an image; a multiple of the step.
    pub width: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// From one pixel of y that has one of r to the next.
    pub step: usize,
}

impl Grid {
    /// How many numbers an image of h has, and one of r.
    fn lengths(self) -> [usize; 2] {
        let whole = self.height * self.width * self.channels;
        [whole, whole / (self.step * self.step)]
    }

    /// y from h and r with their affine maps.
    pub fn activated_sum(
        self,
        activation: Activation,
        h: (&[f32], Affine<'_>),
        r: (&[f32], Affine<'_>),
        y: &mut [f32],
    ) {
        let [of_h, of_r] = self.lengths();
        parallel::for_each_chunk(y, of_h, |n, y| {
            let (h, r) = ((&h.0[n * of_h..][..of_h], h.1), (&r.0[n * of_r..][..of_r], r.1));
            simd::run(ActivatedSum { grid: self, activation, h, r, y });
        });
    }

    /// g, the gradient of what the activation sees, at the pixels that r has.
    pub fn passed_back(self, activation: Activation, y: &[f32], dy: &[f32], g: &mut [f32]) {
        let [of_h, of_r] = self.lengths();
        parallel::for_each_chunk(g, of_r, |n, g| {
            let (y, dy) = (&y[n * of_h..][..of_h], &dy[n * of_h..][..of_h]);
            simd::run(PassedBack { grid: self, activation, y, dy, g });
        });
    }
}

struct ActivatedSum<'a> {
    grid: Grid,
    activation: Activation,
    h: (&'a [f32], Affine<'a>),
    r: (&'a [f32], Affine<'a>),
    y: &'a mut [f32],
}

impl Kernel for ActivatedSum<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Grid { width, channels, step, .. } = self.grid;
        let (row, row_of_r) = (width * channels, width / step * channels);
        let rows = self.h.0.chunks_exact(row).zip(self.y.chunks_exact_mut(row));
        for (i, (h, y)) in rows.enumerate() {
            let r = if i % step == 0 { &self.r.0[i / step * row_of_r..][..row_of_r] } else { &[] };
            Lanes::for_each(
                channels,
                #[inline(always)]
                |lanes| {
                    let [of_h, of_r] = [self.h.1, self.r.1].map(
                        #[inline(always)]
                        |by_channel: Affine<'_>| by_channel.load(s, lanes),
                    );
                    for j in 0..width {
                        let mut skip = s.splat(0.0);
                        if j % step == 0 && !r.is_empty() {
                            skip = lanes.load(s, r, j / step * channels);
                        }
                        let skip = s.mul_add(s.sub(skip, of_r[0]), of_r[1], of_r[2]);
                        let deviation = s.sub(lanes.load(s, h, j * channels), of_h[0]);
                        let z = s.add(s.mul_add(deviation, of_h[1], of_h[2]), skip);
                        lanes.store(s, self.activation.of(s, z), y, j * channels);
                    }
                },
            );
        }
    }
}

struct PassedBack<'a> {
    grid: Grid,
    activation: Activation,
    y: &'a [f32],
    dy: &'a [f32],
    g: &'a mut [f32],
}

impl Kernel for PassedBack<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Grid { width, channels, step, .. } = self.grid;
        // With a step of 1 all pixels of a row at once.
        let (run, pixels) = if step == 1 { (width * channels, 1) } else { (channels, width / step) };
        for (at, g) in self.g.chunks_exact_mut(run).enumerate() {
            let (i, j) = (at / pixels * step, at % pixels * step);
            let from = (i * width + j) * channels;
            simd::slice::zip(
                s,
                &self.y[from..from + run],
                &self.dy[from..from + run],
                g,
                #[inline(always)]
                |s, y, dy| self.activation.passed(s, y, dy),
            );
        }
    }
}

/// y becomes act(y), or act(y + skip) if there is a skip, on the calling thread.
///
/// # Panics
/// If y and skip differ in length.
pub fn activate_of(activation: Activation, skip: Option<&[f32]>, y: &mut [f32]) {
    simd::run(Activate { activation, skip, y });
}

struct Activate<'a> {
    activation: Activation,
    skip: Option<&'a [f32]>,
    y: &'a mut [f32],
}

impl Kernel for Activate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Activate { activation, skip, y } = self;
        match skip {
            None => simd::slice::map_in_place(
                s,
                y,
                #[inline(always)]
                |s, y| activation.of(s, y),
            ),
            Some(skip) => simd::slice::update(
                s,
                y,
                skip,
                #[inline(always)]
                |s, y, skip| activation.of(s, s.add(y, skip)),
            ),
        }
    }
}
