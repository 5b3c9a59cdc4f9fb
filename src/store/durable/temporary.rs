//! Temporary files: what they are called, that they are new, and when one is dead.
//!
//! A file is replaced by one that is written beside it (a rename works within one file system only). Its name is random and
//! nothing may be there before, so that processes of the same id, of which every container has some, do not meet, and a link
//! that somebody has laid is not followed.
//!
//! As long as its process lives, a temporary is locked; the system lifts the lock when the process ends, however it ends.
//! So whoever clears up removes what can be locked and nothing else. Where there are no locks nobody knows, and what is there
//! stays.

use std::ffi::OsStr;
use std::fs::{self, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::store::disk::{OpenFile, Purpose, in_force, is_at};

const ENDING: &str = ".part";

/// 64 random bits.
const RANDOM_BYTES: usize = size_of::<u64>();

/// What is kept of the name of the file, in bytes. The shortest limit of a file system in use is 143 for a whole name.
const LONGEST_BEGINNING: usize = 100;

/// How often another name is tried. Once is rare.
const ATTEMPTS: usize = 10;

/// The name of the file (or how it begins, if it is long) of which a file of this name is a temporary, if it is one. Other
/// programs' `.part` files have nothing of the kind before their ending.
pub fn temporary_of(name: &OsStr) -> Option<&str> {
    let (of, mark) = name.to_str()?.strip_suffix(ENDING)?.rsplit_once('.')?;
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_random = mark.len() == 2 * RANDOM_BYTES && mark.bytes().all(is_hex);
    // The id of the process and a count: those of earlier versions.
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let are_numbers = || mark.split_once('-').is_some_and(|(id, count)| is_number(id) && is_number(count));
    (is_random || are_numbers()).then_some(of)
}

/// Creates a temporary of `target`, locked until it is closed.
pub(super) fn create_beside(target: &Path) -> io::Result<OpenFile> {
    create(|| name_beside(target))
}

fn name_beside(target: &Path) -> io::Result<PathBuf> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random)?;
    let name = target.file_name().ok_or(ErrorKind::InvalidFilename)?;
    Ok(target.with_file_name(format!("{}.{:016x}{ENDING}", beginning(name), u64::from_be_bytes(random))))
}

fn beginning(name: &OsStr) -> String {
    let mut name = name.to_string_lossy().into_owned();
    name.truncate(name.floor_char_boundary(LONGEST_BEGINNING));
    name
}

/// Creates a file at the first of these paths at which there is nothing.
fn create(mut path: impl FnMut() -> io::Result<PathBuf>) -> io::Result<OpenFile> {
    let disk = in_force();
    for _ in 0..ATTEMPTS {
        let path = path()?;
        let open = match disk.open(&path, Purpose::New) {
            Ok(open) => open,
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => continue,
            Err(cause) => {
                // It may be there, and only the answer be lost.
                let _ = disk.remove_file(&path);
                return Err(cause);
            }
        };
        match disk.try_lock(&open) {
            // Whoever clears up was faster with the lock, and removes it.
            Err(TryLockError::WouldBlock) => {}
            Ok(()) if !matches!(is_at(&open), Ok(true)) => {}
            // Unlocked it is as good: where one cannot be locked, none is removed.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(open),
        }
    }
    Err(io::Error::other("its temporary files are taken away by another process"))
}

/// Removes from a folder the temporaries of processes that are dead, as far as `of` says so of the files (by name) that they
/// are temporaries of. What is no regular file stays, and so does what cannot be locked or removed: it is no result, and
/// whoever comes next tries again.
pub fn clear_temporaries(folder: &Path, of: impl Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.retain(|name| temporary_of(name).is_some_and(&of));
    names.sort();
    for name in names {
        let _ = remove_if_dead(&folder.join(name));
    }
}

/// Removes the temporaries of one file, as [`clear_temporaries`] does. They are beside what a link leads to.
pub fn clear_temporaries_of(path: &Path) {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    if let Some(name) = target.file_name() {
        let name = beginning(name);
        clear_temporaries(super::folder_of(&target), |of| of == name);
    }
}

