//! JPEG files, baseline and progressive (ITU-T T.81), to the pixels that libjpeg and Pillow make of them, bit for bit.
//!
//! A file is read by its markers: [`frame`] says what its pixels are, [`scan`] reads them, [`transform`] makes samples of
//! coefficients and [`colours`] makes pixels of samples. All arithmetic is of integers.
//!
//! What is read: any order of scans, any sampling in whole ratios, restart markers, whatever follows the last pixel. What is
//! refused by its kind: arithmetic coding, coding without loss, several frames, other than 8 bits, a height behind the pixels.
//! A file is cut short unless every bit of every coefficient is there: an end marker alone proves nothing, and a missing one
//! does no harm.
//!
//! It is ours because none was found that keeps this. zune-jpeg 0.5.15 and 0.5.16-rc3 read separate scans, and colours
//! sampled finer than the brightness, as other pixels; they and jpeg-decoder 0.3.2 fill up what is missing, and to notice that
//! the Huffman codes have to be read anyway.

mod colours;
mod frame;
mod huffman;
mod scan;
mod transform;

use super::orientation::Orientation;
use colours::Colours;
use frame::Frame;
use huffman::Code;
use scan::{Plane, Tables};
use transform::ZIGZAG;

/// What a JPEG file shows.
pub(super) struct Jpeg {
    /// Height and width.
    pub(super) size: [usize; 2],
    /// Values of a pixel: 1 (grey) or 3 (red, green, blue).
    pub(super) channels: usize,
    /// Row by row, the values of a pixel together.
    pub(super) pixels: Vec<u8>,
    /// How the camera was held.
    pub(super) orientation: Orientation,
}

/// Why a file is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fault {
    CutShort,
    /// What is there and cannot be.
    Damaged(&'static str),
    /// Something else, in a sentence.
    Refused(String),
}

