//! The configuration of a run: which data, which model, how it is trained.
//!
//! A configuration is laid together from up to four layers, each over the one before:
//!
//! ```text
//! preset  <  file  <  --set KEY=VALUE  <  --seed
//! ```
//!
//! Without file and `--preset` the preset is `quick`; a file without the key `preset` completes
//! `rotated-mnist`; and `--preset` wins over the file's key, because the command line is the later word.
//! Presets are configuration files inside the binary, complete themselves or by another preset that they name.
//!
//! Every layer is checked before it is laid down, key by key against one table (`keys.rs`), because only
//! there is a mistake still in the user's own words. The result is a plain struct with every value written
//! out, so that its file repeats the run even after a preset has changed.

mod keys;
mod layers;
mod readers;
mod request;
mod sections;
mod validate;
mod values;
mod write;

pub use request::{Asked, Request};
pub use sections::{
    DataConfig, DomainName, Kl, Likelihood, LogitLayout, ModelConfig, ModelKind, Networks, PriorY, Protocol,
    Source, TrainConfig, Unlabelled, UnlabelledImages,
};

use crate::error::Result;
use layers::Layer;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// Name and text of each preset.
const PRESETS: [(&str, &str); 5] = [
    ("quick", include_str!("presets/quick.toml")),
    ("rotated-mnist", include_str!("presets/rotated-mnist.toml")),
    ("malaria", include_str!("presets/malaria.toml")),
    ("quick-cells", include_str!("presets/quick-cells.toml")),
    ("own-images", include_str!("presets/own-images.toml")),
];

/// Everything that decides a run, and where its data lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The preset that filled in what was not said.
    pub preset: String,
    /// Decides every random number of the run. At most 2^63 - 1, the largest integer of TOML.
    pub seed: u64,
    /// Which images, which domains, which of them is held out.
    pub data: DataConfig,
    /// What is trained.
    pub model: ModelConfig,
    /// The optimisation.
    pub train: TrainConfig,
}

impl Config {
    /// Lays preset, `file` (name, for messages, and text), `overrides` (`KEY=VALUE`; VALUE as in TOML, or a
    /// bare word) and `seed` over each other, in this order.
    ///
    /// A file has 64 KiB at most, and takes at most 32 MiB in memory.
    ///
    /// The result is complete and consistent. Whether its data can be had is left to
    /// [`validate_for_training`](Config::validate_for_training), because commands without data never ask; and whether
    /// all that was asked for has an effect to [`Request::resolve`].
    ///
    /// # Errors
    /// A request error that names key, value and what is allowed: for text that is not TOML, a key that is
    /// not known, a value of the wrong type or out of range, and values that contradict each other.
    pub fn resolve(
        file: Option<(&str, &str)>,
        preset: Option<&str>,
        overrides: &[String],
        seed: Option<u64>,
    ) -> Result<Config> {
        Ok(Request::resolve(file, preset, overrides, seed)?.config)
    }

    /// Whether it can be trained: the source of the data is fully described, and the rest of the configuration fits it.
    /// Reads no file.
    ///
    /// # Errors
    /// A request error that names key, value and what is allowed: unlabelled domains that are not trained on, no `data.path`
    /// for a source that needs one, names where domains are angles, a `model.prior_y` with another number of classes.
    pub fn validate_for_training(&self) -> Result<()> {
        validate::validate_for_training(self)
    }
}

/// The values of a preset, complete. Its text, like a user's file, may name another preset for what it does not say.
fn preset_layer(name: &str) -> Result<Layer> {
    key("preset").admit(&Value::String(name.into()))?;
    let (_, text) = PRESETS.iter().find(|(preset, _)| *preset == name).expect("every preset has a text");
    let own = layers::of_text(&format!("the preset {name}"), text)?;
    let mut layer = match own.get("preset").and_then(Value::as_str) {
        Some(base) => preset_layer(base)?,
        None => Layer::new(),
    };
    layer.extend(own);
    layer.remove("preset");
    Ok(layer)
}

fn key(name: &str) -> &'static keys::Key {
    keys::find(name).unwrap_or_else(|| panic!("{name} is not in the table of keys"))
}

/// A complete layer as a configuration.
fn of_layer(layer: Layer) -> Config {
    let mut root = Table::new();
    for (name, value) in layer {
        let (sections, name) = name.rsplit_once('.').unwrap_or(("", name));
        let mut table = &mut root;
        for section in sections.split('.').filter(|section| !section.is_empty()) {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            table = inner.as_table_mut().expect("no key is a section");
        }
        table.insert(name.into(), value);
    }
    root.try_into().unwrap_or_else(|error| panic!("the table of keys admits what Config refuses: {error}"))
}

#[cfg(test)]
mod tests;
