//! Every committed seed goes through its fuzz target's function, so that neither can rot unnoticed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
pub mod targets;

/// A target's function, and the seeds that it accepts, by alphabet; the others hold damage that is refused.
type Target = (fn(&[u8]) -> bool, &'static str);

const TARGETS: [(&str, Target); 15] = [
    ("idx", (targets::idx, "gzipped members plain")),
    ("indices", (targets::indices, "npy npy-2 text")),
    (
        "png",
        (
            targets::png,
            "animated colour colour-16 colour-alpha grey grey-1 grey-16 grey-alpha grey-transparent palette-2 text",
        ),
    ),
    (
        "picture",
        (
            targets::picture,
            "bilevel-png cmyk colour colour-420 finer-colours grey odd-scans palette-png progressive restarts \
             separate-scans turned-6 turned-png ycck",
        ),
    ),
    ("config", (targets::config, "flags flags-on-a-file named other-preset prior quick short")),
    ("sweep", (targets::sweep, "arms control grid texts")),
    ("weights", (targets::weights, "file parts")),
    ("batch", (targets::batch, "file parts")),
    ("checkpoint", (targets::checkpoint, "best far file parts sealed")),
    ("division", (targets::division, "columns-moved file quoted")),
    ("list", (targets::list_of_pictures, "columns-named file groups quoted semicolons split")),
    (
        "metrics",
        (targets::metrics, "drawn huge-drawn lines near-drawn nothing one-drawn result unlike unlike-limits"),
    ),
    ("tables", (targets::tables, "directions formulas lines markup nothing plain scripts")),
    ("page", (targets::page, "directions formulas lines markup nothing plain scripts")),
    (
        "convolution",
        (
            targets::convolution,
            "any any-integers folded folded-seven folded-sparse in-place in-place-bits in-place-sparse \
             kernel-of-the-image nothing pointwise tiles tiles-integers tiles-odd up-sampled-tiles \
             up-sampled-tiles-pixel up-sampled-tiles-scaled",
        ),
    ),
];

#[test]
fn seeds_are_accepted_and_refused_as_they_should_be() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (target, (read, expected)) in TARGETS {
        let mut seeds = BTreeMap::new();
        for entry in fs::read_dir(folder.join(target)).unwrap() {
            let path = entry.unwrap().path();
            seeds.insert(path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap());
        }
        let accepted = seeds.iter().filter(|(_, bytes)| read(bytes)).map(|(name, _)| name.as_str());
        assert_eq!(accepted.collect::<Vec<_>>().join(" "), expected, "the seeds that {target} accepts");
    }
}

/// A target without a seed, or one that is not in the table, would go untested.
#[test]
fn every_target_is_here() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let names = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(package.join(folder)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    let mut here = TARGETS.map(|(target, _)| target);
    here.sort_unstable();
    assert_eq!(names("targets"), here);
    assert_eq!(names("seeds"), here);
}
