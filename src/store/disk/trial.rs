//! A disk to try things out on, for tests: it carries every operation out in a real folder, writes down what has changed,
//! and fails at one operation as it is told.
//!
//! Operations are counted from 0. A first run on a sound trial disk tells which there are ([`Trial::kinds`]); then the same
//! work is repeated with every [`Fault`] of [`faults_of`].

use super::{Disk, OpenFile, Purpose, System};
use std::cell::{Cell, RefCell};
use std::fs::TryLockError;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// An operation, as far as it decides how it can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Open,
    Lock,
    Write,
    SetLength,
    SyncFile,
    Rename,
    RemoveFile,
    CreateFolder,
    RemoveFolder,
    SyncFolder,
}

/// Codes of the operating system, the same on every Unix.
const IO: i32 = 5;
const ACCESS: i32 = 13;
const INVALID: i32 = 22;
const TOO_MANY_FILES: i32 = 24;
const NO_SPACE: i32 = 28;

/// In what manner an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It is not carried out, and says so with this code.
    Refused(i32),
    /// It is carried out, but reported as failed: a lost answer.
    Late(i32),
    /// Half of the bytes are written; the rest fails with this code.
    Torn(i32),
    /// Half of the bytes are written, and nothing is wrong.
    Short,
    /// A signal arrives before anything is done.
    Interrupted,
    /// Neither this operation nor any after it is carried out, half of a write excepted: the disk is gone.
    Gone,
}

impl Manner {
    /// Whether the caller is to go on as if nothing had happened.
    pub(super) fn is_harmless(self) -> bool {
        matches!(self, Manner::Short | Manner::Interrupted)
    }

    /// The cause that the caller must name, if there is one.
    pub(super) fn cause(self) -> Option<io::Error> {
        match self {
            Manner::Refused(code) | Manner::Late(code) | Manner::Torn(code) => {
                Some(io::Error::from_raw_os_error(code))
            }
            Manner::Gone => Some(io::Error::from_raw_os_error(IO)),
            Manner::Short | Manner::Interrupted => None,
        }
    }
}

/// One failure: the operation, by its number, and the manner.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) kind: Kind,
    pub(super) manner: Manner,
}

/// Every fault that work made of these operations can meet.
pub(super) fn faults_of(kinds: &[Kind]) -> Vec<Fault> {
    use Manner::{Gone, Interrupted, Late, Refused, Short, Torn};
    let manners = |kind| match kind {
        Kind::Open => [Refused(ACCESS), Refused(NO_SPACE), Refused(TOO_MANY_FILES), Late(IO)].as_slice(),
        // The second is what a file system says that has no locks.
        Kind::Lock => &[Refused(IO), Refused(INVALID)],
        Kind::Write => &[Refused(IO), Refused(NO_SPACE), Torn(IO), Torn(NO_SPACE), Short, Interrupted],
        Kind::SetLength | Kind::RemoveFile | Kind::RemoveFolder => &[Refused(IO), Late(IO)],
        // The last of both is what a file system says that cannot do it.
        Kind::SyncFile => &[Refused(IO), Refused(NO_SPACE), Refused(INVALID)],
        Kind::Rename => &[Refused(IO), Refused(NO_SPACE), Late(IO)],
        Kind::CreateFolder => &[Refused(ACCESS), Refused(NO_SPACE), Late(IO)],
        Kind::SyncFolder => &[Refused(IO), Refused(INVALID)],
    };
    (0..)
        .zip(kinds)
        .flat_map(|(at, &kind)| {
            let all = manners(kind).iter().chain(&[Gone]);
            all.map(move |&manner| Fault { at, kind, manner })
        })
        .collect()
}

/// What an operation has changed.
#[derive(Clone, Debug)]
pub(super) enum Change {
    /// The file is there now, and empty.
    Created(PathBuf),
    Appended(PathBuf, Vec<u8>),
    Cut(PathBuf, u64),
    FileSynced(PathBuf),
    Renamed(PathBuf, PathBuf),
    FileRemoved(PathBuf),
    FolderCreated(PathBuf),
    FolderRemoved(PathBuf),
    FolderSynced(PathBuf),
}

/// See the head of this file.
#[derive(Default)]
pub(in crate::store) struct Trial {
    fault: Cell<Option<Fault>>,
    torn: Cell<Option<i32>>,
    /// What it says when it is asked for a lock, if it has none.
    lacks_locks: Option<i32>,
    kinds: RefCell<Vec<Kind>>,
    changes: RefCell<Vec<Change>>,
}

impl Trial {
    /// A disk that fails once, or from one operation on.
    pub(super) fn with(fault: Fault) -> Self {
        Self { fault: Cell::new(Some(fault)), ..Self::default() }
    }

    /// A disk that says this when it is asked for a lock.
    pub(in crate::store) fn without_locks(code: i32) -> Self {
        Self { lacks_locks: Some(code), ..Self::default() }
    }

    /// Fails no more.
    pub(super) fn heal(&self) {
        self.fault.set(None);
    }

