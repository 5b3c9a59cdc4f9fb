//! Convolutions that read windows where they lie in the image, without stride and padding.
//!
//! A row (u) of a window is contiguous in an NHWC image, so the inner loop is that of a matrix product: load vectors of
//! w, broadcast numbers of x, multiply and add. With few channels a matrix of windows is many times the image, and
//! writing it takes longer than all of the arithmetic.
//!
//! [`forward`] and [`weight_gradient`] are for training; [`PooledConvolution`] is for prediction and goes on to
//! the rectifier and the maximum of 2x2 while the sums are in registers.
//!
//! What decides the bits: the sums are those of gathering the windows and multiplying matrices, in the same blocks of
//! [`BLOCK`](crate::kernels::gemm) products, so [`super::plain`] is the oracle to the last bit. The portable path is
//! just that (see [`crate::kernels::gemm`] for the reason).

mod pooled;
mod products;
mod weight_gradient;

use super::{Windows, images_per_product, plain};
use crate::parallel;
use crate::simd::{Isa, LANES};
pub use pooled::PooledConvolution;
use products::Products;
pub use weight_gradient::weight_gradient;

/// Whether windows of these sizes can be read where they lie.
pub fn fits(windows: &Windows) -> bool {
    windows.stride == 1 && windows.padding == 0
}

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
/// If there is a stride or padding, or the sizes do not fit.
pub fn forward(windows: &Windows, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    forward_on(Isa::current(), windows, x, w, bias, y);
}

fn forward_on(isa: Isa, windows: &Windows, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    assert_in_place(windows);
    if isa == Isa::Portable {
        return plain::forward(windows, x, w, bias, y);
    }
    let (inner, image) = (windows.len(), windows.image_len());
    let (images, outputs) = (x.len() / image, w.len() / inner);
    let each = windows.count() * outputs;
    assert_eq!(x.len(), images * image, "images of {image} numbers");
    assert_eq!(y.len(), images * each, "{each} numbers of each of {images} images");
    let group = images_per_product(images, windows.count());
    parallel::with_scratch(packed_len(inner, outputs), |panels| {
        pack(w, outputs, panels);
        let panels = &*panels;
        parallel::for_each_chunk(y, group * each, |i, y| {
            for (x, y) in x[i * group * image..].chunks_exact(image).zip(y.chunks_exact_mut(each)) {
                match isa {
                    Isa::Avx512 => {
                        isa.run(Products::<1, 12, 2> { windows: *windows, panels, bias, outputs, x, y });
                    }
                    _ => isa.run(Products::<1, 6, 1> { windows: *windows, panels, bias, outputs, x, y }),
                }
            }
        });
    });
}

#[track_caller]
fn assert_in_place(windows: &Windows) {
    let Windows { stride, padding, .. } = *windows;
    assert_eq!((stride, padding), (1, 0), "stride and padding of windows that are read in place");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// Sizes that fill tiles and that do not: (height, width, channels), kernel, outputs, images.
    const SIZES: [([usize; 3], usize, usize, usize); 9] = [
        ([28, 28, 1], 5, 32, 3),  // the first layer of an encoder
        ([12, 12, 32], 5, 64, 2), // the second: more products than a block, whose ends are not those of rows
        ([12, 12, 3], 5, 6, 18),  // two images to a product
        ([7, 10, 2], 3, 17, 33),  // three images to a product, sixteen places short of a block each
        ([6, 9, 1], 2, 48, 5),
        ([6, 5, 90], 3, 5, 1),
        ([1, 1, 1], 1, 1, 1),
        ([3, 4, 13], 3, 33, 2), // fewer places than a tile has
        ([5, 40, 1], 5, 16, 2),
    ];

    pub(super) fn numbers(purpose: u64, len: usize) -> Vec<f32> {
        let stream = Stream::new(purpose, "direct convolution", &[]);
        (0..len as u64).map(|i| stream.uniform(i) - 0.5).collect()
    }

    /// Calls `work(n, p, o, [k, x])` for every product of x and w: image, place, output, index of w without o, of x.
    fn each_product(windows: &Windows, images: usize, mut work: impl FnMut([usize; 2], [usize; 2])) {
        let Windows { width, channels, kernel, .. } = *windows;
        let (rows, columns) = windows.output().unwrap();
        for n in 0..images {
            for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
                for k in 0..windows.len() {
                    let (u, v, c) = (k / channels / kernel, k / channels % kernel, k % channels);
                    let at = ((i + u) * width + j + v) * channels + c;
                    work([(n * rows + i) * columns + j, n * windows.image_len() + at], [k, kernel]);
                }
            }
        }
    }

    fn assert_close(numbers: &[f32], expected: &[f64], tolerance: f64) {
        assert_eq!(numbers.len(), expected.len());
        for (i, (&x, e)) in numbers.iter().zip(expected).enumerate() {
            assert!((f64::from(x) - e).abs() < tolerance, "number {i}: {x}, expected {e}");
        }
    }
}
