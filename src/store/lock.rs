//! One process at a time in a folder.
//!
//! Two processes that train in one folder would replace each other's checkpoints. So a run holds an advisory
//! lock of the operating system on a file `run.lock` in its folder. The system lifts such a lock when the
//! process ends, however it ends: a lock file left by a killed process locks nothing, and no process id has
//! to be judged dead or reused. The id in the file is only for the message to whoever comes second.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::Path;

use crate::error::{Error, Result};
use crate::store::disk::{self, OpenFile, Purpose, in_force};

/// The name of the lock's file in the folder.
pub const LOCK: &str = "run.lock";

/// The right to write in a folder, held until the value is dropped or the process ends.
#[derive(Debug)]
#[must_use = "the folder is free again as soon as the lock is dropped"]
pub struct Lock(OpenFile);

impl Lock {
    /// Takes the lock of a folder that exists.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process holds it (with that process's id), [`Error::Request`] if the folder cannot be
    /// written, [`Error::Work`] if the file of the lock cannot be made or filled for want of space or of a sound disk.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK);
        let complaint = || format!("cannot lock the folder {}", folder.display());
        loop {
            let open = in_force()
                .open(&path, Purpose::Lock)
                .map_err(|cause| disk::unusable(&complaint(), &cause))?;
            match open.file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Busy(format!(
                        "{}: {} is writing there; wait for it or name another folder with --out",
                        complaint(),
                        holder(&open.file)
                    )));
                }
                Err(TryLockError::Error(cause)) => return Err(disk::unusable(&complaint(), &cause)),
            }
            // Whoever held it before may have removed the file between our opening and our locking it: then
            // this is the lock of a file that nobody else will ever open.
            if is_at(&open) {
                // From here on it is removed again, whatever fails.
                let lock = Self(open);
                lock.name_the_holder().map_err(|cause| Error::writing(&path, &cause))?;
                return Ok(lock);
            }
        }
    }

    fn name_the_holder(&self) -> io::Result<()> {
        let disk = in_force();
        disk.set_length(&self.0, 0)?;
        disk.write_all(&self.0, format!("{}\n", std::process::id()).as_bytes())
    }
}

impl Drop for Lock {
    /// Removes the file while it is still locked, so that nobody can lock what is about to vanish.
    fn drop(&mut self) {
        if is_at(&self.0) {
            // A file that stays locks nothing.
            let _ = in_force().remove_file(&self.0.path);
        }
        free(&self.0.file);
    }
}

/// Lifts the lock of an open file. Closing it would not do: a process that is started meanwhile has the open file too, and with
/// it the lock, for the moment until it becomes another program.
fn free(file: &File) {
    // What cannot be lifted is lifted with the process.
    let _ = file.unlock();
}

/// Whoever holds the lock, in words; the id may not be written yet, or not be readable on this system.
fn holder(file: &File) -> String {
    let mut text = String::new();
    let id = file.take(32).read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok());
    id.map_or("another process".into(), |id| format!("process {id}"))
}