impl Fault {
    /// A file of a kind that is not read: it is a JPEG file `what`.
    fn other_kind(what: impl std::fmt::Display) -> Fault {
        Fault::Refused(format!("it is a JPEG file {what}, expected a baseline or progressive one of 8 bits"))
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> String {
        match fault {
            Fault::CutShort => "it is cut short, expected a complete JPEG file".into(),
            Fault::Damaged(what) => format!("it is a JPEG file that is damaged ({what})"),
            Fault::Refused(sentence) => sentence,
        }
    }
}

/// The picture in the file `bytes`, which begins with the marker of a JPEG file, if `accept` takes its height and width and how
/// many blocks of 8 x 8 samples it has.
///
/// Memory: what `accept` takes and does not refuse, three bytes a sample at most, and the pixels. `Err` says what was found and what
/// was expected.
pub(super) fn decode(
    bytes: &[u8],
    accept: impl Fn([usize; 2], usize) -> Result<(), String>,
) -> Result<Jpeg, String> {
    Ok(read(bytes, accept)?)
}

fn read(bytes: &[u8], accept: impl Fn([usize; 2], usize) -> Result<(), String>) -> Result<Jpeg, Fault> {
    let mut tables = Tables::default();
    let mut notes = Notes::default();
    let mut read: Option<(Frame, Vec<Plane>)> = None;
    let mut at = 2;
    loop {
        let marker = next_marker(bytes, &mut at)?;
        match marker {
            1 | 0xd0..=0xd7 => continue,
            0xd8 => return Err(Fault::Damaged("a second beginning")),
            0xd9 => return Err(Fault::CutShort),
            _ => {}
        }
        let segment = next_segment(bytes, &mut at)?;
        match marker {
            _ if frame::is_frame(marker) => {
                if read.is_some() {
                    return Err(Fault::Damaged("a second size"));
                }
                let frame = frame::frame(marker, segment)?;
                let blocks =
                    frame.components.iter().map(|component| component.blocks[0] * component.blocks[1]).sum();
                accept(frame.size, blocks).map_err(Fault::Refused)?;
                let planes =
                    frame.components.iter().map(|component| Plane::new(component, frame.process)).collect();
                read = Some((frame, planes));
            }
            0xc4 => codes(segment, &mut tables)?,
            0xcc => return Err(Fault::other_kind("with arithmetic coding")),
            0xda => {
                let (frame, planes) = read.as_mut().ok_or(Fault::Damaged("pixels without a size"))?;
                notes.closed = true;
                at += scan::read(segment, &bytes[at..], frame, &tables, planes)?;
                if planes.iter().all(Plane::is_complete) {
                    break;
                }
            }
            0xdb => steps(segment, &mut tables)?,
            0xdd => {
                let [high, low] = segment else {
                    return Err(Fault::Damaged("a restart interval of another length"));
                };
                tables.restart = usize::from(u16::from_be_bytes([*high, *low]));
            }
            _ => notes.take(marker, segment),
        }
    }
    let (frame, mut planes) = read.expect("pixels were read");
    let colours = notes.colours(&frame)?;
    planes.iter_mut().zip(&frame.components).for_each(|(plane, component)| plane.finish(component));
    let pixels = colours::pixels(&frame, &planes, colours);
    Ok(Jpeg { size: frame.size, channels: colours.channels(), pixels, orientation: notes.orientation() })
}

/// The second byte of the next marker. What stands in front of it is passed over, as libjpeg does.
fn next_marker(bytes: &[u8], at: &mut usize) -> Result<u8, Fault> {
    loop {
        match bytes[*at..] {
            [0xff, 0xff, ..] => *at += 1, // a marker may have any number of these in front
            [0xff, marker, ..] if marker != 0 => {
                *at += 2;
                return Ok(marker);
            }
            [_, _, ..] => *at += 1,
            _ => return Err(Fault::CutShort),
        }
    }
}

/// What stands behind a marker, whose first two bytes are its length and theirs.
fn next_segment<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a [u8], Fault> {
    let (&length, _) = bytes[*at..].split_first_chunk().ok_or(Fault::CutShort)?;
    let length = usize::from(u16::from_be_bytes(length));
    if length < 2 {
        return Err(Fault::Damaged("a segment shorter than its length"));
    }
    let segment = bytes.get(*at + 2..*at + length).ok_or(Fault::CutShort)?;
    *at += length;
    Ok(segment)
}

/// Tables of the steps of quantisation (B.2.4.1), in 8 or 16 bits.
fn steps(mut segment: &[u8], tables: &mut Tables) -> Result<(), Fault> {
    let damaged = Fault::Damaged("a table of quantisation that cannot be");
    while let [kind, rest @ ..] = segment {
        let bytes = 1 + usize::from(kind >> 4);
        let (values, rest) = rest.split_at_checked(64 * bytes).ok_or(damaged.clone())?;
        let table =
            tables.steps.get_mut(usize::from(kind & 15)).filter(|_| bytes <= 2).ok_or(damaged.clone())?;
        let mut steps = [0; 64];
        for (value, place) in values.chunks(bytes).zip(ZIGZAG) {
            steps[usize::from(place)] = value.iter().fold(0, |sum, &byte| sum << 8 | u16::from(byte));
        }
        *table = Some(steps);
        segment = rest;
    }
    Ok(())
}

/// Huffman codes (B.2.4.2).
fn codes(mut segment: &[u8], tables: &mut Tables) -> Result<(), Fault> {
    let damaged = Fault::Damaged("a Huffman code that cannot be");
    while let [kind, rest @ ..] = segment {
        let (counts, rest) = rest.split_first_chunk().ok_or(damaged.clone())?;
        let symbols = counts.iter().map(|&count| usize::from(count)).sum();
        let (symbols, rest) = rest.split_at_checked(symbols).ok_or(damaged.clone())?;
        let codes = match kind >> 4 {
            0 => &mut tables.first,
            1 => &mut tables.others,
            _ => return Err(damaged),
        };
        *codes.get_mut(usize::from(kind & 15)).ok_or(damaged.clone())? = Some(Code::new(counts, symbols)?);
        segment = rest;
    }
    Ok(())
}

/// What programs note in front of the pixels.
#[derive(Default)]
struct Notes {
    /// Whether the first pixels have come: what is noted behind them counts for nothing.
    closed: bool,
    is_jfif: bool,
    /// What Adobe's programs say of the colours.
    adobe: Option<u8>,
    exif: Vec<u8>,
    xmp: Vec<u8>,
}

impl Notes {
    fn take(&mut self, marker: u8, segment: &[u8]) {
        if self.closed {
            return;
        }
        match (marker, segment) {
            (0xe0, [b'J', b'F', b'I', b'F', 0, ..]) if segment.len() >= 14 => self.is_jfif = true,
            (0xee, [b'A', b'd', b'o', b'b', b'e', _, _, _, _, _, _, transform, ..]) => {
                self.adobe = Some(*transform);
            }
            (0xe1, _) => {
                // Long ones go on in a second segment.
                if let Some(exif) = segment.strip_prefix(b"Exif\0\0") {
                    self.exif.extend(exif);
                } else if let Some(xmp) = segment.strip_prefix(b"http://ns.adobe.com/xap/1.0/\0") {
                    self.xmp = xmp.to_vec();
                }
            }
            _ => {}
        }
    }

    /// What the components are, as libjpeg finds it (`default_decompress_parms`).
    fn colours(&self, frame: &Frame) -> Result<Colours, Fault> {
        let names: Vec<u8> = frame.components.iter().map(|component| component.name).collect();
        Ok(match (&names[..], self.adobe) {
            ([_], _) => Colours::Grey,
            ([_, _, _], Some(0)) if !self.is_jfif => Colours::Rgb,
            (b"RGB", None) if !self.is_jfif => Colours::Rgb,
            ([_, _, _], _) => Colours::Luma,
            (_, Some(0)) => Colours::Inks,
            (_, Some(_)) => Colours::LumaInks,
            (_, None) => {
                let sentence =
                    "it is a CMYK file that does not say how it counts ink, expected grey or colour";
                return Err(Fault::Refused(sentence.into()));
            }
        })
    }

    fn orientation(&self) -> Orientation {
        Orientation::noted(&self.exif, &self.xmp)
    }
}

#[cfg(test)]
mod tests;
