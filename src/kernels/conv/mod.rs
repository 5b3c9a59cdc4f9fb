//! Convolutions of NHWC images, as matrix products.
//!
//! [`plain`] is the two-dimensional cross-correlation. [`upsampled`] is the transposed convolution of an image that
//! is first up-sampled to twice its size, computed without ever making the larger image. Both gather the windows of
//! one image into the rows of a matrix ("im2col") and multiply by the weights; the images are dealt out to threads.
//! [`direct`] is the first of them for prediction, which gathers nothing.

pub mod direct;
pub mod plain;
mod points;
pub mod upsampled;
mod windows;

pub use windows::Windows;

/// How many images go through one matrix product: enough rows to pay for packing the weights, few enough that every
/// thread gets some. A function of the shape alone.
fn images_per_product(images: usize, places: usize) -> usize {
    (768 / places.max(1)).min(images.div_ceil(16)).max(1)
}

/// How many images share one partial sum of a weight gradient: a function of the batch alone.
fn images_per_partial(images: usize) -> usize {
    images.div_ceil(8).max(1)
}
