//! Which digits a run trains on: drawn for a seed, or listed in a file.
//!
//! The published runs take 100 digits of each class from the MNIST training set, a different choice for each
//! seed. [`draw`] makes such a choice from the seed alone; [`read_indices`] reads one that others have made.

use super::idx::CLASSES;
use super::npy;
use crate::error::{Error, Result};
use crate::rng::Stream;
use crate::store::input;
use std::path::Path;

/// Draws `per_class` digits of each class, as indices into `labels` (each 0 to 9).
///
/// Class by class in ascending order; within a class in random order. A function of the labels, `per_class`
/// and `seed`, and a larger `per_class` keeps a smaller one's choice. If a class has just `per_class` digits,
/// the seed changes only their order.
///
/// # Errors
/// If `per_class` is 0, or a class has fewer digits than that.
pub fn draw(labels: &[u8], per_class: usize, seed: u64) -> Result<Vec<usize>> {
    if per_class == 0 {
        return Err(Error::request("cannot draw 0 digits a class, expected at least 1"));
    }
    for class in 0..CLASSES {
        let found = labels.iter().filter(|&&label| usize::from(label) == class).count();
        if found < per_class {
            return Err(Error::request(format!(
                "cannot draw {per_class} digits of class {class}: the data hold {found}"
            )));
        }
    }
    Ok(draw_at_most(labels, per_class, seed, "subset"))
}

/// Draws `per_class` digits of each class, or all where there are fewer, under `seed` and `purpose`.
pub(super) fn draw_at_most(labels: &[u8], per_class: usize, seed: u64, purpose: &str) -> Vec<usize> {
    let mut chosen = Vec::new();
    for class in 0..CLASSES {
        let members: Vec<usize> = (0..labels.len()).filter(|&i| usize::from(labels[i]) == class).collect();
        let order = Stream::new(seed, purpose, &[class as u64]).permutation(members.len());
        chosen.extend(order.into_iter().take(per_class).map(|place| members[place]));
    }
    chosen
}

/// Reads indices into a training set of `available` digits from a `.npy` file (int64) or a text file.
///
/// In a text file the indices stand one a line or between spaces; `#` starts a comment. The order of the file
/// is kept. Memory: at most 12 times the file's length, 16 KiB, and a byte for each digit available.
///
/// # Errors
/// If the file cannot be read, is neither, holds no index, or holds one twice, negative, or not below
/// `available`.
pub fn read_indices(path: &Path, available: usize) -> Result<Vec<usize>> {
    parse_indices(&input::bytes(path, input::LIST)?, path, available)
}

/// Takes the bytes of such a file apart; `path` is what error messages call them, and a name in `.npy` says
/// what they are.
///
/// # Errors
/// As [`read_indices`].
pub fn parse_indices(bytes: &[u8], path: &Path, available: usize) -> Result<Vec<usize>> {
    let named_npy = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
    let values =
        if named_npy || bytes.starts_with(npy::MAGIC) { npy::parse(bytes) } else { parse_text(bytes) };
    values
        .and_then(|values| check(&values, available))
        .map_err(|what| Error::request(format!("cannot read indices from {}: {what}", path.display())))
}

fn parse_text(bytes: &[u8]) -> std::result::Result<Vec<i64>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is neither text nor a .npy file")?;
    let mut values = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for word in line.split('#').next().unwrap_or_default().split_whitespace() {
            let value = word.parse().map_err(|_| {
                let word: String = word.chars().take(60).collect();
                format!("line {} holds {word:?}, expected a whole number", number + 1)
            })?;
            values.push(value);
        }
    }
    Ok(values)
}

