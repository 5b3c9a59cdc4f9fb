//! The folder of a run that was given none: PRESET-seedN, then with -2, -3, ...
//!
//! The name is taken by creating the folder, which only one process can do: whoever comes at the same moment takes the
//! next.

use std::fs;
use std::path::{Path, PathBuf};

use super::CHECKPOINT;
use crate::error::Result;
use crate::store::durable;

/// Where a run goes when nobody says: PRESET-seedN in `base`, then with -2, -3, ...; the first that does not
/// exist.
fn default_path(base: &Path, preset: &str, seed: u64) -> PathBuf {
    let first = base.join(format!("{preset}-seed{seed}"));
    let later = (2_u64..).map(|number| base.join(format!("{preset}-seed{seed}-{number}")));
    let is_free = |path: &PathBuf| fs::symlink_metadata(path).is_err();
    std::iter::once(first)
        .chain(later)
        .find(is_free)
        .expect("a disk holds fewer folders than there are numbers")
}

/// A folder that this process chose and created, and that no other chooses. Whatever is empty of it when the value is
/// dropped is removed: a run that came to nothing leaves no trace.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    base: Option<PathBuf>,
}

impl Claim {
    /// Claims a run's folder where nobody named one: PRESET-seedN in `base`, then with -2, -3, ...; the first that
    /// does not exist, even if several processes look for it at the same moment.
    ///
    /// # Errors
    /// If the folder, or `base`, cannot be created: see [`durable::create_folder`].
    pub fn default_path(base: &Path, preset: &str, seed: u64) -> Result<Self> {
        let new_base = (!base.exists()).then(|| base.to_path_buf());
        loop {
            durable::create_folder(base)?;
            let path = default_path(base, preset, seed);
            match durable::claim_folder(&path) {
                Ok(true) => return Ok(Self { path, base: new_base }),
                // Another process was faster.
                Ok(false) => {}
                // Another process removed what it had created and not used.
                Err(_) if !base.exists() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if durable::remove_if_empty(&self.path)
            && let Some(base) = &self.base
        {
            durable::remove_if_empty(base);
        }
    }
}

/// The folder of [`Claim::default_path`]'s names whose checkpoint was written last, if there is one. Among checkpoints of one
/// time, and where there is none or the system does not say when it was written, the highest number counts.
pub fn newest(base: &Path, preset: &str, seed: u64) -> Option<PathBuf> {
    let entries = fs::read_dir(base).ok()?;
    let found = entries.flatten().filter_map(|entry| {
        let (name, path) = (entry.file_name(), entry.path());
        let number = number_of(name.to_str()?, preset, seed)?;
        let written = fs::metadata(path.join(CHECKPOINT)).and_then(|file| file.modified()).ok();
        path.is_dir().then_some((written, number, path))
    });
    found.max().map(|(_, _, path)| path)
}

/// 1 for PRESET-seedN, K for PRESET-seedN-K as `default_path` writes it, nothing for other names.
fn number_of(name: &str, preset: &str, seed: u64) -> Option<u64> {
    let rest = name.strip_prefix(preset)?.strip_prefix("-seed")?.strip_prefix(&seed.to_string())?;
    if rest.is_empty() {
        return Some(1);
    }
    let number: u64 = rest.strip_prefix('-')?.parse().ok()?;
    (number >= 2 && rest[1..] == number.to_string()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::store::scratch::{Scratch, names_in};
    use std::time::{Duration, SystemTime};

    #[test]
    fn default_paths_count_from_two() {
        let scratch = Scratch::new();
        let base = scratch.join("runs");
        assert_eq!(newest(&base, "quick", 7), None);
        for name in ["quick-seed7", "quick-seed7-2", "quick-seed7-3"] {
            assert_eq!(default_path(&base, "quick", 7), base.join(name));
            fs::create_dir_all(base.join(name)).unwrap();
            assert_eq!(newest(&base, "quick", 7), Some(base.join(name)));
        }
        fs::write(base.join("quick-seed7-4"), b"a file is in the way but is no run").unwrap();
        assert_eq!(default_path(&base, "quick", 7), base.join("quick-seed7-5"));
        assert_eq!(newest(&base, "quick", 7), Some(base.join("quick-seed7-3")));
        assert_eq!(default_path(&base, "quick", 70), base.join("quick-seed70"));
    }

    #[test]
    fn a_claim_is_nobody_elses_and_leaves_nothing_that_is_empty() {
        let scratch = Scratch::new();
        let base = scratch.join("runs");
        let claim = || Claim::default_path(&base, "quick", 7).unwrap();
        let (first, second) = (claim(), claim());
        assert_eq!((first.path(), second.path()), (&*base.join("quick-seed7"), &*base.join("quick-seed7-2")));
        fs::write(second.path().join("config.toml"), b"").unwrap();
        drop(first);
        drop(second);
        assert_eq!(names_in(&base), ["quick-seed7-2"]);
        drop(claim());
        fs::remove_dir_all(base.join("quick-seed7-2")).unwrap();
        // The folder of the runs was there before.
        drop(claim());
        assert!(names_in(&base).is_empty());
        fs::remove_dir(&base).unwrap();
        drop(claim());
        assert!(scratch.names().is_empty());
        fs::write(&base, b"a file").unwrap();
        assert!(matches!(Claim::default_path(&base, "quick", 7), Err(Error::Request(_))));

        // Each on a thread, as if each were a process.
        let base = scratch.join("at-once");
        let claims = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| Claim::default_path(&base, "quick", 7).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(names_in(&base).len(), 8);
        drop(claims);
    }

    #[test]
    fn the_newest_is_the_one_that_was_saved_last() {
        let scratch = Scratch::new();
        let name = |number: u32| match number {
            1 => "quick-seed7".to_owned(),
            number => format!("quick-seed7-{number}"),
        };
        /// The number of a run, and the seconds since 1970 at which its checkpoint was written, if there is one.
        type Run = (u32, Option<u64>);
        let now = 1_800_000_000;
        let cases: [(&[Run], u32); 7] = [
            (&[(1, Some(now)), (2, Some(now - 1))], 1),
            (&[(1, Some(now)), (2, Some(now + 1)), (10, Some(now - 86_400))], 2),
            // of one time, as after copying
            (&[(1, Some(now)), (2, Some(now)), (10, Some(now)), (9, Some(now))], 10),
            // killed before anything was saved
            (&[(1, Some(now)), (2, None)], 1),
            (&[(1, Some(0)), (2, None)], 1),
            (&[(2, None), (10, None), (9, None)], 10),
            (&[(1, Some(now)), (11, Some(now + 1)), (12, None)], 11),
        ];
        for (runs, expected) in cases {
            for &(number, written) in runs {
                let folder = scratch.join(&name(number));
                fs::create_dir(&folder).unwrap();
                if let Some(seconds) = written {
                    let file = fs::File::create(folder.join(CHECKPOINT)).unwrap();
                    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
                }
            }
            let found = newest(scratch.path(), "quick", 7);
            assert_eq!(found, Some(scratch.join(&name(expected))), "{runs:?}");
            for &(number, _) in runs {
                fs::remove_dir_all(scratch.join(&name(number))).unwrap();
            }
        }
    }

    #[test]
    fn of_folders_without_a_checkpoint_the_newest_has_the_highest_number_not_the_last_name() {
        let scratch = Scratch::new();
        for name in ["quick-seed1", "quick-seed1-2", "quick-seed1-9", "quick-seed1-10"] {
            fs::create_dir(scratch.join(name)).unwrap();
        }
        for other in [
            "quick-seed1-11-old",
            "quick-seed1-012",
            "quick-seed1-1",
            "quick-seed1-+13",
            "quick-seed11",
            "quick-seed12-40",
            "very-quick-seed1-50",
            "quick-cells-seed1-60",
            "quick-seed1-",
        ] {
            fs::create_dir(scratch.join(other)).unwrap();
        }
        assert_eq!(newest(scratch.path(), "quick", 1), Some(scratch.join("quick-seed1-10")));
        assert_eq!(newest(scratch.path(), "quick", 2), None);
    }
}
