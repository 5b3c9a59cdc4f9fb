//! What a finished run writes of its selected parameters: the limits of unlike images, and what is predicted of the unseen domain.

use super::predictions;
use super::trainer::Trainer;
use super::unlike::{UnlikeShare, UnlikeTraining};
use crate::autograd::Params;
use crate::error::Result;
use crate::store::durable;
use crate::store::lock::Lock;
use crate::store::run_folder::{PREDICTIONS, RunFolder};
use std::path::Path;

/// Writes both, or removes what is there of other parameters and says to `notice` why there is none.
///
/// # Errors
/// If a file cannot be written, or the folder has become another process's.
pub(super) fn write(
    trainer: &Trainer,
    folder: &RunFolder,
    lock: &Lock,
    selected: &Params,
    notice: &mut dyn FnMut(&str),
) -> Result<Option<UnlikeShare>> {
    let (model, split) = (trainer.model(), trainer.split());
    let limits =
        UnlikeTraining::of_trained(model, selected, split, trainer.config().seed).unwrap_or_else(|cause| {
            notice(&format!("{cause}; `diva predict` will mark no image as unlike the training images"));
            None
        });
    if model.latent_variables().is_some() {
        keep(lock, &folder.unlike(), limits.as_ref().map(UnlikeTraining::to_json))?;
    }
    let said = predictions::of_test_domain((model, selected), split, limits.as_ref());
    let said = said.map_err(|cause| notice(&format!("{cause}; there is no {PREDICTIONS}"))).ok();
    if split.test_origins.is_some() {
        let table = said.as_ref().map(|said| predictions::with_truth(split, said));
        keep(lock, &folder.predictions(), table)?;
    }
    let Some(said) = said else { return Ok(None) };
    let is_right = said.iter().zip(&split.test.classes).map(|(said, &class)| said.class == class);
    Ok(UnlikeShare::of(said.iter().map(|said| said.unlike_training).zip(is_right)))
}

fn keep(lock: &Lock, path: &Path, text: Option<String>) -> Result<()> {
    lock.while_held(|| match &text {
        Some(text) => durable::write_own(path, text.as_bytes()),
        None => durable::remove(path),
    })
}