fn remove_if_dead(path: &Path) -> io::Result<()> {
    let disk = in_force();
    if !fs::symlink_metadata(path)?.is_file() {
        return Ok(());
    }
    let open = disk.open(path, Purpose::Lock)?;
    // Between our opening and our locking it, its process may have renamed it: then it is a result now.
    if disk.try_lock(&open).is_ok() && is_at(&open)? {
        disk.remove_file(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scratch::Scratch;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn names_are_random_and_recognised() {
        let names: Vec<String> = (0..200)
            .map(|_| name_beside(Path::new("runs/result.json")).unwrap())
            .map(|path| path.strip_prefix("runs").unwrap().to_str().unwrap().to_owned())
            .collect();
        let mut ones = [0; 64];
        for name in &names {
            assert_eq!(temporary_of(name.as_ref()), Some("result.json"), "{name}");
            let bits = u64::from_str_radix(&name["result.json.".len()..][..16], 16).unwrap();
            (0..64).for_each(|bit| ones[bit] += bits >> bit & 1);
        }
        // Of 200 tosses of a fair coin fewer than 40 are heads once in 10^18 times.
        assert!(ones.iter().all(|count| (40..=160).contains(count)), "{ones:?}");
        assert_eq!(temporary_of("a.b.12-0.part".as_ref()), Some("a.b"), "of an earlier version");
        let hex = "0123456789abcdef";
        for other in [
            "result.json",
            "movie.part",
            "result.json.part",
            "a.12-.part",
            "a.1-2",
            "a.x-1.part",
            &format!("a.{hex}"),
            &format!("a.{hex}0.part"),
            &format!("a.{}.part", hex.to_uppercase()),
            &format!("{hex}.part"),
        ] {
            assert_eq!(temporary_of(other.as_ref()), None, "{other}");
        }
    }

    #[test]
    fn what_lies_in_the_way_is_neither_written_nor_followed() {
        let scratch = Scratch::new();
        let [file, link, dangling, new] = ["file", "link", "dangling", "new"].map(|name| scratch.join(name));
        fs::write(&file, b"private").unwrap();
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&file, &link).unwrap();
            std::os::unix::fs::symlink(scratch.join("elsewhere"), &dangling).unwrap();
        }
        #[cfg(not(unix))]
        [&link, &dangling].map(|path| fs::write(path, b"").unwrap());
        let mut places = [&file, &link, &dangling, &new].into_iter().cloned();
        let open = create(|| Ok(places.next().unwrap())).unwrap();
        assert_eq!(open.path, new);
        assert_eq!(fs::read(&file).unwrap(), b"private");
        assert_eq!(scratch.names(), ["dangling", "file", "link", "new"]);
        // It is not tried for ever.
        assert!(create(|| Ok(file.clone())).is_err());
    }

    #[test]
    fn the_temporary_of_a_living_process_stays() {
        let scratch = Scratch::new();
        let target = scratch.join("latents.png");
        let living = create_beside(&target).unwrap();
        // A process that is killed closes its files, and does nothing else.
        drop(create_beside(&target).unwrap());
        for other in ["latents.png.12-0.part", "loss.png.0123456789abcdef.part", "notes.part"] {
            fs::write(scratch.join(other), b"").unwrap();
        }
        assert_eq!(scratch.names().len(), 5);
        clear_temporaries_of(&target);
        let living_name = living.path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut left =
            vec![living_name.clone(), "loss.png.0123456789abcdef.part".into(), "notes.part".into()];
        left.sort();
        assert_eq!(scratch.names(), left);
        clear_temporaries(scratch.path(), |of| of != "loss.png");
        assert_eq!(scratch.names(), left);
        clear_temporaries(scratch.path(), |_| true);
        assert_eq!(scratch.names(), [living_name, "notes.part".into()]);
        drop(living);
        clear_temporaries(scratch.path(), |_| true);
        assert_eq!(scratch.names(), ["notes.part"]);
        clear_temporaries(&scratch.join("missing"), |_| true);
    }

    /// The fault: 22 of 109 pictures drawn into a folder in which a run was resumed lost their temporary.
    #[test]
    fn whoever_clears_up_takes_nothing_from_those_who_write() {
        let scratch = Scratch::new();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let clear = || {
                while !done.load(Ordering::Relaxed) {
                    clear_temporaries(scratch.path(), |_| true);
                }
            };
            let write = |name: &str| {
                for _ in 0..1000 {
                    let target = scratch.join(name);
                    let open = create_beside(&target).unwrap();
                    fs::rename(&open.path, &target).expect("its temporary is gone");
                }
            };
            scope.spawn(clear);
            scope.spawn(clear);
            let writers = ["a", "b"].map(|name| scope.spawn(move || write(name)));
            let outcomes = writers.map(|writer| writer.join());
            done.store(true, Ordering::Relaxed);
            assert!(outcomes.iter().all(Result::is_ok));
        });
        assert_eq!(scratch.names(), ["a", "b"]);
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_stays() {
        let scratch = Scratch::new();
        let name = |of: &str| format!("{of}.0123456789abcdef.part");
        let [folder, link, pipe] = ["folder", "link", "pipe"].map(|of| scratch.join(&name(of)));
        fs::create_dir(&folder).unwrap();
        fs::write(scratch.join("private"), b"").unwrap();
        std::os::unix::fs::symlink(scratch.join("private"), &link).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        clear_temporaries(scratch.path(), |_| true);
        assert_eq!(scratch.names(), [name("folder"), name("link"), name("pipe"), "private".into()]);
    }

    #[test]
    fn those_of_a_long_name_and_of_what_a_link_leads_to_are_known() {
        let scratch = Scratch::new();
        let long = scratch.join(&"語".repeat(85));
        drop(create_beside(&long).unwrap());
        clear_temporaries_of(&long);
        assert!(scratch.names().is_empty());
        #[cfg(unix)]
        {
            let (folder, link) = (scratch.join("elsewhere"), scratch.join("link"));
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("file"), b"").unwrap();
            std::os::unix::fs::symlink(folder.join("file"), &link).unwrap();
            drop(create_beside(&folder.join("file")).unwrap());
            clear_temporaries_of(&link);
            assert_eq!(crate::store::scratch::names_in(&folder), ["file"]);
        }
    }
}
