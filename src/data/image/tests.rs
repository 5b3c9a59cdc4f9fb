//! Files made by the encoder of the crate png.

use super::*;
use proptest::prelude::*;
use std::io::Cursor;

fn decode(bytes: &[u8], height: usize, width: usize) -> std::result::Result<Vec<u8>, String> {
    decode_grey(Cursor::new(bytes), height, width).map(|grey| grey.pixels)
}

/// A PNG file of any kind, by the encoder of the crate png.
fn file(
    color: ColorType,
    depth: BitDepth,
    size: [u32; 2],
    data: &[u8],
    palette: &[u8],
    alpha: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, size[1], size[0]);
    encoder.set_color(color);
    encoder.set_depth(depth);
    if !palette.is_empty() {
        encoder.set_palette(palette.to_vec());
    }
    if !alpha.is_empty() {
        encoder.set_trns(alpha.to_vec());
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

/// Expected values: `PIL.Image.open(...).convert("L")` of Pillow 13.0.0 (16 bits: the upper byte).
#[test]
fn every_kind_of_picture_becomes_grey() {
    let colours = [255, 0, 0, 0, 255, 0, 0, 0, 255, 12, 200, 77];
    let greys = [76, 150, 29, 130];
    let with_alpha: Vec<u8> = colours.as_chunks::<3>().0.iter().flat_map(|&[r, g, b]| [r, g, b, 9]).collect();
    let deep: Vec<u8> = colours.iter().flat_map(|&value| [value, 201]).collect();
    let cases: [(&str, Vec<u8>, [u8; 4]); 13] = [
        (
            "8-bit grey",
            file(ColorType::Grayscale, BitDepth::Eight, [2, 2], &[0, 7, 200, 255], &[], &[]),
            [0, 7, 200, 255],
        ),
        (
            "4-bit grey",
            file(ColorType::Grayscale, BitDepth::Four, [2, 2], &[0x0f, 0x61], &[], &[]),
            [0, 255, 102, 17],
        ),
        (
            "2-bit grey",
            file(ColorType::Grayscale, BitDepth::Two, [2, 2], &[0x10, 0xb0], &[], &[]),
            [0, 85, 170, 255],
        ),
        (
            "1-bit grey",
            file(ColorType::Grayscale, BitDepth::One, [2, 2], &[0x40, 0x80], &[], &[]),
            [0, 255, 255, 0],
        ),
        (
            "16-bit grey",
            file(
                ColorType::Grayscale,
                BitDepth::Sixteen,
                [2, 2],
                &[0, 255, 7, 0, 200, 9, 255, 255],
                &[],
                &[],
            ),
            [0, 7, 200, 255],
        ),
        (
            "grey with a transparent level",
            file(ColorType::Grayscale, BitDepth::Eight, [2, 2], &[0, 7, 200, 255], &[], &[0, 7]),
            [0, 7, 200, 255],
        ),
        (
            "grey and alpha",
            file(ColorType::GrayscaleAlpha, BitDepth::Eight, [2, 2], &[0, 1, 7, 2, 200, 3, 255, 4], &[], &[]),
            [0, 7, 200, 255],
        ),
        ("colour", file(ColorType::Rgb, BitDepth::Eight, [2, 2], &colours, &[], &[]), greys),
        ("colour and alpha", file(ColorType::Rgba, BitDepth::Eight, [2, 2], &with_alpha, &[], &[]), greys),
        ("16-bit colour", file(ColorType::Rgb, BitDepth::Sixteen, [2, 2], &deep, &[], &[]), greys),
        (
            "8-bit palette",
            file(ColorType::Indexed, BitDepth::Eight, [2, 2], &[0, 1, 2, 3], &colours, &[]),
            greys,
        ),
        (
            "2-bit palette",
            file(ColorType::Indexed, BitDepth::Two, [2, 2], &[0x10, 0xb0], &colours, &[]),
            greys,
        ),
        (
            "palette with alpha",
            file(ColorType::Indexed, BitDepth::Four, [2, 2], &[0x01, 0x23], &colours, &[0, 9]),
            greys,
        ),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(decode(&bytes, 2, 2).as_deref(), Ok(expected.as_slice()), "{name}");
    }
}

#[test]
fn the_range_of_sixteen_bits_is_told() {
    let deep = |color, values: &[u16]| {
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
        file(color, BitDepth::Sixteen, [1, 2], &data, &[], &[])
    };
    let cases = [
        (deep(ColorType::Grayscale, &[4095, 300]), Some([300, 4095])),
        (deep(ColorType::GrayscaleAlpha, &[256, 0, 255, 65535]), Some([255, 256])),
        (deep(ColorType::Rgb, &[1, 2, 3, 4, 5, 60000]), Some([1, 60000])),
        (deep(ColorType::Rgba, &[10, 20, 30, 0, 40, 50, 60, 65535]), Some([10, 60])),
        (encode_grey(2, 1, &[0, 255]), None),
    ];
    for (bytes, expected) in cases {
        assert_eq!(decode_grey(Cursor::new(&bytes), 1, 2).unwrap().range, expected);
    }
}

#[test]
fn what_is_written_is_read_and_written_again_the_same() {
    let pixels: Vec<u8> = (0..28 * 20).map(|i| (i * i % 251) as u8).collect();
    let bytes = encode_grey(28, 20, &pixels);
    assert_eq!(decode(&bytes, 20, 28).unwrap(), pixels);
    assert_eq!(encode_grey(28, 20, &pixels), bytes);
    for chunk in ["tIME", "tEXt", "pHYs"] {
        assert!(!bytes.windows(4).any(|window| window == chunk.as_bytes()), "{chunk}");
    }
    let colours = [10, 20, 30, 200, 100, 0];
    assert_eq!(decode(&encode_rgb(2, 1, &colours), 1, 2).unwrap(), [luma(10, 20, 30), luma(200, 100, 0)]);
}

#[test]
fn bad_pictures_say_why() {
    let good = encode_grey(28, 28, &[99; 784]);
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    let mut huge = good.clone();
    huge[16..24].fill(0x7f);
    let crc = {
        let mut crc = flate2::Crc::new();
        crc.update(&huge[12..29]);
        crc.sum()
    };
    huge[29..33].copy_from_slice(&crc.to_be_bytes());
    let cases: [(&[u8], &str); 7] = [
        (b"", "cut short"),
        (b"GIF89a and more of that kind", "not a PNG file"),
        (&good[..20], "cut short"),
        (&good[..good.len() - 20], "cut short"),
        (&good[..good.len() - 12], "cut short"),
        (&damaged, "damaged"),
        (&huge, "it is 2139062143x2139062143 pixels, expected 28x28"),
    ];
    for (bytes, expected) in cases {
        let message = decode(bytes, 28, 28).unwrap_err();
        assert!(message.contains(expected), "{message:?} does not contain {expected:?}");
    }
    assert_eq!(decode(&good, 28, 32).unwrap_err(), "it is 28x28 pixels, expected 28x32");
}

#[test]
fn a_palette_is_of_whole_colours() {
    let colours = [10, 20, 30, 200, 100, 0, 7, 7, 7];
    for bytes in 1..=colours.len() {
        let found =
            decode(&file(ColorType::Indexed, BitDepth::Eight, [1, 2], &[0, 0], &colours[..bytes], &[]), 1, 2);
        match bytes % 3 {
            0 => assert_eq!(found, Ok(vec![luma(10, 20, 30); 2])),
            _ => assert!(found.unwrap_err().contains("is damaged ("), "{bytes} bytes"),
        }
    }
    // Where it only suggests colours, nothing depends on it.
    let suggested = file(ColorType::Rgb, BitDepth::Eight, [1, 1], &[10, 20, 30], &colours[..4], &[]);
    assert_eq!(decode(&suggested, 1, 1), Ok(vec![luma(10, 20, 30)]));
}

#[test]
fn files_and_folders_are_found() {
    let folder = std::env::temp_dir().join(format!("diva-image-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(folder.join("folder.png")).unwrap();
    let message = png_files(&folder).unwrap_err().to_string();
    assert!(message.contains("holds no *.png file"), "{message}");
    let bytes = encode_grey(2, 1, &[3, 4]);
    for name in ["b.png", "A.PNG", "c.txt", "a10.png", "a9.png"] {
        std::fs::write(folder.join(name), &bytes).unwrap();
    }
    let names: Vec<String> = png_files(&folder)
        .unwrap()
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names, ["A.PNG", "a10.png", "a9.png", "b.png"]);
    let text = folder.join("c.txt");
    assert_eq!(png_files(&text).unwrap(), std::slice::from_ref(&text));
    assert_eq!(read_grey(&text, 1, 2).unwrap(), Grey { pixels: vec![3, 4], range: None });
    let message = read_grey(&text, 2, 2).unwrap_err().to_string();
    assert!(message.contains("c.txt: it is 1x2 pixels, expected 2x2"), "{message}");
    for missing in
        [png_files(&folder.join("none")).unwrap_err(), read_grey(&folder.join("none"), 1, 1).unwrap_err()]
    {
        assert!(missing.to_string().contains("none") && missing.exit_code() == 2, "{missing}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
#[should_panic(expected = "values of a 2x2 Rgb image")]
fn missing_values_are_a_bug() {
    encode_rgb(2, 2, &[0; 11]);
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&bytes, 28, 28).is_err());
        let signed = [b"\x89PNG\r\n\x1a\n".as_slice(), &bytes].concat();
        prop_assert!(decode(&signed, 28, 28).is_err());
    }

    /// Every chunk's checksum is made right again, so that damage gets past it.
    #[test]
    fn damaged_files_never_panic(
        kind in 0_usize..4,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bytes = match kind {
            0 => encode_grey(5, 4, &[7; 20]),
            1 => encode_rgb(5, 4, &[7; 60]),
            2 => file(ColorType::Indexed, BitDepth::Two, [4, 5], &[0x1b; 8], &[1, 2, 3, 4, 5, 6], &[3]),
            _ => file(ColorType::Grayscale, BitDepth::One, [4, 5], &[0xa0; 4], &[], &[]),
        };
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        mend_checksums(&mut bytes);
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        if let Ok(pixels) = decode(&bytes, 4, 5) {
            prop_assert_eq!(pixels.len(), 20);
        }
    }
}

fn mend_checksums(bytes: &mut [u8]) {
    let mut start = 8;
    while let Some(&length) = bytes.get(start..).and_then(|rest| rest.first_chunk::<4>()) {
        let end = start + 8 + u32::from_be_bytes(length) as usize;
        if end + 4 > bytes.len() {
            break;
        }
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[start + 4..end]);
        bytes[end..end + 4].copy_from_slice(&crc.sum().to_be_bytes());
        start = end + 4;
    }
}
