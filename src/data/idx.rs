//! MNIST files: images and labels in the IDX format, plain or gzipped.
//!
//! An IDX file is a header of big-endian u32 (a magic number, then the sizes) and the bytes. Images have the
//! magic 2051 and the sizes count, rows, columns; labels 2049 and the count. Whether a file is gzipped is
//! seen from its first two bytes, not from its name, because unpacking tools keep or drop the `.gz` as they
//! like.
//!
//! A file is not trusted: its sizes are multiplied with a check, and memory grows with the bytes that are
//! really there (unpacked, at most one more than the header promises), never with what the header says. It
//! takes at most three times these bytes, while their vector grows, and 128 KiB; and no gzip file unpacks to
//! more than 1,032 times its length. This bound and those of all other readers are held by `tests/memory.rs`.

use crate::error::{Error, Result};
use crate::store::input;
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Rows and columns of an MNIST digit.
pub const SIDE: usize = 28;
/// Bytes of an MNIST digit.
pub const PIXELS: usize = SIDE * SIDE;
/// The number of classes: the digits 0 to 9.
pub const CLASSES: usize = 10;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Handwritten digits with their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits {
    /// Rows of an image: 28.
    pub rows: usize,
    /// Columns of an image: 28.
    pub columns: usize,
    /// The images one after the other, row by row, 0 = background, 255 = ink.
    pub images: Vec<u8>,
    /// The digit of each image, 0 to 9.
    pub labels: Vec<u8>,
}

impl Digits {
    /// The number of digits.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no digit.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The pixels of digit `index`, row by row.
    ///
    /// # Panics
    /// If there is no such digit.
    #[track_caller]
    pub fn image(&self, index: usize) -> &[u8] {
        assert!(index < self.len(), "digit {index} of {} was asked for", self.len());
        let pixels = self.rows * self.columns;
        &self.images[index * pixels..][..pixels]
    }
}

/// One of the two halves of MNIST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The 60,000 training digits: files `train-...`.
    Train,
    /// The 10,000 test digits: files `t10k-...`.
    Test,
}

/// Reads one half of MNIST from a folder.
///
/// The files may be spelt `train-images-idx3-ubyte` or `train-images.idx3-ubyte`, with or without `.gz`.
///
/// # Errors
/// If a file is missing, damaged, or not what its name says, or if images and labels do not fit each other.
pub fn read_folder(folder: &Path, half: Half) -> Result<Digits> {
    if !folder.is_dir() {
        let found = if folder.exists() { "is not a folder" } else { "does not exist" };
        return Err(Error::request(format!(
            "cannot read MNIST digits from {}: it {found}, expected a folder with the four MNIST files",
            folder.display()
        )));
    }
    let prefix = match half {
        Half::Train => "train",
        Half::Test => "t10k",
    };
    let images = find(folder, &format!("{prefix}-images"), "idx3-ubyte")?;
    let labels = find(folder, &format!("{prefix}-labels"), "idx1-ubyte")?;
    read_pair(
        (&images.display().to_string(), open(&images)?),
        (&labels.display().to_string(), open(&labels)?),
    )
}

/// Reads images and their labels, each given as a name for messages and its bytes, plain or gzipped.
///
/// # Errors
/// If either is damaged or not what it should be, or if their counts differ.
pub fn read_pair(images: (&str, impl Read), labels: (&str, impl Read)) -> Result<Digits> {
    let pixels = read(Content::Images, images.0, images.1)?;
    let digits = read(Content::Labels, labels.0, labels.1)?;
    if pixels.len() / PIXELS != digits.len() {
        return Err(Error::request(format!(
            "cannot use {} with {}: {} images and {} labels, expected as many of each",
            images.0,
            labels.0,
            pixels.len() / PIXELS,
            digits.len()
        )));
    }
    if let Some(place) = digits.iter().position(|&label| usize::from(label) >= CLASSES) {
        return Err(Error::request(format!(
            "cannot read {}: label {place} is {}, expected 0 to 9",
            labels.0, digits[place]
        )));
    }
    Ok(Digits { rows: SIDE, columns: SIDE, images: pixels, labels: digits })
}

