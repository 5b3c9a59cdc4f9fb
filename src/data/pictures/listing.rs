//! The files of a folder of pictures, before any is opened.
//!
//! What no camera or microscope writes is passed over: hidden files and folders (a dot in front), `__MACOSX`,
//! `Thumbs.db`, `desktop.ini`, text and tables (`.txt`, `.md`, `.csv`, `.tsv`, `.json`, `.xml`, `.yaml`, `.yml`, `.toml`,
//! `.ini`, `.log`, `.html`, `.pdf`), `README` and `LICENSE`, in upper or lower case. Every other file is taken for a picture,
//! so that one in an unknown format is named instead of being missed. Of hidden folders that may have been meant for domains, classes
//! or groups a sentence tells.
//!
//! Symbolic links are followed; one that leads to a folder around it is refused, and so are those that lead in a circle. Names
//! are sorted by their bytes, which no setting of the system changes.

use crate::error::{Error, Result};
use crate::names::shown;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The pictures of a folder with their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The folder; of a list that in which it lies.
    pub root: PathBuf,
    /// The files, domain by domain; in a domain class by class, those without a class last; in a class by name, those of
    /// groups behind the others, group by group.
    pub files: Vec<PictureFile>,
    /// What the domains are called, in order.
    pub domain_names: Vec<String>,
    /// What the classes are called, in order.
    pub class_names: Vec<String>,
    /// What the user should know: one sentence each.
    pub notices: Vec<String>,
    /// How the pictures are divided, if that is said of them and not to be drawn.
    pub split: Option<NamedSplit>,
}

/// A division of pictures that a list names. Those of the other domains that are not held back are trained on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSplit {
    /// The domain that training never sees.
    pub test_domain: String,
    /// What the pictures are called that choose the epoch, as [`Listing::name`] has it.
    pub validation: BTreeSet<String>,
}

/// A picture's file and what its place says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureFile {
    /// Where it is, from the working folder or absolute, as the root was given.
    pub path: PathBuf,
    /// Its domain, an index into [`Listing::domain_names`].
    pub domain: u32,
    /// Its class, an index into [`Listing::class_names`] or [`UNLABELLED`](crate::data::collection::UNLABELLED).
    pub class: u32,
    /// What it belongs to within its domain, a patient for example; empty if that is not known.
    pub group: String,
}

impl Listing {
    /// What file `index` is called below the root, with slashes; no two are called the same.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn name(&self, index: usize) -> String {
        name_below(&self.root, &self.files[index].path)
    }
}

/// What a file is called below a folder, or in full if it lies elsewhere, with slashes.
pub(super) fn name_below(folder: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<String> = inside.components().map(|part| shown(part.as_os_str())).collect();
    match inside.has_root() {
        // The root is a slash itself.
        true => parts.join("/").replacen("//", "/", 1),
        false => parts.join("/"),
    }
}

/// What stands in a folder.
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) name: OsString,
    pub(super) is_folder: bool,
}

impl Entry {
    /// The name as text, which is what a domain, a class or a group is called.
    pub(super) fn text(&self) -> Result<String> {
        self.name.to_str().map(str::to_owned).ok_or_else(|| {
            Error::request(format!("cannot use the folder {}: its name is not UTF-8", shown(&self.path)))
        })
    }

    /// Whether the file's name ends as that of a picture.
    pub(super) fn is_named_picture(&self) -> bool {
        let endings = ["png", "jpg", "jpeg"];
        let ending = Path::new(&self.name).extension();
        !self.is_folder
            && ending.is_some_and(|found| endings.iter().any(|ending| found.eq_ignore_ascii_case(ending)))
    }
}

/// What programs leave behind in folders, which nobody means for a domain, a class or a group.
const LEFT_BY_PROGRAMS: [&str; 12] = [
    ".git",
    ".svn",
    ".hg",
    ".cache",
    ".ipynb_checkpoints",
    ".thumbnails",
    ".appledouble",
    ".trash",
    ".trashes",
    ".fseventsd",
    ".spotlight-v100",
    ".temporaryitems",
];

/// The folders in `folder` that are passed over because a dot stands in front of their names, and that somebody may have made,
/// sorted by name.
///
/// # Errors
/// If the folder cannot be listed.
pub(super) fn hidden_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|cause| Error::reading(folder, &cause))? {
        let entry = entry.map_err(|cause| Error::reading(folder, &cause))?;
        let name = entry.file_name().to_string_lossy().to_ascii_lowercase();
        if name.starts_with('.') && !LEFT_BY_PROGRAMS.contains(&&*name) && entry.path().is_dir() {
            found.push(entry.path());
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// What stands in `folder` and is not passed over, sorted by name.
///
/// # Errors
/// If the folder cannot be listed, or a link in it leads to a folder around it.
pub(super) fn entries(folder: &Path) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|cause| Error::reading(folder, &cause))? {
        let entry = entry.map_err(|cause| Error::reading(folder, &cause))?;
        let kind = entry.file_type().map_err(|cause| Error::reading(&entry.path(), &cause))?;
        let (path, name) = (entry.path(), entry.file_name());
        // A link to nothing, or to itself, counts as a file: whoever opens it says what is wrong.
        let is_folder = kind.is_dir() || kind.is_symlink() && path.is_dir();
        if is_passed_over(&name, is_folder) {
            continue;
        }
        if kind.is_symlink() && is_folder {
            check_circle(folder, &path)?;
        }
        found.push(Entry { path, name, is_folder });
    }
    found.sort_unstable_by(|a, b| a.name.as_encoded_bytes().cmp(b.name.as_encoded_bytes()));
    Ok(found)
}

