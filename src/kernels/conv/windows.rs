//! The windows of an image as the rows of a matrix, and back.
//!
//! Row (i, j) holds, for u and v in the kernel, the channels of pixel (s i + u - p, s j + v - p), zero outside of the
//! image: the rows times a (kernel, kernel, inputs) x outputs matrix of weights are the convolution.

use crate::parallel::with_scratch;
use std::ops::Range;

/// The sizes of a convolution of one image: (height, width, channels), kernel, stride, zero padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Rows of the image.
    pub height: usize,
    /// Columns of the image.
    pub width: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// Rows and columns of a window.
    pub kernel: usize,
    /// Steps between windows.
    pub stride: usize,
    /// Rows and columns of zeros on each side.
    pub padding: usize,
}

impl Windows {
    /// (rows, columns) of windows, if the kernel fits into the padded image.
    pub fn output(&self) -> Option<(usize, usize)> {
        let along = |size: usize| Some((size + 2 * self.padding).checked_sub(self.kernel)? / self.stride + 1);
        Some((along(self.height)?, along(self.width)?))
    }

    /// How many windows there are.
    ///
    /// # Panics
    /// If the kernel does not fit.
    pub fn count(&self) -> usize {
        let (rows, columns) = self.output().expect("the kernel is larger than the padded image");
        rows * columns
    }

    /// How many numbers a window holds.
    pub fn len(&self) -> usize {
        self.kernel * self.kernel * self.channels
    }

    /// Whether a window holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many numbers the image holds.
    pub fn image_len(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Whether the windows are the pixels themselves, so that nothing needs gathering.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1 && self.padding == 0
    }

    /// The same windows of images that have their borders of zeros.
    pub fn bordered(&self) -> Windows {
        let [height, width] = [self.height, self.width].map(|size| size + 2 * self.padding);
        Windows { height, width, padding: 0, ..*self }
    }

    /// Lends images with their borders, as [`Windows::bordered`] sees them, to `work`.
    ///
    /// # Panics
    /// If the length is not that of images.
    pub fn with_borders<R>(&self, images: &[f32], work: impl FnOnce(&[f32]) -> R) -> R {
        if self.padding == 0 {
            return work(images);
        }
        let (image, bordered) = (self.image_len(), self.bordered());
        assert_eq!(images.len() % image, 0, "images of {image} numbers");
        let (row, side) = (self.width * self.channels, self.padding * self.channels);
        let above = self.padding * (row + 2 * side);
        with_scratch(images.len() / image * bordered.image_len(), |scratch| {
            let pairs = images.chunks_exact(image).zip(scratch.chunks_exact_mut(bordered.image_len()));
            for (image, to) in pairs {
                // From the end of a row to the beginning of the next one there are zeros of both sides.
                to[..above + side].fill(0.0);
                let mut at = above + side;
                for row in image.chunks_exact(row) {
                    to[at..at + row.len()].copy_from_slice(row);
                    at += row.len();
                    to[at..at + 2 * side].fill(0.0);
                    at += 2 * side;
                }
                to[at..].fill(0.0);
            }
            work(scratch)
        })
    }

    /// Writes the windows of images to the rows of `windows`, image by image.
    ///
    /// # Panics
    /// If the lengths are not those of images and of their windows.
    pub fn gather(&self, images: &[f32], windows: &mut [f32]) {
        let (image, all) = (self.image_len(), self.count() * self.len());
        assert_eq!(images.len() / image, windows.len() / all, "images and their windows");
        for (image, windows) in images.chunks_exact(image).zip(windows.chunks_exact_mut(all)) {
            self.gather_one(image, windows);
        }
    }

    fn gather_one(&self, image: &[f32], windows: &mut [f32]) {
        self.for_each_span(|span, row| {
            let from = &image[span.from..span.from + span.len];
            // Most windows have no zeros.
            if span.len == row.len() {
                return windows[row].copy_from_slice(from);
            }
            let (left, rest) = windows[row].split_at_mut(span.left);
            let (inside, right) = rest.split_at_mut(span.len);
            left.fill(0.0);
            inside.copy_from_slice(from);
            right.fill(0.0);
        });
    }

    /// Overwrites images with the sums of all that `windows` holds for each pixel: the transpose of `gather`.
    ///
    /// # Panics
    /// If the lengths are not those of images and of their windows.
    pub fn scatter(&self, windows: &[f32], images: &mut [f32]) {
        let (image, all) = (self.image_len(), self.count() * self.len());
        assert_eq!(images.len() / image, windows.len() / all, "images and their windows");
        for (image, windows) in images.chunks_exact_mut(image).zip(windows.chunks_exact(all)) {
            self.scatter_one(windows, image);
        }
    }

