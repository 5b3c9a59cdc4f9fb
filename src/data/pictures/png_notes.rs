//! How a camera was held, as PNG files note it: in a chunk of EXIF data, or in texts as ImageMagick and Adobe write them.

use super::orientation::Orientation;
use flate2::read::ZlibDecoder;
use std::borrow::Cow;
use std::io::Read;

/// The most of a packed text that is unpacked. EXIF data begin with what is looked for.
const LONGEST_TEXT: u64 = 1 << 17;

/// The orientation that a whole PNG file notes, found where Pillow looks for it: EXIF data in a chunk of their own go before
/// those in a text, these before XMP data.
///
/// Memory: at most 192 KiB.
pub(super) fn orientation(png: &[u8]) -> Orientation {
    let (mut exif, mut profile, mut xmp) = (None, None, None);
    for (kind, data) in chunks(png) {
        match kind {
            b"eXIf" => exif = Some(data),
            b"tEXt" | b"zTXt" | b"iTXt" => match text(kind, data) {
                Some((b"Raw profile type exif", text)) => profile = Some(text),
                Some((b"XML:com.adobe.xmp", text)) => xmp = Some(text),
                _ => {}
            },
            b"IEND" => break,
            _ => {}
        }
    }
    let exif = exif
        .map(Cow::Borrowed)
        .or_else(|| profile.and_then(|text| unpacked(text).as_deref().and_then(hexadecimal)).map(Cow::Owned));
    let xmp = xmp.and_then(unpacked).unwrap_or_default();
    Orientation::noted(&exif.unwrap_or_default(), &xmp)
}

/// The kinds of the chunks and what is in them.
fn chunks(png: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = png.get(8..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk()?;
        let (kind, behind) = behind.split_first_chunk()?;
        let (data, behind) = behind.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = behind.get(4..)?; // the checksum
        Some((kind, data))
    })
}

/// A text, packed or not.
#[derive(Clone, Copy)]
enum Text<'a> {
    Plain(&'a [u8]),
    Packed(&'a [u8]),
}

/// The keyword and the text of a chunk of text (PNG specification, 11.3.3).
fn text<'a>(kind: &[u8; 4], data: &'a [u8]) -> Option<(&'a [u8], Text<'a>)> {
    let next = |bytes: &'a [u8]| -> Option<(&'a [u8], &'a [u8])> {
        let end = bytes.iter().position(|&byte| byte == 0)?;
        Some((&bytes[..end], &bytes[end + 1..]))
    };
    let (keyword, rest) = next(data)?;
    let text = match (kind, rest) {
        (b"tEXt", text) => Text::Plain(text),
        (b"zTXt", [0, packed @ ..]) => Text::Packed(packed),
        (b"iTXt", [is_packed, method, rest @ ..]) => {
            let (_language, rest) = next(rest)?;
            let (_translated, text) = next(rest)?;
            match (is_packed, method) {
                (0, _) => Text::Plain(text),
                (_, 0) => Text::Packed(text),
                _ => return None,
            }
        }
        _ => return None,
    };
    Some((keyword, text))
}

