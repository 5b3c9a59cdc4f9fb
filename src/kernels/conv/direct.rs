//! A convolution, the rectifier and the 2x2 maximum in one pass, for prediction.
//!
//! ```text
//! y[i, j, o] = max(0, max over a, b in {0, 1} of z[2 i + a, 2 j + b, o])
//! z[i, j, o] = bias[o] + sum over (u, v, c) of x[i + u, j + v, c] w[u, v, c, o]
//! ```
//!
//! Nothing but y is written: windows are read where they lie in the image, and the sums of the four places that become
//! one pixel stay in registers until the largest is known. A row (u) of a window is contiguous in an NHWC image, so the
//! inner loop is that of a matrix product: load vectors of w, broadcast numbers of x, multiply and add.
//!
//! The sums are, bit for bit, those of gathering the windows and multiplying matrices: blocks of 256 products in
//! the order (u, v, c), each added to what came before. The portable path does just that (see [`crate::kernels::gemm`]
//! for the reason). An odd last row or column of z is left out, as in [`crate::kernels::pool`].

use super::Windows;
use crate::kernels::gemm::{BLOCK, Matrix, Start, gemm};
use crate::parallel;
use crate::simd::{Isa, Kernel, LANES, Simd};

/// How many numbers [`pack`] writes for windows of `inner` numbers.
pub fn packed_len(inner: usize, outputs: usize) -> usize {
    outputs.div_ceil(LANES) * inner * LANES
}

/// Writes w (kernel, kernel, inputs, outputs) as panels of 16 outputs, the last one filled up with zeros.
///
/// # Panics
/// If `panels` has not the [`packed_len`].
pub fn pack(w: &[f32], outputs: usize, panels: &mut [f32]) {
    let inner = w.len() / outputs;
    assert_eq!(panels.len(), packed_len(inner, outputs), "the panels of {inner} x {outputs} weights");
    for (i, panel) in panels.chunks_exact_mut(inner * LANES).enumerate() {
        let columns = i * LANES..outputs.min((i + 1) * LANES);
        for (row, to) in w.chunks_exact(outputs).zip(panel.chunks_exact_mut(LANES)) {
            let (inside, outside) = to.split_at_mut(columns.len());
            inside.copy_from_slice(&row[columns.clone()]);
            outside.fill(0.0);
        }
    }
}

/// The convolution of one image, and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct PooledConvolution<'a> {
    /// The sizes; stride 1, no padding.
    pub windows: Windows,
    /// The weights as [`pack`] leaves them.
    pub panels: &'a [f32],
    /// One number an output.
    pub bias: &'a [f32],
}

impl PooledConvolution<'_> {
    /// (rows, columns) of y.
    ///
    /// # Panics
    /// If the kernel does not fit into the image.
    pub fn output(&self) -> (usize, usize) {
        let (rows, columns) = self.windows.output().expect("the kernel is larger than the image");
        (rows / 2, columns / 2)
    }

    /// y of one image x, on the calling thread.
    ///
    /// # Panics
    /// If there is a stride or padding, or the sizes do not fit.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        self.forward_on(Isa::current(), x, y);
    }

    fn forward_on(&self, isa: Isa, x: &[f32], y: &mut [f32]) {
        let Windows { stride, padding, .. } = self.windows;
        assert_eq!((stride, padding), (1, 0), "stride and padding of windows that are read in place");
        let ((rows, columns), outputs) = (self.output(), self.bias.len());
        assert_eq!(x.len(), self.windows.image_len(), "an image");
        assert_eq!(self.panels.len(), packed_len(self.windows.len(), outputs), "the panels of the weights");
        assert_eq!(y.len(), rows * columns * outputs, "a pooled image");
        match isa {
            Isa::Avx512 => isa.run(Direct::<3, 2> { convolution: *self, columns, x, y }),
            Isa::Avx2 => isa.run(Direct::<1, 1> { convolution: *self, columns, x, y }),
            Isa::Portable => self.by_matrices(x, y),
        }
    }

    /// The same by gathering the windows.
    fn by_matrices(&self, x: &[f32], y: &mut [f32]) {
        let (count, inner) = (self.windows.count(), self.windows.len());
        let (_, window_columns) = self.windows.output().expect("the kernel fits");
        let ((_, columns), outputs) = (self.output(), self.bias.len());
        parallel::with_scratch(count * (inner + LANES), |scratch| {
            let (windows, z) = scratch.split_at_mut(count * inner);
            self.windows.gather(x, windows);
            let panels = self.panels.chunks_exact(inner * LANES);
            for (panel, first) in panels.zip((0..outputs).step_by(LANES)) {
                let mut bias = [0.0; LANES];
                let width = LANES.min(outputs - first);
                bias[..width].copy_from_slice(&self.bias[first..first + width]);
                let windows = Matrix::new(windows, count, inner);
                gemm(windows, Matrix::new(panel, inner, LANES), z, Start::Row(&bias));
                let (z, _) = z.as_chunks::<LANES>();
                for (at, y) in y.chunks_exact_mut(outputs).enumerate() {
                    let corner = at / columns * 2 * window_columns + at % columns * 2;
                    let [a, b, c, d] =
                        [0, 1, window_columns, window_columns + 1].map(|step| z[corner + step]);
                    for (lane, y) in y[first..first + width].iter_mut().enumerate() {
                        let larger = |a: f32, b: f32| if a > b { a } else { b };
                        *y = larger(larger(larger(a[lane], b[lane]), larger(c[lane], d[lane])), 0.0);
                    }
                }
            }
        });
    }
}