    fn scatter_one(&self, windows: &[f32], image: &mut [f32]) {
        image.fill(0.0);
        self.for_each_span(|span, row| {
            let inside = &windows[row][span.left..span.left + span.len];
            for (pixel, x) in image[span.from..span.from + span.len].iter_mut().zip(inside) {
                *pixel += x;
            }
        });
    }

    /// Calls `work` for each row of each window, in memory order: the part of it that lies in the image, and where the
    /// row lies among the windows.
    fn for_each_span(&self, mut work: impl FnMut(Span, Range<usize>)) {
        let (rows, columns) = self.output().expect("the kernel is larger than the padded image");
        let (c, mut at) = (self.channels, 0);
        for i in 0..rows {
            for j in 0..columns {
                // The columns of the image that the window covers, before and after clipping.
                let start = (self.stride * j) as isize - self.padding as isize;
                let left = start.clamp(0, self.width as isize) as usize;
                let right = (start + self.kernel as isize).clamp(0, self.width as isize) as usize;
                let left_zeros = (left as isize - start).clamp(0, self.kernel as isize) as usize;
                for u in 0..self.kernel {
                    let row = (self.stride * i + u).wrapping_sub(self.padding);
                    let mut span = Span { left: 0, from: 0, len: 0 };
                    if row < self.height {
                        span.left = left_zeros * c;
                        span.from = (row * self.width + left) * c;
                        span.len = (right - left) * c;
                    }
                    let end = at + self.kernel * c;
                    work(span, at..end);
                    at = end;
                }
            }
        }
    }
}

/// Part of one row of a window: `left` zeros, then `len` numbers of the image from `from` on, then zeros.
struct Span {
    left: usize,
    from: usize,
    len: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixel (row, column, channel) of window (i, j) by definition.
    fn pixel(w: &Windows, image: &[f32], [i, j, u, v, c]: [usize; 5]) -> f32 {
        let row = (w.stride * i + u).checked_sub(w.padding).filter(|&row| row < w.height);
        let column = (w.stride * j + v).checked_sub(w.padding).filter(|&column| column < w.width);
        row.zip(column).map_or(0.0, |(row, column)| image[(row * w.width + column) * w.channels + c])
    }

    #[test]
    fn gather_follows_the_definition_and_scatter_is_its_transpose() {
        for (height, width, channels, kernel, stride, padding) in [
            (5, 7, 3, 3, 1, 0),
            (4, 4, 16, 3, 1, 2),
            (9, 6, 2, 5, 2, 2),
            (3, 3, 1, 1, 2, 0),
            (2, 3, 5, 5, 1, 4),
        ] {
            let w = Windows { height, width, channels, kernel, stride, padding };
            let image: Vec<f32> = (1..=w.image_len()).map(|i| i as f32).collect();
            let mut windows = vec![f32::NAN; w.count() * w.len()];
            w.gather(&image, &mut windows);
            let (rows, columns) = w.output().expect("chosen to fit");
            let mut at = windows.iter();
            let mut counts = vec![0.0; image.len()];
            for i in 0..rows {
                for j in 0..columns {
                    for u in 0..kernel {
                        for v in 0..kernel {
                            for c in 0..channels {
                                let expected = pixel(&w, &image, [i, j, u, v, c]);
                                assert_eq!(at.next(), Some(&expected), "{w:?} at {i} {j} {u} {v} {c}");
                                if expected > 0.0 {
                                    counts[expected as usize - 1] += expected;
                                }
                            }
                        }
                    }
                }
            }
            let mut sums = vec![f32::NAN; image.len()];
            w.scatter(&windows, &mut sums);
            assert_eq!(sums, counts, "{w:?}");
        }
    }

    #[test]
    fn with_borders_the_windows_are_the_same() {
        for (height, width, channels, kernel, stride, padding) in
            [(5, 7, 3, 3, 1, 1), (4, 6, 2, 3, 2, 1), (3, 3, 1, 1, 2, 0), (2, 3, 5, 5, 1, 4)]
        {
            let w = Windows { height, width, channels, kernel, stride, padding };
            let images: Vec<f32> = (1..=2 * w.image_len()).map(|i| i as f32).collect();
            let [mut gathered, mut from_bordered] = [(); 2].map(|()| vec![f32::NAN; 2 * w.count() * w.len()]);
            w.gather(&images, &mut gathered);
            w.with_borders(&images, |images| w.bordered().gather(images, &mut from_bordered));
            assert_eq!(from_bordered, gathered, "{w:?}");
        }
    }

    #[test]
    fn a_kernel_larger_than_the_image_has_no_output() {
        let w = Windows { height: 3, width: 9, channels: 1, kernel: 5, stride: 1, padding: 0 };
        assert_eq!(w.output(), None);
        assert_eq!(Windows { padding: 1, ..w }.output(), Some((1, 7)));
    }
}
