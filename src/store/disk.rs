//! What changes a disk: a handful of operations, one system call each, behind one small trait.
//!
//! [`durable`](super::durable) and [`lock`](super::lock) change a disk only through the disk in force. In a built
//! program that is always the system's. A test may put another one in force for its thread: one that fails at the
//! k-th operation, or that remembers what a power cut could take back (`trial`, `power_cut`). Reading goes past
//! all this: what was not written cannot be lost.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::error::Error;

#[cfg(all(test, unix))]
mod faults;
#[cfg(all(test, unix))]
mod power_cut;
#[cfg(all(test, unix))]
mod trial;
#[cfg(all(test, unix))]
mod whole_runs;

#[cfg(all(test, unix))]
pub(super) use trial::Trial;

/// How long a pipe is left alone that is full.
const FULL_PIPE: Duration = Duration::from_millis(1);

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be grown at its end; it is created if it is not there.
    Grow,
    /// To be forced to the disk, or written if it is no real file; it must be there.
    Existing,
    /// To be locked, then read or filled; it must be there.
    Lock,
    /// To be locked, then filled; it must not be there, not even as a link, and is created by one process only.
    New,
}

/// An open file and the path at which it was opened.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    pub(super) path: PathBuf,
}

/// Whether its path names the open file still, and is no link to it.
pub(super) fn is_at(open: &OpenFile) -> io::Result<bool> {
    match fs::symlink_metadata(&open.path) {
        Ok(named) => Ok(is_same(&open.file.metadata()?, &named)),
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(false),
        Err(cause) => Err(cause),
    }
}

#[cfg(unix)]
fn is_same(open: &Metadata, named: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// Files that are open keep their name here.
#[cfg(not(unix))]
fn is_same(_: &Metadata, named: &Metadata) -> bool {
    named.is_file()
}

/// The operations by which the crate changes a disk. Each is one system call, which may fail.
pub(super) trait Disk {
    /// Opens a file.
    fn open(&self, path: &Path, purpose: Purpose) -> io::Result<OpenFile>;
    /// Takes the system's lock of a file, unless another process has it or a part in it.
    fn try_lock(&self, file: &OpenFile) -> Result<(), TryLockError>;
    /// Takes a part in the system's lock of a file, unless another process has it.
    fn try_lock_shared(&self, file: &OpenFile) -> Result<(), TryLockError>;
    /// Writes bytes from the beginning of `bytes`, perhaps not all; how many.
    fn write(&self, to: &OpenFile, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts the file to `length` bytes.
    fn set_length(&self, of: &OpenFile, length: u64) -> io::Result<()>;
    /// Forces the contents of a file to the disk.
    fn sync_file(&self, file: &OpenFile) -> io::Result<()>;
    /// Gives a file another name, replacing the file of that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Creates a folder in one that is there.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder that is empty.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Forces the entries of a folder to the disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Writes all of `bytes`, going on where a write stopped short, was interrupted by a signal or found a pipe full.
    fn write_all(&self, to: &OpenFile, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(to, bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => bytes = &bytes[count..],
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => thread::sleep(FULL_PIPE),
                Err(cause) => return Err(cause),
            }
        }
        Ok(())
    }
}

/// The disk of the operating system.
pub(super) struct System;

impl Disk for System {
    fn open(&self, path: &Path, purpose: Purpose) -> io::Result<OpenFile> {
        let mut options = OpenOptions::new();
        match purpose {
            Purpose::Grow => options.append(true).create(true),
            Purpose::Existing => options.append(true),
            Purpose::Lock => options.read(true).write(true),
            Purpose::New => options.read(true).write(true).create_new(true),
        };
        // A pipe without a reader is not waited for. What is locked, or grows, has a name that nobody asked for: what a link in
        // its place leads to is not to be emptied or written.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::custom_flags(
            &mut options,
            match purpose {
                Purpose::Lock | Purpose::Grow => libc::O_NOFOLLOW | libc::O_NONBLOCK,
                _ => libc::O_NONBLOCK,
            },
        );
        let file = options.open(path).map_err(in_words)?;
        Ok(OpenFile { file, path: path.to_path_buf() })
    }

    fn try_lock(&self, file: &OpenFile) -> Result<(), TryLockError> {
        file.file.try_lock()
    }

    fn try_lock_shared(&self, file: &OpenFile) -> Result<(), TryLockError> {
        file.file.try_lock_shared()
    }

    fn write(&self, to: &OpenFile, bytes: &[u8]) -> io::Result<usize> {
        (&to.file).write(bytes)
    }

    fn set_length(&self, of: &OpenFile, length: u64) -> io::Result<()> {
        of.file.set_len(length)
    }

    fn sync_file(&self, file: &OpenFile) -> io::Result<()> {
        file.file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    /// Windows cannot open a folder as a file, so there is nothing to be done there.
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }
}

/// The system says of a pipe without a reader that there is "no such device or address".
fn in_words(cause: io::Error) -> io::Error {
    #[cfg(unix)]
    if cause.raw_os_error() == Some(libc::ENXIO) {
        return io::Error::other("it is a pipe that nobody reads from, or a device that is not there");
    }
    cause
}

/// The disk that this thread writes to.
#[cfg(not(test))]
pub(super) fn in_force() -> &'static dyn Disk {
    &System
}

#[cfg(test)]
thread_local! {
    static IN_FORCE: std::cell::RefCell<std::rc::Rc<dyn Disk>> = std::cell::RefCell::new(std::rc::Rc::new(System));
}

/// The disk that this thread writes to.
#[cfg(test)]
pub(super) fn in_force() -> std::rc::Rc<dyn Disk> {
    IN_FORCE.with_borrow(Clone::clone)
}

/// Does `work` with `disk` in force for this thread.
#[cfg(all(test, unix))]
pub(super) fn with<T>(disk: std::rc::Rc<dyn Disk>, work: impl FnOnce() -> T) -> T {
    struct PutBack(std::rc::Rc<dyn Disk>);
    impl Drop for PutBack {
        fn drop(&mut self) {
            IN_FORCE.set(self.0.clone());
        }
    }
    let _before = PutBack(IN_FORCE.replace(disk));
    work()
}

/// A place that cannot be had, for `cause`: the fault of the request that named it, unless the disk is full or broken.
pub(super) fn unusable(complaint: &str, cause: &io::Error) -> Error {
    use ErrorKind::{
        AlreadyExists, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound,
        PermissionDenied, ReadOnlyFilesystem, Unsupported,
    };
    let whole = format!("{complaint}: {cause}");
    match cause.kind() {
        NotFound | PermissionDenied | AlreadyExists | NotADirectory | IsADirectory | ReadOnlyFilesystem
        | InvalidFilename | InvalidInput | Unsupported => Error::request(whole),
        _ => Error::work(whole),
    }
}
