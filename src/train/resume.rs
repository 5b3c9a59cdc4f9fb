//! What a run that goes on finds beside its checkpoint, all of it looked at before anything is changed or trained.
//!
//! A run is killed between any two writes, and what it leaves then is no damage: lines of metrics behind those of the
//! checkpoint, torn ones too, and a `best.safetensors` of the epoch after the checkpoint's. Going on makes them again, byte for byte.
//! What no kill leaves behind is: a broken or missing line of an epoch that is done, other weights than those that the
//! checkpoint knows. If it cannot be made again it is refused now, and not after the whole training.

use super::metrics::{self, EpochMetrics, RunResult, SelectedEpoch};
use super::trainer::Trainer;
use super::{seals, weights};
use crate::error::{Error, Result};
use crate::store::digest::sha256_hex;
use crate::store::input;
use crate::store::run_folder::RunFolder;
use crate::store::tensors::{self, TensorFile};
use std::io::ErrorKind;

/// What becomes of `best.safetensors` when a run goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Best {
    /// It is as it should be, or there is none yet.
    Kept,
    /// It is not, but these bytes are.
    MadeAgain(Vec<u8>),
    /// It seems to be of the next epoch, as of a run that was killed just then: the next epoch will tell.
    OfNextEpoch,
}

/// Looks at the files of a run whose checkpoint, of this SHA-256, is restored in `trainer`.
///
/// # Errors
/// If one is damaged, exchanged or gone, and cannot be made again.
pub(super) fn look(trainer: &Trainer, folder: &RunFolder, checkpoint_sha256: &str) -> Result<Best> {
    let progress = &trainer.state().progress;
    let refused =
        |what: String| Error::request(format!("cannot continue {}: {what}", folder.path().display()));
    let lines = lines_of(folder, progress.epochs)?;
    if let Some(last) = lines.last().filter(|_| progress.batches == 0)
        && last.state_sha256 != checkpoint_sha256
    {
        let what =
            "its metrics.jsonl does not belong to its checkpoint: the last epoch has another hash there";
        return Err(refused(what.into()));
    }
    let Some(best) = &progress.best else { return Ok(Best::Kept) };
    if lines.get(best.epoch.wrapping_sub(1)).map(SelectedEpoch::of).as_ref() != Some(best) {
        let epoch = best.epoch;
        return Err(refused(format!(
            "its metrics.jsonl does not belong to its checkpoint: line {epoch} has other figures than the selected epoch"
        )));
    }
    let path = folder.best();
    let Some(sealed) = &trainer.state().best_sha256 else {
        // An earlier version: it is as good as it can be loaded.
        weights::read(&trainer.state().params, &path)?;
        return Ok(Best::Kept);
    };
    let found = match path.exists() {
        true => Some(tensors::read_file(&path)?),
        false => None,
    };
    if found.as_ref().is_some_and(|found| sha256_hex(found) == *sealed) {
        return Ok(Best::Kept);
    }
    if best.epoch == progress.epochs && progress.batches == 0 {
        let again = trainer.weights();
        if sha256_hex(&again) == *sealed {
            return Ok(Best::MadeAgain(again));
        }
    }
    let end_of_epoch = progress.steps + (trainer.order()?.len() - progress.batches) as u64;
    let steps = |bytes: &Vec<u8>| weights::steps(&TensorFile::from_bytes(bytes, &path).ok()?).ok();
    if found.as_ref().and_then(steps) == Some(end_of_epoch) {
        return Ok(Best::OfNextEpoch);
    }
    Err(refused(not_the_selected(best, if found.is_some() { "damaged or exchanged" } else { "gone" })))
}

/// What is wrong with a `best.safetensors` that is not of the selected epoch.
pub(super) fn not_the_selected(best: &SelectedEpoch, what: &str) -> String {
    format!(
        "best.safetensors, of epoch {}, is {what}, and only a training from the beginning would make it again; put it back, or begin \
         anew in another folder",
        best.epoch
    )
}

/// The lines of the first `epochs` epochs. What stands behind them is of no account.
fn lines_of(folder: &RunFolder, epochs: usize) -> Result<Vec<EpochMetrics>> {
    let path = folder.metrics();
    let bytes = match input::read(&path, input::TABLE) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == ErrorKind::NotFound => Vec::new(),
        Err(cause) => return Err(Error::reading(&path, &cause)),
    };
    let whole: Vec<&[u8]> = bytes
        .split_inclusive(|&byte| byte == b'\n')
        .filter(|line| line.ends_with(b"\n"))
        .take(epochs)
        .collect();
    if whole.len() < epochs {
        return Err(Error::request(format!(
            "cannot continue {}: its metrics.jsonl has {} whole lines, but {epochs} epochs are done",
            folder.path().display(),
            whole.len()
        )));
    }
    let text = String::from_utf8_lossy(&whole.concat()).into_owned();
    let lines = metrics::parse_metrics(&text, &path)?;
    match lines.iter().zip(1..).find(|(line, number)| line.epoch != *number) {
        None => Ok(lines),
        Some((line, number)) => Err(Error::request(format!(
            "cannot read {}: line {number} is of epoch {}",
            path.display(),
            line.epoch
        ))),
    }
}

/// The result of a run that has nothing left to do and has said so, whose weights are [kept](Best::Kept). One that does not
/// belong to the checkpoint, or to the files beside it, is none: it is made again.
pub(super) fn finished(trainer: &Trainer, folder: &RunFolder, checkpoint_sha256: &str) -> Option<RunResult> {
    let path = folder.result();
    if !trainer.is_done() || !path.exists() {
        return None;
    }
    let result = metrics::read_result(&path).ok()?;
    let progress = &trainer.state().progress;
    let selected = progress.best.as_ref()?;
    let lines = lines_of(folder, progress.epochs).ok()?;
    let is_of_checkpoint = result.checkpoint_sha256 == checkpoint_sha256
        && result.epochs == progress.epochs
        && result.selected == *selected
        && seals::check_result(&result, &lines, trainer.config()).is_ok();
    let identity = Some(sha256_hex(trainer.config().identity().as_bytes()));
    // What an earlier version did not seal cannot be compared.
    let is_whole = [
        (&result.best_sha256, &trainer.state().best_sha256),
        (&result.unlike_sha256, &seals::unlike_sha256(folder).ok()?),
        (&result.predictions_sha256, &seals::predictions_sha256(folder).ok()?),
        (&result.division_sha256, &seals::division_sha256(folder).ok()?),
        (&result.configuration_sha256, &identity),
    ]
    .into_iter()
    .all(|(sealed, found)| sealed.is_none() || sealed == found);
    (is_of_checkpoint && is_whole).then_some(result)
}
