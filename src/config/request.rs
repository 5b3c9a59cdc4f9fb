//! A configuration and what of it somebody asked for, so that a wish without an effect is refused and not forgotten.
//!
//! Asked for is what a `--set` says, and what a file says that its preset does not. A complete file, such as the `config.toml`
//! of a run, asks for nothing: it has to say something of every key.

use super::keys::{KEYS, Key, WIDTH_OF_BOTH, WIDTHS};
use super::layers::{self, Layer};
use super::{Config, key, of_layer, preset_layer, validate};
use crate::error::{Error, Result};
use toml::Value;

/// A configuration with the keys that were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The configuration.
    pub config: Config,
    /// In the order of the table of keys.
    pub asked: Vec<Asked>,
}

/// A key that a file or a flag gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its dotted name.
    pub key: &'static str,
    /// Why its value changes nothing, in a sentence that names who would read it; nothing if it is read.
    pub without_effect: Option<String>,
}

impl Request {
    /// As [`Config::resolve`], which forgets what was asked for.
    ///
    /// # Errors
    /// As [`Config::resolve`]. A key without effect is none yet.
    pub fn resolve(
        file: Option<(&str, &str)>,
        preset: Option<&str>,
        overrides: &[String],
        seed: Option<u64>,
    ) -> Result<Request> {
        let file = file.map(|(name, text)| layers::of_text(name, text)).transpose()?;
        let overrides = layers::of_overrides(overrides)?;

        let unnamed = if file.is_some() { "rotated-mnist" } else { "quick" };
        let file = file.unwrap_or_default();
        let preset = preset.or(file.get("preset").and_then(Value::as_str)).unwrap_or(unnamed).to_owned();

        let of_preset = preset_layer(&preset)?;
        let asked = asked(&of_preset, &file, &overrides);
        let mut layer = of_preset;
        layer.extend(layers::with_both_widths(file)?);
        layer.extend(layers::with_both_widths(overrides)?);
        if let Some(seed) = seed {
            let whole = i64::try_from(seed).map_err(|_| key("seed").refuse(&seed.to_string()))?;
            layer.insert("seed", Value::Integer(whole));
        }
        layer.insert("preset", Value::String(preset));

        let config = of_layer(layer);
        validate::validate(&config)?;
        let table = config.to_table();
        let asked =
            asked.into_iter().map(|key| Asked { key: key.name, without_effect: key.without_effect(&table) });
        Ok(Request { asked: asked.collect(), config })
    }

    /// The configuration, for a command that reads all of it.
    ///
    /// # Errors
    /// If a key was asked for that nothing reads: its name and value, and who would read it.
    pub fn effective(self) -> Result<Config> {
        self.effective_where(|_| true)
    }

    /// The configuration, for a command that never looks at `[data]`.
    ///
    /// # Errors
    /// As [`Request::effective`], of the other sections.
    pub fn effective_without_data(self) -> Result<Config> {
        self.effective_where(|key| !key.starts_with("data."))
    }

    fn effective_where(self, is_looked_at: impl Fn(&str) -> bool) -> Result<Config> {
        let of_interest = self.asked.into_iter().filter(|asked| is_looked_at(asked.key));
        match of_interest.filter_map(|asked| asked.without_effect).next() {
            Some(sentence) => Err(Error::request(sentence)),
            None => Ok(self.config),
        }
    }
}

/// The keys that a file and flags ask for. `model.width` asks for both widths together, and one is always read.
fn asked(preset: &Layer, file: &Layer, overrides: &Layer) -> Vec<&'static Key> {
    let is_given = |name| file.contains_key(name) || overrides.contains_key(name);
    let is_said =
        |key: &Key| is_given(key.name) || (WIDTHS.contains(&key.name) && is_given(WIDTH_OF_BOTH.name));
    // Keys that came later may be missing in the file of an old run.
    let mut old = KEYS.iter().filter(|key| key.decides_results && key.as_before.is_none());
    let is_complete = old.all(is_said);
    let is_asked = |key: &&Key| {
        let by_file = file.get(key.name).is_some_and(|value| preset.get(key.name) != Some(value));
        overrides.contains_key(key.name) || (by_file && !is_complete)
    };
    KEYS.iter().filter(is_asked).collect()
}