    /// The operations so far, those that failed included.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        self.kinds.borrow().clone()
    }

    /// The changes so far.
    pub(super) fn changes(&self) -> Vec<Change> {
        self.changes.borrow().clone()
    }

    /// How many changes there are so far.
    pub(super) fn position(&self) -> usize {
        self.changes.borrow().len()
    }

    /// Counts an operation; how it is to fail, if it is.
    fn meets(&self, kind: Kind) -> Option<Manner> {
        let at = self.kinds.borrow().len();
        self.kinds.borrow_mut().push(kind);
        let Fault { at: first, kind: expected, manner } = self.fault.get()?;
        assert!(at != first || kind == expected, "operation {at} was {expected:?} and is {kind:?} now");
        (at == first || (at > first && manner == Manner::Gone)).then_some(manner)
    }

    /// An operation that is carried out or not, `change` being what it changes.
    fn whole<T>(
        &self,
        kind: Kind,
        work: impl FnOnce() -> io::Result<T>,
        change: Option<Change>,
    ) -> io::Result<T> {
        let manner = self.meets(kind);
        match manner {
            Some(Manner::Refused(code)) => return Err(io::Error::from_raw_os_error(code)),
            Some(Manner::Gone) => return Err(io::Error::from_raw_os_error(IO)),
            _ => {}
        }
        let value = work()?;
        self.changes.borrow_mut().extend(change);
        match manner {
            None => Ok(value),
            Some(Manner::Late(code)) => Err(io::Error::from_raw_os_error(code)),
            Some(manner) => panic!("{kind:?} cannot fail like that: {manner:?}"),
        }
    }
}

impl Disk for Trial {
    fn open(&self, path: &Path, purpose: Purpose) -> io::Result<OpenFile> {
        let change = (!path.exists()).then(|| Change::Created(path.into()));
        self.whole(Kind::Open, || System.open(path, purpose), change)
    }

    fn try_lock(&self, file: &OpenFile) -> Result<(), TryLockError> {
        let refused = |code| TryLockError::Error(io::Error::from_raw_os_error(code));
        if let Some(code) = self.lacks_locks {
            return Err(refused(code));
        }
        match self.meets(Kind::Lock) {
            Some(Manner::Refused(code)) => Err(refused(code)),
            Some(Manner::Gone) => Err(refused(IO)),
            Some(manner) => panic!("a lock cannot fail like that: {manner:?}"),
            None => System.try_lock(file),
        }
    }

    /// Whoever only looks is not counted.
    fn try_lock_shared(&self, file: &OpenFile) -> Result<(), TryLockError> {
        match self.lacks_locks {
            Some(code) => Err(TryLockError::Error(io::Error::from_raw_os_error(code))),
            None => System.try_lock_shared(file),
        }
    }

    fn write(&self, to: &OpenFile, bytes: &[u8]) -> io::Result<usize> {
        let manner = self.meets(Kind::Write);
        let part = match (self.torn.take(), manner) {
            (Some(code), _) | (_, Some(Manner::Refused(code))) => {
                return Err(io::Error::from_raw_os_error(code));
            }
            (_, Some(Manner::Interrupted)) => return Err(ErrorKind::Interrupted.into()),
            (_, Some(Manner::Torn(code))) => {
                self.torn.set(Some(code));
                &bytes[..bytes.len() / 2]
            }
            (_, Some(Manner::Gone)) => {
                self.torn.set(Some(IO));
                &bytes[..bytes.len() / 2]
            }
            (_, Some(Manner::Short)) => &bytes[..bytes.len().div_ceil(2)],
            (_, Some(Manner::Late(_))) => panic!("half of a write is Torn"),
            (_, None) => bytes,
        };
        System.write_all(to, part)?;
        self.changes.borrow_mut().push(Change::Appended(to.path.clone(), part.to_vec()));
        Ok(part.len())
    }

    fn set_length(&self, of: &OpenFile, length: u64) -> io::Result<()> {
        let change = Change::Cut(of.path.clone(), length);
        self.whole(Kind::SetLength, || System.set_length(of, length), Some(change))
    }

    /// What is forced to the disk is known to whoever wrote it down: the real disk need not be waited for.
    fn sync_file(&self, file: &OpenFile) -> io::Result<()> {
        self.whole(Kind::SyncFile, || Ok(()), Some(Change::FileSynced(file.path.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let change = Change::Renamed(from.into(), to.into());
        self.whole(Kind::Rename, || System.rename(from, to), Some(change))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let change = Change::FileRemoved(path.into());
        self.whole(Kind::RemoveFile, || System.remove_file(path), Some(change))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let change = Change::FolderCreated(path.into());
        self.whole(Kind::CreateFolder, || System.create_folder(path), Some(change))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let change = Change::FolderRemoved(path.into());
        self.whole(Kind::RemoveFolder, || System.remove_folder(path), Some(change))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.whole(Kind::SyncFolder, || Ok(()), Some(Change::FolderSynced(path.into())))
    }
}
