//! How a camera was held: the orientation that a picture's EXIF data note, and the turn that puts it upright.
//!
//! A camera stores what its sensor saw and notes beside it which side was up; whoever shows the picture turns it. The
//! note is tag 0x0112 of the first directory of a TIFF structure (Exif 2.32, section 4.6.4): 1 is upright, 2 to 8 are
//! the other seven ways to lay a rectangle on itself, some of them mirrored.

/// One of the eight ways to lay a rectangle, as EXIF numbers them from 1 to 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orientation(u16);

impl Orientation {
    /// The rows are stored from the top, each from the left.
    pub const UPRIGHT: Orientation = Orientation(1);

    /// The orientation that a picture's EXIF data note, or, if they do not, its XMP data; upright if there is no note or
    /// nothing that can be understood: that is no reason to refuse a picture.
    pub fn noted(exif: &[u8], xmp: &[u8]) -> Orientation {
        match in_exif(exif).or_else(|| in_xmp(xmp)) {
            Some(number @ 1..=8) => Orientation(number),
            _ => Orientation::UPRIGHT,
        }
    }

    /// Height and width as they are once the picture is upright.
    pub fn upright_size(self, [height, width]: [usize; 2]) -> [usize; 2] {
        if self.0 >= 5 { [width, height] } else { [height, width] }
    }

    /// The pixels of a picture of `[height, width]`, as stored, in the order in which they stand when it is upright;
    /// `N` values a pixel.
    ///
    /// # Panics
    /// If the number of pixels does not fit the size.
    #[track_caller]
    pub fn upright<const N: usize>(self, [height, width]: [usize; 2], pixels: Vec<u8>) -> Vec<u8> {
        assert_eq!(pixels.len(), height * width * N, "values of a picture of {height}x{width}x{N}");
        if self == Orientation::UPRIGHT {
            return pixels;
        }
        let (bottom, right) = (height.wrapping_sub(1), width.wrapping_sub(1));
        let stored = pixels.as_chunks::<N>().0;
        let [rows, columns] = self.upright_size([height, width]);
        let mut turned = Vec::with_capacity(pixels.len());
        for row in 0..rows {
            for column in 0..columns {
                let (y, x) = match self.0 {
                    2 => (row, right - column),
                    3 => (bottom - row, right - column),
                    4 => (bottom - row, column),
                    5 => (column, row),
                    6 => (bottom - column, row),
                    7 => (bottom - column, right - row),
                    _ => (column, right - row),
                };
                turned.extend(stored[y * width + x]);
            }
        }
        turned
    }
}

/// Tag 0x0112 of the first directory of a TIFF structure, with or without `Exif` in front; 0 if it is no whole number.
///
/// It should be a single number of 16 bits. As Pillow does, numbers of any kind are taken, the first of several, and of several
/// notes the last that is there.
fn in_exif(mut tiff: &[u8]) -> Option<u16> {
    while let Some(rest) = tiff.strip_prefix(b"Exif\0\0") {
        tiff = rest;
    }
    let little = match tiff.get(..4)? {
        b"II*\0" | b"II\0*" => true,
        b"MM\0*" | b"MM*\0" => false,
        _ => return None,
    };
    // a number of so many bytes
    let number = |at: usize, bytes: usize| -> Option<u64> {
        let bytes = tiff.get(at..at.checked_add(bytes)?)?;
        let add = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
        Some(if little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    };
    let directory = number(4, 4)? as usize;
    let entries = number(directory, 2)? as usize;
    let mut found = None;
    for entry in (0..entries).map(|i| directory + 2 + 12 * i) {
        let Some(inline) = number(entry + 8, 4) else { break };
        let (kind, count) = (number(entry + 2, 2)?, number(entry + 4, 4)? as usize);
        let bytes = match kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 => 8,
            _ => continue,
        };
        let at = if count * bytes > 4 { inline as usize } else { entry + 8 };
        if at.checked_add(count * bytes).is_none_or(|end| end > tiff.len()) {
            break;
        }
        if number(entry, 2)? == 0x0112 && count > 0 {
            let value = number(at, bytes)?;
            found = Some(match kind {
                3 | 4 | 6 | 8 | 9 | 13 | 16 => u16::try_from(value).unwrap_or(0),
                5 | 10 => {
                    let (above, below) = (number(at, 4)?, number(at + 4, 4)?);
                    above
                        .checked_div(below)
                        .filter(|whole| whole * below == above)
                        .unwrap_or(0)
                        .try_into()
                        .unwrap_or(0)
                }
                11 => whole(f64::from(f32::from_bits(value as u32))),
                12 => whole(f64::from_bits(value)),
                _ => 0, // letters and bytes are no numbers
            });
        }
    }
    found
}

