//! The malaria cells of the NIH: two folders, the patient in each file's name.
//!
//! Rajaraman et al., PeerJ 6:e4568 (2018): 27,558 cells, cut out of pictures of blood smears, in `Parasitized/` and
//! `Uninfected/`. A file is called by its patient, the kind of smear, the time and the cell, as
//! `C116P77ThinF_IMG_20150930_171219_cell_100.png`: the patient is what stands before the first `_`, cut at `thin`. Patients
//! with few cells are left out, since they are too small to be tested on.

use super::listing::{Listing, PictureFile, entries, pictures};
use super::spelling::Names;
use crate::error::{Error, Result};
use crate::names::shown;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the classes are called, in order: 1 is parasitised, whatever the folders' order.
pub const CLASS_NAMES: [&str; 2] = ["uninfected", "parasitised"];

/// The cells of a patient that the published experiments ask for.
#[cfg(test)]
pub(super) const PUBLISHED_FEWEST: usize = 400;

/// Lists the cells of the patients with at least `fewest` of them, below `root` or `root/cell_images`. The patients are the
/// domains, sorted by name.
///
/// # Errors
/// If one of the two folders is missing or cannot be listed, a file's name does not begin with a patient, or no patient
/// has so many cells.
pub fn list(root: &Path, fewest: usize) -> Result<Listing> {
    let folders = class_folders(root)?;
    let mut names = Names::default();
    let mut patients: BTreeMap<String, Vec<(PathBuf, u32)>> = BTreeMap::new();
    for (folder, class) in folders.iter().zip(0..) {
        for path in pictures(folder)? {
            let name =
                path.file_name().and_then(|name| name.to_str()).and_then(patient_of).ok_or_else(|| {
                    Error::request(format!(
                        "cannot tell the patient of {}: expected a name as C116P77ThinF_IMG_....png",
                        shown(&path)
                    ))
                })?;
            patients.entry(names.add(name)).or_default().push((path, class));
        }
    }
    let most = patients.values().map(Vec::len).max().unwrap_or(0);
    let before = patients.len();
    let cells: usize = patients.values().map(Vec::len).sum();
    patients.retain(|_, cells| cells.len() >= fewest.max(1));
    if patients.is_empty() {
        return Err(Error::request(format!(
            "cannot use the cells in {}: no patient has {} of them, the most are {most}",
            shown(root),
            fewest.max(1)
        )));
    }
    let left_out = cells - patients.values().map(Vec::len).sum::<usize>();
    names.retain(|name| patients.contains_key(name));
    let mut notices = names.notices(["patient", "patients"]);
    if left_out > 0 {
        notices.push(format!(
            "{} of {before} patients have fewer than {fewest} cells: they are left out with their {left_out} cells",
            before - patients.len()
        ));
    }
    let domain_names = names.into_sorted();
    // Both folders were listed in order, so a patient's cells are by class and name.
    let files = (0..)
        .zip(patients.into_values())
        .flat_map(|(domain, cells)| {
            cells.into_iter().map(move |(path, class)| PictureFile {
                path,
                domain,
                class,
                group: String::new(), // the patient is the domain
            })
        })
        .collect();
    let class_names = CLASS_NAMES.map(str::to_owned).to_vec();
    Ok(Listing { root: root.to_path_buf(), files, domain_names, class_names, notices, split: None })
}

/// The folders of the two classes, in the order of the classes.
fn class_folders(root: &Path) -> Result<[PathBuf; 2]> {
    let spellings: [&[&str]; 2] = [&["Uninfected"], &["Parasitized", "Parasitised"]];
    let find = |folder: &Path| -> Result<[Option<PathBuf>; 2]> {
        let entries = entries(folder)?;
        Ok(spellings.map(|spellings| {
            let named = |name: &str| spellings.iter().any(|spelling| name.eq_ignore_ascii_case(spelling));
            let mut folders = entries.iter().filter(|entry| entry.is_folder);
            folders.find(|entry| entry.name.to_str().is_some_and(named)).map(|entry| entry.path.clone())
        }))
    };
    let inner = root.join("cell_images");
    for folder in [root, &inner] {
        if folder == inner && !inner.is_dir() {
            break;
        }
        if let [Some(uninfected), Some(parasitised)] = find(folder)? {
            return Ok([uninfected, parasitised]);
        }
    }
    Err(Error::request(format!(
        "cannot find malaria cells in {}: expected the folders Parasitized and Uninfected in it or in its cell_images",
        shown(root)
    )))
}

