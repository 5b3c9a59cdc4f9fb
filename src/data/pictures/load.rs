//! From a list of files to images of one size, by decoding them or from what an earlier run has packed.

use super::decode::decode;
use super::depth;
use super::listing::Listing;
use super::packed::{Packed, Record};
use super::resize::resize;
use crate::data::Dataset;
use crate::data::collection::{Collection, Origin};
use crate::error::{Error, Result};
use crate::names::shown;
use crate::parallel;
use crate::store::{durable, input};
use sha2::{Digest, Sha256};
use std::path::Path;

/// The longest file that is read: the largest picture as 16-bit colour with alpha, not packed at all, takes 512 MiB.
pub const LONGEST_FILE: u64 = 1 << 30;

/// How the name of a cache begins, and how it ends.
const CACHE: &str = "pictures-";
const PACKED: &str = ".packed";

/// What [`load()`] is to make of the files.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Height and width of every image.
    pub size: [usize; 2],
    /// Values of a pixel: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// Whether files that cannot be read are left out instead of refused.
    pub skip_unreadable: bool,
    /// The folder in which the packed images are kept, if they are to be kept; created where it is missing.
    pub cache: Option<&'a Path>,
}

/// The images of a list of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The images, in the order of the list.
    pub collection: Collection,
    /// The smallest and the largest height and width before resizing: `[[lowest, narrowest], [highest, widest]]`.
    pub original_sizes: [[u32; 2]; 2],
    /// The files that are left out, a sentence each.
    pub unreadable: Vec<String>,
    /// What else the user should know, a sentence each.
    pub notices: Vec<String>,
    /// Whether the images came from the cache.
    pub from_cache: bool,
}

/// The images of the listed files: decoded, upright, resized as Pillow does, in the order of the list, the same for any
/// number of threads and with or without a cache.
///
/// Memory: height x width x channels bytes for each file, and about 400 bytes, three times its path and its group's name twice;
/// while decoding, for each thread a file and what [`decode`] takes for it. Nothing is there twice: the cache is written from
/// and read into the memory that becomes the pixels.
///
/// A cache that is damaged, foreign or of files that have changed since is replaced. One that cannot be written is told
/// of in [`Loaded::notices`] and stops nothing.
///
/// # Errors
/// If a file cannot be read and is not to be left out: the first in the list is named; if the images do not fit into memory.
///
/// # Panics
/// If a size is 0, `channels` is neither 1 nor 3, or a label has no name.
#[track_caller]
pub fn load(listing: Listing, options: &Options<'_>) -> Result<Loaded> {
    let size = [options.size[0], options.size[1], options.channels];
    let names: Vec<String> = (0..listing.files.len()).map(|i| listing.name(i)).collect();
    let cache = options.cache.map(|folder| folder.join(cache_name(&listing.root, size)));
    let kept = cache.as_deref().and_then(|path| Packed::read(path, size, &names)).filter(|packed| {
        let unchanged = |i: usize| is_unchanged(&listing.files[i].path, &packed.records[i]);
        parallel::map(names.len(), unchanged).into_iter().all(|unchanged| unchanged)
    });
    let from_cache = kept.is_some();
    let mut packed = match kept {
        Some(packed) => packed,
        None => decode_all(&listing, size, names.iter().map(String::len).sum())?,
    };

    let unreadable = unreadable(&listing, &packed.records);
    if let ([first, others @ ..], false) = (&unreadable[..], options.skip_unreadable) {
        let more = match others.len() {
            0 => String::new(),
            more => format!("; so it is with {more} more of {} files", names.len()),
        };
        return Err(Error::request(format!("{first}{more}")));
    }
    let mut notices = listing.notices.clone();
    notices.extend(depth::notice(
        packed.records.iter().filter(|record| record.is_readable()).map(|record| record.range),
    ));
    if let Some(path) = cache.as_deref().filter(|_| !from_cache) {
        let folder = path.parent().unwrap_or(Path::new("."));
        durable::clear_temporaries(folder, is_cache);
        if let Err(cause) = durable::create_folder(folder).and_then(|()| packed.write(path, &names)) {
            notices.push(format!("{cause}; the pictures will be decoded again next time"));
        }
    }
    let original_sizes = original_sizes(&packed.records);
    let collection = labelled(listing, names, packed);
    Ok(Loaded { collection, original_sizes, unreadable, notices, from_cache })
}

/// What the cache of the pictures in the folder `root` is called.
fn cache_name(root: &Path, [height, width, channels]: [usize; 3]) -> String {
    let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
    let digest = Sha256::digest(root.as_os_str().as_encoded_bytes());
    let key: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{CACHE}{key}-{height}x{width}x{channels}{PACKED}")
}

/// Whether a file may be the cache of any pictures. The folder that caches are in may hold other files too.
pub fn is_cache(name: &str) -> bool {
    name.starts_with(CACHE) && name.ends_with(PACKED)
}

