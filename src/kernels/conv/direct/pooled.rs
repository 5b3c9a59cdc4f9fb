//! A convolution, the rectifier and the 2x2 maximum in one pass, for prediction.
//!
//! ```text
//! y[i, j, o] = max(0, max over a, b in {0, 1} of z[2 i + a, 2 j + b, o])
//! z[i, j, o] = bias[o] + sum over (u, v, c) of x[i + u, j + v, c] w[u, v, c, o]
//! ```
//!
//! Nothing but y is written: the sums of the four places that become one pixel stay in registers until the largest is
//! known, NaN if one of them is. An odd last row or column of z is left out, as in [`crate::kernels::pool`].

use super::products::Products;
use super::{Windows, packed_len};
use crate::kernels::gemm::{Matrix, Start, gemm};
use crate::parallel;
use crate::simd::{Isa, LANES};

/// The convolution of one image, and what follows it.
#[derive(Clone, Copy, Debug)]
pub struct PooledConvolution<'a> {
    /// The sizes; stride 1, no padding.
    pub windows: Windows,
    /// The weights as [`super::pack`] leaves them.
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
        assert_eq!((stride, padding), (1, 0), "stride and padding of a convolution that is pooled");
        let ((rows, columns), outputs) = (self.output(), self.bias.len());
        assert_eq!(x.len(), self.windows.image_len(), "an image");
        assert_eq!(self.panels.len(), packed_len(self.windows.len(), outputs), "the panels of the weights");
        assert_eq!(y.len(), rows * columns * outputs, "a pooled image");
        let PooledConvolution { windows, panels, bias } = *self;
        let bias = Some(bias);
        match isa {
            Isa::Avx512 => isa.run(Products::<4, 12, 2> { windows, panels, bias, outputs, x, y }),
            Isa::Avx2 => isa.run(Products::<4, 4, 1> { windows, panels, bias, outputs, x, y }),
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
                        let maximum = |a: f32, b: f32| if a.is_nan() || a > b { a } else { b };
                        let largest = maximum(maximum(a[lane], b[lane]), maximum(c[lane], d[lane]));
                        *y = if 0.0 > largest { 0.0 } else { largest };
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::pack;
    use super::super::tests::numbers;
    use super::*;
    use crate::kernels::conv::plain;
    use crate::kernels::pool::max_pool;

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
    #[should_panic(expected = "stride and padding of a convolution that is pooled")]
    fn padding_is_refused() {
        let windows = Windows { height: 4, width: 4, channels: 1, kernel: 1, stride: 1, padding: 1 };
        PooledConvolution { windows, panels: &[0.0; 16], bias: &[0.0] }.forward(&[0.0; 16], &mut [0.0; 9]);
    }

    #[test]
    fn nan_goes_through_whichever_of_the_four_places_it_is_at() {
        let windows = Windows { height: 4, width: 6, channels: 2, kernel: 1, stride: 1, padding: 0 };
        let (outputs, bias) = (17, numbers(2, 17));
        let mut panels = vec![f32::NAN; packed_len(windows.len(), outputs)];
        pack(&numbers(1, windows.len() * outputs), outputs, &mut panels);
        let forward = |isa, x: &[f32], bias: &[f32]| {
            let mut y = vec![0.0; 6 * outputs];
            PooledConvolution { windows, panels: &panels, bias }.forward_on(isa, x, &mut y);
            y.chunks(outputs).map(|pixel| pixel.iter().filter(|y| y.is_nan()).count()).collect::<Vec<_>>()
        };
        for &isa in Isa::supported() {
            for at in 0..24 {
                let mut x = numbers(0, windows.image_len());
                x[2 * at + at % 2] = f32::NAN;
                let mut expected = [0; 6];
                expected[at / 12 * 3 + at % 6 / 2] = outputs;
                assert_eq!(forward(isa, &x, &bias), expected, "place {at} on {}", isa.name());
            }
            let mut bias = bias.clone();
            bias[16] = f32::NAN;
            let found = forward(isa, &numbers(0, windows.image_len()), &bias);
            assert_eq!(found, [1; 6], "a bias on {}", isa.name());
        }
    }
}
