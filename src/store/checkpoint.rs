//! A checkpoint proves that it is what was saved.
//!
//! It is a safetensors file (PyTorch can look into it) whose one metadata text holds, in this order: the
//! length of the file in 20 decimal digits, the SHA-256 of the file in 64 hexadecimal digits, and the
//! caller's note. The checksum is that of the whole file with those 64 digits replaced by zeros, so no byte
//! of the file, header included, can change unnoticed. The length is there to tell a file that is cut short
//! from one that is damaged.
//!
//! Metadata come first in the header, therefore both stand at fixed places:
//!
//! ```text
//! byte 0      the header's length, 8 bytes
//! byte 8      {"__metadata__":{"diva-checkpoint":"
//! byte 44     LENGTH, 20 digits, and a space
//! byte 65     SHA-256, 64 digits, and a space
//! byte 130    the note, and what else a safetensors file has
//! ```
//!
//! and they are checked before anything is parsed. The container knows nothing of models: the note is the
//! caller's JSON, the tensors are the caller's slabs. Its bytes are a function of the two alone: no clock,
//! path or order of insertion.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::store::digest::hex;
use crate::store::durable;
use crate::store::tensors::{self, TensorFile};

const KEY: &str = "diva-checkpoint";
const HEADER_LENGTH_BYTES: usize = 8;
const OPENING: &str = r#"{"__metadata__":{"diva-checkpoint":""#;
const LENGTH_DIGITS: usize = 20;
const CHECKSUM_DIGITS: usize = 64;
const LENGTH_AT: usize = HEADER_LENGTH_BYTES + OPENING.len();
const CHECKSUM_AT: usize = LENGTH_AT + LENGTH_DIGITS + 1;
const CHECKSUM_END: usize = CHECKSUM_AT + CHECKSUM_DIGITS;

/// Everything a resumed run needs: tensors, and a text that says what they are.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The caller's description, JSON by convention; any text is kept as it is.
    pub note: String,
    /// The caller's tensors.
    pub tensors: TensorFile,
}

impl Checkpoint {
    /// The bytes of the file: a function of note and tensors alone.
    pub fn to_bytes(&self) -> Vec<u8> {
        sealed(tensors::encode(&self.tensors, Some((KEY, &unsealed(&self.note)))))
    }

    /// The bytes of the file whose tensors are these slabs, each of one dimension, without a copy of them all.
    pub fn bytes_of<'a>(note: &str, slabs: impl IntoIterator<Item = (&'a str, &'a [f32])>) -> Vec<u8> {
        let slabs = slabs.into_iter().map(|(name, numbers)| (name, tensors::Slab::new(numbers)));
        sealed(tensors::encode_views(slabs, Some((KEY, &unsealed(note)))))
    }

    /// Takes the bytes of a checkpoint apart after checking them; `path` is what error messages call them. Memory:
    /// as [`TensorFile::from_bytes`].
    ///
    /// # Errors
    /// [`Error::Request`] with the path: cut short, damaged, or not a checkpoint of this program.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        check(bytes)
            .map_err(|complaint| Error::request(format!("checkpoint {} {complaint}", path.display())))?;
        Self::from_proven_bytes(bytes, path)
    }

    /// The same of bytes whose SHA-256 is known to be the one that was saved, so that nothing is left for their own checksum
    /// to prove.
    ///
    /// # Errors
    /// As [`Checkpoint::from_bytes`], but for its checks.
    pub fn from_proven_bytes(bytes: &[u8], path: &Path) -> Result<Self> {
        let (tensors, texts) = tensors::decode(bytes, path)?;
        Ok(Self { note: note_among(&texts, path)?, tensors })
    }

    /// Writes the checkpoint, atomically and durably: at every instant the file is the old or the new one.
    ///
    /// # Errors
    /// [`Error::Work`] with the path and the system's cause; the old checkpoint is then untouched.
    pub fn save(&self, path: &Path) -> Result<()> {
        durable::write(path, &self.to_bytes())
    }

    /// The note of a checkpoint, without a look at the rest: quick, but nothing proves it. Whoever finds it at odds with
    /// something else calls [`Checkpoint::load`] to learn whether it is the checkpoint that is damaged.
    ///
    /// # Errors
    /// [`Error::Request`] with the path: it cannot be read, or does not begin like a checkpoint of this program.
    pub fn note_of(path: &Path) -> Result<String> {
        note_among(&tensors::texts_of(path)?, path)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`Error::Request`] with the path: it cannot be read, is cut short, damaged, or not a checkpoint of
    /// this program.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_bytes(&tensors::read_file(path)?, path)
    }
}

