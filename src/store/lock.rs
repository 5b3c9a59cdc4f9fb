//! One process at a time in a folder.
//!
//! Two processes that train in one folder would replace each other's checkpoints. So a run holds an advisory
//! lock of the operating system on a file `run.lock` in its folder. The system lifts such a lock when the
//! process ends, however it ends: a lock file left by a killed process locks nothing, and no process has to be
//! judged dead. What the file says of its holder is then only for the message to whoever comes second.
//!
//! Some file systems have no such locks: Lustre as it is often mounted, others on networks. There the file itself is the
//! lock, and says so: whoever creates it holds it until it is removed. One left by a process that is known to be dead
//! (`lock/holder.rs`) is taken over; any other keeps the folder, and the refusal says when it may be deleted.
//!
//! Neither kind is proof against everything: a folder that is moved or deleted under a running process takes the lock with it, and
//! two mounts of one folder may not know each other's locks. So whoever holds a lock looks at it again before every write
//! ([`Lock::still_held`]): the path has to name its file, and the file to hold its own line, which has random bits in it. Of two
//! that hold the same folder the later has written its line over that of the earlier, which ends.
//!
//! The file is emptied before that line is written. So it has to be a lock's: no link, and nothing that another program wrote.
//!
//! To take over is to remove the file, and of two that find it dead the slower must not remove the new one of the
//! faster. So whoever removes the file of another creates `run.lock.takeover` before, which only one can, and looks again.

mod holder;

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read, Seek};
use std::path::Path;

use crate::error::{Error, Result};
use crate::store::disk::{self, OpenFile, Purpose, in_force, is_at};
use crate::store::input;
use holder::{Holder, Life};

/// The name of the lock's file in the folder.
pub const LOCK: &str = "run.lock";

/// Whoever removes the file of a dead process has created this one.
const TAKEOVER: &str = "run.lock.takeover";

/// ENOLCK: what the system says where nobody on the network keeps locks.
const NO_LOCKS: i32 = if cfg!(any(target_os = "linux", target_os = "android")) { 37 } else { 77 };

/// The right to write in a folder, held until the value is dropped or the process ends.
#[derive(Debug)]
#[must_use = "the folder is free again as soon as the lock is dropped"]
pub struct Lock {
    open: OpenFile,
    /// What it has written into the file.
    holder: Holder,
    notice: Option<String>,
}

impl Lock {
    /// Takes the lock of a folder that exists.
    ///
    /// # Errors
    /// [`Error::Busy`] if another process holds it, or may (with that process's id), [`Error::Request`] if the folder cannot
    /// be written or what is called `run.lock` is not the file of a lock, [`Error::Work`] if that file cannot be made or filled
    /// for want of space, of a sound disk or of random bits.
    pub fn take(folder: &Path) -> Result<Self> {
        loop {
            if let Some(lock) = Self::attempt(folder)? {
                return Ok(lock);
            }
        }
    }

