//! Decoded pictures of one size as one file, so that a second run need not decode them again.
//!
//! What is packed is what the files hold: with every picture goes the SHA-256 of its file, and before packed pixels are
//! used all files are read again and compared. That costs a fraction of decoding them, and no copied file with its old
//! time of change, no second edit within a tick of the clock and no restored backup can bring back pixels that are gone.
//!
//! A file is: the pixels of all pictures that could be read | for each listed file its name, its SHA-256, its height and
//! width, the range of its values and what is wrong with it | a footer of the kind, the size, the three lengths and a SHA-256
//! of all of that. The pixels come first so that the bytes of the file become the pixels of a data set where they stand,
//! without a copy. The checksum is that of the checksums of pieces of a mebibyte, which are made on all threads.
//!
//! A file that is not of this kind, is damaged, or tells of other files counts as absent.

use crate::parallel;
use crate::store::input;
use sha2::{Digest, Sha256};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// What a file of this kind ends with, in front of the numbers: the 2 counts versions of the layout and of decoding.
const MAGIC: &[u8; 16] = b"diva pictures 2\n";

/// The kind, three sides of 4 bytes, three lengths of 8 bytes, the checksum.
const FOOTER: usize = 16 + 3 * 4 + 3 * 8 + CHECKSUM;

const CHECKSUM: usize = 32;

/// What stands for the range of a picture that is not of 16 bits: its smallest value is larger than its largest.
const NO_RANGE: [u16; 2] = [1, 0];

/// The bytes that are hashed as one.
const PIECE: usize = 1 << 20;

/// What was found at a listed place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// SHA-256 of the file; zeros if it could not be read.
    pub digest: [u8; 32],
    /// Height and width of the picture before it was resized; zeros if it could not be decoded.
    pub size: [u32; 2],
    /// The smallest and the largest value of a picture of 16 bits.
    pub range: Option<[u16; 2]>,
    /// Why there are no pixels of it; empty if there are.
    pub problem: String,
}

impl Record {
    /// Whether there are pixels of it.
    pub fn is_readable(&self) -> bool {
        self.problem.is_empty()
    }
}

/// Pictures of one size, and where they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Height, width and channels of each picture.
    pub size: [usize; 3],
    /// The pictures that could be read, in the order of the records.
    pub pixels: Vec<u8>,
    /// All that was listed.
    pub records: Vec<Record>,
}

impl Packed {
    /// The number of bytes behind the pixels of so many files with names of so many bytes together, if nothing is wrong
    /// with any. Whoever allocates the pixels makes room for them, so that [`Packed::write`] need not.
    pub(super) fn overhead(files: usize, names: usize) -> usize {
        files * (4 + CHECKSUM + 2 * 4 + 2 * 2 + 4) + names + FOOTER
    }

    /// Writes the file `path`, durably.
    ///
    /// # Errors
    /// [`crate::error::Error::Work`] with the path and the system's cause.
    ///
    /// # Panics
    /// If there is not a name for each record.
    #[track_caller]
    pub fn write(&mut self, path: &Path, names: &[String]) -> crate::error::Result<()> {
        assert_eq!(names.len(), self.records.len(), "names of packed pictures");
        let pixels = self.pixels.len();
        let bytes = &mut self.pixels;
        for (name, record) in names.iter().zip(&self.records) {
            push_text(bytes, name);
            bytes.extend(record.digest);
            bytes.extend(record.size.iter().flat_map(|side| side.to_le_bytes()));
            bytes.extend(record.range.unwrap_or(NO_RANGE).iter().flat_map(|value| value.to_le_bytes()));
            push_text(bytes, &record.problem);
        }
        let lengths = [self.records.len(), pixels, bytes.len() - pixels];
        bytes.extend(MAGIC);
        bytes.extend(self.size.iter().flat_map(|&side| (side as u32).to_le_bytes()));
        bytes.extend(lengths.iter().flat_map(|&length| (length as u64).to_le_bytes()));
        bytes.extend(checksum(bytes));
        let written = crate::store::durable::write_own(path, bytes);
        self.pixels.truncate(pixels);
        written
    }

    /// Reads the file `path` if it holds whole pictures of this size from files of these names.
    ///
    /// Memory: the length of the file, and 100 bytes and its name for each of `names`. A file of another kind or size is
    /// not read.
    pub fn read(path: &Path, size: [usize; 3], names: &[String]) -> Option<Packed> {
        let mut file = input::open(path).ok()?;
        let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
        let mut footer = [0; FOOTER];
        file.seek(SeekFrom::Start(length.checked_sub(FOOTER)? as u64)).ok()?;
        file.read_exact(&mut footer).ok()?;
        let mut rest = Reader(&footer);
        if rest.take(MAGIC.len())? != MAGIC {
            return None;
        }
        let found = [rest.u32()?, rest.u32()?, rest.u32()?].map(|side| side as usize);
        let [files, pixels, index] = [rest.u64()?, rest.u64()?, rest.u64()?];
        let whole = pixels.checked_add(index)?.checked_add(FOOTER as u64)?;
        if found != size || files != names.len() as u64 || whole != length as u64 {
            return None;
        }
        file.seek(SeekFrom::Start(0)).ok()?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(length + 1).ok()?; // one more, by which the end is noticed without growing
        file.take(length as u64).read_to_end(&mut bytes).ok()?;
        let body = length - CHECKSUM;
        if bytes.len() != length || checksum(&bytes[..body]) != bytes[body..] {
            return None;
        }
        let pixels = pixels as usize;
        let mut rest = Reader(&bytes[pixels..length - FOOTER]);
        let mut records = Vec::with_capacity(names.len());
        for name in names {
            if rest.text()? != name.as_bytes() {
                return None;
            }
            let digest = rest.take(CHECKSUM)?.try_into().ok()?;
            let size = [rest.u32()?, rest.u32()?];
            let range = Some([rest.u16()?, rest.u16()?]).filter(|[low, high]| low <= high);
            let problem = String::from_utf8(rest.text()?.to_vec()).ok()?;
            records.push(Record { digest, size, range, problem });
        }
        let readable = records.iter().filter(|record| record.is_readable()).count();
        if !rest.0.is_empty() || pixels != readable.checked_mul(size.iter().product())? {
            return None;
        }
        bytes.truncate(pixels);
        Some(Packed { size, pixels: bytes, records })
    }
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// The SHA-256 of the SHA-256 of the pieces.
fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let piece = |i: usize| Sha256::digest(&bytes[i * PIECE..bytes.len().min((i + 1) * PIECE)]);
    let pieces = parallel::map(bytes.len().div_ceil(PIECE), piece);
    let mut all = Sha256::new();
    pieces.iter().for_each(|piece| all.update(piece));
    all.finalize().into()
}