/// The text of a checkpoint whose length and checksum are not known yet.
fn unsealed(note: &str) -> String {
    format!("{:0LENGTH_DIGITS$} {:0CHECKSUM_DIGITS$} {note}", 0, 0)
}

/// The file with its length and checksum in their places.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    assert!(bytes[HEADER_LENGTH_BYTES..].starts_with(OPENING.as_bytes()), "the metadata do not come first");
    let length = length_text(bytes.len());
    bytes[LENGTH_AT..LENGTH_AT + LENGTH_DIGITS].copy_from_slice(length.as_bytes());
    let checksum = checksum_of(&bytes);
    bytes[CHECKSUM_AT..CHECKSUM_END].copy_from_slice(checksum.as_bytes());
    bytes
}

/// The note, among the texts of the checkpoint at `path`.
fn note_among(texts: &BTreeMap<String, String>, path: &Path) -> Result<String> {
    let note = texts.get(KEY).and_then(|text| text.get(CHECKSUM_END + 1 - LENGTH_AT..));
    note.map(str::to_owned).ok_or_else(|| {
        Error::request(format!(
            "checkpoint {} holds no note, expected one behind its checksum",
            path.display()
        ))
    })
}

fn length_text(length: usize) -> String {
    format!("{length:0LENGTH_DIGITS$}")
}

/// The checksum of a file of at least [`CHECKSUM_END`] bytes, its own digits taken as zeros.
fn checksum_of(bytes: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(&bytes[..CHECKSUM_AT]);
    hash.update([b'0'; CHECKSUM_DIGITS]);
    hash.update(&bytes[CHECKSUM_END..]);
    hex(&hash.finalize())
}

/// Whether the bytes are those that were saved, and if not, what is wrong with them.
fn check(bytes: &[u8]) -> std::result::Result<(), String> {
    let begin = bytes.get(HEADER_LENGTH_BYTES..).unwrap_or_default();
    let comparable = begin.len().min(OPENING.len());
    if begin[..comparable] != OPENING.as_bytes()[..comparable] {
        return Err("is not a checkpoint of diva: it does not begin like one".into());
    }
    let found = bytes.len();
    if found < CHECKSUM_END {
        return Err(format!("is cut short: {found} bytes, more than {CHECKSUM_END} expected"));
    }
    if bytes[LENGTH_AT..LENGTH_AT + LENGTH_DIGITS] != *length_text(found).as_bytes()
        && let Some(expected) = announced_length(bytes)
        && expected != found
    {
        let complaint = if found < expected { "cut short" } else { "too long" };
        return Err(format!("is {complaint}: {found} bytes, {expected} expected"));
    }
    if bytes[CHECKSUM_AT..CHECKSUM_END] != *checksum_of(bytes).as_bytes() {
        return Err("is damaged: its checksum does not match its contents".into());
    }
    Ok(())
}