    /// Takes the lock, unless others create, remove or take over its file at the same moment.
    fn attempt(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(LOCK);
        let unusable = |cause: &io::Error| disk::unusable(&complaint(folder), cause);
        let nonce = holder::nonce().map_err(|cause| {
            Error::work(format!("{}: the system gives no random bits ({cause})", complaint(folder)))
        })?;
        let purpose = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => Purpose::Lock,
            Ok(_) => {
                return Err(Error::request(format!(
                    "{}: its {LOCK} is not a file; remove it",
                    complaint(folder)
                )));
            }
            Err(cause) if cause.kind() == ErrorKind::NotFound => Purpose::New,
            Err(cause) => return Err(unusable(&cause)),
        };
        let open = match (in_force().open(&path, purpose), purpose) {
            (Ok(open), _) => open,
            (Err(cause), Purpose::New) if cause.kind() == ErrorKind::AlreadyExists => return Ok(None),
            (Err(cause), Purpose::Lock) if cause.kind() == ErrorKind::NotFound => return Ok(None),
            (Err(cause), _) => return Err(unusable(&cause)),
        };
        let lacking = match in_force().try_lock(&open) {
            Ok(()) => None,
            Err(TryLockError::WouldBlock) => {
                let holder = Holder::read(&open.file);
                return Err(busy(folder, holder.as_ref(), Life::Going, None));
            }
            Err(TryLockError::Error(cause)) if tells_of_no_locks(&cause) => Some(cause),
            Err(TryLockError::Error(cause)) => return Err(unusable(&cause)),
        };
        if purpose == Purpose::Lock {
            refuse_another_file(folder, &open).inspect_err(|_| free(&open.file))?;
            let left = Holder::read(&open.file);
            if lacking.is_some() || left.as_ref().is_some_and(|left| left.exclusive) {
                free(&open.file);
                return match left.as_ref().map_or(Life::Unknown, Holder::life) {
                    Life::Over => take_over(folder).map(|()| None),
                    life => Err(busy(folder, left.as_ref(), life, lacking.as_ref())),
                };
            }
        }
        let holder = Holder { nonce: Some(nonce), ..Holder::this(lacking.is_some()) };
        let notice = lacking.map(|cause| {
            let folder = folder.display();
            format!(
                "there are no locks in {folder} ({cause}): the file {LOCK} keeps other processes out instead"
            )
        });
        let lock = Self { open, holder, notice };
        // Whoever held it before may have removed the file between our opening and our locking it: then
        // this is the lock of a file that nobody else will ever open.
        if !is_at(&lock.open).map_err(|cause| unusable(&cause))? {
            return Ok(None);
        }
        let disk = in_force();
        let written = disk
            .set_length(&lock.open, 0)
            .and_then(|()| disk.write_all(&lock.open, lock.holder.line().as_bytes()));
        if let Err(cause) = written {
            lock.remove_half_written();
            return Err(Error::writing(&path, &cause));
        }
        Ok(Some(lock))
    }

    /// Whether the folder is still this process's to write in: its path leads to the file that was locked, in which nobody
    /// else has written. Changes nothing.
    ///
    /// # Errors
    /// [`Error::TakenAway`] if not, with whoever has the folder now, as far as that is known, or if that cannot be told. Then
    /// nothing must be written there.
    pub fn still_held(&self) -> Result<()> {
        let folder = self.open.path.parent().unwrap_or(Path::new(".")).display();
        let why = match self.is_mine() {
            Ok(true) => return Ok(()),
            Ok(false) => {
                let path = &self.open.path;
                let is_file = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
                let file = is_file.then(|| input::open(path).ok()).flatten();
                let other = file.and_then(|file| Holder::read(&file)).filter(|other| *other != self.holder);
                let by = other.map_or(String::new(), |holder| format!(" by {}", holder.in_words()));
                format!(
                    "cannot go on writing in the folder {folder}: it was moved, deleted or taken over{by} since this process \
                     began there"
                )
            }
            Err(cause) => format!("cannot tell whether the folder {folder} is still this process's: {cause}"),
        };
        Err(Error::TakenAway(format!("{why}; it ends here and leaves what is there as it is")))
    }

    /// Does `work` in the folder if that is still held. Work may also fail because of what another process does there: then that is
    /// what is told.
    ///
    /// # Errors
    /// As [`Lock::still_held`], and those of the work.
    pub fn while_held<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.still_held()?;
        work().or_else(|error| self.still_held().and(Err(error)))
    }

    fn is_mine(&self) -> io::Result<bool> {
        Ok(is_at(&self.open)? && self.content()? == self.holder.line().as_bytes())
    }

    /// What stands in the file.
    fn content(&self) -> io::Result<Vec<u8>> {
        // Opened anew: only then does NFS look for what other machines have written.
        if cfg!(unix) {
            return input::read(&self.open.path, input::SHORT_TEXT);
        }
        // Windows lets no other handle read what is locked.
        let mut file = &self.open.file;
        let mut content = vec![];
        file.rewind()?;
        file.read_to_end(&mut content)?;
        Ok(content)
    }

    /// Removes the file if nothing stands there but the beginning of this lock's line: where there are no locks, it would keep
    /// the folder.
    fn remove_half_written(&self) {
        let is_half = |content: Vec<u8>| self.holder.line().as_bytes().starts_with(&content);
        if matches!(is_at(&self.open), Ok(true)) && self.content().is_ok_and(is_half) {
            let _ = in_force().remove_file(&self.open.path);
        }
    }

    /// What is to be known of this lock, if it is not one of the operating system: a sentence.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }
}

impl Drop for Lock {
    /// Removes the file while it is still locked, so that nobody can lock what is about to vanish, unless it is another's.
    fn drop(&mut self) {
        if matches!(self.is_mine(), Ok(true)) {
            // A file that stays locks nothing, or a dead process.
            let _ = in_force().remove_file(&self.open.path);
        }
        free(&self.open.file);
    }
}

