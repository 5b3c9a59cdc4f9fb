//! The pictures of a finished run, in its folder.
//!
//! They are drawn from what the folder holds, the selected parameters and the lines of metrics, so a run that is
//! resumed only to be finished leaves the same bytes as one that was never interrupted.

use super::curves;
use super::generated::{self, Kind};
use crate::autograd::Params;
use crate::error::Result;
use crate::models::networks::PixelValue;
use crate::store::durable;
use crate::store::lock::Lock;
use crate::store::run_folder::RunFolder;
use crate::train::metrics::read_metrics;
use crate::train::trainer::Trainer;

/// The accuracies after each epoch.
pub const ACCURACY: &str = "accuracy.png";

/// The loss and its terms in each epoch.
pub const LOSS: &str = "loss.png";

/// The names of all pictures that a finished run can have.
pub fn files() -> impl Iterator<Item = String> {
    Kind::ALL.into_iter().map(Kind::file).chain([ACCURACY, LOSS].map(String::from))
}

/// Draws all pictures into the folder of a trained run, replacing older ones: of what the model with the selected parameters
/// generates, those that it has what it takes for.
///
/// # Errors
/// If the metrics cannot be read, a picture cannot be written, or the folder is not held any more.
pub fn draw(trainer: &Trainer, folder: &RunFolder, lock: &Lock, selected: &Params) -> Result<()> {
    let metrics = read_metrics(&folder.metrics())?;
    let (split, config) = (trainer.split(), trainer.config());
    let write = |name: &str, png: &[u8]| {
        lock.still_held()?;
        durable::write_own(&folder.path().join(name), png)
    };
    let pixel = PixelValue::of(config.model.networks)[0];
    for kind in Kind::ALL {
        if let Ok(png) = generated::draw(kind, (trainer.model(), selected), split, pixel, config.seed) {
            write(&kind.file(), &png)?;
        }
    }
    write(ACCURACY, &curves::accuracy(&metrics, split.domain_names.len(), &split.test_domain))?;
    write(LOSS, &curves::loss(&metrics, &config.train))
}
