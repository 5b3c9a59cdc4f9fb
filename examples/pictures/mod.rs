//! Where the pictures of a lesson go.

use diva::error::Result;
use diva::store::durable;
use std::path::{Path, PathBuf};

/// The folder named on the command line, or else `target/lessons` beside the sources.
pub(crate) fn folder() -> PathBuf {
    std::env::args_os().nth(1).map_or_else(usual_folder, PathBuf::from)
}

/// `target/lessons` beside the sources: not for git, and gone with `cargo clean`.
pub(crate) fn usual_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lessons")
}

/// Writes the bytes of a PNG file and says where.
///
/// # Errors
/// If the folder cannot be created or the file not be written.
pub(crate) fn save(folder: &Path, name: &str, png: &[u8]) -> Result<()> {
    durable::create_folder(folder)?;
    let path = folder.join(name);
    durable::write(&path, png)?;
    println!("picture: {}", path.display());
    Ok(())
}
