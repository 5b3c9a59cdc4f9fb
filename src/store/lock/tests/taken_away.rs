//! What others may do to a folder that is held, and what is no lock's file.

use super::*;
use std::path::PathBuf;

/// Every path in a folder, with what a file says or where a link leads to.
fn everything_in(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            found.push((path.clone(), fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()));
        } else if path.is_dir() {
            found.extend(everything_in(&path));
            found.push((path, vec![]));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// What others do to a folder, and whom the message names then. If they lock it, they hold it still when the first lock is gone.
type Change = (&'static str, Option<Holder>, fn(&Path) -> Option<Lock>);

#[test]
fn what_others_have_moved_deleted_or_taken_over_is_held_no_more_and_left_alone() {
    let this = Some(Holder::this(false));
    let changes: &[Change] = &[
        ("the folder moved", None, |folder| {
            fs::rename(folder, folder.with_extension("moved")).unwrap();
            None
        }),
        ("moved, and another in its place", this.clone(), |folder| {
            fs::rename(folder, folder.with_extension("moved")).unwrap();
            fs::create_dir(folder).unwrap();
            Some(Lock::take(folder).unwrap())
        }),
        ("deleted", None, |folder| {
            fs::remove_dir_all(folder).unwrap();
            None
        }),
        ("deleted and made again", this.clone(), |folder| {
            fs::remove_dir_all(folder).unwrap();
            fs::create_dir(folder).unwrap();
            Some(Lock::take(folder).unwrap())
        }),
        ("a file in place of the folder", None, |folder| {
            fs::remove_dir_all(folder).unwrap();
            fs::write(folder, "a file").unwrap();
            None
        }),
        ("the file deleted", None, |folder| {
            fs::remove_file(folder.join(LOCK)).unwrap();
            None
        }),
        ("the file deleted and locked again", this.clone(), |folder| {
            fs::remove_file(folder.join(LOCK)).unwrap();
            Some(Lock::take(folder).unwrap())
        }),
        ("the file of another in its place", Some(elsewhere()), |folder| {
            fs::write(folder.join("new"), elsewhere().line()).unwrap();
            fs::rename(folder.join("new"), folder.join(LOCK)).unwrap();
            None
        }),
        ("written by a process that knows nothing of the lock", Some(elsewhere()), |folder| {
            fs::write(folder.join(LOCK), elsewhere().line()).unwrap();
            None
        }),
        ("emptied", None, |folder| {
            fs::write(folder.join(LOCK), "").unwrap();
            None
        }),
        ("one byte more", None, |folder| {
            let line = fs::read_to_string(folder.join(LOCK)).unwrap();
            fs::write(folder.join(LOCK), line + "\n").unwrap();
            None
        }),
        ("a copy in its place", None, |folder| {
            fs::copy(folder.join(LOCK), folder.join("copy")).unwrap();
            fs::rename(folder.join("copy"), folder.join(LOCK)).unwrap();
            None
        }),
        ("a link to a file", None, |folder| {
            fs::write(folder.join("private"), elsewhere().line()).unwrap();
            fs::remove_file(folder.join(LOCK)).unwrap();
            std::os::unix::fs::symlink("private", folder.join(LOCK)).unwrap();
            None
        }),
        ("a link to the very file", None, |folder| {
            fs::rename(folder.join(LOCK), folder.join("elsewhere")).unwrap();
            std::os::unix::fs::symlink("elsewhere", folder.join(LOCK)).unwrap();
            None
        }),
        ("a folder in its place", None, |folder| {
            fs::remove_file(folder.join(LOCK)).unwrap();
            fs::create_dir(folder.join(LOCK)).unwrap();
            None
        }),
    ];
    for (what, who, change) in changes {
        let scratch = Scratch::new();
        let folder = scratch.join("run");
        fs::create_dir(&folder).unwrap();
        let first = Lock::take(&folder).unwrap();
        assert_eq!((first.still_held(), first.still_held()), (Ok(()), Ok(())));
        let second = change(&folder);
        let before = everything_in(scratch.path());
        let by = who.as_ref().map_or(String::new(), |who| format!(" by {}", who.in_words()));
        let expected = format!(
            "cannot go on writing in the folder {}: it was moved, deleted or taken over{by} since this process began there; it ends \
             here and leaves what is there as it is",
            folder.display()
        );
        assert_eq!(first.still_held(), Err(Error::TakenAway(expected)), "{what}");
        drop(first);
        assert_eq!(everything_in(scratch.path()), before, "{what}");
        if let Some(second) = second {
            assert_eq!(second.still_held(), Ok(()), "{what}");
            drop(second);
            assert!(!folder.join(LOCK).exists(), "{what}");
        }
    }
}

/// As of two mounts of one folder: the first process has a lock that the second does not find.
#[test]
fn of_two_whose_locks_do_not_know_each_other_the_later_has_the_folder() {
    let scratch = Scratch::new();
    let first = Lock::take(scratch.path()).unwrap();
    first.open.file.unlock().unwrap();
    let second = Lock::take(scratch.path()).unwrap();
    assert!(is_at(&first.open).unwrap(), "it is one file");
    assert!(matches!(first.still_held(), Err(Error::TakenAway(_))));
    drop(first);
    assert_eq!((second.still_held(), scratch.names()), (Ok(()), vec![LOCK.to_owned()]));
}

#[test]
fn a_line_that_was_half_written_is_removed_unless_it_is_of_another() {
    let scratch = Scratch::new();
    let lock = Lock::take(scratch.path()).unwrap();
    fs::write(scratch.join(LOCK), &elsewhere().line()[..20]).unwrap();
    lock.remove_half_written();
    assert_eq!(scratch.names(), [LOCK]);
    fs::write(scratch.join(LOCK), &lock.holder.line()[..20]).unwrap();
    lock.remove_half_written();
    assert!(scratch.names().is_empty());
}

#[test]
fn work_that_fails_in_a_folder_that_was_taken_away_says_that() {
    let scratch = Scratch::new();
    let lock = Lock::take(scratch.path()).unwrap();
    assert_eq!(lock.while_held(|| Ok(7)), Ok(7));
    let failed = Error::work("no paper");
    assert_eq!(lock.while_held(|| Err::<(), _>(failed.clone())), Err(failed.clone()));
    let taken = lock.while_held(|| {
        fs::remove_file(scratch.join(LOCK)).unwrap();
        Err::<(), _>(failed)
    });
    assert!(matches!(taken, Err(Error::TakenAway(_))), "{taken:?}");
    let never = lock.while_held(|| -> Result<()> { panic!("nothing is done any more") });
    assert!(matches!(never, Err(Error::TakenAway(_))), "{never:?}");
}

/// A path that cannot be followed tells nothing of what it led to.
#[test]
fn where_the_system_cannot_tell_nothing_is_said_to_be_taken_over() {
    let scratch = Scratch::new();
    let (folder, moved) = (scratch.join("run"), scratch.join("moved"));
    fs::create_dir(&folder).unwrap();
    let lock = Lock::take(&folder).unwrap();
    fs::rename(&folder, &moved).unwrap();
    std::os::unix::fs::symlink("run", &folder).unwrap();
    let cause = fs::metadata(&folder).unwrap_err();
    let expected = format!(
        "cannot tell whether the folder {} is still this process's: {cause}; it ends here and leaves what is there as it is",
        folder.display()
    );
    assert_eq!(lock.still_held(), Err(Error::TakenAway(expected)));
    // Back again, and nothing has happened.
    fs::remove_file(&folder).unwrap();
    fs::rename(&moved, &folder).unwrap();
    assert_eq!(lock.still_held(), Ok(()));
}

/// A link or another file of this name was emptied.
#[test]
fn what_is_not_the_file_of_a_lock_is_refused_and_left_alone() {
    let refused = |scratch: &Scratch, why: &str| {
        let message = Lock::take(scratch.path()).unwrap_err().to_string();
        let expected = format!(
            "cannot lock the folder {}: {} is not the file of a lock ({why}); remove it, or name another folder with --out",
            scratch.path().display(),
            scratch.join(LOCK).display()
        );
        assert_eq!(message, expected);
    };
    let line = elsewhere().line();
    for content in ["private", "", "12\n", &line] {
        let scratch = Scratch::new();
        fs::write(scratch.join("private"), content).unwrap();
        fs::hard_link(scratch.join("private"), scratch.join(LOCK)).unwrap();
        for _ in 0..2 {
            refused(&scratch, "it has 2 names, as hard links");
        }
        assert!(!is_held(scratch.path()));
        assert_eq!(fs::read_to_string(scratch.join("private")).unwrap(), content);
        assert_eq!(scratch.names(), ["private", LOCK]);
        // The other name gone, it is judged by what it holds.
        fs::remove_file(scratch.join("private")).unwrap();
        match content {
            "private" => refused(&scratch, "it holds something else"),
            _ => drop(Lock::take(scratch.path()).unwrap()),
        }
        assert_eq!(
            fs::read_to_string(scratch.join(LOCK)).ok().as_deref(),
            (content == "private").then_some(content)
        );
    }
}

/// Even one that comes between the look and the opening.
#[test]
fn a_link_in_the_place_of_a_lock_is_not_followed() {
    let scratch = Scratch::new();
    fs::write(scratch.join("private"), "private").unwrap();
    std::os::unix::fs::symlink(scratch.join("private"), scratch.join(LOCK)).unwrap();
    let message = Lock::take(scratch.path()).unwrap_err().to_string();
    assert!(message.ends_with("its run.lock is not a file; remove it"), "{message}");
    in_force().open(&scratch.join(LOCK), Purpose::Lock).unwrap_err();
    assert_eq!(fs::read(scratch.join("private")).unwrap(), b"private");
}
