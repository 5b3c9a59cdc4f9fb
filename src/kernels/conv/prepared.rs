//! Convolutions whose weights are used many times: they are mapped or packed once, and images go through on the calling
//! thread.
//!
//! The sums, and so the bits, are those of [`super::forward`].

use super::winograd::Tiles;
use super::{Algorithm, Windows, algorithm, plain};
use crate::kernels::gemm::{self, Matrix, Packed};

/// A convolution with prepared weights.
#[derive(Clone, Copy, Debug)]
pub struct Prepared<'a> {
    /// What it looks at.
    pub windows: Windows,
    /// What [`prepare`] wrote.
    pub weights: &'a [f32],
    /// One number an output: their number is that of the outputs.
    pub bias: &'a [f32],
}

/// How many numbers [`prepare`] writes.
pub fn prepared_len(windows: &Windows, outputs: usize) -> usize {
    match algorithm(windows, outputs) {
        Algorithm::FiveTaps(tiles) => tiles.weights_len(),
        Algorithm::ThreeTaps(tiles) => tiles.weights_len(),
        Algorithm::Direct | Algorithm::Plain => gemm::packed_len(windows.len(), outputs),
    }
}

/// Writes w (kernel, kernel, inputs, outputs) as they are used.
///
/// # Panics
/// If there is not as much room as they take.
pub fn prepare(windows: &Windows, w: &[f32], outputs: usize, weights: &mut [f32]) {
    assert_eq!(weights.len(), prepared_len(windows, outputs), "room for the weights of {windows:?}");
    match algorithm(windows, outputs) {
        Algorithm::FiveTaps(tiles) => tiles.prepare(w, weights),
        Algorithm::ThreeTaps(tiles) => tiles.prepare(w, weights),
        Algorithm::Direct | Algorithm::Plain => {
            gemm::pack(Matrix::new(w, windows.len(), outputs), weights);
        }
    }
}

impl Prepared<'_> {
    /// y from x, whole images, on the calling thread.
    ///
    /// # Panics
    /// If the two are not of the same number of images.
    pub fn forward(&self, x: &[f32], y: &mut [f32]) {
        let Prepared { windows, weights, bias } = self;
        let (image, output) = (windows.image_len(), windows.count() * bias.len());
        assert_eq!(x.len() / image * output, y.len(), "images of {windows:?} and what becomes of them");
        match algorithm(windows, bias.len()) {
            Algorithm::FiveTaps(tiles) => by_tiles(tiles, weights, bias, x, y),
            Algorithm::ThreeTaps(tiles) => by_tiles(tiles, weights, bias, x, y),
            Algorithm::Direct | Algorithm::Plain => {
                let weights = Packed::new(weights, windows.len(), bias.len());
                // An image at a time: its windows are many times as large.
                for (x, y) in x.chunks_exact(image).zip(y.chunks_exact_mut(output)) {
                    plain::forward_of(windows, x.into(), 0..image, weights, Some(bias), y);
                }
            }
        }
    }
}

fn by_tiles<const TAPS: usize, const TILE: usize>(
    tiles: Tiles<TAPS, TILE>,
    weights: &[f32],
    bias: &[f32],
    x: &[f32],
    y: &mut [f32],
) {
    tiles.forward_of(weights, Some(bias), x, y);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn prepared_weights_give_the_bits_of_those_that_are_not() {
        for (height, width, channels, kernel, stride, padding, outputs) in [
            (8, 9, 16, 3, 1, 1, 20),
            (6, 7, 16, 5, 1, 0, 32),
            (5, 6, 3, 3, 2, 1, 17),
            (6, 6, 5, 1, 2, 0, 33),
            (12, 12, 2, 3, 1, 0, 4),
            (3, 4, 6, 1, 1, 0, 9),
        ] {
            let windows = Windows { height, width, channels, kernel, stride, padding };
            let numbers = |purpose: u64, len: usize| {
                let mut numbers = vec![0.0; len];
                Stream::new(purpose, "prepared", &[]).fill_uniform(-1.0, 1.0, &mut numbers);
                numbers
            };
            let (x, w) = (numbers(0, 5 * windows.image_len()), numbers(1, windows.len() * outputs));
            let bias = numbers(2, outputs);
            let mut expected = vec![f32::NAN; 5 * windows.count() * outputs];
            super::super::forward(&windows, &x, &w, Some(&bias), &mut expected);
            let mut weights = vec![f32::NAN; prepared_len(&windows, outputs)];
            prepare(&windows, &w, outputs, &mut weights);
            let mut y = vec![f32::NAN; expected.len()];
            Prepared { windows, weights: &weights, bias: &bias }.forward(&x, &mut y);
            let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&y), bits(&expected), "{windows:?}");
        }
    }
}