/// Bytes that are taken from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scratch::Scratch;
    use std::fs;

    fn example() -> (Packed, Vec<String>) {
        let record = |i: u8, problem: &str| Record {
            digest: [i; 32],
            size: if problem.is_empty() { [u32::from(i), 7] } else { [0, 0] },
            range: (i == 3).then_some([0, 4095]),
            problem: problem.to_owned(),
        };
        let records = vec![record(1, ""), record(2, "it is empty"), record(3, "")];
        let names = ["a/x/1.png", "a/x/é 2.png", "b/y/3.jpg"].map(str::to_owned).to_vec();
        (Packed { size: [2, 1, 3], pixels: (0..12).collect(), records }, names)
    }

    #[test]
    fn what_is_written_is_read() {
        let scratch = Scratch::new();
        let path = scratch.join("packed");
        let (mut packed, names) = example();
        let before = packed.clone();
        packed.write(&path, &names).unwrap();
        assert_eq!(packed, before);
        let all_names: usize = names.iter().map(String::len).sum();
        let expected = 12 + Packed::overhead(3, all_names) + "it is empty".len();
        assert_eq!(fs::metadata(&path).unwrap().len(), expected as u64);
        assert_eq!(Packed::read(&path, [2, 1, 3], &names), Some(packed));
        let mut nothing = Packed { size: [2, 1, 3], pixels: vec![], records: vec![] };
        nothing.write(&path, &[]).unwrap();
        assert_eq!(Packed::read(&path, [2, 1, 3], &[]), Some(nothing));
    }

    #[test]
    fn what_was_asked_otherwise_is_absent() {
        let scratch = Scratch::new();
        let path = scratch.join("packed");
        let (mut packed, names) = example();
        packed.write(&path, &names).unwrap();
        let mut renamed = names.clone();
        renamed[2].push('x');
        assert_eq!(Packed::read(&path, [1, 2, 3], &names), None);
        assert_eq!(Packed::read(&path, [2, 1, 3], &renamed), None);
        assert_eq!(Packed::read(&path, [2, 1, 3], &names[..2]), None);
        assert_eq!(Packed::read(&scratch.join("none"), [2, 1, 3], &names), None);
        assert_eq!(Packed::read(scratch.path(), [2, 1, 3], &names), None);
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let scratch = Scratch::new();
        let path = scratch.join("packed");
        let (mut packed, names) = example();
        packed.write(&path, &names).unwrap();
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[place] ^= 1 << (place % 8);
            fs::write(&path, &damaged).unwrap();
            assert_eq!(Packed::read(&path, [2, 1, 3], &names), None, "byte {place}");
            fs::write(&path, &whole[..place]).unwrap();
            assert_eq!(Packed::read(&path, [2, 1, 3], &names), None, "{place} bytes");
        }
        fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
        assert_eq!(Packed::read(&path, [2, 1, 3], &names), None);
    }

    /// A right checksum over an index that is wrong: of another version, or made to harm.
    #[test]
    fn a_wrong_index_is_absent() {
        let scratch = Scratch::new();
        let path = scratch.join("packed");
        let (mut packed, names) = example();
        packed.write(&path, &names).unwrap();
        let whole = fs::read(&path).unwrap();
        for place in 12..whole.len() - CHECKSUM {
            let mut changed = whole.clone();
            changed[place] = 0xff;
            let body = changed.len() - CHECKSUM;
            let right = checksum(&changed[..body]);
            changed[body..].copy_from_slice(&right);
            fs::write(&path, &changed).unwrap();
            if let Some(read) = Packed::read(&path, [2, 1, 3], &names) {
                assert_eq!((read.pixels, read.records.len()), (packed.pixels.clone(), 3), "byte {place}");
            }
        }
    }

    /// SHA-256 by hand, over two pieces.
    #[test]
    fn the_checksum_is_that_of_the_pieces() {
        let bytes: Vec<u8> = (0..PIECE + 3).map(|i| (i % 251) as u8).collect();
        let pieces = [Sha256::digest(&bytes[..PIECE]), Sha256::digest(&bytes[PIECE..])].concat();
        let expected: [u8; 32] = Sha256::digest(pieces).into();
        for threads in 1..3 {
            assert_eq!(parallel::with_threads(threads, || checksum(&bytes)), expected);
        }
    }
}