fn check(values: &[i64], available: usize) -> std::result::Result<Vec<usize>, String> {
    if values.is_empty() {
        return Err("it holds no index, expected at least one".into());
    }
    let mut seen = vec![false; available];
    values
        .iter()
        .map(|&value| {
            let index = usize::try_from(value).ok().filter(|&index| index < available).ok_or_else(|| {
                format!(
                    "it holds the index {value}, expected 0 to {} ({available} digits)",
                    available as i128 - 1
                )
            })?;
            if std::mem::replace(&mut seen[index], true) {
                return Err(format!("it holds the index {value} twice, expected each at most once"));
            }
            Ok(index)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::embedded;
    use proptest::prelude::*;

    #[test]
    fn a_draw_has_as_many_of_each_class_and_no_digit_twice() {
        let labels = embedded::train().labels;
        let chosen = draw(&labels, 20, 3).unwrap();
        let classes: Vec<u8> = chosen.iter().map(|&i| labels[i]).collect();
        assert_eq!(classes, (0..10).flat_map(|class| [class; 20]).collect::<Vec<u8>>());
        let mut once = chosen.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), 200);
    }

    #[test]
    fn a_draw_is_a_function_of_the_seed() {
        let labels = embedded::train().labels;
        assert_eq!(draw(&labels, 30, 5).unwrap(), draw(&labels, 30, 5).unwrap());
        assert_ne!(draw(&labels, 30, 5).unwrap(), draw(&labels, 30, 6).unwrap());
        // by another implementation of Philox and Fisher-Yates, in Python; a later version must draw the same
        assert_eq!(draw(&labels, 1, 0).unwrap(), [163, 765, 823, 469, 422, 66, 233, 579, 723, 156]);
        let (small, large) = (draw(&labels, 10, 5).unwrap(), draw(&labels, 30, 5).unwrap());
        for class in 0..10 {
            assert_eq!(small[class * 10..][..10], large[class * 30..][..10]);
        }
    }

    #[test]
    fn all_digits_of_a_class_can_be_drawn_in_any_order() {
        let labels = embedded::train().labels;
        let (mut first, mut second) = (draw(&labels, 100, 1).unwrap(), draw(&labels, 100, 2).unwrap());
        assert_ne!(first, second);
        first.sort_unstable();
        second.sort_unstable();
        assert_eq!(first, (0..1000).collect::<Vec<_>>());
        assert_eq!(first, second);
    }

    #[test]
    fn every_digit_is_drawn_equally_often() {
        // 25 of 100 in each of 400 draws: 100 times each, standard deviation 8.7
        let labels = embedded::train().labels;
        let mut hits = vec![0; labels.len()];
        for seed in 0..400 {
            draw(&labels, 25, seed).unwrap().into_iter().for_each(|i| hits[i] += 1);
        }
        assert!(hits.iter().all(|hits| (60..140).contains(hits)), "{:?}", hits.iter().max());
    }

    #[test]
    fn too_few_digits_are_named() {
        let labels = [0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 9];
        assert_eq!(draw(&labels, 1, 0).unwrap().len(), 10);
        let message = draw(&labels, 2, 0).unwrap_err().to_string();
        assert_eq!(message, "cannot draw 2 digits of class 0: the data hold 1");
        assert!(draw(&labels, 0, 0).unwrap_err().to_string().contains("0 digits a class"));
        assert_eq!(draw_at_most(&labels, 2, 0, "test").len(), 12);
        assert!(draw_at_most(&[], 2, 0, "test").is_empty());
    }

    fn folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("diva-subset-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn files_of_indices_are_read_or_refused() {
        let folder = folder("files");
        let read = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            std::fs::write(&path, bytes).unwrap();
            read_indices(&path, 10)
        };
        assert_eq!(read("a.txt", b"# three\n7\n 0 # none\n\n9\n").unwrap(), [7, 0, 9]);
        assert_eq!(read("b.txt", b"1 2\t3\r\n4").unwrap(), [1, 2, 3, 4]);
        let npy = b"\x93NUMPY\x01\x00\x39\x00{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\
            \x05\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0";
        assert_eq!(read("c.npy", npy).unwrap(), [5, 4]);
        assert_eq!(read("c.dat", npy).unwrap(), [5, 4]);
        let cases: [(&str, &[u8], &str); 8] = [
            ("d.txt", b"1 2 1", "index 1 twice"),
            ("e.txt", b"10", "index 10, expected 0 to 9 (10 digits)"),
            ("f.txt", b"-1", "index -1, expected 0 to 9"),
            ("g.txt", b"# nothing\n", "no index"),
            ("h.txt", b"1\ntwo\n", "line 2 holds \"two\", expected a whole number"),
            ("i.txt", b"\xff\xfe", "neither text nor a .npy file"),
            ("j.npy", b"1 2 3", "not a .npy file"),
            ("k.npy", &npy[..npy.len() - 1], "found 15 bytes"),
        ];
        for (name, bytes, expected) in cases {
            let error = read(name, bytes).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let message = error.to_string();
            assert!(message.contains(expected) && message.contains(name), "{message:?}: {expected:?}");
        }
        assert!(read_indices(&folder.join("none.npy"), 10).unwrap_err().to_string().contains("none.npy"));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    /// The sums that NumPy gives for the ten published subsets.
    #[test]
    fn the_published_subsets_are_read() {
        const SUMS: [usize; 10] = [
            29_861_194, 29_444_015, 29_749_165, 29_643_532, 29_453_452, 30_024_574, 29_965_238, 29_792_895,
            29_944_402, 30_825_279,
        ];
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mnist-subsets");
        if !folder.is_dir() {
            println!("skipped: the published subsets are not in {}", folder.display());
            return;
        }
        for (seed, sum) in SUMS.into_iter().enumerate() {
            let indices = read_indices(&folder.join(format!("supervised_inds_{seed}.npy")), 60_000).unwrap();
            assert_eq!(indices.len(), 1000);
            assert_eq!(indices.iter().sum::<usize>(), sum, "subset {seed}");
        }
    }

    proptest! {
        #[test]
        fn random_text_never_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            text in "[-0-9 #\n\u{e9}]{0,60}",
        ) {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                if let Ok(indices) = parse_text(bytes).and_then(|values| check(&values, 50)) {
                    prop_assert!(indices.iter().all(|&index| index < 50));
                }
            }
        }
    }
}
