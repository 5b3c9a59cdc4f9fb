//! Files made by Pillow (`scripts/pillow_pictures.py`), and what Pillow reads from them.

use super::*;
use crate::data::image::encode_rgb;
use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pictures")
}

/// The files by name, sorted, without what Pillow read from them.
fn names() -> Vec<String> {
    let entries = fs::read_dir(fixtures()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.ends_with(".upright.png"));
    names.sort();
    names
}

fn file(name: &str) -> Vec<u8> {
    fs::read(fixtures().join(name)).unwrap()
}

/// To the bit.
#[test]
fn every_kind_is_read_as_pillow_does() {
    let mut kinds = [0, 0];
    for name in names() {
        let expected = decode(&file(&format!("{name}.upright.png")), 3).unwrap();
        let bytes = file(&name);
        let found = decode(&bytes, 3).unwrap_or_else(|what| panic!("{name}: {what}"));
        assert_eq!([found.height, found.width], [expected.height, expected.width], "{name}");
        kinds[usize::from(name.ends_with(".png"))] += 1;
        let apart = found.pixels.iter().zip(&expected.pixels).map(|(a, b)| a.abs_diff(*b)).max();
        assert_eq!(apart, Some(0), "{name}");

        let grey = decode(&bytes, 1).unwrap();
        let luma: Vec<u8> = found.pixels.as_chunks().0.iter().map(|&[r, g, b]| luma(r, g, b)).collect();
        assert_eq!(grey, Picture { pixels: luma, ..found }, "{name}");
    }
    assert_eq!(kinds, [11, 10], "JPEG and PNG files");
}

/// Pillow gives 255 for the three last; see the head of the file.
#[test]
fn of_sixteen_bits_the_upper_ones_are_kept() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 1);
    encoder.set_depth(png::BitDepth::Sixteen);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[0, 255, 1, 0, 200, 9, 255, 255]).unwrap();
    writer.finish().unwrap();
    let expected = Picture { height: 1, width: 4, pixels: vec![0, 1, 200, 255], range: Some([255, 65535]) };
    assert_eq!(decode(&bytes, 1), Ok(expected));
}

/// A PNG file whose header promises another size, its checksum right.
fn png_promising(height: u32, width: u32, length: usize) -> Vec<u8> {
    let mut bytes = encode_rgb(2, 2, &[0; 12]);
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
    bytes.resize(length, 0);
    bytes
}

/// A JPEG file whose header promises another size.
fn jpeg_promising(height: u16, width: u16, length: usize) -> Vec<u8> {
    let mut bytes = file("grey.jpg");
    let frame = bytes.windows(4).position(|four| four == [0xff, 0xc0, 0, 11]).unwrap();
    bytes[frame + 5..frame + 7].copy_from_slice(&height.to_be_bytes());
    bytes[frame + 7..frame + 9].copy_from_slice(&width.to_be_bytes());
    bytes.resize(length, 0);
    bytes
}

#[test]
fn bad_pictures_say_why() {
    let cut = |name: &str, less: usize| {
        let mut bytes = file(name);
        bytes.truncate(bytes.len() - less);
        bytes
    };
    let mut without_adobe = file("cmyk.jpg");
    let adobe = without_adobe.windows(5).position(|five| five == b"Adobe").unwrap();
    without_adobe[adobe] = b'a';
    let mut arithmetic = file("grey.jpg");
    let frame = arithmetic.windows(4).position(|four| four == [0xff, 0xc0, 0, 11]).unwrap();
    arithmetic[frame + 1] = 0xc9;
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "it is empty, expected a PNG or JPEG file"),
        (vec![0; 1000], "it is no picture that is known here"),
        (b"GIF89a....".to_vec(), "it is a GIF file"),
        (b"BM........".to_vec(), "it is a BMP file"),
        (b"II*\0......".to_vec(), "it is a TIFF file"),
        (b"RIFF....WEBPVP8 ".to_vec(), "it is a WebP file"),
        (b"\0\0\0\x18ftypheic".to_vec(), "it is a HEIC file"),
        (
            png_promising(20_000, 20_000, 1 << 20),
            "it is 20000x20000 pixels, expected at most 67108864 in all",
        ),
        (
            jpeg_promising(20_000, 20_000, 1 << 20),
            "it is 20000x20000 pixels, expected at most 67108864 in all",
        ),
        (
            png_promising(u32::MAX, u32::MAX, 100),
            "it is 4294967295x4294967295 pixels, expected at most 67108864 in all",
        ),
        (
            png_promising(8_000, 8_000, 10_000),
            "it is cut short: 8000x8000 pixels do not fit into 10000 bytes",
        ),
        (
            jpeg_promising(8_000, 8_000, 10_000),
            "it is cut short: 8000x8000 pixels do not fit into 10000 bytes",
        ),
        (cut("colour.png", 20), "cut short"),
        (cut("colour.jpg", 3), "cut short"),
        (cut("colour.jpg", 50), "cut short"),
        (cut("progressive.jpg", 3), "cut short"),
        (cut("progressive.jpg", 60), "cut short"),
        (cut("grey.jpg", 330), "cut short"),
        (without_adobe, "does not say how it counts ink"),
        (
            arithmetic,
            "it is a JPEG file with arithmetic coding, expected a baseline or progressive one of 8 bits",
        ),
    ];
    for (place, (bytes, expected)) in cases.iter().enumerate() {
        let Err(message) = decode(bytes, 3) else { panic!("case {place} was read") };
        assert!(message.contains(expected), "case {place}: {message:?} does not contain {expected:?}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0_usize..3) {
        let signature: &[u8] = [&b""[..], b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"][kind];
        prop_assert!(decode(&[signature, &bytes].concat(), 1).is_err());
    }

    #[test]
    fn damaged_files_never_panic(
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let names = names();
        let mut bytes = file(&names[which.index(names.len())]);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        for channels in [1, 3] {
            if let Ok(picture) = decode(&bytes, channels) {
                prop_assert_eq!(picture.pixels.len(), picture.height * picture.width * channels);
            }
        }
    }

    #[test]
    fn what_is_written_is_read(height in 1_usize..9, width in 1_usize..9, seed in any::<u8>()) {
        let pixels: Vec<u8> = (0..height * width * 3).map(|i| (i * i) as u8 ^ seed).collect();
        let read = decode(&encode_rgb(width, height, &pixels), 3).unwrap();
        prop_assert_eq!(read, Picture { height, width, pixels, range: None });
    }
}
