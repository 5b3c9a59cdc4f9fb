//! PNG files in and out.
//!
//! Reading for prediction accepts what people have: grey, colour, palette, with or without alpha, 1 to 16
//! bits. Colour becomes grey by the luma of ITU-R 601 in the integer arithmetic of Pillow's `convert("L")`,
//! so a picture means the same here and there; alpha is dropped, as there; of 16 bits the upper 8 are kept, and the range of
//! all 16 is told, since of values that use few of them little is left.
//! Writing gives the same bytes for the same pixels: no clock, no name.

use crate::error::{Error, Result};
use crate::names::shown;
use crate::store::input;
use png::{BitDepth, ColorType, Decoder, DecodingError, Encoder, Info, Transformations};
use std::io::{BufRead, BufReader, ErrorKind, Seek};
use std::path::{Path, PathBuf};

/// Grey levels, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grey {
    /// The levels in 8 bits.
    pub pixels: Vec<u8>,
    /// The smallest and the largest value of a file of 16 bits, before the upper 8 were kept.
    pub range: Option<[u16; 2]>,
}

/// Reads a PNG file of `height` x `width` pixels as grey levels, row by row.
///
/// # Errors
/// If the file cannot be read, is not a PNG file, is damaged or cut short, or has another size.
pub fn read_grey(path: &Path, height: usize, width: usize) -> Result<Grey> {
    let file = input::open(path).map_err(|cause| Error::reading(path, &cause))?;
    decode_grey(BufReader::new(file), height, width)
        .map_err(|what| Error::request(format!("cannot read {}: {what}", shown(path))))
}

/// The grey levels of a PNG file of `height` x `width` pixels, row by row.
///
/// Whatever size the file claims and whatever its chunks unpack to, it takes at most four times its length in
/// memory, and 256 KiB if the pixels asked for are those of a digit.
///
/// # Errors
/// What was found and what was expected, without the file's name: as [`read_grey`].
pub fn decode_grey(
    source: impl BufRead + Seek,
    height: usize,
    width: usize,
) -> std::result::Result<Grey, String> {
    let png = decode(source, |found| {
        if [found.height as usize, found.width as usize] != [height, width] {
            return Err(format!("it is {}x{} pixels, expected {height}x{width}", found.height, found.width));
        }
        Ok(())
    })?;
    let pixels: Vec<u8> = match png.color {
        ColorType::Grayscale => png.pixels,
        ColorType::GrayscaleAlpha => png.pixels.as_chunks().0.iter().map(|&[grey, _]| grey).collect(),
        ColorType::Rgb => png.pixels.as_chunks().0.iter().map(|&[r, g, b]| luma(r, g, b)).collect(),
        ColorType::Rgba => png.pixels.as_chunks().0.iter().map(|&[r, g, b, _]| luma(r, g, b)).collect(),
        ColorType::Indexed => unreachable!("palettes are expanded"),
    };
    assert_eq!(pixels.len(), height * width, "pixels of a {height}x{width} image");
    Ok(Grey { pixels, range: png.range })
}

/// What a PNG file shows, in 8 bits and without a palette.
pub(super) struct Png {
    pub(super) height: usize,
    pub(super) width: usize,
    /// Anything but [`ColorType::Indexed`].
    pub(super) color: ColorType,
    /// Row by row, the values of a pixel together.
    pub(super) pixels: Vec<u8>,
    /// The smallest and the largest value of a file of 16 bits, alpha aside, before the upper 8 were kept.
    pub(super) range: Option<[u16; 2]>,
}