fn unpacked(text: Text<'_>) -> Option<Cow<'_, [u8]>> {
    match text {
        Text::Plain(text) => Some(Cow::Borrowed(text)),
        Text::Packed(packed) => {
            let mut text = Vec::new();
            ZlibDecoder::new(packed).take(LONGEST_TEXT).read_to_end(&mut text).ok()?;
            Some(Cow::Owned(text))
        }
    }
}

/// What a profile in a text holds: behind three lines (empty, its kind, its length) bytes of two hexadecimal digits.
fn hexadecimal(text: &[u8]) -> Option<Vec<u8>> {
    let lines = text.split(|&byte| byte == b'\n').skip(3);
    let mut digits = lines.flatten().filter(|byte| !byte.is_ascii_whitespace());
    let mut bytes = Vec::new();
    let digit = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
    while let Some(high) = digits.next() {
        // Of a text that was cut the last digit may be alone.
        let Some(low) = digits.next() else { break };
        bytes.push(digit(high)? << 4 | digit(low)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image::encode_grey;
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    /// EXIF data with this orientation.
    fn exif(number: u8) -> Vec<u8> {
        [b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", &[number, 0, 0][..], &[0; 4]].concat()
    }

    /// As ImageMagick writes EXIF data into a text.
    fn profile(exif: &[u8]) -> Vec<u8> {
        let mut text = format!("\nexif\n{:8}", exif.len() + 6);
        for (i, byte) in b"Exif\0\0".iter().chain(exif).enumerate() {
            text += if i % 36 == 0 { "\n" } else { "" };
            text += &format!("{byte:02x}");
        }
        format!("{text}\n").into_bytes()
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// A PNG file with these chunks in front of its pixels or behind them.
    fn with(chunks: &[(&[u8; 4], Vec<u8>)], behind: bool) -> Vec<u8> {
        let png = encode_grey(3, 2, &[1, 2, 3, 4, 5, 6]);
        let (before, after) = png.split_at(if behind { png.len() - 12 } else { 33 });
        let mut bytes = before.to_vec();
        for (kind, data) in chunks {
            let mut crc = flate2::Crc::new();
            crc.update(&[&kind[..], data].concat());
            bytes.extend((data.len() as u32).to_be_bytes());
            bytes.extend(kind.iter().chain(data));
            bytes.extend(crc.sum().to_be_bytes());
        }
        bytes.extend(after);
        bytes
    }

    /// What `ImageOps.exif_transpose` of Pillow 12.0.0 does with each.
    #[test]
    fn notes_are_found_where_pillow_finds_them() {
        let keyword = b"Raw profile type exif\0";
        let xmp = "<rdf:Description tiff:Orientation=\"6\"/>".as_bytes();
        let raw = || (b"zTXt", [keyword, &[0][..], &packed(&profile(&exif(6)))].concat());
        let adobe = || (b"iTXt", [b"XML:com.adobe.xmp\0\0\0\0\0", xmp].concat());
        let cases = [
            ("a chunk", vec![(b"eXIf", exif(6))], 6),
            ("a packed text", vec![raw()], 6),
            ("a text", vec![(b"tEXt", [keyword, &profile(&exif(6))[..]].concat())], 6),
            (
                "an international text",
                vec![(b"iTXt", [keyword, &[0; 4][..], &profile(&exif(6))].concat())],
                6,
            ),
            (
                "a packed international text",
                vec![(b"iTXt", [keyword, &[1, 0, 0, 0][..], &packed(&profile(&exif(6)))].concat())],
                6,
            ),
            (
                "another profile",
                vec![(b"zTXt", [b"Raw profile type APP1\0\0", &packed(&profile(&exif(6)))[..]].concat())],
                1,
            ),
            ("a chunk before a text", vec![(b"eXIf", exif(3)), raw()], 3),
            ("a text and a chunk", vec![raw(), (b"eXIf", exif(3))], 3),
            (
                "a chunk with nothing in it",
                vec![(b"eXIf", b"MM\0*\0\0\0\x08\0\0\0\0\0\0".to_vec()), raw()],
                1,
            ),
            ("the last of two", vec![(b"eXIf", exif(3)), (b"eXIf", exif(6))], 6),
            ("XMP data", vec![adobe()], 6),
            ("XMP data and a chunk", vec![adobe(), (b"eXIf", exif(3))], 3),
            ("XMP data and a chunk of 0", vec![adobe(), (b"eXIf", exif(0))], 1),
            ("nothing", vec![], 1),
            ("a text that is not packed", vec![(b"zTXt", [keyword, &b"\0no zlib"[..]].concat())], 1),
            ("a profile of other letters", vec![(b"tEXt", [keyword, &b"\nexif\n  4\nxyz"[..]].concat())], 1),
        ];
        for (name, chunks, expected) in cases {
            for behind in [false, true] {
                let file = with(&chunks, behind);
                let found = orientation(&file);
                assert_eq!(
                    found,
                    Orientation::noted(&exif(expected), &[]),
                    "{name}, behind the pixels: {behind}"
                );
                let picture = super::super::decode::decode(&file, 1).unwrap();
                assert_eq!([picture.height, picture.width], found.upright_size([2, 3]), "{name}");
            }
        }
        // Cut anywhere.
        let file = with(&[raw()], false);
        let found: Vec<Orientation> = (0..file.len()).map(|length| orientation(&file[..length])).collect();
        assert!(found.is_sorted_by_key(|&found| found != Orientation::UPRIGHT));
    }

    #[test]
    fn long_texts_are_cut() {
        let text = [profile(&exif(8)), vec![b'0'; 1 << 22]].concat();
        let chunk = [b"Raw profile type exif\0\0", &packed(&text)[..]].concat();
        assert_eq!(orientation(&with(&[(b"zTXt", chunk)], false)), Orientation::noted(&exif(8), &[]));
    }
}
