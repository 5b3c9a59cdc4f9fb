//! Convolutions of NHWC images, as matrix products.
//!
//! The functions here are the two-dimensional cross-correlation
//!
//! ```text
//! y[n, i, j, o] = b[o] + sum over (u, v, c) of x[n, s i + u - p, s j + v - p, c] w[u, v, c, o]
//! ```
//!
//! and its gradients; they choose how it is computed, by the shape alone. [`plain`] gathers the windows of a few images
//! into the rows of a matrix ("im2col") and multiplies by the weights; it takes any shape. `winograd.rs` needs 36 products
//! where 5 x 5 windows take 100. [`direct`] gathers nothing; it serves prediction. [`upsampled`] is the transposed
//! convolution of an image that is first up-sampled to twice its size, computed without ever making the larger image.

pub mod direct;
#[cfg(test)]
mod errors;
pub mod plain;
mod points;
pub mod upsampled;
mod windows;
mod winograd;

pub use windows::Windows;

use winograd::Tiles;

/// y from x (images), w (kernel, kernel, inputs, outputs) and perhaps a bias (outputs).
pub fn forward(windows: &Windows, x: &[f32], w: &[f32], bias: Option<&[f32]>, y: &mut [f32]) {
    match Tiles::of(windows, w.len() / windows.len()) {
        Some(tiles) if bias.is_none() => tiles.forward(x, w, y),
        _ => plain::forward(windows, x, w, bias, y),
    }
}

/// The gradient of the images, from that of y.
pub fn input_gradient(windows: &Windows, w: &[f32], dy: &[f32], dx: &mut [f32]) {
    match Tiles::of(windows, w.len() / windows.len()) {
        Some(tiles) => tiles.input_gradient(w, dy, dx),
        None => plain::input_gradient(windows, w, dy, dx),
    }
}

/// The gradient of the weights, from the images and the gradient of y.
pub fn weight_gradient(windows: &Windows, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    match Tiles::of(windows, dw.len() / windows.len()) {
        Some(tiles) => tiles.weight_gradient(x, dy, dw),
        None => plain::weight_gradient(windows, x, dy, dw),
    }
}

/// How many multiply-adds the output of one image takes without a bias, and each gradient.
pub fn multiply_adds(windows: &Windows, outputs: usize) -> usize {
    // Zeros of the padding are multiplied like pixels.
    let gathered = windows.count() * windows.len() * outputs;
    Tiles::of(windows, outputs).map_or(gathered, |tiles| tiles.multiply_adds())
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
