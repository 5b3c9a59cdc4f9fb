//! Whether a run repeats: its first epochs again, compared with what its lines of metrics recorded.
//!
//! The hash of an epoch covers parameters, moments, progress, configuration and images. Two runs with
//! equal hashes after an epoch are equal in every bit, and so they stay: the state is all that the next epoch begins with.
//! The figures beside the hash are compared as well, but for what a clock said, for a hash does not tell whether they were edited.

use super::metrics::{EpochMetrics, is_of_a_clock};
use super::trainer::Trainer;
use crate::config::Config;
use crate::data::Split;
use crate::error::Result;
use crate::store::digest::sha256_hex;
use serde::Serialize;
use serde_json::{Map, Value};

/// One epoch, repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepeatedEpoch {
    /// Counted from 1.
    pub epoch: usize,
    /// Of the state that the run recorded.
    pub recorded_sha256: String,
    /// Of the state now.
    pub found_sha256: String,
    /// Which figure of its line is another one now, with both; the hash is not among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_figure: Option<String>,
}

impl RepeatedEpoch {
    /// Whether the epoch ended in the recorded state and its line holds its figures.
    pub fn repeats(&self) -> bool {
        self.recorded_sha256 == self.found_sha256 && self.other_figure.is_none()
    }
}

/// The first field of a recorded line, but for the hashes and what a clock said, that is another one now.
fn other_figure(recorded: &EpochMetrics, found: &EpochMetrics) -> Option<String> {
    let fields = |metrics: &EpochMetrics| match serde_json::to_value(metrics) {
        Ok(Value::Object(fields)) => fields,
        _ => unreachable!("metrics are an object of plain data"),
    };
    let (recorded, found) = (fields(recorded), fields(found));
    let is_compared = |name: &str| !["state_sha256", "line_sha256"].contains(&name) && !is_of_a_clock(name);
    let mut names = recorded.keys().chain(found.keys()).filter(|name| is_compared(name));
    let name = names.find(|name| recorded.get(*name) != found.get(*name))?;
    let shown = |fields: &Map<String, Value>| fields.get(name).map_or("nothing".into(), Value::to_string);
    Some(format!("{name} is {}, recorded was {}", shown(&found), shown(&recorded)))
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
        let (found, _) = trainer.end_epoch()?;
        let epoch = RepeatedEpoch {
            epoch: line.epoch,
            recorded_sha256: line.state_sha256.clone(),
            found_sha256: sha256_hex(&trainer.checkpoint()?),
            other_figure: other_figure(line, &found),
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
