//! Flips and quarter turns: other pictures of the same cell.
//!
//! A cell under a microscope has no upright, so each of the ways to lay a square on itself shows a cell as good. Every
//! time an image is trained on it is flipped left to right or not, top to bottom or not, and then turned by 0 to 3
//! quarters: 16 draws of equal chance, two of which come to each of the 8 ways. Which one it is, is a function of the
//! seed, the epoch and the image, so that neither the order of the batches nor an interruption matters.

use super::Dataset;
use crate::rng::Stream;

/// One of the 16 draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symmetry {
    /// Whether left and right change places.
    pub mirrored: bool,
    /// Whether top and bottom then change places.
    pub upside_down: bool,
    /// By how many quarters it is then turned, counter-clockwise: 0 to 3.
    pub quarter_turns: u8,
}

impl Symmetry {
    /// What is drawn for image `image` in epoch `epoch` of a run with seed `seed`.
    pub fn drawn(seed: u64, epoch: u64, image: u64) -> Symmetry {
        let bits = Stream::new(seed, "flips and quarter turns", &[epoch]).bits(image);
        // The upper four bits.
        Symmetry {
            mirrored: bits >> 31 == 1,
            upside_down: bits >> 30 & 1 == 1,
            quarter_turns: (bits >> 28 & 3) as u8,
        }
    }

    /// Writes the image `from` of `side` x `side` pixels with `channels` values each to `to`, transformed; `convert` makes
    /// the numbers of bytes.
    ///
    /// # Panics
    /// If a slice has another length.
    #[track_caller]
    pub fn apply<T>(
        self,
        side: usize,
        channels: usize,
        from: &[u8],
        to: &mut [T],
        convert: impl Fn(u8) -> T,
    ) {
        let values = side * side * channels;
        assert_eq!([from.len(), to.len()], [values; 2], "values of an image of {side}x{side}x{channels}");
        // Whence the pixel in a row and column of the turned image comes: undo the turn, then the flips.
        let last = side.wrapping_sub(1);
        for (place, to) in to.chunks_exact_mut(channels.max(1)).enumerate() {
            let (row, column) = (place / side, place % side);
            let (mut y, mut x) = match self.quarter_turns {
                0 => (row, column),
                1 => (column, last - row),
                2 => (last - row, last - column),
                _ => (last - column, row),
            };
            if self.upside_down {
                y = last - y;
            }
            if self.mirrored {
                x = last - x;
            }
            let from = &from[(y * side + x) * channels..][..channels];
            for (to, &byte) in to.iter_mut().zip(from) {
                *to = convert(byte);
            }
        }
    }
}

