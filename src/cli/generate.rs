//! `diva generate`

use super::saved_run::SavedRun;
use super::say;
use crate::error::{Error, Result};
use crate::report::{reconstructions, run_pictures};
use crate::store::durable;
use crate::train::dataset;
use clap::Args;
use std::path::PathBuf;

/// Pictures of what a run's selected model generates.
#[derive(Args, Debug)]
pub(super) struct Generate {
    /// The run's folder.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// What to draw: reconstructions (images of every domain beside what the model makes of them).
    #[arg(value_name = "KIND")]
    kind: String,
    /// Where to put the picture, instead of the run's folder.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Generate {
    pub(super) fn run(&self) -> Result<()> {
        if self.kind != "reconstructions" {
            return Err(Error::request(format!(
                "cannot generate {}: this version generates reconstructions",
                self.kind
            )));
        }
        let saved = SavedRun::load(&self.run)?;
        let split = dataset::load(&saved.config)?;
        let folder = self.out.as_ref().unwrap_or(&self.run);
        durable::create_folder(folder)?;
        let path = folder.join(run_pictures::RECONSTRUCTIONS);
        let Some(png) = reconstructions(&saved.model, &saved.params, &split) else {
            return Err(Error::request(format!(
                "{} has no decoder, so there are no reconstructions",
                self.run.display()
            )));
        };
        durable::write(&path, &png)?;
        say(&format!("the reconstructions are in {}", path.display()))
    }
}