/// A number that is whole and small, else 0.
fn whole(number: f64) -> u16 {
    if number.fract() == 0.0 { number as u16 } else { 0 }
}

/// The digit behind the first `tiff:Orientation` of XMP data, an attribute or an element.
fn in_xmp(xmp: &[u8]) -> Option<u16> {
    let name = b"tiff:Orientation";
    let behind = xmp.windows(name.len()).enumerate().filter(|(_, window)| window == name);
    behind.into_iter().find_map(|(at, _)| match xmp[at + name.len()..] {
        [b'=', b'"', digit @ b'0'..=b'9', ..] | [b'>', digit @ b'0'..=b'9', ..] => {
            Some(u16::from(digit - b'0'))
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A number in so many bytes.
    fn bytes(little: bool, bytes: usize, number: u64) -> Vec<u8> {
        if little {
            number.to_le_bytes()[..bytes].to_vec()
        } else {
            number.to_be_bytes()[8 - bytes..].to_vec()
        }
    }

    /// EXIF data of these notes: tag, kind, how many, and the bytes in the note, at most four; `behind` stands at byte 26 if
    /// there is one note.
    fn exif(little: bool, notes: &[(u64, u64, u64, Vec<u8>)], behind: &[u8]) -> Vec<u8> {
        let number = |count, number| bytes(little, count, number);
        let mut exif = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        exif.extend([number(4, 8), number(2, notes.len() as u64)].concat());
        for (tag, kind, count, value) in notes {
            exif.extend([number(2, *tag), number(2, *kind), number(4, *count)].concat());
            exif.extend(value.iter().chain(&[0; 4]).take(4));
        }
        [&exif, &number(4, 0)[..], behind].concat()
    }

    /// A note as it should be.
    fn note(little: bool, tag: u64, number: u64) -> (u64, u64, u64, Vec<u8>) {
        (tag, 3, 1, bytes(little, 2, number))
    }

    fn number(exif: &[u8], xmp: &str) -> u16 {
        Orientation::noted(exif, xmp.as_bytes()).0
    }

    /// What `ImageOps.exif_transpose` of Pillow 12.0.0 does with these bytes in a PNG file's eXIf chunk.
    #[test]
    fn notes_in_odd_places_are_found_as_pillow_does() {
        const TAG: u64 = 0x0112;
        for little in [true, false] {
            let n = |count, number| bytes(little, count, number);
            let real = |bits: u64, bytes| n(bytes, bits);
            let cases = [
                ("byte", vec![(TAG, 1, 1, n(1, 6))], vec![], 1),
                ("letter", vec![(TAG, 2, 1, b"6".to_vec())], vec![], 1),
                ("short", vec![(TAG, 3, 1, n(2, 6))], vec![], 6),
                ("long", vec![(TAG, 4, 1, n(4, 6))], vec![], 6),
                ("ratio", vec![(TAG, 5, 1, n(4, 26))], [n(4, 12), n(4, 2)].concat(), 6),
                ("ratio that is not whole", vec![(TAG, 5, 1, n(4, 26))], [n(4, 13), n(4, 2)].concat(), 1),
                ("ratio to nothing", vec![(TAG, 5, 1, n(4, 26))], [n(4, 6), n(4, 0)].concat(), 1),
                ("signed byte", vec![(TAG, 6, 1, n(1, 6))], vec![], 6),
                ("anything", vec![(TAG, 7, 1, n(1, 6))], vec![], 1),
                ("signed short", vec![(TAG, 8, 1, n(2, 6))], vec![], 6),
                ("signed long", vec![(TAG, 9, 1, n(4, 6))], vec![], 6),
                ("float", vec![(TAG, 11, 1, real(6_f32.to_bits().into(), 4))], vec![], 6),
                ("double", vec![(TAG, 12, 1, n(4, 26))], real(6_f64.to_bits(), 8), 6),
                ("directory", vec![(TAG, 13, 1, n(4, 6))], vec![], 6),
                ("64 bits", vec![(TAG, 16, 1, n(4, 26))], n(8, 6), 6),
                ("unknown kind", vec![(TAG, 99, 1, n(2, 6))], vec![], 1),
                ("0", vec![(TAG, 3, 1, n(2, 0))], vec![], 1),
                ("9", vec![(TAG, 3, 1, n(2, 9))], vec![], 1),
                ("65542", vec![(TAG, 4, 1, n(4, 65542))], vec![], 1),
                ("none", vec![(TAG, 3, 0, n(2, 6))], vec![], 1),
                ("two", vec![(TAG, 3, 2, [n(2, 6), n(2, 3)].concat())], vec![], 6),
                ("three", vec![(TAG, 3, 3, n(4, 26))], [n(2, 6), n(2, 3), n(2, 3)].concat(), 6),
                ("two long", vec![(TAG, 4, 2, n(4, 26))], [n(4, 6), n(4, 3)].concat(), 6),
                ("a hundred", vec![(TAG, 3, 100, n(4, 26))], vec![], 1),
                ("again", vec![note(little, TAG, 6), note(little, TAG, 3)], vec![], 3),
                ("again, nothing", vec![note(little, TAG, 6), (TAG, 3, 0, n(2, 3))], vec![], 6),
                ("again, beyond", vec![note(little, TAG, 6), (TAG, 3, 9, n(4, 1 << 20))], vec![], 6),
                ("behind one beyond", vec![(0x110, 2, 9, n(4, 1 << 20)), note(little, TAG, 6)], vec![], 1),
                ("behind an unknown", vec![(0x110, 99, 9, n(4, 1 << 20)), note(little, TAG, 6)], vec![], 6),
                ("other tag", vec![note(little, 0x0110, 6)], vec![], 1),
                ("no note", vec![], vec![], 1),
            ];
            for (name, notes, behind, expected) in cases {
                let exif = exif(little, &notes, &behind);
                assert_eq!(number(&exif, ""), expected, "{name}, little: {little}");
                assert_eq!(number(&[b"Exif\0\0Exif\0\0", &exif[..]].concat(), ""), expected, "{name}");
            }
            let mut six = exif(little, &[note(little, TAG, 6)], &[]);
            for length in 0..six.len() {
                assert_eq!(number(&six[..length], ""), if length < 22 { 1 } else { 6 }, "{length} bytes");
            }
            six.swap(2, 3);
            assert_eq!(number(&six, ""), 6, "a header whose number is swapped");

            let xmp = "<rdf:Description tiff:Orientation=\"6\"/>";
            let with = |kind, count, value| exif(little, &[(TAG, kind, count, n(2, value))], &[]);
            assert_eq!(number(&[], xmp), 6);
            assert_eq!(number(&[], "<tiff:Orientation>8</tiff:Orientation>"), 8);
            assert_eq!(number(&[], "tiff:Orientation=\"x\" tiff:Orientation=\"60\""), 6);
            assert_eq!(number(&with(3, 1, 3), xmp), 3);
            assert_eq!(number(&with(3, 1, 0), xmp), 1);
            assert_eq!(number(&with(1, 1, 3), xmp), 1);
            assert_eq!(number(&with(3, 0, 3), xmp), 6);
        }
    }

    /// `ImageOps.exif_transpose` of Pillow 13.0.0 on the rows (1 2 3), (4 5 6).
    #[test]
    fn pictures_are_put_upright() {
        let cases: [(u16, [usize; 2], [u8; 6]); 8] = [
            (1, [2, 3], [1, 2, 3, 4, 5, 6]),
            (2, [2, 3], [3, 2, 1, 6, 5, 4]),
            (3, [2, 3], [6, 5, 4, 3, 2, 1]),
            (4, [2, 3], [4, 5, 6, 1, 2, 3]),
            (5, [3, 2], [1, 4, 2, 5, 3, 6]),
            (6, [3, 2], [4, 1, 5, 2, 6, 3]),
            (7, [3, 2], [6, 3, 5, 2, 4, 1]),
            (8, [3, 2], [3, 6, 2, 5, 1, 4]),
        ];
        for (number, size, expected) in cases {
            let orientation = Orientation(number);
            assert_eq!(orientation.upright_size([2, 3]), size, "{number}");
            assert_eq!(orientation.upright::<1>([2, 3], (1..=6).collect()), expected, "{number}");
            let colours: Vec<u8> = (1..=6).flat_map(|i| [i, 10 * i, 20 * i]).collect();
            let expected: Vec<u8> = expected.into_iter().flat_map(|i| [i, 10 * i, 20 * i]).collect();
            assert_eq!(orientation.upright::<3>([2, 3], colours), expected, "{number}");
        }
    }

    proptest! {
        #[test]
        fn damaged_notes_never_panic(
            little in any::<bool>(),
            damage in prop::collection::vec((0_usize..26, any::<u8>()), 0..5),
            end in 0_usize..27,
        ) {
            let mut bytes = exif(little, &[note(little, 0x0112, 6)], &[]);
            for (place, byte) in damage {
                bytes[place] = byte;
            }
            bytes.truncate(end);
            prop_assert!((1..=8).contains(&Orientation::noted(&bytes, &bytes).0));
        }
    }
}
