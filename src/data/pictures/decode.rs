//! Pictures as people have them, PNG and JPEG, as 8-bit grey or colour.
//!
//! What a file is its contents say, not its name. Whatever it holds becomes what Pillow's `convert("RGB")` or
//! `convert("L")` makes of it, bit for bit: palettes are looked up; 1, 2 and 4 bits become the levels from 0 to 255; alpha is
//! dropped, not laid on a colour; colour becomes grey by the luma of ITU-R 601; CMYK and YCCK JPEG files count ink as Adobe
//! does. A picture taken with the camera on its side is put upright. Of an animation the first picture counts. An embedded
//! colour profile is ignored. One thing differs: of 16 bits the upper 8 are kept, as Pillow does in colour, while it cuts
//! 16-bit grey off at 255, which nobody expects; [`Picture::range`] says what there was.
//!
//! A file is refused by its header if it promises more than [`MOST_PIXELS`], or more than its length can hold: DEFLATE
//! packs at most 1,032 bytes into one, and JPEG spends at least a bit on each block of 8 x 8. So memory is bounded by the
//! length; and, whatever the length, by 8 bytes a pixel for PNG (512 MiB) and 12 for JPEG (768 MiB), whose progressive
//! kind keeps all coefficients until the end.

use super::orientation::Orientation;
use super::{jpeg, png_notes};
use crate::data::image::{self, luma};
use png::ColorType;
use std::io::Cursor;

/// The most pixels of a picture: 8192 x 8192.
pub const MOST_PIXELS: usize = 1 << 26;

/// How many bytes DEFLATE packs into one.
const MOST_INFLATION: usize = 1032;

/// The blocks of 8 x 8 samples for which JPEG spends at least a byte.
const MOST_BLOCKS_A_BYTE: usize = 8;

/// A decoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// The rows from the top, each from the left, the values of a pixel together.
    pub pixels: Vec<u8>,
    /// The smallest and the largest value of a file of 16 bits, alpha aside, before the upper 8 were kept.
    pub range: Option<[u16; 2]>,
}

/// The picture in the file `bytes` with `channels` values a pixel: 1 (grey) or 3 (red, green, blue).
///
/// # Errors
/// If the file is neither PNG nor JPEG, is damaged, cut short or too large: what was found and what was expected,
/// without the file's name.
///
/// # Panics
/// If `channels` is neither 1 nor 3.
#[track_caller]
pub fn decode(bytes: &[u8], channels: usize) -> Result<Picture, String> {
    assert!(matches!(channels, 1 | 3), "{channels} channels, expected 1 or 3");
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        decode_png(bytes, channels)
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        decode_jpeg(bytes, channels)
    } else {
        Err(format!("it is {}, expected a PNG or JPEG file", what_it_is(bytes)))
    }
}

/// What the first bytes of a file say that it is.
fn what_it_is(bytes: &[u8]) -> &'static str {
    let behind = bytes.get(8..12).unwrap_or_default();
    match bytes {
        [] => "empty",
        [b'G', b'I', b'F', b'8', ..] => "a GIF file",
        [b'B', b'M', ..] => "a BMP file",
        [b'I', b'I', b'*' | b'+', 0, ..] | [b'M', b'M', 0, b'*' | b'+', ..] => "a TIFF file",
        [b'R', b'I', b'F', b'F', ..] if behind == b"WEBP" => "a WebP file",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] if behind == b"avif" => "an AVIF file",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] if matches!(behind, b"heic" | b"heix" | b"mif1") => {
            "a HEIC file"
        }
        _ => "no picture that is known here",
    }
}

/// Refuses what is too large, or larger than `length` bytes can hold, of which one holds at most `most_a_byte` of `parts`.
fn check_size(
    [height, width]: [usize; 2],
    parts: usize,
    length: usize,
    most_a_byte: usize,
) -> Result<(), String> {
    if height.saturating_mul(width) > MOST_PIXELS {
        return Err(format!("it is {height}x{width} pixels, expected at most {MOST_PIXELS} in all"));
    }
    if parts > length.saturating_mul(most_a_byte) {
        return Err(format!("it is cut short: {height}x{width} pixels do not fit into {length} bytes"));
    }
    Ok(())
}

fn decode_png(bytes: &[u8], channels: usize) -> Result<Picture, String> {
    let png = image::decode(Cursor::new(bytes), |header| {
        let size = [header.height, header.width].map(|side| side as usize);
        // Not `raw_bytes`, whose product overflows for the largest sizes that a header can name.
        let raw_bytes = size[0].saturating_mul(header.raw_row_length());
        check_size(size, raw_bytes, bytes.len(), MOST_INFLATION)
    })?;
    let (size, orientation) = ([png.height, png.width], png_notes::orientation(bytes));
    let picture = match png.color {
        ColorType::Grayscale => shaped::<1>(png.pixels, size, orientation, channels),
        ColorType::GrayscaleAlpha => {
            let grey = keep_first::<2>(png.pixels, 1);
            shaped::<1>(grey, size, orientation, channels)
        }
        ColorType::Rgb => shaped::<3>(png.pixels, size, orientation, channels),
        ColorType::Rgba => {
            let colours = keep_first::<4>(png.pixels, 3);
            shaped::<3>(colours, size, orientation, channels)
        }
        ColorType::Indexed => unreachable!("palettes are expanded"),
    };
    Ok(Picture { range: png.range, ..picture })
}

/// The first `kept` of each `N` values, in the memory that holds them all.
fn keep_first<const N: usize>(mut values: Vec<u8>, kept: usize) -> Vec<u8> {
    let pixels = values.len() / N;
    for pixel in 0..pixels {
        values.copy_within(pixel * N..pixel * N + kept, pixel * kept);
    }
    values.truncate(pixels * kept);
    values
}

/// The picture of `[height, width]` with `N` values a pixel, put upright, with `channels` values a pixel.
fn shaped<const N: usize>(
    pixels: Vec<u8>,
    size: [usize; 2],
    orientation: Orientation,
    channels: usize,
) -> Picture {
    let pixels = orientation.upright::<N>(size, pixels);
    let [height, width] = orientation.upright_size(size);
    let pixels = match (N, channels) {
        (3, 1) => pixels.as_chunks().0.iter().map(|&[red, green, blue]| luma(red, green, blue)).collect(),
        (1, 3) => pixels.iter().flat_map(|&grey| [grey; 3]).collect(),
        _ => pixels,
    };
    Picture { height, width, pixels, range: None }
}

fn decode_jpeg(bytes: &[u8], channels: usize) -> Result<Picture, String> {
    let accept = |size, blocks| check_size(size, blocks, bytes.len(), MOST_BLOCKS_A_BYTE);
    let jpeg = jpeg::decode(bytes, accept)?;
    Ok(match jpeg.channels {
        1 => shaped::<1>(jpeg.pixels, jpeg.size, jpeg.orientation, channels),
        _ => shaped::<3>(jpeg.pixels, jpeg.size, jpeg.orientation, channels),
    })
}

#[cfg(test)]
mod tests;
