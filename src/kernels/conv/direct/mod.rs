//! Convolutions that read windows where they lie in the image; where there is padding, in a copy of it with a border.
//!
//! A row (u) of a window is contiguous in an NHWC image, so the inner loop is that of a matrix product: load vectors of
//! w, broadcast numbers of x, multiply and add. With few channels a matrix of windows is many times the image, and
//! writing it takes longer than all of the arithmetic.
//!
//! [`forward`] and [`weight_gradient`] are for training; [`PooledConvolution`] is for prediction and goes on to
//! the rectifier and the maximum of 2x2 while the sums are in registers.
//!
//! What decides the bits: the sums are those of gathering the windows and multiplying matrices, in the same order and
//! the same blocks, so [`super::plain`] is the oracle to the last bit. The portable path is just that (see
//! [`crate::kernels::gemm`] for the reason).

mod pooled;
mod products;
mod weight_gradient;

use super::{Windows, images_per_product, plain};
use crate::parallel;
use crate::simd::{Isa, LANES};
pub use pooled::PooledConvolution;
use products::Products;
pub use weight_gradient::weight_gradient;

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

/// y from x (images), w (kernel, kernel, inputs, outputs) and perhaps a bias (outputs): the bits of
/// [`plain::forward`].
///
/// # Panics
/// If the sizes do not fit.
pub fn forward(windows: &Windows, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    forward_on(Isa::current(), windows, x, w, bias, y);
}