fn find(folder: &Path, stem: &str, kind: &str) -> Result<PathBuf> {
    // is_file, because some archives unpack to a folder that has a file's name
    let names = [("-", ""), (".", ""), ("-", ".gz"), (".", ".gz")];
    names
        .iter()
        .map(|(joint, packed)| folder.join(format!("{stem}{joint}{kind}{packed}")))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Error::request(format!(
                "cannot find {stem}-{kind} in {} (nor {stem}.{kind}, nor either with .gz)",
                folder.display()
            ))
        })
}

fn open(path: &Path) -> Result<File> {
    input::open(path).map_err(|cause| Error::reading(path, &cause))
}

#[derive(Clone, Copy)]
enum Content {
    Images,
    Labels,
}

impl Content {
    fn magic(self) -> u32 {
        match self {
            Content::Images => 2051,
            Content::Labels => 2049,
        }
    }

    fn header(self) -> usize {
        match self {
            Content::Images => 16,
            Content::Labels => 8,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Content::Images => "images",
            Content::Labels => "labels",
        }
    }
}

/// The values of one IDX file, without its header.
fn read(content: Content, name: &str, mut source: impl Read) -> Result<Vec<u8>> {
    let start = read_at_most(name, &mut source, 2)?;
    if start.is_empty() {
        return Err(Error::request(format!(
            "cannot read {name}: it is empty, expected MNIST {}",
            content.name()
        )));
    }
    let packed = start == GZIP_MAGIC;
    let whole = start.as_slice().chain(source);
    if packed {
        read_plain(content, name, MultiGzDecoder::new(whole))
    } else {
        read_plain(content, name, whole)
    }
}

fn read_plain(content: Content, name: &str, mut source: impl Read) -> Result<Vec<u8>> {
    let refuse = |what: String| Err(Error::request(format!("cannot read {name}: {what}")));
    let header = read_at_most(name, &mut source, content.header() as u64)?;
    let numbers: Vec<u32> =
        header.as_chunks::<4>().0.iter().map(|&bytes| u32::from_be_bytes(bytes)).collect();
    if numbers.first().is_some_and(|&magic| magic != content.magic()) {
        return refuse(format!(
            "it starts with the magic number {}, expected {} (MNIST {})",
            numbers[0],
            content.magic(),
            content.name()
        ));
    }
    if header.len() < content.header() {
        return refuse(format!(
            "it ends after {} bytes, inside its {}-byte header",
            header.len(),
            content.header()
        ));
    }
    let count = numbers[1];
    if let [_, _, rows, columns] = numbers[..]
        && [rows, columns] != [SIDE as u32; 2]
    {
        return refuse(format!("its images are {rows}x{columns}, expected {SIDE}x{SIDE}"));
    }
    if count == 0 {
        return refuse(format!("it holds 0 {}, expected at least one", content.name()));
    }
    let size = match content {
        Content::Images => PIXELS,
        Content::Labels => 1,
    };
    let promised = u64::from(count) * size as u64;
    // one byte more than promised: what follows is seen, and the checksum of a gzip file is reached
    let values = read_at_most(name, &mut source, promised + 1)?;
    match (values.len() as u64).cmp(&promised) {
        std::cmp::Ordering::Equal => Ok(values),
        std::cmp::Ordering::Less => refuse(format!(
            "it is cut short: its header promises {count} {} ({promised} bytes), found {}",
            content.name(),
            values.len()
        )),
        std::cmp::Ordering::Greater => refuse(format!(
            "bytes follow the {count} {} ({promised} bytes) that its header promises",
            content.name()
        )),
    }
}

