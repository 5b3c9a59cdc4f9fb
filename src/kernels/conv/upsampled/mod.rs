//! Nearest up-sampling to twice the size, then a transposed convolution, without the larger image.
//!
//! With X[r, s] = x[r div 2, s div 2] the transposed convolution of odd kernel k and stride 1 is
//!
//! ```text
//! y[p, q, o] = sum over (r, s, c) of X[p - r, q - s, c] w[r, s, c, o],     0 <= p, q < 2 H + k - 1
//! ```
//!
//! Write p = 2 i + a with a in {0, 1}. Then (p - r) div 2 = i - t with t = ceil((r - a) / 2): several of the k taps
//! fall on the same pixel of the small image, and their weights can be summed once instead of multiplied each. With
//! T = (k + 1) / 2 taps, each of the four phases (a, b) is a T x T convolution of the small image padded by T - 1:
//!
//! ```text
//! y[2 i + a, 2 j + b, o] = sum over (t, t', c) of x[i - t, j - t', c] f[t, t', c, (a, b), o]
//! f[t, t', c, (a, b), o] = sum of w[r, s, c, o] over the r, s that fall on t, t'
//! ```
//!
//! For k = 5 these are 9 products instead of 25, exactly. `folded.rs` computes just that, as matrix products, for any
//! odd kernel; `winograd/` needs far fewer products for k = 5. Which of them is used, the shape alone decides.

mod folded;
mod winograd;

use folded::Folded;
use winograd::Tiles;

/// The sizes of the layer: an image (height, width, inputs), an odd kernel, and the output channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upsampled {
    /// Rows of the small image.
    pub height: usize,
    /// Columns of the small image.
    pub width: usize,
    /// Channels of the small image.
    pub inputs: usize,
    /// Rows and columns of the kernel; odd.
    pub kernel: usize,
    /// Channels of the output.
    pub outputs: usize,
}

/// How the layer is computed.
#[derive(Clone, Copy, Debug)]
enum Algorithm {
    Folded(Folded),
    Winograd(Tiles),
}

impl Upsampled {
    /// (rows, columns) of the output.
    pub fn output(&self) -> (usize, usize) {
        (2 * self.height + self.kernel - 1, 2 * self.width + self.kernel - 1)
    }

    /// How many numbers an output image holds.
    fn output_len(&self) -> usize {
        let (rows, columns) = self.output();
        rows * columns * self.outputs
    }

    /// How many numbers a small image holds.
    fn image_len(&self) -> usize {
        self.height * self.width * self.inputs
    }

    /// Winograd's way for many channels, in whole vectors.
    fn algorithm(self) -> Algorithm {
        match Tiles::of(self) {
            Some(tiles) => Algorithm::Winograd(tiles),
            None => Algorithm::Folded(Folded(self)),
        }
    }

    /// How many multiply-adds the output of one image takes, and each of its gradients.
    pub fn multiply_adds(self) -> usize {
        match self.algorithm() {
            Algorithm::Folded(folded) => folded.multiply_adds(),
            Algorithm::Winograd(tiles) => tiles.multiply_adds(),
        }
    }

    /// y from x (images) and w (kernel, kernel, inputs, outputs).
    pub fn forward(self, x: &[f32], w: &[f32], y: &mut [f32]) {
        match self.algorithm() {
            Algorithm::Folded(folded) => folded.forward(x, w, y),
            Algorithm::Winograd(tiles) => tiles.forward(x, w, y),
        }
    }

    /// The gradient of the small images, from that of y.
    pub fn input_gradient(self, w: &[f32], dy: &[f32], dx: &mut [f32]) {
        match self.algorithm() {
            Algorithm::Folded(folded) => folded.input_gradient(w, dy, dx),
            Algorithm::Winograd(tiles) => tiles.input_gradient(w, dy, dx),
        }
    }

    /// The gradient of w, from the small images and the gradient of y.
    pub fn weight_gradient(self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        match self.algorithm() {
            Algorithm::Folded(folded) => folded.weight_gradient(x, dy, dw),
            Algorithm::Winograd(tiles) => tiles.weight_gradient(x, dy, dw),
        }
    }
}

/// Both algorithms side by side, for the test of their errors.
#[cfg(test)]
pub(super) mod errors {
    use super::{Folded, Tiles, Upsampled};

    /// y, dx and dw, folded and by Winograd's way.
    pub(in crate::kernels::conv) fn both(
        layer: Upsampled,
        x: &[f32],
        w: &[f32],
        dy: &[f32],
    ) -> [[Vec<f32>; 3]; 2] {
        let empty = || [vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()], vec![f32::NAN; w.len()]];
        let (folded, tiles) = (Folded(layer), Tiles::of(layer).expect("a layer that has tiles"));
        let [mut a, mut b] = [empty(), empty()];
        folded.forward(x, w, &mut a[0]);
        folded.input_gradient(w, dy, &mut a[1]);
        folded.weight_gradient(x, dy, &mut a[2]);
        tiles.forward(x, w, &mut b[0]);
        tiles.input_gradient(w, dy, &mut b[1]);
        tiles.weight_gradient(x, dy, &mut b[2]);
        [a, b]
    }
}
