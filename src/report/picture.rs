//! An image in memory: bytes, row by row.

use crate::data::image;

/// An image of `height` x `width` pixels with 1 (grey) or 3 (red, green, blue) bytes a pixel, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Rows of pixels.
    pub height: usize,
    /// Pixels of a row.
    pub width: usize,
    /// Bytes of a pixel: 1 or 3.
    pub channels: usize,
    /// `height * width * channels` bytes.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// An image of the given bytes.
    ///
    /// # Panics
    /// If it has no pixels, neither 1 nor 3 channels, or not the bytes of its size.
    #[track_caller]
    pub fn new(height: usize, width: usize, channels: usize, pixels: Vec<u8>) -> Self {
        assert!(matches!(channels, 1 | 3), "a picture of {channels} channels: it is grey (1) or colour (3)");
        assert!(!pixels.is_empty(), "a picture of {height}x{width} pixels has none");
        assert_eq!(pixels.len(), height * width * channels, "bytes of a {height}x{width}x{channels} picture");
        Picture { height, width, channels, pixels }
    }

    /// The colour of a pixel; grey is a colour of three equal parts.
    ///
    /// # Panics
    /// If `row` or `column` is outside.
    #[track_caller]
    pub fn colour(&self, row: usize, column: usize) -> [u8; 3] {
        let [height, width] = [self.height, self.width];
        assert!(row < height && column < width, "pixel {row}, {column} of a picture of {height}x{width}");
        let pixel = &self.pixels[(row * width + column) * self.channels..][..self.channels];
        match *pixel {
            [grey] => [grey; 3],
            [red, green, blue] => [red, green, blue],
            _ => panic!("a picture of {} channels: it is grey (1) or colour (3)", self.channels),
        }
    }

    /// The bytes of a PNG file of this image; the same image gives the same bytes.
    ///
    /// # Panics
    /// If the bytes were changed to no longer fit the size.
    pub fn to_png(&self) -> Vec<u8> {
        match self.channels {
            1 => image::encode_grey(self.width, self.height, &self.pixels),
            _ => image::encode_rgb(self.width, self.height, &self.pixels),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn pixels_are_found_row_by_row() {
        let grey = Picture::new(2, 3, 1, vec![0, 1, 2, 3, 4, 5]);
        assert_eq!(grey.colour(1, 0), [3, 3, 3]);
        let colour = Picture::new(1, 2, 3, vec![9, 8, 7, 6, 5, 4]);
        assert_eq!(colour.colour(0, 1), [6, 5, 4]);
    }

    #[test]
    fn a_png_file_holds_the_same_pixels() {
        for channels in [1, 3] {
            let picture =
                Picture::new(3, 5, channels, (0..15 * channels).map(|value| value as u8 * 5).collect());
            let mut reader = png::Decoder::new(Cursor::new(picture.to_png())).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            let frame = reader.next_frame(&mut pixels).unwrap();
            assert_eq!([frame.width, frame.height], [5, 3]);
            assert_eq!(pixels, picture.pixels);
        }
    }

    #[test]
    #[should_panic(expected = "bytes of a 2x2x3 picture")]
    fn bytes_that_do_not_fit_are_a_bug() {
        Picture::new(2, 2, 3, vec![0; 4]);
    }

    #[test]
    #[should_panic(expected = "a picture of 4 channels")]
    fn four_channels_are_a_bug() {
        Picture::new(1, 1, 4, vec![0; 4]);
    }
}
