//! The gradient of the weights without gathering windows.
//!
//! ```text
//! dw[k, o] = sum over images and places of x[place + offset of k] dy[place, o],   k = (u, v, c)
//! ```
//!
//! The sums of a tile of numbers k and vectors of outputs stay in registers while the places go by: vectors of dy are
//! loaded, numbers of x broadcast. That is the product of the windows transposed and dy, with the windows read where
//! they lie.

use super::{Windows, plain};
use crate::kernels::gemm::{BLOCK, Start};
use crate::kernels::lanes::load_some;
use crate::simd::{Isa, Kernel, LANES, Simd};

/// The gradient of the weights, from the images and the gradient of y: the bits of [`plain::weight_gradient`].
///
/// # Panics
/// If the sizes do not fit.
pub fn weight_gradient(windows: &Windows, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    weight_gradient_on(Isa::current(), windows, x, dy, dw);
}

pub(super) fn weight_gradient_on(isa: Isa, windows: &Windows, x: &[f32], dy: &[f32], dw: &mut [f32]) {
    let (image, outputs) = (windows.image_len(), dw.len() / windows.len());
    let places = x.len() / image * windows.count();
    assert_eq!(dy.len(), places * outputs, "{outputs} numbers of each of {places} places");
    // A window that is a pixel needs no gathering: the plain way cuts that sum differently.
    if isa == Isa::Portable || windows.is_pointwise() {
        return plain::weight_gradient(windows, x, dy, dw);
    }
    plain::sum_of_groups(windows, x.into(), dy.into(), dw, |x, dy, dw, start| {
        if start == Start::Zero {
            // Added to minus zero, a number stays what it is, even minus zero.
            dw.fill(-0.0);
        }
        let bordered = windows.bordered();
        windows.with_borders(x, |x| match isa {
            Isa::Avx512 => isa.run(Gradient::<2> { windows: bordered, outputs, x, dy, dw }),
            _ => isa.run(Gradient::<1> { windows: bordered, outputs, x, dy, dw }),
        });
    });
}

/// How many k a tile takes. Wider tiles were no faster, and this one leaves no sum idle with kernels of 5x5.
const TILE: usize = 5;

/// The kernel, by tiles of [`TILE`] numbers k and V vectors of outputs: it adds to dw.
struct Gradient<'a, const V: usize> {
    /// Without padding.
    windows: Windows,
    outputs: usize,
    x: &'a [f32],
    dy: &'a [f32],
    dw: &'a mut [f32],
}

impl<const V: usize> Kernel for Gradient<'_, V> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let places = self.dy.len() / self.outputs;
        for first in (0..places).step_by(BLOCK) {
            let end = places.min(first + BLOCK);
            let mut output = 0;
            while output + V * LANES <= self.outputs {
                self.numbers::<S, V>(s, [first, end], output);
                output += V * LANES;
            }
            while output < self.outputs {
                self.numbers::<S, 1>(s, [first, end], output);
                output += LANES;
            }
        }
    }
}

impl<const V: usize> Gradient<'_, V> {
    /// All k for W vectors of outputs from `output` on, over the places from `first` to `end`.
    #[inline(always)]
    fn numbers<S: Simd, const W: usize>(&mut self, s: S, block: [usize; 2], output: usize) {
        let inner = self.windows.len();
        if inner < TILE {
            for k in 0..inner {
                self.tile::<S, 1, W>(s, block, output, [k, 0]);
            }
            return;
        }
        for k in (0..inner).step_by(TILE) {
            // The last tile begins early enough to be whole: what it sums again is left out.
            let first = k.min(inner - TILE);
            self.tile::<S, TILE, W>(s, block, output, [first, k - first]);
        }
    }

    /// The sums of R numbers from `k` on, of which the first `done` are not added to dw.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const W: usize>(
        &mut self,
        s: S,
        [first, end]: [usize; 2],
        output: usize,
        [k, done]: [usize; 2],
    ) {
        let Windows { height, width, channels, kernel, stride, .. } = self.windows;
        let (line, span, step) = (width * channels, kernel * channels, stride * channels);
        let [rows, columns] = [height, width].map(|size| (size - kernel) / stride + 1);
        let last = (self.outputs - output).min(W * LANES) - (W - 1) * LANES;

        // How far the number k of a window is from its corner.
        let mut offsets = [0; R];
        let (mut row, mut within) = (k / span, k % span);
        for offset in &mut offsets {
            *offset = row * line + within;
            within += 1;
            if within == span {
                (row, within) = (row + 1, 0);
            }
        }

        let mut sums = [[s.splat(0.0); W]; R];
        let (mut row, mut column) = (first / columns, first % columns);
        let mut image = row / rows * height * line;
        row %= rows;
        let mut place = first;
        while place < end {
            // What is left of this row of places, or of the block.
            let count = (columns - column).min(end - place);
            let corner = image + row * stride * line + column * step;
            let reach = (count - 1) * step + 1;
            let mut numbers = [&self.x[..0]; R];
            for (numbers, offset) in numbers.iter_mut().zip(offsets) {
                *numbers = &self.x[corner + offset..][..reach];
            }
            let (mut at, mut index) = (place * self.outputs + output, 0);
            while index < reach {
                let dy = &self.dy[at..][..(W - 1) * LANES + last];
                let mut vectors = [s.splat(0.0); W];
                for (w, vector) in vectors.iter_mut().enumerate() {
                    *vector = load_some(s, &dy[w * LANES..]);
                }
                for (sums, numbers) in sums.iter_mut().zip(numbers) {
                    let x = s.splat(numbers[index]);
                    for (sum, vector) in sums.iter_mut().zip(vectors) {
                        *sum = s.mul_add(x, vector, *sum);
                    }
                }
                at += self.outputs;
                index += step;
            }
            place += count;
            // On to the next row, or to the first one of the next image.
            (row, column) = (row + 1, 0);
            if row == rows {
                (image, row) = (image + height * line, 0);
            }
        }

        let dw = self.dw[k * self.outputs..].chunks_exact_mut(self.outputs).zip(sums);
        for (dw, sums) in dw.skip(done) {
            for (w, sum) in sums.into_iter().enumerate() {
                let from = output + w * LANES;
                let to = &mut dw[from..self.outputs.min(from + LANES)];
                s.store_head(s.add(s.load_head(to), sum), to);
            }
        }
    }
}