/// Decodes a PNG file that `accept` takes by its header; of an animated one the first picture.
///
/// No more memory is allocated before `accept` has agreed than the file is long. `Err` says what was found and what was
/// expected.
pub(super) fn decode(
    source: impl BufRead + Seek,
    accept: impl FnOnce(&Info<'_>) -> std::result::Result<(), String>,
) -> std::result::Result<Png, String> {
    let mut decoder = Decoder::new(source);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND); // palettes and 1 to 4 bits become 8 bits
    accept(decoder.read_header_info().map_err(|cause| explain(&cause))?)?;
    let mut reader = decoder.read_info().map_err(|cause| explain(&cause))?;
    let palette = reader.info().palette.as_ref().map_or(0, |palette| palette.len());
    if reader.info().color_type == ColorType::Indexed && !palette.is_multiple_of(3) {
        // The crate png of version 0.18.1 would panic: https://github.com/image-rs/image-png/issues/694.
        return Err(format!("it is damaged (a palette of {palette} bytes, expected 3 for each colour)"));
    }
    let size = reader.output_buffer_size().ok_or("its pixels do not fit into memory")?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(|cause| explain(&cause))?;
    reader.finish().map_err(|cause| explain(&cause))?;
    pixels.truncate(frame.buffer_size());
    let range = (frame.bit_depth == BitDepth::Sixteen).then(|| keep_upper(&mut pixels, frame.color_type));
    Ok(Png {
        height: frame.height as usize,
        width: frame.width as usize,
        color: frame.color_type,
        pixels,
        range,
    })
}

/// Keeps the upper 8 of 16 bits, and says between which numbers the 16 were, alpha aside.
fn keep_upper(values: &mut Vec<u8>, color: ColorType) -> [u16; 2] {
    let has_alpha = matches!(color, ColorType::GrayscaleAlpha | ColorType::Rgba);
    let (samples, count) = (color.samples(), values.len() / 2);
    let (mut low, mut high) = (u16::MAX, 0);
    for i in 0..count {
        let value = u16::from_be_bytes([values[2 * i], values[2 * i + 1]]);
        if !has_alpha || i % samples < samples - 1 {
            (low, high) = (low.min(value), high.max(value));
        }
        values[i] = values[2 * i];
    }
    values.truncate(count);
    values.shrink_to_fit();
    [low, high]
}

fn explain(cause: &DecodingError) -> String {
    match cause {
        DecodingError::IoError(cause) if cause.kind() == ErrorKind::UnexpectedEof => {
            "it is cut short, expected a complete PNG file".into()
        }
        DecodingError::IoError(cause) => cause.to_string(),
        _ => format!("it is not a PNG file or is damaged ({cause})"),
    }
}

/// The grey level of a colour: 0.299 R + 0.587 G + 0.114 B in 1/65536, rounded.
pub(super) fn luma(red: u8, green: u8, blue: u8) -> u8 {
    ((u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000) >> 16) as u8
}

/// The bytes of a grey PNG file of `width` x `height` pixels, given row by row.
///
/// # Panics
/// If the number of pixels does not fit the size, or there are none.
#[track_caller]
pub fn encode_grey(width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
    encode(width, height, ColorType::Grayscale, pixels)
}

/// The bytes of a colour PNG file of `width` x `height` pixels, given row by row as red, green, blue.
///
/// # Panics
/// If the number of values does not fit the size, or there are none.
#[track_caller]
pub fn encode_rgb(width: usize, height: usize, pixels: &[u8]) -> Vec<u8> {
    encode(width, height, ColorType::Rgb, pixels)
}

#[track_caller]
fn encode(width: usize, height: usize, color: ColorType, pixels: &[u8]) -> Vec<u8> {
    assert_eq!(
        pixels.len(),
        width * height * color.samples(),
        "values of a {width}x{height} {color:?} image"
    );
    assert!(!pixels.is_empty(), "an image of {width}x{height} pixels has none");
    let side = |side: usize| u32::try_from(side).expect("a side of an image in memory");
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, side(width), side(height));
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header().expect("memory takes every byte");
    writer.write_image_data(pixels).expect("memory takes every byte");
    writer.finish().expect("memory takes every byte");
    bytes
}

/// The PNG files that `path` means: itself if it is a file, else the folder's `*.png` (in upper or lower
/// case) sorted by name.
///
/// # Errors
/// If there is nothing at `path`, the folder cannot be listed, or it holds no PNG file.
pub fn png_files(path: &Path) -> Result<Vec<PathBuf>> {
    let kind = std::fs::metadata(path).map_err(|cause| Error::reading(path, &cause))?;
    if !kind.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(|cause| Error::reading(path, &cause))? {
        let file = entry.map_err(|cause| Error::reading(path, &cause))?.path();
        if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png")) && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Error::request(format!(
            "cannot find images in {}: it holds no *.png file",
            path.display()
        )));
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests;
