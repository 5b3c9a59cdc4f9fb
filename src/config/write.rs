//! From a configuration to text: the resolved file, the identity that checkpoints carry, the differences that
//! forbid a resumption. All three walk the table of keys, so a key cannot be forgotten in one of them.

use super::Config;
use super::keys::KEYS;
use super::values::{look_up, shown};
use std::ffi::OsStr;
use std::path::Path;
use toml::{Table, Value};

impl Config {
    /// The resolved configuration, complete: reading it again gives the same `Config`, whatever its preset
    /// becomes.
    ///
    /// # Panics
    /// If the seed is above 2^63 - 1, which [`Config::resolve`] refuses: TOML has no such integer.
    pub fn to_toml(&self) -> String {
        let table = self.to_table();
        let mut text = String::from(
            "# Resolved configuration. `diva train` with this file repeats the run bit for bit.\n\
             # Every key is written out; `preset` only says where they came from.\n\n",
        );
        let mut section = "";
        for key in KEYS {
            let (its_section, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
            if its_section != section {
                text += &format!("\n[{its_section}]\n");
                section = its_section;
            }
            text += &format!("{name} = {}\n", shown(look_up(&table, key.name)));
        }
        text
    }

    /// Canonical text of all that decides what a run has computed after a given number of epochs: where it is
    /// equal, two runs agree bit for bit as far as both go.
    ///
    /// It leaves out `data.path` and the folders in `data.subset_file` (what lies there decides, not where), `train.epochs`
    /// (the first epochs of a longer run are those of a shorter one, but for DANN), `train.checkpoint_seconds` (when to save)
    /// and `preset` (a name); and of keys that came later, those with which everything is as before: old runs keep their
    /// identity.
    ///
    /// # Panics
    /// As [`Config::to_toml`].
    pub fn identity(&self) -> String {
        let mut named = self.clone();
        if let Some(file) = &mut named.data.subset_file {
            *file = file_name(file).to_owned();
        }
        named.deciding().into_iter().map(|(key, value)| format!("{key} = {value}\n")).collect()
    }

    /// The keys of [`Config::identity`] with their values as TOML; `data.subset_file` with its folders.
    ///
    /// # Panics
    /// As [`Config::to_toml`].
    pub fn deciding(&self) -> Vec<(&'static str, String)> {
        let table = self.to_table();
        let deciding = KEYS.iter().filter(|key| key.decides_results_of(self.model.kind));
        deciding
            .map(|key| (key, shown(look_up(&table, key.name))))
            .filter(|(key, value)| key.as_before != Some(value))
            .map(|(key, value)| (key.name, value))
            .collect()
    }

    /// One sentence for each key that forbids `asked` to continue a run of the configuration `self`: it
    /// differs, and it decides results. Empty exactly if the two have one [`identity`](Config::identity).
    ///
    /// # Panics
    /// As [`Config::to_toml`].
    pub fn differences_that_matter(&self, asked: &Config) -> Vec<String> {
        let (here, there) = (self.to_table(), asked.to_table());
        let deciding = KEYS.iter().filter(|key| key.decides_results_of(self.model.kind));
        deciding
            .map(|key| (key.name, look_up(&here, key.name), look_up(&there, key.name)))
            .filter(|(name, here, there)| match (here, there) {
                (Value::String(here), Value::String(there)) if *name == "data.subset_file" => {
                    file_name(here) != file_name(there)
                }
                _ => here != there,
            })
            .map(|(name, here, there)| {
                format!("{name} is {} in the run's folder, but {} was asked for", shown(here), shown(there))
            })
            .collect()
    }

    /// The configuration as nested TOML tables.
    pub(super) fn to_table(&self) -> Table {
        Table::try_from(self).expect("a configuration holds nothing that TOML lacks")
    }
}

/// What a file is called, without the folders.
fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(OsStr::to_str).unwrap_or(path)
}