/// Whether its path names the open file still.
#[cfg(unix)]
fn is_at(open: &OpenFile) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (open.file.metadata(), fs::metadata(&open.path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Whether its path names the open file still. Files that are open keep their name here.
#[cfg(not(unix))]
fn is_at(open: &OpenFile) -> bool {
    open.path.exists()
}

/// Whether a process holds the lock of a folder at this moment: for reports, as it may have changed before the report is
/// read. Looking takes a part in the lock for as long as it takes to look.
pub fn is_held(folder: &Path) -> bool {
    let look = |file: File| {
        let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        free(&file);
        is_held
    };
    File::open(folder.join(LOCK)).is_ok_and(look)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scratch::Scratch;
    use std::ffi::OsStr;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn the_second_is_refused_until_the_first_is_done() {
        let scratch = Scratch::new();
        let first = Lock::take(scratch.path()).unwrap();
        assert_eq!(fs::read_to_string(scratch.join(LOCK)).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(
            Lock::take(scratch.path()).unwrap_err(),
            Error::Busy(format!(
                "cannot lock the folder {}: process {} is writing there; \
                 wait for it or name another folder with --out",
                scratch.path().display(),
                std::process::id()
            ))
        );
        assert_eq!(scratch.names(), [LOCK]);
        assert!(is_held(scratch.path()));
        drop(first);
        assert!(scratch.names().is_empty() && !is_held(scratch.path()));
        let _second = Lock::take(scratch.path()).unwrap();
    }

    /// A copy of the handle is what a process has that was just started.
    #[test]
    fn a_dropped_lock_is_lifted_whoever_has_the_file_open() {
        let scratch = Scratch::new();
        let lock = Lock::take(scratch.path()).unwrap();
        let _copy = lock.0.file.try_clone().unwrap();
        let other = File::open(scratch.join(LOCK)).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(lock);
        other.try_lock().unwrap();
    }

    #[test]
    fn a_file_left_by_a_killed_process_locks_nothing() {
        let scratch = Scratch::new();
        // The id of a process that runs: only the system's lock counts.
        for left in ["1\n", "", "99999999999999999999 and more than an id"] {
            fs::write(scratch.join(LOCK), left).unwrap();
            assert!(!is_held(scratch.path()));
            let lock = Lock::take(scratch.path()).unwrap();
            assert_eq!(fs::read_to_string(scratch.join(LOCK)).unwrap(), format!("{}\n", std::process::id()));
            drop(lock);
        }
    }

    #[test]
    fn a_holder_without_an_id_is_another_process() {
        let scratch = Scratch::new();
        for text in ["", "no id", "\u{1f600}"] {
            fs::write(scratch.join(LOCK), text).unwrap();
            let held = File::open(scratch.join(LOCK)).unwrap();
            held.try_lock().unwrap();
            let message = Lock::take(scratch.path()).unwrap_err().to_string();
            assert!(message.contains("another process is writing there"), "{message}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_lock_of_another_is_not_removed() {
        let scratch = Scratch::new();
        let first = Lock::take(scratch.path()).unwrap();
        fs::remove_file(scratch.join(LOCK)).unwrap();
        let _second = Lock::take(scratch.path()).unwrap();
        drop(first);
        assert_eq!(scratch.names(), [LOCK]);
        assert!(matches!(Lock::take(scratch.path()), Err(Error::Busy(_))));
    }

    #[test]
    fn a_missing_folder_is_named() {
        let scratch = Scratch::new();
        let message = Lock::take(&scratch.join("missing")).unwrap_err().to_string();
        let start = format!("cannot lock the folder {}: ", scratch.join("missing").display());
        assert!(message.starts_with(&start), "{message}");
    }

    const FOLDER_VARIABLE: &str = "DIVA_TEST_LOCKED_FOLDER";

    #[test]
    #[ignore = "the other process of the test below, which starts it with a folder to lock"]
    fn holds_a_lock_until_killed() {
        if let Some(folder) = std::env::var_os(FOLDER_VARIABLE) {
            let _lock = Lock::take(Path::new(&folder)).unwrap();
            println!("locked");
            let _ = io::stdin().read_line(&mut String::new());
        }
    }

    #[test]
    fn the_lock_dies_with_its_process() {
        let scratch = Scratch::new();
        // Built for another CPU, this program takes an emulator to be started, as in tests/program.
        let runner = std::env::var("DIVA_TEST_RUNNER").unwrap_or_default();
        let this = std::env::current_exe().unwrap();
        let mut words = runner.split_whitespace().map(OsStr::new).chain([this.as_os_str()]);
        let mut other = Command::new(words.next().unwrap())
            .args(words)
            .args(["--exact", "store::lock::tests::holds_a_lock_until_killed", "--ignored", "--nocapture"])
            .env(FOLDER_VARIABLE, scratch.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(other.stdout.take().unwrap()).lines();
        let locked = lines.map_while(std::result::Result::ok).any(|line| line.ends_with("locked"));
        let refused = Lock::take(scratch.path());
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(locked);
        let message = refused.unwrap_err().to_string();
        assert!(message.contains(&format!(": process {} is writing there", other.id())), "{message}");
        assert_eq!(fs::read_to_string(scratch.join(LOCK)).unwrap(), format!("{}\n", other.id()));
        let _lock = Lock::take(scratch.path()).unwrap();
    }
}
