//! Where a file that the user names may be written: not over what a run, a sweep or the reading of pictures needs.

use super::console::files_at_last;
use crate::data::pictures;
use crate::error::{Error, Result};
use crate::experiments::sweep::folder::is_table_of_a_sweep;
use crate::report::tensorboard;
use crate::store::run_folder;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

/// Refuses to write to `out` if something else than earlier output has its place there, through whatever links.
pub(super) fn refuse_taken(out: &Path) -> Result<()> {
    let target = fs::canonicalize(out).unwrap_or_else(|_| out.to_path_buf());
    let written_at_last = files_at_last().chain([tensorboard::FILE.to_owned()]);
    let is_cache = target.file_name().and_then(OsStr::to_str).is_some_and(pictures::is_cache);
    let is_configuration = target.extension().is_some_and(|ending| ending == "toml");
    let what = if run_folder::is_of_a_run(&target, written_at_last) {
        "a file of the run in that folder"
    } else if is_table_of_a_sweep(&target) {
        "a table of the sweep in that folder"
    } else if is_configuration && target.is_file() {
        "a configuration or a sweep"
    } else if is_cache && target.is_file() {
        "where decoded pictures are kept"
    } else {
        return Ok(());
    };
    Err(Error::request(format!("cannot write {}: it is {what}; give another --out", out.display())))
}

/// Whether two paths lead to one file or folder that is there.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    fs::canonicalize(one).ok().is_some_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}
