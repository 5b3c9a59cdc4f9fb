//! A run's folder as a command is given it: its configuration with its data elsewhere, its model, its images.

use super::note;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::run_folder::RunFolder;
use crate::train::saved_run::SavedRun;
use crate::train::sources::Images;
use crate::train::{recorded, run, seals};
use clap::Args;
use std::fs;
use std::path::Path;

/// Where a run's data lie now.
#[derive(Args, Debug, Default)]
pub(super) struct Elsewhere {
    /// Set a key that cannot change results, such as data.path=...; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl Elsewhere {
    /// The configuration of a run with these keys changed; `verb` says what cannot be done with another one.
    pub(super) fn config(&self, verb: &str, files: &RunFolder) -> Result<Config> {
        files.refuse_links_to_nothing()?;
        if !files.config().exists() {
            return Err(Error::request(format!(
                "cannot {verb} {}: it is not the folder of a run (it has no config.toml)",
                files.path().display()
            )));
        }
        let config = run::read_config(&files.config(), &self.overrides)?;
        run::refuse_another_configuration(verb, &files.config(), &config)?;
        seals::check_configuration(verb, files, &config)?;
        Ok(config)
    }

    /// The selected model of a run, of its `config.toml` and `best.safetensors`; what is to be known of them is said.
    pub(super) fn load(&self, folder: &Path) -> Result<SavedRun> {
        let files = RunFolder::new(folder);
        if !folder.is_dir() {
            return Err(Error::request(format!("{} is not the folder of a run", folder.display())));
        }
        let config = self.config("use", &files)?;
        if !files.best().exists() {
            // The line of an epoch is written after its weights.
            let is_trained = fs::metadata(files.metrics()).is_ok_and(|lines| lines.len() > 0);
            let why = if is_trained { "it is gone" } else { "no epoch of it is done yet" };
            return Err(Error::request(format!("{} holds no best.safetensors: {why}", folder.display())));
        }
        let (saved, notice) = SavedRun::of("use", config, &files)?;
        notice.iter().for_each(|sentence| note(sentence));
        Ok(saved)
    }
}

/// The images of a run, as it divided them; what is to be known of them is said. `verb` says what cannot be done with others.
pub(super) fn images(saved: &SavedRun, verb: &str, folder: &Path) -> Result<Images> {
    let attempt = format!("{verb} {}", folder.display());
    let images = recorded::read(&attempt, &saved.config, &RunFolder::new(folder))?;
    tell_of(&images);
    Ok(images)
}

/// Says what is to be known of images.
pub(super) fn tell_of(images: &Images) {
    images.left_out.iter().chain(&images.notices).for_each(|sentence| note(sentence));
}