impl Dataset {
    /// Writes the images `indices` to `[images, height, width, channels]`, each transformed as [`Symmetry::drawn`] says for
    /// its index, its bytes made numbers by `convert`: [`Dataset::gather_pixels`] and [`Dataset::gather_levels`] for training
    /// that is to see every image in all positions.
    ///
    /// # Panics
    /// If the images are not square, an index is too large or `to` has another size.
    #[track_caller]
    pub fn gather_augmented<T>(
        &self,
        [seed, epoch]: [u64; 2],
        indices: &[usize],
        to: &mut [T],
        convert: impl Fn(u8) -> T,
    ) {
        assert_eq!(self.height, self.width, "sides of images to be turned");
        assert_eq!(to.len(), indices.len() * self.values(), "values of a batch of {} images", indices.len());
        for (to, &index) in to.chunks_exact_mut(self.values()).zip(indices) {
            let symmetry = Symmetry::drawn(seed, epoch, index as u64);
            symmetry.apply(self.height, self.channels, self.image(index), to, &convert);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Symmetry> {
        (0..16).map(|i| Symmetry { mirrored: i & 1 == 1, upside_down: i & 2 == 2, quarter_turns: i >> 2 })
    }

    /// One step after the other, each by its own formula for where a pixel goes.
    fn naive(symmetry: Symmetry, side: usize, channels: usize, from: &[u8]) -> Vec<u8> {
        let moved = |image: &[u8], place: &dyn Fn(usize, usize) -> (usize, usize)| {
            let mut to = vec![0; image.len()];
            for row in 0..side {
                for column in 0..side {
                    let (new_row, new_column) = place(row, column);
                    for channel in 0..channels {
                        to[(new_row * side + new_column) * channels + channel] =
                            image[(row * side + column) * channels + channel];
                    }
                }
            }
            to
        };
        let mut image = from.to_vec();
        if symmetry.mirrored {
            image = moved(&image, &|row, column| (row, side - 1 - column));
        }
        if symmetry.upside_down {
            image = moved(&image, &|row, column| (side - 1 - row, column));
        }
        // Counter-clockwise: what was right is now on top.
        for _ in 0..symmetry.quarter_turns {
            image = moved(&image, &|row, column| (side - 1 - column, row));
        }
        image
    }

    #[test]
    fn each_draw_is_its_steps() {
        for (side, channels) in [(1, 1), (2, 3), (5, 1), (6, 3)] {
            let image: Vec<u8> = (0..side * side * channels).map(|i| i as u8).collect();
            let mut seen = Vec::new();
            for symmetry in all() {
                let mut to = vec![0; image.len()];
                symmetry.apply(side, channels, &image, &mut to, |byte| byte);
                assert_eq!(
                    to,
                    naive(symmetry, side, channels, &image),
                    "{symmetry:?} of {side}x{side}x{channels}"
                );
                seen.push(to);
            }
            assert_eq!(seen[0], image);
            seen.sort_unstable();
            let ways: Vec<usize> = seen.chunk_by(|a, b| a == b).map(<[_]>::len).collect();
            assert_eq!(ways, if side == 1 { vec![16] } else { vec![2; 8] });
        }
        // Pillow 13.0.0: numpy.asarray(image.transpose(Image.Transpose.ROTATE_90)) of the rows (1 2), (3 4)
        let mut to = [0; 4];
        let turned = Symmetry { mirrored: false, upside_down: false, quarter_turns: 1 };
        turned.apply(2, 1, &[1, 2, 3, 4], &mut to, u16::from);
        assert_eq!(to, [2, 4, 1, 3]);
    }

    #[test]
    fn draws_are_uniform_and_a_function_of_seed_epoch_and_image() {
        let number = |symmetry: Symmetry| all().position(|other| other == symmetry).unwrap();
        let counts = |draw: &dyn Fn(u64) -> Symmetry| {
            let mut counts = [0_u32; 16];
            (0..16_000).for_each(|i| counts[number(draw(i))] += 1);
            counts
        };
        let over: [&dyn Fn(u64) -> Symmetry; 3] =
            [&|i| Symmetry::drawn(1, 2, i), &|i| Symmetry::drawn(1, i, 2), &|i| Symmetry::drawn(i, 1, 2)];
        for draw in over {
            // Pearson's statistic of 15 degrees of freedom: 37.7 is exceeded once in 1,000.
            let chi: f64 =
                counts(draw).iter().map(|&count| (f64::from(count) - 1000.0).powi(2) / 1000.0).sum();
            assert!(chi < 37.7, "{chi}");
        }
        // by another implementation of Philox, in Python; a later version must do the same
        let first: Vec<usize> = (0..12).map(|i| number(Symmetry::drawn(3, 4, i))).collect();
        assert_eq!(first, [8, 3, 12, 13, 15, 3, 1, 13, 13, 1, 7, 10]);
    }

    #[test]
    fn a_batch_is_gathered() {
        let data = Dataset::new([3, 3, 2], (0..90).collect(), vec![0; 5], vec![0; 5]);
        let (indices, mut to) = ([4, 1, 4], [0.0; 54]);
        data.gather_augmented([7, 8], &indices, &mut to, |byte| f32::from(byte) / 255.0);
        for (to, &index) in to.chunks_exact(18).zip(&indices) {
            let expected = naive(Symmetry::drawn(7, 8, index as u64), 3, 2, data.image(index));
            assert!(to.iter().zip(expected).all(|(&to, byte)| to == f32::from(byte) / 255.0));
        }
    }

    #[test]
    #[should_panic(expected = "sides of images to be turned")]
    fn only_squares_can_be_turned() {
        Dataset::new([1, 2, 1], vec![0; 2], vec![0], vec![0]).gather_augmented(
            [0, 0],
            &[0],
            &mut [0; 2],
            |byte| byte,
        );
    }
}