/// The files of a folder that are taken for pictures, sorted by name.
///
/// # Errors
/// If the folder cannot be listed, a link in it leads to a folder around it, or there is a folder among the files.
pub(super) fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let file = |entry: Entry| {
        if entry.is_folder {
            let message = format!("cannot use {}: it is a folder, expected a picture", shown(&entry.path));
            return Err(Error::request(message));
        }
        Ok(entry.path)
    };
    entries(folder)?.into_iter().map(file).collect()
}

/// The files of a folder that are taken for pictures, and the folders in it, each sorted by name.
///
/// # Errors
/// If the folder cannot be listed, or a link in it leads to a folder around it.
pub(super) fn pictures_and_folders(folder: &Path) -> Result<(Vec<PathBuf>, Vec<Entry>)> {
    let (folders, files): (Vec<Entry>, Vec<Entry>) =
        entries(folder)?.into_iter().partition(|entry| entry.is_folder);
    Ok((files.into_iter().map(|entry| entry.path).collect(), folders))
}

/// The pictures in a folder and in all folders below it, each folder's own in front of those below, and as `hidden` the folders
/// that are passed over there: those whose names begin with a dot.
///
/// # Errors
/// If a folder cannot be listed, or links lead in a circle.
pub fn pictures_below(folder: &Path, hidden: &mut Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    walk(folder, &mut Vec::new(), &mut found, hidden)?;
    Ok(found)
}

/// `around` are the real places of the folders that are being walked through, one in the other.
fn walk(
    folder: &Path,
    around: &mut Vec<PathBuf>,
    found: &mut Vec<PathBuf>,
    hidden: &mut Vec<PathBuf>,
) -> Result<()> {
    let real = folder.canonicalize().map_err(|cause| Error::reading(folder, &cause))?;
    if around.contains(&real) {
        return Err(Error::request(format!(
            "cannot use {}: links lead in a circle back to it, expected pictures",
            shown(folder)
        )));
    }
    around.push(real);
    hidden.extend(hidden_folders(folder)?);
    let (pictures, folders) = pictures_and_folders(folder)?;
    found.extend(pictures);
    folders.iter().try_for_each(|inner| walk(&inner.path, around, found, hidden))?;
    around.pop();
    Ok(())
}

fn is_passed_over(name: &OsStr, is_folder: bool) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    let (stem, ending) = name.rsplit_once('.').unwrap_or((&name, ""));
    let is_text = || {
        let endings =
            ["txt", "md", "csv", "tsv", "json", "xml", "yaml", "yml", "toml", "ini", "log", "html", "pdf"];
        match ending {
            "" => matches!(stem, "readme" | "license"),
            "db" => stem.ends_with("thumbs"),
            _ => endings.contains(&ending),
        }
    };
    name.starts_with('.') || name == "__macosx" || !is_folder && is_text()
}

/// Refuses a link in `folder` to the folder itself or to one around it.
fn check_circle(folder: &Path, link: &Path) -> Result<()> {
    let real = |path: &Path| path.canonicalize().map_err(|cause| Error::reading(path, &cause));
    if real(folder)?.starts_with(real(link)?) {
        return Err(Error::request(format!(
            "cannot use {}: it is a link to a folder around it, expected pictures",
            shown(link)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_picture_is_passed_over() {
        for name in [
            ".DS_Store",
            ".hidden.png",
            "._x.png",
            "Thumbs.db",
            "ehthumbs.db",
            "desktop.ini",
            "README",
            "readme.txt",
            "README.md",
            "LICENSE",
            "labels.CSV",
            "a.b.json",
            "__MACOSX",
        ] {
            assert!(is_passed_over(OsStr::new(name), false), "{name}");
        }
        for name in
            ["a.png", "A.JPG", "cell", "x.tif", "x.gif", "movie.mp4", "cells.db", "größe 1.png", "txt"]
        {
            assert!(!is_passed_over(OsStr::new(name), false), "{name}");
        }
        for (name, expected) in [("notes.txt", false), ("README", false), (".git", true), ("__MACOSX", true)]
        {
            assert_eq!(is_passed_over(OsStr::new(name), true), expected, "the folder {name}");
        }
    }
}