/// The kernel: tiles of P neighbouring pixels of y and V vectors of outputs. 3 x 2 fills the registers of AVX-512 with
/// 24 sums, 1 x 1 those of AVX2 with 8 halves.
struct Direct<'a, const P: usize, const V: usize> {
    convolution: PooledConvolution<'a>,
    /// Of y.
    columns: usize,
    x: &'a [f32],
    y: &'a mut [f32],
}

impl<const P: usize, const V: usize> Kernel for Direct<'_, P, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let panels = self.convolution.bias.len().div_ceil(LANES);
        let mut panel = 0;
        while panel + V <= panels {
            self.outputs::<S, V>(s, panel);
            panel += V;
        }
        while panel < panels {
            self.outputs::<S, 1>(s, panel);
            panel += 1;
        }
    }
}

impl<const P: usize, const V: usize> Direct<'_, P, V> {
    /// All pixels of the outputs of W panels.
    #[inline(always)]
    fn outputs<S: Simd, const W: usize>(&mut self, s: S, panel: usize) {
        let pixels = self.y.len() / self.convolution.bias.len();
        let mut pixel = 0;
        while pixel + P <= pixels {
            self.tile::<S, P, W>(s, panel, pixel);
            pixel += P;
        }
        while pixel < pixels {
            self.tile::<S, 1, W>(s, panel, pixel);
            pixel += 1;
        }
    }

    /// Q pixels of y from `pixel` on, outputs of W panels from `panel` on.
    #[inline(always)]
    fn tile<S: Simd, const Q: usize, const W: usize>(&mut self, s: S, panel: usize, pixel: usize) {
        let Windows { width, channels, kernel, .. } = self.convolution.windows;
        let bias = self.convolution.bias;
        let (line, span) = (width * channels, kernel * channels);
        let inner = kernel * span;
        let (weights, _) = self.convolution.panels[panel * inner * LANES..].as_chunks::<LANES>();

        // Where the windows of the four corners of each pixel begin.
        let mut corners = [[0; 4]; Q];
        for (q, corners) in corners.iter_mut().enumerate() {
            let (row, column) = ((pixel + q) / self.columns * 2, (pixel + q) % self.columns * 2);
            let first = row * line + column * channels;
            *corners = [first, first + channels, first + line, first + line + channels];
        }
        let mut totals = [[[s.splat(0.0); W]; 4]; Q];
        for totals in totals.as_flattened_mut() {
            for (w, total) in totals.iter_mut().enumerate() {
                let first = (panel + w) * LANES;
                *total = s.load_head(&bias[first..bias.len().min(first + LANES)]);
            }
        }
        for first in (0..inner).step_by(BLOCK) {
            let end = inner.min(first + BLOCK);
            let mut sums = [[[s.splat(0.0); W]; 4]; Q];
            let mut k = first;
            while k < end {
                // What is left of this row of the windows, or of the block.
                let count = (span - k % span).min(end - k);
                let offset = k / span * line + k % span;
                let mut rows = [[&self.x[..0]; 4]; Q];
                for (row, corner) in rows.as_flattened_mut().iter_mut().zip(corners.as_flattened()) {
                    *row = &self.x[corner + offset..][..count];
                }
                let mut columns = [&weights[..0]; W];
                for (w, column) in columns.iter_mut().enumerate() {
                    *column = &weights[w * inner + k..][..count];
                }
                for step in 0..count {
                    let mut vectors = [s.splat(0.0); W];
                    for (vector, column) in vectors.iter_mut().zip(columns) {
                        *vector = s.load(&column[step]);
                    }
                    for (sums, row) in sums.as_flattened_mut().iter_mut().zip(rows.as_flattened()) {
                        let x = s.splat(row[step]);
                        for (sum, vector) in sums.iter_mut().zip(vectors) {
                            *sum = s.mul_add(x, vector, *sum);
                        }
                    }
                }
                k += count;
            }
            for (totals, sums) in totals.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
                for (total, sum) in totals.iter_mut().zip(sums) {
                    *total = s.add(*total, *sum);
                }
            }
        }

        let (zero, outputs) = (s.splat(0.0), bias.len());
        for (y, [a, b, c, d]) in self.y[pixel * outputs..].chunks_exact_mut(outputs).zip(totals) {
            for w in 0..W {
                let first = (panel + w) * LANES;
                let largest = s.max(s.max(a[w], b[w]), s.max(c[w], d[w]));
                s.store_head(s.max(largest, zero), &mut y[first..outputs.min(first + LANES)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::conv::plain;
    use crate::kernels::pool::max_pool;
    use crate::rng::Stream;

    fn numbers(purpose: u64, len: usize) -> Vec<f32> {
        let stream = Stream::new(purpose, "direct convolution", &[]);
        (0..len as u64).map(|i| stream.uniform(i) - 0.5).collect()
    }

    /// The definition, in f64.
    fn naive(windows: &Windows, x: &[f32], w: &[f32], bias: &[f32]) -> Vec<f64> {
        let Windows { width, channels, kernel, .. } = *windows;
        let (rows, columns) = windows.output().unwrap();
        let outputs = bias.len();
        let z = |i: usize, j: usize, o: usize| {
            let mut sum = f64::from(bias[o]);
            for u in 0..kernel {
                for v in 0..kernel {
                    for c in 0..channels {
                        let pixel = x[((i + u) * width + j + v) * channels + c];
                        sum +=
                            f64::from(pixel) * f64::from(w[((u * kernel + v) * channels + c) * outputs + o]);
                    }
                }
            }
            sum
        };
        let mut y = Vec::new();
        for i in 0..rows / 2 {
            for j in 0..columns / 2 {
                for o in 0..outputs {
                    let corners = [(0, 0), (0, 1), (1, 0), (1, 1)];
                    y.push(corners.iter().fold(0.0, |y: f64, (a, b)| y.max(z(2 * i + a, 2 * j + b, o))));
                }
            }
        }
        y
    }

    #[test]
    fn the_pass_equals_the_definition_and_to_the_last_bit_its_steps_one_by_one() {
        for (height, width, channels, kernel, outputs) in [
            (28, 28, 1, 5, 32),  // the first layer of an encoder
            (12, 12, 32, 5, 64), // the second: more products than a block, whose ends are not those of rows
            (12, 12, 3, 5, 6),
            (7, 10, 2, 3, 17),
            (6, 9, 1, 1, 48),
            (6, 5, 90, 3, 5),
            (2, 2, 1, 1, 1),
            (5, 4, 2, 2, 33),
        ] {
            let windows = Windows { height, width, channels, kernel, stride: 1, padding: 0 };
            let (x, w) = (numbers(0, windows.image_len()), numbers(1, windows.len() * outputs));
            let bias = numbers(2, outputs);
            let mut panels = vec![f32::NAN; packed_len(windows.len(), outputs)];
            pack(&w, outputs, &mut panels);
            let convolution = PooledConvolution { windows, panels: &panels, bias: &bias };

            let expected = naive(&windows, &x, &w, &bias);
            let (rows, columns) = windows.output().unwrap();
            let mut z = vec![f32::NAN; rows * columns * outputs];
            plain::forward(&windows, &x, &w, Some(&bias), &mut z);
            let mut steps = vec![f32::NAN; expected.len()];
            max_pool(&z, [rows, columns, outputs], &mut steps);
            steps.iter_mut().for_each(|y| *y = y.max(0.0));
            assert!(steps.iter().any(|&y| y > 0.0), "nothing passes the rectifier");

            for &isa in Isa::supported() {
                let mut y = vec![f32::NAN; expected.len()];
                convolution.forward_on(isa, &x, &mut y);
                assert_eq!(y, steps, "{windows:?}, {outputs} outputs, {}", isa.name());
                for (i, (&y, e)) in y.iter().zip(&expected).enumerate() {
                    assert!((f64::from(y) - e).abs() < 1e-5, "{windows:?}, number {i}: {y}, expected {e}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "stride and padding of windows that are read in place")]
    fn padding_is_refused() {
        let windows = Windows { height: 4, width: 4, channels: 1, kernel: 1, stride: 1, padding: 1 };
        PooledConvolution { windows, panels: &[0.0; 16], bias: &[0.0] }.forward(&[0.0; 16], &mut [0.0; 9]);
    }
}
