//! Convolutions of NHWC images, as matrix products.
//!
//! [`plain`] is the two-dimensional cross-correlation. [`upsampled`] is the transposed convolution of an image that
//! is first up-sampled to twice its size, computed without ever making the larger image. Both gather the windows of
//! one image into the rows of a matrix ("im2col") and multiply by the weights; the images are dealt out to threads.
//! [`direct`] is the first of them without gathering, for the shapes where that pays, and for prediction.
//! [`forward`] and [`weight_gradient`] choose.

pub mod direct;
pub mod plain;
mod points;
pub mod upsampled;
mod windows;

pub use windows::Windows;

/// With as many windows of an image, and more, reading them where they lie was faster than gathering them, whatever
/// the channels: four times with one channel, a tenth with 32. With fewer, too few tiles share a look at the weights.
const MANY_WINDOWS: usize = 64;

/// Whether windows are read where they lie: a function of the shape alone.
fn is_direct(windows: &Windows) -> bool {
    let Windows { stride, padding, .. } = *windows;
    (stride, padding) == (1, 0) && !windows.is_pointwise() && windows.count() >= MANY_WINDOWS
}

/// The convolution, by whichever way is fastest for the shape: see [`plain::forward`].
pub fn forward(windows: &Windows, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    if is_direct(windows) {
        direct::forward(windows, x, w, bias, y);
    } else {
        plain::forward(windows, x, w, bias, y);
    }
}

/// The gradient of the weights, by whichever way is fastest for the shape: see [`plain::weight_gradient`].
pub fn weight_gradient(windows: &Windows, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    if is_direct(windows) {
        direct::weight_gradient(windows, x, dy, dw);
    } else {
        plain::weight_gradient(windows, x, dy, dw);
    }
}

/// How many images go through one matrix product: enough rows to pay for packing the weights, few enough that every
/// thread gets some. A function of the shape alone.
fn images_per_product(images: usize, places: usize) -> usize {
    (768 / places.max(1)).min(images.div_ceil(16)).max(1)
}

/// How many images share one partial sum of a weight gradient: a function of the batch alone.
fn images_per_partial(images: usize) -> usize {
    images.div_ceil(8).max(1)
}
