//! The images of a run that has begun, as the run divided them, compared with what it recorded of them.
//!
//! What a run says of its images, which of them it was trained on above all, is true of those it began with. So whoever
//! reads them again reads them here: the division is the run's own (`division.csv`), and as long as none of its files is
//! missing, the images as a whole must have the SHA-256 that the checkpoint knows, which covers every pixel and label.

use super::metrics::{self, RunResult};
use super::sources::{self, Images};
use super::{seals, state};
use crate::config::Config;
use crate::data::division::{Changes, Division};
use crate::error::{Error, Result};
use crate::store::input;
use crate::store::run_folder::RunFolder;
use std::path::Path;

/// The images of the run in `folder`, of the configuration that it has there. What has changed since it began is told in
/// [`Images::notices`]: renamed files are used as before, missing ones cannot be, and added ones are left out. `attempt` says what
/// cannot be done with other images.
///
/// # Errors
/// If the images cannot be read, no image is left of a role that some had, or they are others than those of the run.
pub fn read(attempt: &str, config: &Config, folder: &RunFolder) -> Result<Images> {
    let cache = sources::beside(folder.path());
    let result = folder.result().exists().then(|| metrics::read_result(&folder.result())).transpose()?;
    let (division, known_by) = division(attempt, folder, result.as_ref())?;
    let is_there = division.is_some();
    let mut images = sources::read_as_divided(config, Some(cache), division)?;
    let Changes { renamed, missing, added } = &images.changes;
    let run = folder.path().display();
    let told = [
        (
            missing,
            format!("of the pictures of {run} are not there as they were, so that they are missing here"),
        ),
        (renamed, format!("of the pictures of {run} have another name now")),
        (added, format!("pictures were not there when {run} began: they are left out")),
    ];
    let told = told.into_iter().filter_map(|(files, what)| {
        files.first().map(|first| format!("{} {what} ({})", files.len(), and_more(first, files.len())))
    });
    // What there was to know of them otherwise was said when the run began.
    images.notices = told.collect();
    match known_by {
        // The checkpoint knows the images.
        None if is_there && !folder.checkpoint().exists() => images.notices.push(format!(
            "nothing in {run} says whether division.csv is as it was left there: its checkpoint is missing"
        )),
        Some(file) if !is_there => images.notices.push(format!(
            "division.csv, which {file} knows, is gone from {run}: its pictures were divided anew, with the same outcome"
        )),
        _ => {}
    }
    if missing.is_empty() && folder.checkpoint().exists() {
        let known = state::images_of(&folder.checkpoint())?;
        refuse_others(attempt, folder, known.as_deref(), config, &images.split.sha256())?;
    }
    Ok(images)
}

/// The same for whoever repeats the run's computation: nothing may be missing or new.
///
/// # Errors
/// As [`read`], and if files are missing or were added.
pub fn read_unchanged(attempt: &str, config: &Config, folder: &RunFolder) -> Result<Images> {
    let images = read(attempt, config, folder)?;
    refuse_changes(attempt, &images.changes)?;
    Ok(images)
}

/// The division of a run, if it has one, and which file vouches for it, or knew it when it was there. Whoever makes the result
/// anew does not look at the old one.
///
/// # Errors
/// If it cannot be read, is not the one of the run, or is gone without anything that a new one could be held against.
pub(super) fn division(
    attempt: &str,
    folder: &RunFolder,
    result: Option<&RunResult>,
) -> Result<(Option<Division>, Option<&'static str>)> {
    let path = folder.division();
    let text = input::text_if_there(&path, input::TABLE)?;
    let known_by = seals::check_division(attempt, folder, result, text.as_deref().map(str::as_bytes))?;
    if let (None, Some(file)) = (&text, known_by)
        && !folder.checkpoint().exists()
    {
        return Err(Error::request(format!(
            "cannot {attempt}: division.csv, which {file} knows, is gone, and so is the checkpoint that knows the images"
        )));
    }
    Ok((text.map(|text| Division::parse(&text, &path)).transpose()?, known_by))
}

/// Refuses files that are missing, or that the run does not know; `attempt` says what cannot be done.
pub(super) fn refuse_changes(attempt: &str, changes: &Changes) -> Result<()> {
    let differing = changes.missing.iter().chain(&changes.added);
    let count = changes.missing.len() + changes.added.len();
    match differing.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(others(attempt, &and_more(first, count))),
    }
}

/// Refuses images of which `found` is the SHA-256, and another than the `known` one of the run's checkpoint.
pub(super) fn refuse_others(
    attempt: &str,
    folder: &RunFolder,
    known: Option<&str>,
    config: &Config,
    found: &str,
) -> Result<()> {
    match known {
        Some(known) if known == found => Ok(()),
        Some(_) if folder.division().exists() => {
            Err(others(attempt, "this version decodes them otherwise, or division.csv was changed"))
        }
        Some(_) => {
            Err(others(attempt, "other images lie there now, or an earlier version divided them otherwise"))
        }
        // Earlier versions did not record it; what they did not divide is divided as they did.
        None if config.data.validation == 0.0 => Ok(()),
        None => Err(others(attempt, "an earlier version divided them otherwise")),
    }
}

fn others(attempt: &str, why: &str) -> Error {
    Error::request(format!(
        "cannot {attempt}: the pictures are not those that it began with; put them back as they were, say where they are with \
         --set data.path=..., or begin anew in another folder ({why})"
    ))
}

/// The first of so many.
fn and_more(first: &str, count: usize) -> String {
    match count - 1 {
        0 => first.to_owned(),
        more => format!("{first}; and {more} more"),
    }
}

/// The configuration with its paths from the root, so that the run finds its data from whatever folder it is looked at.
pub fn from_anywhere(mut config: Config) -> Config {
    for path in [&mut config.data.path, &mut config.data.subset_file].into_iter().flatten() {
        let absolute = std::path::absolute(Path::new(path.as_str())).ok();
        // A working folder without a UTF-8 name has no place in a configuration.
        if let Some(absolute) = absolute.and_then(|absolute| absolute.into_os_string().into_string().ok()) {
            *path = absolute;
        }
    }
    config
}