/// Removes the lock of a dead process, if it is still there.
fn take_over(folder: &Path) -> Result<()> {
    let claim = folder.join(TAKEOVER);
    let _claimed = match in_force().open(&claim, Purpose::New) {
        Ok(open) => open,
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
            return Err(Error::Busy(format!(
                "{}: another process takes it over from one that is dead; delete {} if none does",
                complaint(folder),
                claim.display()
            )));
        }
        Err(cause) => return Err(disk::unusable(&complaint(folder), &cause)),
    };
    // As nobody else removes it now, it is the one that is looked at.
    let path = folder.join(LOCK);
    let left = input::open(&path).ok().and_then(|file| Holder::read(&file));
    let removed = match left.map(|left| left.life()) {
        Some(Life::Over) => in_force().remove_file(&path),
        _ => Ok(()),
    };
    removed.and(in_force().remove_file(&claim)).map_err(|cause| disk::unusable(&complaint(folder), &cause))
}

/// Refuses to empty a file that has only the name of a lock's.
fn refuse_another_file(folder: &Path, open: &OpenFile) -> Result<()> {
    match holder::objection(&open.file) {
        Ok(None) => Ok(()),
        Ok(Some(why)) => Err(Error::request(format!(
            "{}: {} is not the file of a lock ({why}); remove it, or name another folder with --out",
            complaint(folder),
            open.path.display()
        ))),
        Err(cause) => Err(disk::unusable(&complaint(folder), &cause)),
    }
}

fn complaint(folder: &Path) -> String {
    format!("cannot lock the folder {}", folder.display())
}

/// The refusal of a folder that another process holds, or may hold; `lacking` is why there is no lock of the system.
fn busy(folder: &Path, holder: Option<&Holder>, life: Life, lacking: Option<&io::Error>) -> Error {
    let (complaint, who) = (complaint(folder), in_words(holder));
    if life != Life::Unknown {
        let sentence = format!("{who} is writing there; wait for it or name another folder with --out");
        return Error::Busy(format!("{complaint}: {sentence}"));
    }
    let cause = lacking.map_or(String::new(), |cause| format!(" ({cause})"));
    Error::Busy(format!(
        "{complaint}: {who} is writing there, or has died there, and there are no locks by which to tell{cause}; delete {} once no \
         process writes there, or name another folder with --out",
        folder.join(LOCK).display()
    ))
}

/// Whoever holds a lock, in words; it may not be written yet, or not be readable on this system.
fn in_words(holder: Option<&Holder>) -> String {
    holder.map_or("another process".into(), Holder::in_words)
}

/// Whether this is what a file system says that has no locks.
fn tells_of_no_locks(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput)
        || cfg!(unix) && cause.raw_os_error() == Some(NO_LOCKS)
}

/// Lifts the lock of an open file. Closing it would not do: a process that is started meanwhile has the open file too, and with
/// it the lock, for the moment until it becomes another program.
fn free(file: &File) {
    // What cannot be lifted is lifted with the process.
    let _ = file.unlock();
}

/// Whether a process holds the lock of a folder at this moment, or may: for reports, as it may have changed before the report
/// is read.
pub fn is_held(folder: &Path) -> bool {
    held_by(folder).is_some()
}

/// Whoever holds the lock of a folder at this moment, or may, in words. Looking takes a part in the lock for as long as it takes
/// to look.
pub fn held_by(folder: &Path) -> Option<String> {
    let path = folder.join(LOCK);
    let open = OpenFile { file: input::open(&path).ok()?, path };
    let locked = in_force().try_lock_shared(&open);
    let holder = Holder::read(&open.file);
    free(&open.file);
    let life = holder.as_ref().map_or(Life::Unknown, Holder::life);
    match locked {
        Err(TryLockError::WouldBlock) => return Some(in_words(holder.as_ref())),
        Ok(()) if !holder.as_ref().is_some_and(|holder| holder.exclusive) => return None,
        _ => {}
    }
    match life {
        Life::Over => None,
        Life::Going => Some(in_words(holder.as_ref())),
        Life::Unknown => {
            Some(format!("{} (delete {} if it has died)", in_words(holder.as_ref()), open.path.display()))
        }
    }
}

#[cfg(test)]
mod tests;
