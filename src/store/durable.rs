//! Writing so that a crash at any instant leaves the old file or the new one, never a mixture.
//!
//! Replacing a file takes four steps: the bytes go to a temporary file beside it, they are forced to the disk
//! (fsync), the temporary is renamed over the old name (atomic on one file system), and the folder is forced
//! to the disk, because a rename is a change of the folder. Without the second step a power cut may leave the
//! new name on empty contents; without the fourth the old file may come back.
//!
//! Everything the crate leaves on a disk goes through this file (the file of a lock aside, which is no
//! result), and every change that this file makes goes through `store/disk.rs`, so that tests can try every
//! way in which a disk fails.

mod temporary;

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::error::{Error, Result};
use crate::store::disk::{self, OpenFile, Purpose, in_force};
use crate::store::input;

pub use temporary::{clear_temporaries, clear_temporaries_of, temporary_of};

/// Replaces the file `path` by `bytes`, atomically and durably; creates it where there is none.
///
/// A symbolic link stays and the file it leads to is replaced. What is no file but can be written (a pipe, a
/// terminal) is written straight away, as there is nothing to replace.
///
/// # Errors
/// [`Error::Work`] with the path and the system's cause (no space, no such folder). The old file is then
/// untouched and the temporary removed. Only if forcing the folder to the disk fails is the new file already
/// in its place.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes).map_err(|cause| Error::writing(path, &cause))
}

/// The same of a file whose name nobody asked for, such as those of a run in its folder: a symbolic link is replaced, not
/// followed. Who may write in the folder could have laid it, and it may lead to what is another's. What is neither a file nor
/// a link is refused.
///
/// # Errors
/// As [`write()`].
pub fn write_own(path: &Path, bytes: &[u8]) -> Result<()> {
    own(path).and_then(|()| put(path, bytes)).map_err(|cause| Error::writing(path, &cause))
}

/// Whether [`write_own`] could write to `path`, as far as what is there now tells. Changes nothing.
///
/// # Errors
/// A request error that names the path and what is there.
pub fn refuse_no_file(path: &Path) -> Result<()> {
    own(path).map_err(|cause| disk::unusable(&format!("cannot write {}", path.display()), &cause))
}

/// Refuses what is neither a file nor a link.
fn own(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() && !found.is_symlink() => Err(input::no_file(found.file_type())),
        // What keeps it from being looked at keeps it from being written, and is told then.
        _ => Ok(()),
    }
}

/// Appends `line` and a line break to the file `path`, creating it where there is none.
///
/// The line is handed to the system, not forced to the disk: it survives the death of the process, and a
/// power cut only after [`sync`]. If the line does not fit, what was written of it is taken back.
///
/// # Errors
/// [`Error::Work`] with the path and the system's cause.
///
/// # Panics
/// If `line` holds a line break: it would be two lines.
#[track_caller]
pub fn append_line(path: &Path, line: &str) -> Result<()> {
    assert!(!line.contains('\n'), "a line to append holds a line break: {line:?}");
    append(path, format!("{line}\n").as_bytes())
}

/// Appends `bytes` to the file `path` as [`append_line`] does a line: all of them or none.
///
/// # Errors
/// [`Error::Work`] with the path and the system's cause.
pub fn append(path: &Path, bytes: &[u8]) -> Result<()> {
    extend(path, bytes).map_err(|cause| Error::writing(path, &cause))
}

/// Forces the file `path`, grown by [`append_line`], and its entry in the folder to the disk.
///
/// # Errors
/// [`Error::Work`] with the path and the system's cause.
pub fn sync(path: &Path) -> Result<()> {
    let both = || {
        let disk = in_force();
        sync_file(&disk.open(path, Purpose::Existing)?)?;
        sync_folder(folder_of(path))
    };
    both().map_err(|cause| Error::writing(path, &cause))
}

/// Forces the entries of a folder to the disk: which files there are, not what is in them.
///
/// # Errors
/// [`Error::Work`] with the path and the system's cause.
pub fn sync_entries(folder: &Path) -> Result<()> {
    sync_folder(folder).map_err(|cause| Error::writing(folder, &cause))
}

/// Cuts a file of lines back to its first `keep` lines, atomically and durably.
///
/// A line is complete when its line break is there; a torn last line is dropped. A file that does not exist
/// has no lines. A file that already is what it should be is not touched, if it can grow; a link to one is replaced.
///
/// # Errors
/// [`Error::Request`] if the file cannot be read or has fewer complete lines than `keep`, [`Error::Work`] if
/// it cannot be written.
pub fn truncate_lines(path: &Path, keep: usize) -> Result<()> {
    let bytes = match input::read(path, input::TABLE) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == ErrorKind::NotFound => Vec::new(),
        Err(cause) => return Err(Error::reading(path, &cause)),
    };
    let ends = || bytes.iter().enumerate().filter(|&(_, &byte)| byte == b'\n').map(|(at, _)| at + 1);
    let end = match keep {
        0 => Some(0),
        _ => ends().nth(keep - 1),
    };
    match end {
        // It will grow, and no link is followed then.
        Some(end) if end == bytes.len() && !path.is_symlink() => match path.exists() {
            true => {
                in_force().open(path, Purpose::Grow).map(drop).map_err(|cause| Error::writing(path, &cause))
            }
            false => Ok(()),
        },
        Some(end) => write_own(path, &bytes[..end]),
        None => Err(Error::request(format!(
            "cannot cut {} back to {keep} lines: it has {} complete ones",
            path.display(),
            ends().count()
        ))),
    }
}