fn forward_on(isa: Isa, windows: &Windows, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    let (inner, image) = (windows.len(), windows.image_len());
    let (images, outputs) = (x.len() / image, w.len() / inner);
    let each = windows.count() * outputs;
    assert_eq!(x.len(), images * image, "images of {image} numbers");
    assert_eq!(y.len(), images * each, "{each} numbers of each of {images} images");
    if isa == Isa::Portable {
        return plain::forward(windows, x, w, bias, y);
    }
    let group = images_per_product(images, windows.count());
    parallel::with_scratch(packed_len(inner, outputs), |panels| {
        pack(w, outputs, panels);
        let panels = &*panels;
        parallel::for_each_chunk(y, group * each, |i, y| {
            let bordered = windows.bordered();
            let x = &x[i * group * image..][..y.len() / each * image];
            windows.with_borders(x, |x| {
                for (x, y) in x.chunks_exact(bordered.image_len()).zip(y.chunks_exact_mut(each)) {
                    match isa {
                        Isa::Avx512 => {
                            isa.run(Products::<1, 12, 2> { windows: bordered, panels, bias, outputs, x, y });
                        }
                        _ => isa.run(Products::<1, 6, 1> { windows: bordered, panels, bias, outputs, x, y }),
                    }
                }
            });
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    pub(super) fn numbers(purpose: u64, len: usize) -> Vec<f32> {
        let stream = Stream::new(purpose, "direct convolution", &[]);
        (0..len as u64).map(|i| stream.uniform(i) - 0.5).collect()
    }

    /// Calls `work` with the indices of every (place of y, number of x, row of w) that the definition multiplies.
    fn for_each_product(windows: &Windows, images: usize, mut work: impl FnMut(usize, usize, usize)) {
        let Windows { height, width, channels, kernel, stride, padding } = *windows;
        let (rows, columns) = windows.output().unwrap();
        for place in 0..images * rows * columns {
            let (n, i, j) = (place / columns / rows, place / columns % rows, place % columns);
            for k in 0..windows.len() {
                let (u, v, c) = (k / channels / kernel, k / channels % kernel, k % channels);
                let [row, column] = [stride * i + u, stride * j + v].map(|at| at.wrapping_sub(padding));
                if row < height && column < width {
                    work(place, n * windows.image_len() + (row * width + column) * channels + c, k);
                }
            }
        }
    }

    #[track_caller]
    fn assert_close(numbers: &[f32], expected: &[f64], of: &str) {
        let scale = expected.iter().fold(1e-9, |largest: f64, x| largest.max(x.abs()));
        assert_eq!(numbers.len(), expected.len());
        for (i, (&x, e)) in numbers.iter().zip(expected).enumerate() {
            assert!((f64::from(x) - e).abs() < 1e-6 * scale, "{of}, number {i}: {x}, expected {e}");
        }
    }

    /// Numbers that a test may compare to the last bit: the sign of a zero counts.
    fn bits(numbers: &[f32]) -> Vec<u32> {
        numbers.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn both_passes_equal_the_definition_and_to_the_last_bit_the_plain_way() {
        for ([height, width, channels], kernel, [stride, padding], outputs, images) in [
            ([28, 28, 1], 5, [1, 0], 32, 3), // the first layer of an encoder: more places than a block, whose end is in a row
            ([12, 12, 32], 5, [1, 0], 64, 2), // the second: more products of a place than a block, whose end is in a row
            ([12, 12, 3], 3, [1, 0], 6, 33),  // three images of 100 places at a time, and two
            ([7, 10, 2], 3, [1, 0], 17, 18),
            ([6, 9, 1], 2, [1, 0], 48, 5), // fewer products of a place than a tile of the gradient
            ([6, 5, 90], 3, [1, 0], 5, 1),
            ([3, 4, 13], 3, [1, 0], 33, 2), // fewer places than a tile
            ([5, 40, 1], 5, [1, 0], 16, 2),
            ([1, 1, 1], 1, [1, 0], 1, 1),
            ([10, 10, 16], 1, [1, 0], 20, 5), // windows that are pixels, whose gradient the plain way sums by pixels, not images
            ([16, 18, 3], 3, [1, 1], 32, 3),  // the first layer of an encoder of cells
            ([18, 16, 32], 3, [2, 1], 32, 3), // its first block: the last row and column are read by no window's end
            ([9, 17, 2], 3, [2, 1], 17, 18),
            ([17, 16, 32], 1, [2, 0], 32, 2),
            ([7, 8, 4], 4, [3, 2], 7, 5),
        ] {
            let windows = Windows { height, width, channels, kernel, stride, padding };
            let (inner, places) = (windows.len(), images * windows.count());
            let (x, w) = (numbers(0, images * windows.image_len()), numbers(1, inner * outputs));
            let (bias, dy) = (numbers(2, outputs), numbers(3, places * outputs));

            let mut sums = vec![0.0; places * outputs];
            let mut gradient = vec![0.0; inner * outputs];
            for_each_product(&windows, images, |place, number, k| {
                for o in 0..outputs {
                    sums[place * outputs + o] += f64::from(x[number]) * f64::from(w[k * outputs + o]);
                    gradient[k * outputs + o] += f64::from(x[number]) * f64::from(dy[place * outputs + o]);
                }
            });
            let biased: Vec<f64> =
                sums.iter().zip(bias.iter().cycle()).map(|(sum, &b)| sum + f64::from(b)).collect();

            for &isa in Isa::supported() {
                let of = format!("{windows:?}, {images} images, {outputs} outputs, {}", isa.name());
                for (bias, expected) in [(None, &sums), (Some(&bias[..]), &biased)] {
                    let [mut y, mut oracle] = [(); 2].map(|()| vec![f32::NAN; places * outputs]);
                    forward_on(isa, &windows, &x, &w, bias, &mut y);
                    assert_close(&y, expected, &of);
                    plain::forward(&windows, &x, &w, bias, &mut oracle);
                    assert_eq!(bits(&y), bits(&oracle), "{of}");
                }
                let [mut dw, mut oracle] = [(); 2].map(|()| vec![f32::NAN; inner * outputs]);
                weight_gradient::weight_gradient_on(isa, &windows, &x, &dy, &mut dw);
                assert_close(&dw, &gradient, &of);
                plain::weight_gradient(&windows, &x, &dy, &mut oracle);
                assert_eq!(bits(&dw), bits(&oracle), "{of}");
            }
        }
    }

    /// A product may round to minus zero, which a sum that starts from zero would lose.
    #[test]
    fn the_sign_of_zero_is_that_of_the_plain_way() {
        let windows = Windows { height: 4, width: 4, channels: 1, kernel: 2, stride: 1, padding: 0 };
        let (x, w, dy) = ([-1e-30; 16], [1e-30; 4 * 3], [1e-30; 9 * 3]);
        for &isa in Isa::supported() {
            let (mut y, mut dw) = ([f32::NAN; 9 * 3], [f32::NAN; 4 * 3]);
            forward_on(isa, &windows, &x, &w, None, &mut y);
            assert_eq!(bits(&y), [(-0.0_f32).to_bits(); 9 * 3], "{}", isa.name());
            weight_gradient::weight_gradient_on(isa, &windows, &x, &dy, &mut dw);
            assert_eq!(bits(&dw), [(-0.0_f32).to_bits(); 4 * 3], "{}", isa.name());
        }
    }

    #[test]
    fn results_of_other_sizes_are_refused_on_every_instruction_set() {
        let windows = Windows { height: 4, width: 4, channels: 1, kernel: 2, stride: 1, padding: 0 };
        let message = |work: &dyn Fn()| {
            let bug = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
            *bug.downcast::<String>().unwrap()
        };
        for &isa in Isa::supported() {
            let said = message(&|| forward_on(isa, &windows, &[0.0; 32], &[0.0; 4], None, &mut [0.0; 9]));
            assert!(said.contains("9 numbers of each of 2 images"), "{}: {said}", isa.name());
            let said = message(&|| {
                weight_gradient::weight_gradient_on(isa, &windows, &[0.0; 32], &[0.0; 9], &mut [0.0; 4]);
            });
            assert!(said.contains("1 numbers of each of 18 places"), "{}: {said}", isa.name());
        }
    }
}
