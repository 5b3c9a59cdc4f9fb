//! What is read of the files that a user names, or that lie in a run's folder: regular files only, up to a length.
//!
//! A path may lead to anything. A pipe that nobody writes to would be waited for until the end of time, a device may have no
//! end, and a file of gigabytes is no configuration. So every file is looked at before it is opened and once it is open; what
//! is no regular file, once links are followed, is refused by name, and so is what is longer than its purpose allows. A link to
//! nothing is not taken for nothing: what it led to is missing.
//! `/dev/stdin` is no exception: behind it may be a file, but no pipe.

use crate::error::{Error, Result};
use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The longest configuration, SWEEP.toml, result.json, unlike.json or failure.txt, in bytes. A grid of 10,000 values, the
/// most that a sweep may have, takes a few hundred KiB.
pub const SHORT_TEXT: u64 = 16 << 20;

/// The longest list of digits, in bytes: eight million of them as 64-bit integers, ten times the largest set in MNIST's format.
pub const LIST: u64 = 64 << 20;

/// The longest table with a line an epoch, an image or a job (metrics.jsonl, division.csv, a sweep's record), in bytes: millions
/// of epochs or images, or 10,000 jobs with 100 KiB of settings each.
pub const TABLE: u64 = 1 << 30;

/// Opens a regular file for reading. Never waits.
///
/// # Errors
/// The system's; [`ErrorKind::InvalidInput`], in words, if there is something else than a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    refuse_link_to_nothing(path)?;
    // Some things, such as sockets, cannot be opened at all, and to open others does something.
    refuse_other_than_files(&fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    // Should a pipe have come into its place since.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK);
    let file = options.open(path)?;
    refuse_other_than_files(&file.metadata()?)?;
    Ok(file)
}

/// The bytes of a regular file that has at most `longest`. Memory: their length.
///
/// # Errors
/// As [`open`]; if it is longer, or there is no memory for it.
pub fn read(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    let too_long = |length: u64| {
        let sentence = format!("it has {length} bytes, expected at most {longest}");
        io::Error::new(ErrorKind::FileTooLarge, sentence)
    };
    if length > longest {
        return Err(too_long(length));
    }
    let mut bytes = Vec::new();
    // One more, by which the end is noticed without growing.
    let room = usize::try_from(length.saturating_add(1)).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(room).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
    // It may grow, and some files of the system do not know how long they are.
    file.take(longest.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 {
        length if length > longest => Err(too_long(length)),
        _ => Ok(bytes),
    }
}

/// [`read`] with a sentence that names the file.
///
/// # Errors
/// A request error, as [`read`].
pub fn bytes(path: &Path, longest: u64) -> Result<Vec<u8>> {
    read(path, longest).map_err(|cause| Error::reading(path, &cause))
}

/// The text of a regular file of at most `longest` bytes.
///
/// # Errors
/// A request error that names the file, as [`read`]; if it is no UTF-8.
pub fn text(path: &Path, longest: u64) -> Result<String> {
    decoded(read(path, longest)).map_err(|cause| Error::reading(path, &cause))
}

/// The same of a file that may not be there.
///
/// # Errors
/// As [`text`], but for a file that is not there.
pub fn text_if_there(path: &Path, longest: u64) -> Result<Option<String>> {
    match decoded(read(path, longest)) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(Error::reading(path, &cause)),
    }
}

fn decoded(bytes: io::Result<Vec<u8>>) -> io::Result<String> {
    let no_text = |_| io::Error::new(ErrorKind::InvalidData, "it is not text in UTF-8");
    String::from_utf8(bytes?).map_err(no_text)
}

/// Refuses a link that leads nowhere. To the system its end is as missing as a file that nobody ever made.
pub(super) fn refuse_link_to_nothing(path: &Path) -> io::Result<()> {
    let leads_nowhere = || fs::metadata(path).is_err_and(|cause| cause.kind() == ErrorKind::NotFound);
    match path.is_symlink() && leads_nowhere() {
        true => Err(io::Error::new(ErrorKind::InvalidInput, "it is a link to nothing, expected a file")),
        false => Ok(()),
    }
}

fn refuse_other_than_files(found: &Metadata) -> io::Result<()> {
    if found.is_file() { Ok(()) } else { Err(no_file(found.file_type())) }
}

/// The error of something else in the place of a file.
pub(super) fn no_file(kind: FileType) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("it is {}, expected a file", in_words(kind)))
}

/// What is there instead of a file.
fn in_words(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "something else" }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::store::scratch::Scratch;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    #[test]
    fn only_files_are_read_and_links_to_them() {
        let scratch = Scratch::new();
        let [file, pipe, socket, link, lost] =
            ["file", "pipe", "socket", "link", "lost"].map(|name| scratch.join(name));
        fs::write(&file, "größe").unwrap();
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _listener = UnixListener::bind(&socket).unwrap();
        symlink(&file, &link).unwrap();
        symlink(scratch.join("none"), &lost).unwrap();
        assert_eq!(text(&link, 100).unwrap(), "größe");
        for (path, what) in [
            (pipe.as_path(), "a pipe"),
            (&socket, "a socket"),
            (Path::new("/dev/zero"), "a device"),
            (scratch.path(), "a folder"),
            (&lost, "a link to nothing"),
        ] {
            let expected = format!("cannot read {}: it is {what}, expected a file", path.display());
            assert_eq!(text(path, 100), Err(Error::Request(expected.clone())));
            assert_eq!(text_if_there(path, 100), Err(Error::Request(expected.clone())));
            assert_eq!(bytes(path, 100), Err(Error::Request(expected)));
        }
        assert_eq!(text_if_there(&scratch.join("none"), 100), Ok(None));
        fs::write(&file, b"\xff").unwrap();
        assert!(text(&file, 100).unwrap_err().to_string().ends_with("file: it is not text in UTF-8"));
    }

    #[test]
    fn reading_stops_at_the_limit() {
        let scratch = Scratch::new();
        let path = scratch.join("file");
        fs::write(&path, "12345").unwrap();
        assert_eq!(text(&path, 5).unwrap(), "12345");
        assert!(text(&path, 4).unwrap_err().to_string().ends_with("it has 5 bytes, expected at most 4"));
        // A hole of terabytes.
        File::create(&path).unwrap().set_len(1 << 42).unwrap();
        assert!(bytes(&path, TABLE).unwrap_err().to_string().contains("expected at most 1073741824"));
        // The system's own files say that they are empty.
        #[cfg(target_os = "linux")]
        {
            assert!(!text(Path::new("/proc/self/status"), SHORT_TEXT).unwrap().is_empty());
            assert!(text(Path::new("/proc/self/status"), 9).unwrap_err().to_string().contains("at most 9"));
        }
    }
}