/// The length that the file says it has, unless that number itself is damaged.
fn announced_length(bytes: &[u8]) -> Option<usize> {
    let digits = std::str::from_utf8(&bytes[LENGTH_AT..LENGTH_AT + LENGTH_DIGITS]).ok()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::digest::sha256_hex;
    use crate::store::scratch::Scratch;
    use std::fs;

    fn path() -> &'static Path {
        Path::new("checkpoint.safetensors")
    }

    fn sample() -> Checkpoint {
        let mut tensors = TensorFile::new();
        tensors.insert("params", &[3], &[1.0_f32, -2.5, f32::NAN]);
        tensors.insert("adam.step", &[1], &[7_u64]);
        Checkpoint { note: "{\"epoch\":3,\"name\":\"caf\u{e9} \\\"x\\\"\\n\"}".into(), tensors }
    }

    fn message(bytes: &[u8]) -> String {
        match Checkpoint::from_bytes(bytes, path()) {
            Err(Error::Request(message)) => message,
            other => panic!("expected a request error, found {other:?}"),
        }
    }

    #[test]
    fn a_checkpoint_comes_back_from_its_file() {
        let scratch = Scratch::new();
        let path = scratch.join("checkpoint.safetensors");
        let saved = sample();
        saved.save(&path).unwrap();
        saved.save(&path).unwrap();
        let loaded = Checkpoint::load(&path).unwrap();
        assert_eq!(loaded.note, saved.note);
        assert_eq!(loaded.tensors.names().collect::<Vec<_>>(), ["adam.step", "params"]);
        let (shape, params) = loaded.tensors.f32s("params").unwrap();
        assert_eq!(shape, [3]);
        let bits: Vec<u32> = params.iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, [0x3f80_0000, 0xc020_0000, f32::NAN.to_bits()]);
        assert_eq!(loaded.tensors.u64s("adam.step").unwrap(), (&[1][..], vec![7]));
        assert_eq!(scratch.names(), ["checkpoint.safetensors"]);
        assert_eq!(loaded.to_bytes(), fs::read(&path).unwrap());
    }

    #[test]
    fn notes_of_every_kind_come_back() {
        for note in ["", " ", "{}", "\"\\\u{0}\n\u{1f600}", &"x".repeat(10_000)] {
            let bytes = Checkpoint { note: note.into(), tensors: TensorFile::new() }.to_bytes();
            assert_eq!(Checkpoint::from_bytes(&bytes, path()).unwrap().note, note);
        }
    }

    #[test]
    fn length_and_checksum_stand_where_they_are_said_to() {
        let bytes = sample().to_bytes();
        assert_eq!(&bytes[8..44], br#"{"__metadata__":{"diva-checkpoint":""#);
        assert_eq!(std::str::from_utf8(&bytes[44..65]).unwrap(), format!("{:020} ", bytes.len()));
        let mut zeroed = bytes.clone();
        zeroed[65..129].fill(b'0');
        assert_eq!(std::str::from_utf8(&bytes[65..130]).unwrap(), format!("{} ", sha256_hex(&zeroed)));
        // Any reader of safetensors reads it.
        let file = TensorFile::from_bytes(&bytes, path()).unwrap();
        assert_eq!(file.u64s("adam.step").unwrap().1, [7]);
    }

    #[test]
    fn every_flipped_byte_is_found() {
        let whole = sample().to_bytes();
        for at in 0..whole.len() {
            for pattern in [0x01, 0x10, 0x20, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= pattern;
                let message = message(&bytes);
                let expected = match at {
                    8..44 => "is not a checkpoint of diva",
                    // One decimal digit that became another: then the length is what does not match.
                    44..64 if bytes[at].is_ascii_digit() => "expected",
                    _ => "is damaged: its checksum does not match its contents",
                };
                assert!(message.starts_with("checkpoint checkpoint.safetensors is "), "{message}");
                assert!(message.contains(expected), "byte {at} ^ {pattern}: {message}");
            }
        }
    }

    #[test]
    fn every_cut_is_found_and_told() {
        let whole = sample().to_bytes();
        let length = whole.len();
        for cut in 0..length {
            let expected = match cut {
                0..129 => format!("is cut short: {cut} bytes, more than 129 expected"),
                _ => format!("is cut short: {cut} bytes, {length} expected"),
            };
            assert_eq!(message(&whole[..cut]), format!("checkpoint checkpoint.safetensors {expected}"));
        }
    }

    #[test]
    fn every_extension_is_found_and_told() {
        let whole = sample().to_bytes();
        for more in [1, 8, 1000] {
            for byte in [0, b' ', b'0'] {
                let longer = [whole.as_slice(), &vec![byte; more]].concat();
                let expected = format!("is too long: {} bytes, {} expected", longer.len(), whole.len());
                assert_eq!(message(&longer), format!("checkpoint checkpoint.safetensors {expected}"));
            }
        }
    }

    #[test]
    fn other_files_are_not_checkpoints() {
        let weights = sample().tensors.to_bytes();
        assert!(message(&weights).contains("is not a checkpoint of diva"));
        assert!(message(b"import torch\nprint(torch.__version__)\n").contains("is not a checkpoint of diva"));
        assert!(message(&[0; 1000]).contains("is not a checkpoint of diva"));
    }

    /// Contents that nobody saved but whose length and checksum are right: refused by the parser, not by a
    /// panic.
    #[test]
    fn a_right_checksum_over_nonsense_is_refused() {
        let seal = |mut bytes: Vec<u8>| {
            let length = length_text(bytes.len());
            bytes[LENGTH_AT..LENGTH_AT + LENGTH_DIGITS].copy_from_slice(length.as_bytes());
            let checksum = checksum_of(&bytes);
            bytes[CHECKSUM_AT..CHECKSUM_END].copy_from_slice(checksum.as_bytes());
            bytes
        };
        let whole = sample().to_bytes();
        assert_eq!(seal(whole.clone()), whole);
        let mut headless = whole.clone();
        headless[0] ^= 0x40;
        message(&seal(headless));
        message(&seal(whole[..CHECKSUM_END].to_vec()));
        // The text ends with the checksum: no room for a note.
        let header = format!("{OPENING}{:020} {:064}\"}}}}", 0, 0);
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        assert!(message(&seal(bytes)).contains("holds no note"));
    }

    #[test]
    fn the_bytes_know_neither_order_nor_path() {
        let scratch = Scratch::new();
        let checkpoint = |names: &[&str]| {
            let mut tensors = TensorFile::new();
            for name in names {
                tensors.insert(*name, &[1], &[name.len() as f32]);
            }
            Checkpoint { note: "{\"epoch\":1}".into(), tensors }
        };
        let (one, other) = (checkpoint(&["a", "bb", "ccc"]), checkpoint(&["ccc", "a", "bb"]));
        one.save(&scratch.join("one")).unwrap();
        other.save(&scratch.join("other")).unwrap();
        let bytes = fs::read(scratch.join("one")).unwrap();
        assert_eq!(bytes, fs::read(scratch.join("other")).unwrap());
        assert_eq!(bytes, one.to_bytes());
        // Written down once: a change of these bytes is a change of the format.
        let header = concat!(
            r#"{"__metadata__":{"diva-checkpoint":"00000000000000000324 "#,
            "0000000000000000000000000000000000000000000000000000000000000000 ",
            r#"{\"epoch\":1}"},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#,
            r#""bb":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"#,
            r#""ccc":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#
        );
        let header = format!("{header:<width$}", width = header.len().next_multiple_of(8));
        let mut by_hand = (header.len() as u64).to_le_bytes().to_vec();
        by_hand.extend_from_slice(header.as_bytes());
        by_hand.extend([0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40]);
        let checksum = sha256_hex(&by_hand);
        by_hand[65..129].copy_from_slice(checksum.as_bytes());
        assert_eq!(String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&by_hand));
    }

    #[test]
    fn a_missing_file_is_named() {
        let scratch = Scratch::new();
        let path = scratch.join("checkpoint.safetensors");
        let cause = fs::read(&path).unwrap_err();
        assert_eq!(Checkpoint::load(&path).unwrap_err(), Error::reading(&path, &cause));
        fs::write(&path, b"").unwrap();
        assert_eq!(
            Checkpoint::load(&path).unwrap_err(),
            Error::Request(format!(
                "checkpoint {} is cut short: 0 bytes, more than 129 expected",
                path.display()
            ))
        );
    }
}
