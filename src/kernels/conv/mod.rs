//! Convolutions of NHWC images, as matrix products.
//!
//! The functions here are the two-dimensional cross-correlation
//!
//! ```text
//! y[n, i, j, o] = b[o] + sum over (u, v, c) of x[n, s i + u - p, s j + v - p, c] w[u, v, c, o]
//! ```
//!
//! and its gradients. They choose how it is computed, by the shape alone. [`plain`] gathers the windows of a few images
//! into the rows of a matrix ("im2col") and multiplies by the weights; it takes any shape. [`direct`] reads the windows
//! where they lie, here and for prediction. `winograd/` needs a third or a quarter of the products of 5 x 5 and 3 x 3
//! windows. [`upsampled`] is the transposed convolution of an image that is first up-sampled to twice its size, without
//! the larger image.
//!
//! A NaN reaches all that depends on it, and may reach more: the zeros of a border are multiplied like pixels, as in
//! PyTorch; `winograd/` spreads a pixel's NaN over all places of the tiles that hold it (4 x 4 places of 3 x 3 windows,
//! 2 x 2 of 5 x 5), a weight's over all places of its output, and in the gradient of the weights over all taps of its
//! pair of channels; [`upsampled`] sums taps before it multiplies. It reaches no other image.
//!
//! All images that are read may be normalised on the way ([`Images`]); weights that no longer change can be made ready
//! once ([`Prepared`]).

pub mod direct;
#[cfg(test)]
mod errors;
mod images;
pub mod plain;
mod points;
mod prepared;
pub mod upsampled;
mod windows;
mod winograd;

pub use images::Images;
pub use prepared::{Prepared, prepare, prepared_len};
pub use windows::Windows;

use crate::parallel;
use winograd::Tiles;

/// With as many windows of an image, and more, reading them where they lie was faster than gathering them, whatever
/// the channels (one to 128, measured). With fewer, too few tiles share a look at the weights.
const MANY_WINDOWS: usize = 64;

/// How a convolution is computed.
enum Algorithm {
    FiveTaps(Tiles<5, 2>),
    ThreeTaps(Tiles<3, 4>),
    Direct,
    Plain,
}

/// Channels from which on 3 x 3 kernels are multiplied Winograd's way. Narrower layers gain little, and a chain of thirty of
/// them gradients that are four times as exact (tests/gradients.rs).
const MANY_CHANNELS: usize = 32;

/// The fastest for the shape: a function of it alone.
fn algorithm(windows: &Windows, outputs: usize) -> Algorithm {
    if let Some(tiles) = Tiles::of(windows, outputs) {
        Algorithm::FiveTaps(tiles)
    } else if let Some(tiles) =
        Tiles::of(windows, outputs).filter(|_| windows.channels.min(outputs) >= MANY_CHANNELS)
    {
        Algorithm::ThreeTaps(tiles)
    } else if !windows.is_pointwise() && windows.count() >= MANY_WINDOWS {
        Algorithm::Direct
    } else {
        Algorithm::Plain
    }
}

/// The outputs of so many weights.
#[track_caller]
fn outputs(windows: &Windows, weights: usize) -> usize {
    let Windows { channels, kernel, .. } = windows;
    assert!(
        !windows.is_empty(),
        "a convolution of {channels} channels by a kernel of {kernel} has no products"
    );
    weights / windows.len()
}

/// y from x (images), w (kernel, kernel, inputs, outputs) and perhaps a bias (outputs).
pub fn forward<'a>(
    windows: &Windows,
    x: impl Into<Images<'a>>,
    w: &[f32],
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let x = x.into();
    match (algorithm(windows, outputs(windows, w.len())), x.plain()) {
        (Algorithm::FiveTaps(tiles), _) => tiles.forward(x, w, bias, y),
        (Algorithm::ThreeTaps(tiles), _) => tiles.forward(x, w, bias, y),
        (Algorithm::Direct, Some(x)) => direct::forward(windows, x, w, bias, y),
        _ => plain::forward(windows, x, w, bias, y),
    }
}

/// The gradient of the images, from that of y.
pub fn input_gradient<'a>(windows: &Windows, w: &[f32], dy: impl Into<Images<'a>>, dx: &mut [f32]) {
    match algorithm(windows, outputs(windows, w.len())) {
        Algorithm::FiveTaps(tiles) => tiles.input_gradient(w, dy.into(), dx),
        Algorithm::ThreeTaps(tiles) => tiles.input_gradient(w, dy.into(), dx),
        Algorithm::Direct | Algorithm::Plain => plain::input_gradient(windows, w, dy, dx),
    }
}

/// The gradient of the weights, from the images and the gradient of y.
pub fn weight_gradient<'a>(
    windows: &Windows,
    x: impl Into<Images<'a>>,
    dy: impl Into<Images<'a>>,
    dw: &mut [f32],
) {
    let (x, dy) = (x.into(), dy.into());
    match (algorithm(windows, outputs(windows, dw.len())), x.plain().zip(dy.plain())) {
        (Algorithm::FiveTaps(tiles), _) => tiles.weight_gradient(x, dy, dw),
        (Algorithm::ThreeTaps(tiles), _) => tiles.weight_gradient(x, dy, dw),
        (Algorithm::Direct, Some((x, dy))) => direct::weight_gradient(windows, x, dy, dw),
        _ => plain::weight_gradient(windows, x, dy, dw),
    }
}

/// How many multiply-adds the output of one image takes without a bias, and each gradient.
pub fn multiply_adds(windows: &Windows, outputs: usize) -> usize {
    match algorithm(windows, outputs) {
        Algorithm::FiveTaps(tiles) => tiles.multiply_adds(),
        Algorithm::ThreeTaps(tiles) => tiles.multiply_adds(),
        // Zeros of the padding are multiplied like pixels.
        Algorithm::Direct | Algorithm::Plain => windows.count() * windows.len() * outputs,
    }
}

/// Weights (taps, inputs, outputs) as (taps, outputs, inputs).
fn transpose_taps(w: &[f32], inputs: usize, outputs: usize, transposed: &mut [f32]) {
    let of_tap = inputs * outputs;
    parallel::for_each_chunk(transposed, of_tap, |tap, transposed| {
        let w = &w[tap * of_tap..][..of_tap];
        for (o, row) in transposed.chunks_exact_mut(inputs).enumerate() {
            for (to, from) in row.iter_mut().zip(w[o..].iter().step_by(outputs)) {
                *to = *from;
            }
        }
    });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a convolution of 0 channels")]
    fn no_channels_are_refused_in_words() {
        let windows = Windows { height: 4, width: 4, channels: 0, kernel: 3, stride: 1, padding: 1 };
        forward(&windows, &[][..], &[], None, &mut [0.0; 16]);
    }
}