/// Creates a folder and those above it where they are missing, durably.
///
/// # Errors
/// With the path and the system's cause: [`Error::Request`], because a request names folders and this one cannot
/// be had; [`Error::Work`] if the disk is full or broken.
pub fn create_folder(path: &Path) -> Result<()> {
    let mut folders: Vec<&Path> = path.ancestors().filter(|folder| folder.parent().is_some()).collect();
    folders.reverse();
    folders
        .into_iter()
        .try_for_each(create_one_folder)
        .and_then(|()| if path.is_dir() { Ok(()) } else { Err(ErrorKind::NotADirectory.into()) })
        .map_err(|cause: io::Error| {
            disk::unusable(&format!("cannot create the folder {}", path.display()), &cause)
        })
}

fn create_one_folder(folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        refuse_unlisted(folder_of(folder))?;
        match in_force().create_folder(folder) {
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists && folder.is_symlink() => {
                return Err(io::Error::new(cause.kind(), "it is a link that leads nowhere"));
            }
            Err(cause) => return Err(cause),
            Ok(()) => return sync_folder(folder_of(folder)),
        }
    }
    // Whoever created it may have been killed before its entry was on the disk, and with the entry everything in
    // it would be lost. That it cannot be forced (it may stand in a folder of another user) is no obstacle.
    let _ = sync_folder(folder_of(folder));
    Ok(())
}

/// Creates a folder in one that is there; whether it was this call that did, and no other process. Durable it is only
/// after [`create_folder`].
///
/// # Errors
/// As [`create_folder`].
pub fn claim_folder(path: &Path) -> Result<bool> {
    match in_force().create_folder(path) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(cause) => Err(disk::unusable(&format!("cannot create the folder {}", path.display()), &cause)),
    }
}

/// Removes a folder if it is empty; whether it was.
pub fn remove_if_empty(folder: &Path) -> bool {
    in_force().remove_folder(folder).is_ok()
}

/// Removes a file; one that is not there is as good as removed.
///
/// After a power cut it may be there again, unless something else was written durably in the folder since.
///
/// # Errors
/// [`Error::Work`] with the path and the system's cause.
pub fn remove(path: &Path) -> Result<()> {
    match in_force().remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => {
            Err(Error::work(format!("cannot remove {}: {cause}", path.display())))
        }
        _ => Ok(()),
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let target = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(ErrorKind::IsADirectory.into()),
        Ok(found) if !found.is_file() => {
            let disk = in_force();
            return disk.write_all(&disk.open(path, Purpose::Existing)?, bytes);
        }
        Ok(_) => fs::canonicalize(path)?,
        Err(cause) if cause.kind() == ErrorKind::NotFound => path.to_path_buf(),
        Err(cause) => return Err(cause),
    };
    put(&target, bytes)
}

/// Puts a file in the place `target`, whatever entry of the folder has that name.
fn put(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let disk = in_force();
    refuse_unlisted(folder_of(target))?;
    // Open, and with that locked, until it has its name.
    let temporary = temporary::create_beside(target)?;
    let in_place = disk
        .write_all(&temporary, bytes)
        .and_then(|()| sync_file(&temporary))
        .and_then(|()| disk.rename(&temporary.path, target));
    if let Err(cause) = in_place {
        // The first cause is the one to tell; a temporary that stays is recognised by its name.
        let _ = disk.remove_file(&temporary.path);
        return Err(cause);
    }
    sync_folder(folder_of(target))
}

fn extend(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let disk = in_force();
    let open = disk.open(path, Purpose::Grow)?;
    let length = open.file.metadata()?.len();
    disk.write_all(&open, bytes).inspect_err(|_| {
        // A torn line would spoil the next one. If even this fails, `truncate_lines` drops it later.
        let _ = disk.set_length(&open, length);
    })
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Refuses a folder in which files may be made but which may not be listed: it could not be forced to the disk, and that would show
/// once the file is in its place.
fn refuse_unlisted(folder: &Path) -> io::Result<()> {
    match fs::read_dir(folder) {
        Err(cause) if cfg!(unix) && cause.kind() == ErrorKind::PermissionDenied => {
            let sentence = "its folder may not be listed, and so not be forced to the disk";
            Err(io::Error::new(cause.kind(), sentence))
        }
        // What else is wrong with it is told by whatever fails.
        _ => Ok(()),
    }
}

/// Forces the contents of a file to the disk.
fn sync_file(file: &OpenFile) -> io::Result<()> {
    where_possible(in_force().sync_file(file))
}

/// Forces the entries of a folder to the disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    where_possible(in_force().sync_folder(folder))
}

/// Some file systems cannot force files or folders to the disk, and say so: what is written there is as durable as it gets.
fn where_possible(forced: io::Result<()>) -> io::Result<()> {
    match forced {
        Err(cause) if matches!(cause.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests;