/// The patient in the name of a cell's file.
fn patient_of(name: &str) -> Option<&str> {
    let (front, _) = name.split_once('_')?;
    let cut = ["thin", "Thin"].iter().filter_map(|word| front.find(word)).min().unwrap_or(front.len());
    Some(&front[..cut]).filter(|patient| !patient.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::scratch::Scratch;
    use std::fs;

    #[test]
    fn the_patient_stands_in_front() {
        for (name, patient) in [
            ("C116P77ThinF_IMG_20150930_171219_cell_100.png", Some("C116P77")),
            ("C180P141NThinF_IMG_20151201_163328_cell_1.png", Some("C180P141N")),
            ("C1_thinF_IMG_20150604_104722_cell_1.png", Some("C1")),
            ("C39P4thinF_original_IMG_20150622_105102_cell_1.png", Some("C39P4")),
            ("C2NThinF_x.png", Some("C2N")),
            ("cell.png", None),
            ("thin_1.png", None),
            ("_1.png", None),
        ] {
            assert_eq!(patient_of(name), patient, "{name}");
        }
    }

    fn with(files: &[&str]) -> Scratch {
        let scratch = Scratch::new();
        for name in files {
            let path = scratch.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        scratch
    }

    #[test]
    fn patients_with_few_cells_are_left_out() {
        for root in ["", "cell_images/"] {
            let cells = ["Parasitized/B1Thin_2.png", "Parasitized/B1Thin_1.png", "Parasitized/A_1.png"];
            let others = ["Uninfected/B1Thin_3.png", "Uninfected/C_1.png", "Uninfected/Thumbs.db"];
            let names: Vec<String> =
                cells.iter().chain(&others).map(|name| format!("{root}{name}")).collect();
            let scratch = with(&names.iter().map(String::as_str).collect::<Vec<_>>());
            let listing = list(scratch.path(), 2).unwrap();
            let found: Vec<(String, u32, u32)> = (0..)
                .zip(&listing.files)
                .map(|(i, file)| (listing.name(i), file.domain, file.class))
                .collect();
            let expected = [
                ("Uninfected/B1Thin_3.png", 0),
                ("Parasitized/B1Thin_1.png", 1),
                ("Parasitized/B1Thin_2.png", 1),
            ];
            assert_eq!(found, expected.map(|(name, class)| (format!("{root}{name}"), 0, class)));
            assert_eq!(
                listing.notices,
                ["2 of 3 patients have fewer than 2 cells: they are left out with their 2 cells"]
            );
            let all = list(scratch.path(), 0).unwrap();
            assert_eq!(all.domain_names, ["A", "B1", "C"]);
            assert!(all.notices.is_empty() && all.files.len() == 5);
        }
    }

    #[test]
    fn other_layouts_say_what_is_expected() {
        let cases: [(&[&str], &str); 4] = [
            (&["cells/a_1.png"], "expected the folders Parasitized and Uninfected"),
            (&["Parasitized/a_1.png"], "expected the folders Parasitized and Uninfected"),
            (&["Parasitized/a_1.png", "Uninfected/1.png"], "cannot tell the patient of"),
            (&["Parasitized/a_1.png", "Uninfected/a_1.png"], "no patient has 3 of them, the most are 2"),
        ];
        for (files, expected) in cases {
            let error = list(with(files).path(), 3).unwrap_err();
            let message = error.to_string();
            assert!(message.contains(expected) && error.exit_code() == 2, "{message}");
        }
        assert!(list(Path::new("there is no such folder"), 1).is_err());
    }

    /// The counts that the experiments were published with.
    #[test]
    fn the_real_cells_are_those_of_ten_patients() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/malaria");
        if !root.is_dir() {
            println!("skipped: there is no ../shared/data/malaria");
            return;
        }
        let published = [
            ("C116P77", 414, 68),
            ("C132P93", 574, 65),
            ("C137P98", 332, 76),
            ("C180P141N", 479, 68),
            ("C182P143N", 546, 68),
            ("C184P145", 501, 67),
            ("C39P4", 616, 71),
            ("C59P20", 507, 68),
            ("C68P29N", 633, 69),
            ("C99P60", 564, 68),
        ];
        for root in [root.clone(), root.join("cell_images")] {
            let listing = list(&root, PUBLISHED_FEWEST).unwrap();
            assert_eq!(listing.domain_names, published.map(|(name, ..)| name));
            for (domain, (name, parasitised, uninfected)) in (0..).zip(published) {
                let of = |class| {
                    let mine = |file: &&PictureFile| (file.domain, file.class) == (domain, class);
                    listing.files.iter().filter(mine).count()
                };
                assert_eq!([of(1), of(0)], [parasitised, uninfected], "{name}");
            }
        }
    }
}