/// Reads to the end, or up to `limit` bytes: what is allocated grows with what is found.
fn read_at_most(name: &str, source: &mut impl Read, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match source.take(limit).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        // these kinds come from the gzip decoder alone; a plain file just ends
        Err(cause) if cause.kind() == ErrorKind::UnexpectedEof => Err(Error::request(format!(
            "cannot read {name}: it is gzipped and cut short, expected a complete gzip file"
        ))),
        Err(cause) if matches!(cause.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
            Err(Error::request(format!("cannot read {name}: it is gzipped and damaged ({cause})")))
        }
        Err(cause) => Err(Error::request(format!("cannot read {name}: {cause}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    fn header(numbers: &[u32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
    }

    fn images(count: u32) -> Vec<u8> {
        let mut bytes = header(&[2051, count, 28, 28]);
        bytes.extend((0..count as usize * PIXELS).map(|i| (i % 251) as u8));
        bytes
    }

    fn labels(count: u32) -> Vec<u8> {
        let mut bytes = header(&[2049, count]);
        bytes.extend((0..count).map(|i| (i % 10) as u8));
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn pair(images: &[u8], labels: &[u8]) -> std::result::Result<Digits, String> {
        read_pair(("IMAGES", images), ("LABELS", labels)).map_err(|error| {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        })
    }

    #[test]
    fn plain_and_gzipped_files_hold_the_same() {
        let plain = pair(&images(12), &labels(12)).unwrap();
        assert_eq!((plain.rows, plain.columns, plain.len(), plain.is_empty()), (28, 28, 12, false));
        assert_eq!(plain.images, images(12)[16..]);
        assert_eq!(plain.labels, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
        assert_eq!(plain.image(3), &images(12)[16 + 3 * 784..][..784]);
        assert_eq!(pair(&gzip(&images(12)), &gzip(&labels(12))).unwrap(), plain);
        // gzip files may be made of several members
        let parts = [gzip(&images(12)[..500]), gzip(&images(12)[500..])].concat();
        assert_eq!(pair(&parts, &labels(12)).unwrap(), plain);
    }

    #[test]
    fn bad_files_say_why() {
        let good = (images(3), labels(3));
        let cut = |bytes: &[u8], by: usize| bytes[..bytes.len() - by].to_vec();
        let longer = |bytes: &[u8]| [bytes, &[0]].concat();
        let sized = |numbers: &[u32]| header(numbers);
        let mut damaged = gzip(&images(3));
        let place = damaged.len() - 6; // in the checksum
        damaged[place] ^= 1;
        let mut label_ten = labels(3);
        label_ten[9] = 10;
        let bad_images: Vec<(Vec<u8>, &str)> = vec![
            (vec![], "it is empty"),
            (gzip(&[]), "ends after 0 bytes, inside its 16-byte header"),
            (vec![0], "ends after 1 bytes, inside its 16-byte header"),
            (good.0[..9].to_vec(), "ends after 9 bytes"),
            (labels(3), "magic number 2049, expected 2051 (MNIST images)"),
            (b"\x89PNG\r\n\x1a\n and so on".to_vec(), "magic number 2303741511"),
            (cut(&good.0, 1), "cut short: its header promises 3 images (2352 bytes), found 2351"),
            (longer(&good.0), "bytes follow the 3 images (2352 bytes)"),
            (gzip(&cut(&good.0, 1)), "cut short: its header promises 3 images"),
            (gzip(&longer(&good.0)), "bytes follow the 3 images"),
            (cut(&gzip(&good.0), 9), "gzipped and cut short"),
            (cut(&gzip(&good.0), 1), "gzipped and cut short"),
            (gzip(&good.0)[..5].to_vec(), "gzipped and cut short"),
            (damaged, "gzipped and damaged"),
            (longer(&gzip(&good.0)), "gzipped and"),
            (sized(&[2051, 0, 28, 28]), "it holds 0 images"),
            (sized(&[2051, 3, 32, 28]), "its images are 32x28, expected 28x28"),
            (sized(&[2051, u32::MAX, u32::MAX, u32::MAX]), "its images are 4294967295x4294967295"),
            (sized(&[2051, u32::MAX, 28, 28]), "promises 4294967295 images (3367254359280 bytes), found 0"),
            (gzip(&sized(&[2051, u32::MAX, 28, 28])), "promises 4294967295 images"),
            (images(4), "4 images and 3 labels, expected as many of each"),
        ];
        for (bytes, expected) in bad_images {
            let message = pair(&bytes, &good.1).unwrap_err();
            assert!(message.contains(expected) && message.contains("IMAGES"), "{message:?}: {expected:?}");
        }
        let bad_labels: Vec<(Vec<u8>, &str)> = vec![
            (vec![], "it is empty"),
            (images(3), "magic number 2051, expected 2049 (MNIST labels)"),
            (label_ten, "label 1 is 10, expected 0 to 9"),
            (cut(&good.1, 1), "promises 3 labels (3 bytes), found 2"),
            (longer(&good.1), "bytes follow the 3 labels"),
            (sized(&[2049, 0]), "it holds 0 labels"),
            (labels(2), "3 images and 2 labels"),
        ];
        for (bytes, expected) in bad_labels {
            let message = pair(&good.0, &bytes).unwrap_err();
            assert!(message.contains(expected) && message.contains("LABELS"), "{message:?}: {expected:?}");
        }
    }

    /// 200 MB of zeros behind a header that promises one digit: unpacking stops after the byte that is too
    /// much.
    #[test]
    fn a_gzip_bomb_is_left_packed() {
        struct Counting<'a>(&'a [u8], &'a std::cell::Cell<usize>);
        impl Read for Counting<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let count = self.0.read(buffer)?;
                self.1.set(self.1.get() + count);
                Ok(count)
            }
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&images(1)).unwrap();
        for _ in 0..200 {
            encoder.write_all(&vec![0; 1 << 20]).unwrap();
        }
        let bomb = encoder.finish().unwrap();
        let taken = std::cell::Cell::new(0);
        let message = read(Content::Images, "BOMB", Counting(&bomb, &taken)).unwrap_err().to_string();
        assert!(message.contains("bytes follow the 1 images"), "{message}");
        assert!(
            taken.get() < 100_000 && bomb.len() > 500_000,
            "{} of {} bytes were read",
            taken.get(),
            bomb.len()
        );
    }

    #[test]
    fn folders_are_searched_for_every_spelling() {
        let folder = std::env::temp_dir().join(format!("diva-idx-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let message = read_folder(&folder, Half::Train).unwrap_err().to_string();
        assert!(message.contains("does not exist"), "{message}");
        // some archives unpack to folders with the files' names
        std::fs::create_dir_all(folder.join("train-images-idx3-ubyte")).unwrap();
        let message = read_folder(&folder, Half::Train).unwrap_err().to_string();
        assert!(message.contains("cannot find train-images-idx3-ubyte in"), "{message}");
        let expected = pair(&images(5), &labels(5)).unwrap();
        for (image_name, label_name, half, packed) in [
            ("train-images.idx3-ubyte", "train-labels-idx1-ubyte", Half::Train, false),
            ("t10k-images-idx3-ubyte.gz", "t10k-labels.idx1-ubyte.gz", Half::Test, true),
            ("t10k-images-idx3-ubyte", "t10k-labels.idx1-ubyte.gz", Half::Test, true), // neither name tells
            ("train-images.idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", Half::Train, false),
        ] {
            let write = |name: &str, bytes: &[u8]| {
                let bytes = if packed { gzip(bytes) } else { bytes.to_vec() };
                std::fs::write(folder.join(name), bytes).unwrap();
            };
            write(image_name, &images(5));
            let message = read_folder(&folder, half).unwrap_err().to_string();
            assert!(message.contains("-labels-idx1-ubyte in"), "{message}");
            write(label_name, &labels(5));
            assert_eq!(read_folder(&folder, half).unwrap(), expected, "{image_name}, {label_name}");
            std::fs::remove_file(folder.join(image_name)).unwrap();
            std::fs::remove_file(folder.join(label_name)).unwrap();
        }
        std::fs::write(folder.join("file"), "").unwrap();
        let message = read_folder(&folder.join("file"), Half::Test).unwrap_err().to_string();
        assert!(message.contains("is not a folder"), "{message}");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = pair(&bytes, &labels(1));
            let _ = pair(&[&header(&[2051]), bytes.as_slice()].concat(), &labels(1));
            let _ = pair(&[GZIP_MAGIC.as_slice(), &[8, 0], &bytes].concat(), &bytes);
        }

        #[test]
        fn damaged_files_never_panic(
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            end in any::<prop::sample::Index>(),
            (packed, cut) in any::<(bool, bool)>(),
        ) {
            let mut bytes = if packed { gzip(&images(2)) } else { images(2) };
            for (place, byte) in damage {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if cut {
                bytes.truncate(end.index(bytes.len()));
            }
            if let Ok(digits) = pair(&bytes, &labels(2)) {
                prop_assert_eq!((digits.len(), digits.images.len()), (2, 2 * PIXELS));
            }
        }
    }
}
