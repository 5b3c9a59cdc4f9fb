//! The pictures of a finished run, in its folder.
//!
//! They are drawn from what the folder holds, the selected parameters and the lines of metrics, so a run that is
//! resumed only to be finished leaves the same bytes as one that was never interrupted.

use super::{curves, reconstructions};
use crate::error::Result;
use crate::store::durable;
use crate::store::run_folder::RunFolder;
use crate::store::tensors::TensorFile;
use crate::train::trainer::Trainer;
use crate::train::{run, weights};

/// Images of each domain as they are and as the selected model gives them back.
pub const RECONSTRUCTIONS: &str = "reconstructions.png";

/// The accuracies after each epoch.
pub const ACCURACY: &str = "accuracy.png";

/// The loss and its terms in each epoch.
pub const LOSS: &str = "loss.png";

/// Draws all pictures into the folder of a trained run, replacing older ones.
///
/// # Errors
/// If the selected parameters or the metrics cannot be read, or a picture cannot be written.
pub fn draw(trainer: &Trainer, folder: &RunFolder) -> Result<()> {
    let mut selected = trainer.state().params.clone();
    weights::import(&mut selected, &TensorFile::read(&folder.best())?, &folder.best())?;
    let metrics = run::read_metrics(&folder.metrics())?;
    let (split, config) = (trainer.split(), trainer.config());
    let write = |name: &str, png: &[u8]| durable::write(&folder.path().join(name), png);
    if let Some(png) = reconstructions(trainer.model(), &selected, split) {
        write(RECONSTRUCTIONS, &png)?;
    }
    write(ACCURACY, &curves::accuracy(&metrics, &split.test_domain))?;
    write(LOSS, &curves::loss(&metrics, &config.train))
}
