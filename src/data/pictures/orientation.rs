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

    /// The orientation noted in EXIF data, with or without the `Exif` before the TIFF header; upright if there is no
    /// note or nothing that can be understood: that is no reason to refuse a picture.
    pub fn of_exif(exif: &[u8]) -> Orientation {
        let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        match noted(tiff) {
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

/// Tag 0x0112 of the first directory of a TIFF structure.
fn noted(tiff: &[u8]) -> Option<u16> {
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = long(4)? as usize;
    let entries = usize::from(short(directory)?);
    for entry in (0..entries).map(|i| directory.saturating_add(2 + 12 * i)) {
        if short(entry)? == 0x0112 {
            let (kind, count) = (short(entry + 2)?, long(entry + 4)?);
            return if (kind, count) == (3, 1) { short(entry + 8) } else { None };
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// EXIF data of a single note.
    fn exif(little: bool, tag: u16, number: u16) -> Vec<u8> {
        let short = |n: u16| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let long = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let mut bytes = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        bytes.extend(long(8));
        bytes.extend([short(1), short(tag), short(3)].concat());
        bytes.extend(long(1));
        bytes.extend([short(number), short(0)].concat());
        bytes
    }

    #[test]
    fn the_note_is_found_in_both_byte_orders() {
        for little in [true, false] {
            for number in 1..=8 {
                let bytes = exif(little, 0x0112, number);
                assert_eq!(Orientation::of_exif(&bytes), Orientation(number));
                assert_eq!(Orientation::of_exif(&[b"Exif\0\0", &bytes[..]].concat()), Orientation(number));
            }
            for (tag, number) in [(0x0112, 0), (0x0112, 9), (0x0110, 3)] {
                assert_eq!(Orientation::of_exif(&exif(little, tag, number)), Orientation::UPRIGHT);
            }
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
            damage in prop::collection::vec((0_usize..22, any::<u8>()), 0..5),
            end in 0_usize..23,
        ) {
            let mut bytes = exif(little, 0x0112, 6);
            for (place, byte) in damage {
                bytes[place] = byte;
            }
            bytes.truncate(end);
            prop_assert!((1..=8).contains(&Orientation::of_exif(&bytes).0));
        }
    }
}