/// Decodes all files, on all threads.
fn decode_all(listing: &Listing, size: [usize; 3], names: usize) -> Result<Packed> {
    let values: usize = size.iter().product();
    let files = listing.files.len();
    let mut pixels = Vec::new();
    let room =
        files.checked_mul(values).and_then(|pixels| pixels.checked_add(Packed::overhead(files, names)));
    room.and_then(|room| pixels.try_reserve_exact(room).ok()).ok_or_else(|| {
        let [height, width, channels] = size;
        Error::request(format!(
            "cannot hold {files} images of {height}x{width}x{channels} in memory: they take {} MiB",
            (files as u128 * values as u128) >> 20
        ))
    })?;
    pixels.resize(files * values, 0);
    let records =
        parallel::map_chunks(&mut pixels, values, |i, out| read_one(&listing.files[i].path, size, out));
    let mut kept = 0;
    for (i, record) in records.iter().enumerate() {
        if record.is_readable() {
            if kept < i {
                pixels.copy_within(i * values..(i + 1) * values, kept * values);
            }
            kept += 1;
        }
    }
    pixels.truncate(kept * values);
    Ok(Packed { size, pixels, records })
}

/// How many of so many files are left out because they cannot be read (a sentence each), and why the first is; nothing if all
/// can.
pub fn left_out(files: usize, unreadable: &[String]) -> Option<String> {
    match unreadable {
        [] => None,
        [only] => Some(format!("1 of {files} files is left out: {only}")),
        [first, ..] => {
            Some(format!("{} of {files} files are left out, of which the first: {first}", unreadable.len()))
        }
    }
}

/// The pixels of one picture, made `size` (height, width, channels) as [`load()`] makes them, and the smallest and the largest
/// value of a picture of 16 bits.
///
/// # Errors
/// If it cannot be read; the file is named.
pub fn read_picture(path: &Path, size: [usize; 3]) -> Result<(Vec<u8>, Option<[u16; 2]>)> {
    let mut pixels = vec![0; size.iter().product()];
    let record = read_one(path, size, &mut pixels);
    if !record.is_readable() {
        return Err(Error::request(format!("cannot read {}: {}", shown(path), record.problem)));
    }
    Ok((pixels, record.range))
}

/// Reads a picture into `out`.
fn read_one(path: &Path, [height, width, channels]: [usize; 3], out: &mut [u8]) -> Record {
    let bytes = match read_file(path) {
        Ok(bytes) => bytes,
        Err(problem) => return Record { digest: [0; 32], size: [0, 0], range: None, problem },
    };
    let digest = Sha256::digest(&bytes).into();
    match decode(&bytes, channels) {
        Ok(picture) => {
            drop(bytes);
            resize(&picture.pixels, [picture.height, picture.width], channels, [height, width], out);
            Record {
                digest,
                size: [picture.height, picture.width].map(|side| side as u32),
                range: picture.range,
                problem: String::new(),
            }
        }
        Err(problem) => Record { digest, size: [0, 0], range: None, problem },
    }
}

/// Whether a file is what it was when it was packed.
fn is_unchanged(path: &Path, record: &Record) -> bool {
    match read_file(path) {
        Ok(bytes) => *Sha256::digest(&bytes) == record.digest,
        Err(problem) => record.digest == [0; 32] && record.problem == problem,
    }
}

/// The bytes of a file that can be a picture.
fn read_file(path: &Path) -> std::result::Result<Vec<u8>, String> {
    input::read(path, LONGEST_FILE).map_err(|cause| cause.to_string())
}

fn unreadable(listing: &Listing, records: &[Record]) -> Vec<String> {
    let all = listing.files.iter().zip(records).filter(|(_, record)| !record.is_readable());
    all.map(|(file, record)| format!("cannot read {}: {}", shown(&file.path), record.problem)).collect()
}

fn original_sizes(records: &[Record]) -> [[u32; 2]; 2] {
    let sizes = || records.iter().filter(|record| record.is_readable()).map(|record| record.size);
    let [smallest, largest]: [fn(u32, u32) -> u32; 2] = [u32::min, u32::max];
    [smallest, largest]
        .map(|choose| sizes().reduce(|[a, b], [c, d]| [choose(a, c), choose(b, d)]).unwrap_or_default())
}

/// The pixels with the labels of their files.
fn labelled(listing: Listing, names: Vec<String>, packed: Packed) -> Collection {
    let Listing { files, domain_names, class_names, .. } = listing;
    let readable = files.iter().zip(&packed.records).filter(|(_, record)| record.is_readable());
    let (domains, classes): (Vec<u32>, Vec<u32>) =
        readable.map(|(file, _)| (file.domain, file.class)).unzip();
    let origins = (names.into_iter().zip(files).zip(&packed.records))
        .filter(|(_, record)| record.is_readable())
        .map(|((name, file), record)| Origin { file: name, sha256: record.digest, group: file.group })
        .collect();
    let images = Dataset::new(packed.size, packed.pixels, classes, domains);
    Collection::of_files(images, origins, domain_names, class_names)
}

#[cfg(test)]
mod tests;
