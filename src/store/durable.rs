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

use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};
use crate::store::disk::{self, OpenFile, Purpose, in_force};
use crate::store::input;

const TEMPORARY_ENDING: &str = ".part";

/// Whether a file of that name is a temporary of this file, left by a process that was killed: it is no
/// result, and may be removed when nobody writes. Other programs' `.part` files have no number before it.
pub fn is_temporary(name: &OsStr) -> bool {
    let numbers = || {
        let (_, numbers) = name.to_str()?.strip_suffix(TEMPORARY_ENDING)?.rsplit_once('.')?;
        numbers.split_once('-')
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers().is_some_and(|(process, count)| is_number(process) && is_number(count))
}

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
/// has no lines. A file that already is what it should be is not touched.
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
        Some(end) if end == bytes.len() => Ok(()),
        Some(end) => write(path, &bytes[..end]),
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
        match in_force().create_folder(folder) {
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
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
    let temporary = temporary_beside(&target)?;
    let in_place = fill(&temporary, bytes).and_then(|()| in_force().rename(&temporary, &target));
    if let Err(cause) = in_place {
        // The first cause is the one to tell; a temporary that stays is recognised by its name.
        let _ = in_force().remove_file(&temporary);
        return Err(cause);
    }
    sync_folder(folder_of(&target))
}

fn fill(temporary: &Path, bytes: &[u8]) -> io::Result<()> {
    let disk = in_force();
    let file = disk.open(temporary, Purpose::Fill)?;
    disk.write_all(&file, bytes)?;
    sync_file(&file)
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

/// A name in the same folder (a rename works within one file system only) that no other writer uses: neither
/// a thread of this process nor another process.
fn temporary_beside(target: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = target.file_name().ok_or(ErrorKind::InvalidFilename)?.to_os_string();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}-{count}{TEMPORARY_ENDING}", std::process::id()));
    Ok(target.with_file_name(name))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
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
mod tests {
    use super::*;
    use crate::store::scratch::{Scratch, names_in};
    use std::fs::File;

    #[test]
    fn a_file_is_created_and_replaced_and_nothing_else_stays() {
        let scratch = Scratch::new();
        let path = scratch.join("result.json");
        write(&path, b"first").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        write(&path, b"").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        let large: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
        write(&path, &large).unwrap();
        assert!(fs::read(&path).unwrap() == large);
        assert_eq!(scratch.names(), ["result.json"]);
    }

    #[test]
    fn a_path_without_a_folder_is_in_the_working_folder() {
        assert_eq!(folder_of(Path::new("result.json")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/result.json")), Path::new("a"));
        assert_eq!(folder_of(Path::new("/result.json")), Path::new("/"));
        let temporary = temporary_beside(Path::new("result.json")).unwrap();
        let name = temporary.to_str().unwrap();
        assert!(name.starts_with("result.json.") && is_temporary(name.as_ref()), "{name}");
        for other in ["result.json", "movie.part", "result.json.part", "a.12-.part", "a.1-2", "a.x-1.part"] {
            assert!(!is_temporary(other.as_ref()), "{other}");
        }
        assert_ne!(temporary_beside(Path::new("result.json")).unwrap(), temporary);
    }

    #[test]
    fn a_missing_folder_is_named_with_the_cause() {
        let scratch = Scratch::new();
        let path = scratch.join("missing").join("result.json");
        let cause = File::create(&path).unwrap_err();
        let expected = Error::Work(format!("cannot write {}: {cause}", path.display()));
        assert_eq!(write(&path, b"x").unwrap_err(), expected);
        assert_eq!(append_line(&path, "x").unwrap_err(), expected);
        assert_eq!(sync(&path).unwrap_err(), expected);
        assert!(scratch.names().is_empty());
    }

    #[test]
    fn a_folder_in_the_place_of_the_file_is_refused_and_kept() {
        let scratch = Scratch::new();
        let path = scratch.join("result.json");
        fs::create_dir(&path).unwrap();
        let message = write(&path, b"x").unwrap_err().to_string();
        assert!(message.contains("result.json: is a directory"), "{message}");
        assert_eq!(scratch.names(), ["result.json"]);
        assert!(names_in(&path).is_empty());
        assert!(write(Path::new(".."), b"x").is_err());
    }

    #[test]
    fn a_temporary_that_cannot_be_made_leaves_the_old_file() {
        let scratch = Scratch::new();
        // The longest name most file systems take: the temporary's, which is longer, cannot be created.
        let long = scratch.join(&"n".repeat(255));
        fs::write(&long, b"old").unwrap();
        assert!(matches!(write(&long, b"new"), Err(Error::Work(_))));
        assert_eq!(fs::read(&long).unwrap(), b"old");
        assert_eq!(scratch.names().len(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_stays_and_its_file_is_replaced() {
        let scratch = Scratch::new();
        let (folder, link) = (scratch.join("elsewhere"), scratch.join("link"));
        fs::create_dir(&folder).unwrap();
        write(&folder.join("file"), b"old").unwrap();
        std::os::unix::fs::symlink(folder.join("file"), &link).unwrap();
        write(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(folder.join("file")).unwrap(), b"new");
        assert_eq!(names_in(&folder), ["file"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_written_and_not_replaced() {
        use std::os::unix::fs::FileTypeExt;
        write(Path::new("/dev/null"), b"x").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        // Error 28 is ENOSPC.
        let full = io::Error::from_raw_os_error(28);
        let expected = Error::Work(format!("cannot write /dev/full: {full}"));
        assert_eq!(write(Path::new("/dev/full"), b"x").unwrap_err(), expected);
        assert_eq!(append_line(Path::new("/dev/full"), "x").unwrap_err(), expected);
        assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
    }

    /// A file system of 64 KiB on a folder, taken away again at the end.
    #[cfg(target_os = "linux")]
    struct SmallDisk<'a>(&'a Path);

    #[cfg(target_os = "linux")]
    impl<'a> SmallDisk<'a> {
        fn mount(folder: &'a Path) -> Option<Self> {
            let mount = std::process::Command::new("mount")
                .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
                .arg(folder)
                .output();
            mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
        }
    }

    #[cfg(target_os = "linux")]
    impl Drop for SmallDisk<'_> {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg(self.0).output();
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_keeps_the_old_file_and_whole_lines() {
        let scratch = Scratch::new();
        let Some(disk) = SmallDisk::mount(scratch.path()) else {
            eprintln!("skipped: a small file system cannot be mounted here (that takes the rights of root)");
            return;
        };
        let (path, lines) = (scratch.join("checkpoint.safetensors"), scratch.join("metrics.jsonl"));
        let old = vec![7_u8; 30_000];
        write(&path, &old).unwrap();
        let full = io::Error::from_raw_os_error(28);
        assert_eq!(
            write(&path, &vec![8_u8; 60_000]).unwrap_err(),
            Error::Work(format!("cannot write {}: {full}", path.display()))
        );
        assert!(fs::read(&path).unwrap() == old);
        assert_eq!(scratch.names(), ["checkpoint.safetensors"]);

        append_line(&lines, "first").unwrap();
        assert!(append_line(&lines, &"x".repeat(60_000)).is_err());
        assert_eq!(fs::read(&lines).unwrap(), b"first\n");
        append_line(&lines, "second").unwrap();
        assert_eq!(fs::read(&lines).unwrap(), b"first\nsecond\n");
        drop(disk);
    }

    #[test]
    fn lines_are_appended_in_order() {
        let scratch = Scratch::new();
        let path = scratch.join("metrics.jsonl");
        append_line(&path, "{\"epoch\":1}").unwrap();
        append_line(&path, "").unwrap();
        append_line(&path, "{\"epoch\":2}").unwrap();
        sync(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"epoch\":1}\n\n{\"epoch\":2}\n");
    }

    #[test]
    #[should_panic(expected = "line break")]
    fn a_line_of_two_lines_is_a_bug() {
        let scratch = Scratch::new();
        let _ = append_line(&scratch.join("metrics.jsonl"), "a\nb");
    }

    #[test]
    fn lines_are_cut_back_to_any_count_and_torn_ones_dropped() {
        let scratch = Scratch::new();
        let path = scratch.join("metrics.jsonl");
        let all = ["one", "", "three"];
        for torn in ["", "to", "{\"epoch\":"] {
            for keep in 0..=3 {
                fs::write(&path, format!("one\n\nthree\n{torn}")).unwrap();
                truncate_lines(&path, keep).unwrap();
                let kept: String = all[..keep].iter().map(|line| format!("{line}\n")).collect();
                assert_eq!(fs::read_to_string(&path).unwrap(), kept, "{torn:?} {keep}");
            }
            fs::write(&path, format!("one\n\nthree\n{torn}")).unwrap();
            assert_eq!(
                truncate_lines(&path, 4).unwrap_err(),
                Error::Request(format!(
                    "cannot cut {} back to 4 lines: it has 3 complete ones",
                    path.display()
                ))
            );
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("one\n\nthree\n{torn}"));
        }
        assert_eq!(scratch.names(), ["metrics.jsonl"]);
    }

    #[test]
    fn a_missing_file_has_no_lines() {
        let scratch = Scratch::new();
        let path = scratch.join("metrics.jsonl");
        truncate_lines(&path, 0).unwrap();
        assert!(scratch.names().is_empty());
        assert!(matches!(truncate_lines(&path, 1), Err(Error::Request(_))));
        assert!(matches!(truncate_lines(scratch.path(), 0), Err(Error::Request(_))));
    }

    #[test]
    fn folders_are_created_with_those_above_them() {
        let scratch = Scratch::new();
        let path = scratch.join("a").join("b").join("c");
        create_folder(&path).unwrap();
        create_folder(&path).unwrap();
        assert!(path.is_dir());
        let file = path.join("file");
        fs::write(&file, b"").unwrap();
        for refused in [file.clone(), file.join("d")] {
            let message = create_folder(&refused).unwrap_err().to_string();
            let start = format!("cannot create the folder {}: ", refused.display());
            assert!(message.starts_with(&start), "{message}");
        }
    }

    #[test]
    fn removing_twice_is_removing_once() {
        let scratch = Scratch::new();
        let path = scratch.join("file");
        write(&path, b"x").unwrap();
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(scratch.names().is_empty());
        assert!(matches!(remove(scratch.path()), Err(Error::Work(_))));
    }
}
