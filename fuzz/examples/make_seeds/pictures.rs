//! Seeds of the targets that read pictures.

use diva::data::idx::PIXELS;
use diva::data::image;
use std::fs;
use std::path::Path;

pub fn png() -> Vec<(&'static str, Vec<u8>)> {
    use png::{BitDepth, ColorType};
    let file = |color: ColorType, depth: BitDepth, more: &dyn Fn(&mut png::Encoder<'_, &mut Vec<u8>>)| {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 28, 28);
        encoder.set_color(color);
        encoder.set_depth(depth);
        more(&mut encoder);
        let mut writer = encoder.write_header().expect("memory takes every byte");
        let length = (28 * color.samples() * depth as usize).div_ceil(8) * 28;
        let values: Vec<u8> = (0..length).map(|i| (i / 9 % 2) as u8).collect();
        writer.write_image_data(&values).expect("memory takes every byte");
        writer.finish().expect("memory takes every byte");
        bytes
    };
    let plain = |_: &mut png::Encoder<'_, &mut Vec<u8>>| ();
    let grey = image::encode_grey(28, 28, &[99; PIXELS]);
    let mut damaged = grey.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    let huge = promising(0x7f, grey.clone());
    vec![
        ("grey", grey.clone()),
        ("grey-1", file(ColorType::Grayscale, BitDepth::One, &plain)),
        ("grey-16", file(ColorType::Grayscale, BitDepth::Sixteen, &plain)),
        ("grey-transparent", file(ColorType::Grayscale, BitDepth::Eight, &|e| e.set_trns(vec![0, 7]))),
        ("grey-alpha", file(ColorType::GrayscaleAlpha, BitDepth::Eight, &plain)),
        ("colour", image::encode_rgb(28, 28, &[77; 3 * PIXELS])),
        ("colour-16", file(ColorType::Rgb, BitDepth::Sixteen, &plain)),
        ("colour-alpha", file(ColorType::Rgba, BitDepth::Eight, &plain)),
        (
            "palette-2",
            file(ColorType::Indexed, BitDepth::Two, &|e| {
                e.set_palette(vec![1, 2, 3, 200, 100, 50]);
                e.set_trns(vec![3]);
            }),
        ),
        (
            "palette-of-half-a-colour",
            file(ColorType::Indexed, BitDepth::Two, &|e| e.set_palette(vec![1, 2, 3, 200])),
        ),
        (
            "animated",
            file(ColorType::Grayscale, BitDepth::Eight, &|e| e.set_animated(1, 0).expect("one frame")),
        ),
        (
            "text",
            file(ColorType::Grayscale, BitDepth::Eight, &|e| {
                e.add_ztxt_chunk("Title".into(), "a title ".repeat(40)).expect("letters");
            }),
        ),
        ("other-size", image::encode_grey(28, 27, &[9; 28 * 27])),
        ("cut-short", grey[..grey.len() - 20].to_vec()),
        ("no-end", grey[..grey.len() - 12].to_vec()),
        ("in-the-header", grey[..20].to_vec()),
        ("damaged", damaged),
        ("huge", huge),
        ("another-format", b"GIF89a and more of that kind".to_vec()),
    ]
}

/// A PNG file whose header promises a height and a width of four times this byte.
fn promising(byte: u8, mut png: Vec<u8>) -> Vec<u8> {
    png[16..24].fill(byte);
    let mut crc = flate2::Crc::new();
    crc.update(&png[12..29]);
    png[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    png
}

/// One of each kind from the tests' pictures, and what damage there is.
pub fn picture() -> Vec<(&'static str, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/pictures");
    let read = |name: &str| fs::read(folder.join(name)).expect("a picture of the tests");
    let read_jpeg = |name: &str| read(&format!("../jpeg/{name}.jpg"));
    let (colour, progressive) = (read("colour.jpg"), read("progressive.jpg"));
    let mut huge = colour.clone();
    let frame = huge.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a frame");
    huge[frame + 5..frame + 9].fill(0x7f);
    let huge_png = promising(0xff, image::encode_rgb(2, 2, &[5; 12]));
    vec![
        ("cmyk", read("cmyk.jpg")),
        ("colour-420", read("colour-420.jpg")),
        ("grey", read("grey.jpg")),
        ("restarts", read("restarts.jpg")),
        ("turned-6", read("turned-6.jpg")),
        ("ycck", read("ycck.jpg")),
        ("separate-scans", read_jpeg("2x2-separate-restarts")),
        ("finer-colours", read_jpeg("1x1+2x2+2x2")),
        ("odd-scans", read_jpeg("2x2+1x2+2x1-odd")),
        ("ended-in-the-middle", read_jpeg("trunc_mid_eoi")),
        ("turned-png", read("turned-5.png")),
        ("palette-png", read("palette.png")),
        ("bilevel-png", read("bilevel.png")),
        ("progressive", progressive.clone()),
        ("progressive-cut-short", progressive[..progressive.len() / 2].to_vec()),
        ("in-the-header", colour[..100].to_vec()),
        ("cut-short", colour[..colour.len() - 40].to_vec()),
        ("colour", colour),
        ("huge", huge),
        ("huge-png", huge_png),
        ("nothing", vec![]),
    ]
}
