//! Whether a run repeats: its first epochs again, compared with what its lines of metrics recorded.
//!
//! The hash of an epoch covers parameters, moments, progress, configuration and images. Two runs with
//! equal hashes after an epoch are equal in every bit, and so they stay: the state is all that the next epoch begins with.

use super::metrics::EpochMetrics;
use super::trainer::Trainer;
use crate::config::Config;
use crate::data::Split;
use crate::error::Result;
use crate::store::checkpoint::sha256_hex;
use serde::Serialize;

/// One epoch, repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepeatedEpoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Of the state that the run recorded.
    pub recorded_sha256: String,
    /// Of the state now.
    pub found_sha256: String,
}

impl RepeatedEpoch {
    /// Whether the epoch ended in the recorded state.
    pub fn repeats(&self) -> bool {
        self.recorded_sha256 == self.found_sha256
    }
}

/// Trains `config` afresh on the images of the run, in memory, for as many epochs as there are `recorded` lines, or until one
/// differs; tells `done` of each.
///
/// # Errors
/// If the configuration cannot be used, a number is not finite, or `done` fails.
pub fn verify(
    config: Config,
    split: Split,
    recorded: &[EpochMetrics],
    mut done: impl FnMut(&RepeatedEpoch) -> Result<()>,
) -> Result<Vec<RepeatedEpoch>> {
    let mut trainer = Trainer::new(config, split)?;
    let mut epochs = Vec::new();
    for line in recorded {
        let order = trainer.order()?;
        for _ in 0..order.len() {
            trainer.step(&order)?;
        }
        trainer.end_epoch()?;
        let epoch = RepeatedEpoch {
            epoch: line.epoch,
            recorded_sha256: line.state_sha256.clone(),
            found_sha256: sha256_hex(&trainer.checkpoint()?.to_bytes()),
        };
        done(&epoch)?;
        let differs = !epoch.repeats();
        epochs.push(epoch);
        if differs {
            break;
        }
    }
    Ok(epochs)
}
