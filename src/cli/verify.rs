//! `diva verify`

use super::saved_run::Elsewhere;
use super::{say, say_json};
use crate::error::{Error, Result};
use crate::names::shown;
use crate::store::run_folder::RunFolder;
use crate::train::verify::{self, RepeatedEpoch};
use crate::train::{recorded, run};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Repeat the first epochs of a run and compare them, bit for bit, with what it recorded.
///
/// The run is repeated in memory from its config.toml; its folder is only read. Says "repeats", or which epoch is the
/// first that differs, with exit code 1.
#[derive(Args, Debug)]
pub(super) struct Verify {
    /// The run's folder.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// How many epochs to repeat.
    #[arg(long, value_name = "N", default_value_t = 1)]
    epochs: usize,
    #[command(flatten)]
    elsewhere: Elsewhere,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Verification {
    run: String,
    repeats: bool,
    first_difference: Option<usize>,
    epochs: Vec<RepeatedEpoch>,
}

impl Verify {
    pub(super) fn run(&self) -> Result<()> {
        let (folder, run) = (RunFolder::new(&self.run), shown(&self.run));
        let config = self.elsewhere.config("repeat", &folder)?;
        let mut lines = run::read_recorded_epochs(&folder)?;
        if !(1..=lines.len()).contains(&self.epochs) {
            let (asked, there) = (self.epochs, lines.len());
            return Err(Error::request(format!(
                "cannot repeat {asked} epochs of {run}: it has recorded {there}, and at least 1 is repeated"
            )));
        }
        lines.truncate(self.epochs);
        let tell = |done: &RepeatedEpoch| {
            let RepeatedEpoch { epoch, recorded_sha256: recorded, found_sha256: found } = done;
            match (self.json, done.repeats()) {
                (true, _) => Ok(()),
                (false, true) => say(&format!("epoch {epoch} repeats: {found}")),
                (false, false) => say(&format!("epoch {epoch} differs: {found}, recorded was {recorded}")),
            }
        };
        let images = recorded::read_unchanged(&format!("repeat {run}"), &config, &folder)?;
        let epochs = verify::verify(config, images.split, &lines, tell)?;
        let first_difference = epochs.iter().find(|epoch| !epoch.repeats()).map(|epoch| epoch.epoch);
        let repeats = first_difference.is_none();
        if self.json {
            say_json(&Verification { run: run.clone(), repeats, first_difference, epochs })?;
        } else if repeats {
            say("repeats")?;
        }
        first_difference.map_or(Ok(()), |epoch| {
            Err(Error::work(format!(
                "{run} does not repeat: epoch {epoch} is the first that differs; it was made by another version of \
                 the program or from other data"
            )))
        })
    }
}
