//! Locks of the system, and files in their place.

use super::*;
use crate::store::scratch::Scratch;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

#[cfg(unix)]
mod taken_away;

/// Whoever the file of the lock names, without the random bits, which must be there.
fn left_in(scratch: &Scratch) -> Option<Holder> {
    let holder = Holder::read(&File::open(scratch.join(LOCK)).unwrap())?;
    assert_eq!(holder.nonce.map(|nonce| nonce.len()), Some(32));
    Some(Holder { nonce: None, ..holder })
}

/// A process of which nothing is known here.
fn elsewhere() -> Holder {
    let nonce = Some("0123456789abcdef0123456789abcdef".into());
    Holder { process: 7, host: Some("node7".into()), begin: None, nonce, exclusive: false }
}

#[test]
fn the_second_is_refused_until_the_first_is_done() {
    let scratch = Scratch::new();
    let first = Lock::take(scratch.path()).unwrap();
    assert_eq!(left_in(&scratch), Some(Holder::this(false)));
    assert_eq!(first.notice(), None);
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
    let _copy = lock.open.file.try_clone().unwrap();
    let other = File::open(scratch.join(LOCK)).unwrap();
    assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
    drop(lock);
    other.try_lock().unwrap();
}

#[test]
fn a_file_left_by_a_killed_process_locks_nothing() {
    let scratch = Scratch::new();
    // The id of a process that runs: only the system's lock counts.
    let of_this = serde_json::to_string(&Holder::this(false)).unwrap();
    for left in ["1\n", "", "{\"process\":7,\"ho", &of_this] {
        fs::write(scratch.join(LOCK), left).unwrap();
        assert!(!is_held(scratch.path()));
        let lock = Lock::take(scratch.path()).unwrap();
        assert_eq!(left_in(&scratch), Some(Holder::this(false)));
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
    assert_eq!(left_in(&scratch).unwrap().process, other.id());
    let _lock = Lock::take(scratch.path()).unwrap();
}

#[cfg(unix)]
mod without_locks {
    use super::*;
    use crate::store::disk::{self, Trial};
    use std::rc::Rc;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Does `work` on a disk that says "invalid", as some do, when it is asked for a lock: on every Unix with the same code.
    fn without<R>(work: impl FnOnce() -> R) -> R {
        disk::with(Rc::new(Trial::without_locks(22)), work)
    }

    fn leave(scratch: &Scratch, holder: &Holder) {
        fs::write(scratch.join(LOCK), serde_json::to_string(holder).unwrap()).unwrap();
    }

    #[test]
    fn the_file_itself_is_the_lock() {
        // As Linux numbers ENOSYS, EOPNOTSUPP and ENOLCK; EINVAL.
        let codes = if cfg!(target_os = "linux") { &[38, 95, 37, 22][..] } else { &[22] };
        for &code in codes {
            let scratch = Scratch::new();
            disk::with(Rc::new(Trial::without_locks(code)), || {
                let lock = Lock::take(scratch.path()).unwrap();
                let notice = lock.notice().unwrap();
                let cause = io::Error::from_raw_os_error(code).to_string();
                assert!(notice.contains(&cause) && notice.contains(LOCK), "{notice}");
                assert_eq!(left_in(&scratch), Some(Holder::this(true)));
                assert!(is_held(scratch.path()));
                // A thread of this process is as good as another process.
                let refused = Lock::take(scratch.path()).unwrap_err();
                assert!(matches!(refused, Error::Busy(_)), "{refused:?}");
                assert_eq!(scratch.names(), [LOCK]);
                drop(lock);
                assert!(scratch.names().is_empty() && !is_held(scratch.path()));
                drop(Lock::take(scratch.path()).unwrap());
            });
        }
        let scratch = Scratch::new();
        let broken = disk::with(Rc::new(Trial::without_locks(5)), || Lock::take(scratch.path()));
        assert!(matches!(broken, Err(Error::Work(_))), "{broken:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn that_of_a_process_that_is_known_to_be_dead_is_taken_over() {
        let scratch = Scratch::new();
        let this = Holder::this(true);
        let mut dead = this.clone();
        dead.begin.as_mut().unwrap().ticks -= 1;
        for exclusive in [true, false] {
            leave(&scratch, &Holder { exclusive, ..dead.clone() });
            without(|| {
                assert!(!is_held(scratch.path()));
                let lock = Lock::take(scratch.path()).unwrap();
                assert_eq!((left_in(&scratch), scratch.names()), (Some(this.clone()), vec![LOCK.to_owned()]));
                drop(lock);
            });
        }
        // Where there are locks again.
        leave(&scratch, &dead);
        drop(Lock::take(scratch.path()).unwrap());
        leave(&scratch, &this);
        let message = Lock::take(scratch.path()).unwrap_err().to_string();
        assert!(message.contains(&format!("process {} is writing there; wait", this.process)), "{message}");
        assert!(is_held(scratch.path()));
        // Somebody was killed in the very moment of taking over, or has laid a link.
        leave(&scratch, &dead);
        fs::write(scratch.join("private"), "private").unwrap();
        fs::hard_link(scratch.join("private"), scratch.join(TAKEOVER)).unwrap();
        let message = without(|| Lock::take(scratch.path())).unwrap_err().to_string();
        assert!(
            message.contains(&format!("delete {} if none does", scratch.join(TAKEOVER).display())),
            "{message}"
        );
        assert_eq!(fs::read(scratch.join("private")).unwrap(), b"private");
    }

    #[test]
    fn that_of_a_process_of_which_nothing_is_known_keeps_the_folder_and_is_named() {
        let elsewhere = Holder { exclusive: true, ..elsewhere() };
        let elsewhere = serde_json::to_string(&elsewhere).unwrap();
        for (text, who) in
            [(&*elsewhere, "process 7 on node7"), ("", "another process"), ("12\n", "another process")]
        {
            let scratch = Scratch::new();
            let path = scratch.join(LOCK);
            fs::write(&path, text).unwrap();
            let refused = without(|| Lock::take(scratch.path())).unwrap_err();
            let message = refused.to_string();
            assert!(matches!(refused, Error::Busy(_)) && message.contains(who), "{message}");
            let advice = format!("; delete {} once no process writes there", path.display());
            assert!(message.contains(&advice), "{message}");
            let held = without(|| held_by(scratch.path())).unwrap();
            assert_eq!(held, format!("{who} (delete {} if it has died)", path.display()));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            // Locks of the system tell.
            assert_eq!(Lock::take(scratch.path()).is_err(), text == elsewhere, "{text}");
        }
    }

    /// Threads in place of processes, which all find the lock of a dead one at the same moment.
    #[cfg(target_os = "linux")]
    #[test]
    fn of_many_that_take_over_one_has_it() {
        const MANY: usize = 6;
        let mut dead = Holder::this(true);
        dead.begin.as_mut().unwrap().ticks -= 1;
        let scratch = Scratch::new();
        let (begin, end) = (Barrier::new(MANY), Barrier::new(MANY));
        let holders = AtomicUsize::new(0);
        let take = |rounds: usize, first: bool| {
            for _ in 0..rounds {
                if first {
                    leave(&scratch, &dead);
                    holders.store(0, Ordering::SeqCst);
                }
                begin.wait();
                let lock = without(|| Lock::take(scratch.path()));
                holders.fetch_add(usize::from(lock.is_ok()), Ordering::SeqCst);
                end.wait();
                assert_eq!(holders.load(Ordering::SeqCst), 1);
                assert!(lock.is_ok() || matches!(lock, Err(Error::Busy(_))), "{lock:?}");
                drop(lock);
                end.wait();
            }
        };
        std::thread::scope(|scope| {
            for thread in 0..MANY {
                scope.spawn(move || take(200, thread == 0));
            }
        });
        assert!(scratch.names().is_empty());
    }
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_no_lock() {
    let scratch = Scratch::new();
    let path = scratch.join(LOCK);
    std::os::unix::fs::symlink(scratch.join("elsewhere"), &path).unwrap();
    let refused = |scratch: &Scratch| {
        let message = Lock::take(scratch.path()).unwrap_err().to_string();
        assert!(message.ends_with("its run.lock is not a file; remove it"), "{message}");
    };
    refused(&scratch);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    refused(&scratch);
    assert_eq!(scratch.names(), [LOCK]);
}
