//! Who reads a key: what other keys must say so that its value has an effect on a run.
//!
//! A key without readers here is read by every run, or another value than the one that fits is refused with a sentence of its
//! own (`validate.rs`), so that nobody is left in the dark: `model.likelihood`, which the networks decide; `data.validation` of
//! digits. `train/tests.rs` trains with each key changed and holds the table against what comes out.

use super::values::{either, look_up, shown};
use toml::Table;

/// Another key, and the values of it that make one of these readers.
#[derive(Clone, Copy)]
pub(super) struct Reader {
    key: &'static str,
    is: Is,
}

#[derive(Clone, Copy)]
enum Is {
    OneOf(&'static [&'static str]),
    /// As TOML writes it.
    OtherThan(&'static str),
}

const fn one_of(key: &'static str, names: &'static [&'static str]) -> Reader {
    Reader { key, is: Is::OneOf(names) }
}

const fn other_than(key: &'static str, value: &'static str) -> Reader {
    Reader { key, is: Is::OtherThan(value) }
}

/// A group has a reader if one of its rows is met; a key is read if each of its groups has one.
pub(super) type Group = &'static [Reader];

/// Images that lie somewhere.
pub(super) const OF_FILES: Group = &[one_of("data.source", &["idx", "folders", "list", "malaria"])];
/// Pictures in folders, or of a list.
pub(super) const OF_PICTURES: Group = &[one_of("data.source", &["folders", "list", "malaria"])];
pub(super) const OF_LIST: Group = &[one_of("data.source", &["list"])];
/// Digits that are drawn and turned.
pub(super) const OF_DIGITS: Group = &[one_of("data.source", &["embedded", "idx"])];
pub(super) const OF_MALARIA: Group = &[one_of("data.source", &["malaria"])];
pub(super) const OF_SYNTHETIC_CELLS: Group = &[one_of("data.source", &["synthetic-cells"])];
/// Images without a class; in folders and lists there may be some that nobody named.
pub(super) const OF_UNLABELLED: Group = &[
    other_than("data.unlabelled.subsets", "0"),
    other_than("data.unlabelled.domains", "[]"),
    one_of("data.source", &["folders", "list"]),
];
/// The decoder whose channels are logits.
pub(super) const OF_LENET: Group = &[one_of("model.networks", &["lenet"])];
/// Models that explain images by latents.
pub(super) const OF_LATENTS: Group = &[one_of("model.kind", &["diva", "diva-no-zd", "diva-no-zx", "vae"])];
/// Those of them that learn to tell domains.
pub(super) const OF_DOMAIN_CLASSIFIER: Group = &[one_of("model.kind", &["diva", "diva-no-zx", "vae"])];
/// Those with p(y). Of any kind, p(y) is held against the number of classes that folders or lists have.
pub(super) const OF_CLASS_PRIOR: Group = &[
    one_of("model.kind", &["diva", "diva-no-zd", "diva-no-zx"]),
    one_of("data.source", &["folders", "list"]),
];
pub(super) const OF_DANN: Group = &[one_of("model.kind", &["dann"])];

impl Reader {
    fn is_there(&self, config: &Table) -> bool {
        let found = look_up(config, self.key);
        match self.is {
            Is::OneOf(names) => names.iter().any(|&name| found.as_str() == Some(name)),
            Is::OtherThan(value) => shown(found) != value,
        }
    }

    fn description(&self) -> String {
        let key = self.key;
        match self.is {
            Is::OneOf(names) => {
                let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
                format!("{key} = {}", either(&quoted))
            }
            Is::OtherThan(value) => format!("{key} other than {value}"),
        }
    }
}

/// The sentence that refuses the key of this name in a complete configuration where one of its groups has no reader.
pub(super) fn without_effect(name: &str, groups: &[Group], config: &Table) -> Option<String> {
    let unread = groups.iter().find(|group| !group.iter().any(|reader| reader.is_there(config)))?;
    let found: Vec<String> =
        unread.iter().map(|Reader { key, .. }| format!("{key} = {}", shown(look_up(config, key)))).collect();
    let readers: Vec<String> = unread.iter().map(Reader::description).collect();
    Some(format!(
        "{name} = {} has no effect with {}; it is read with {}",
        shown(look_up(config, name)),
        found.join(" and "),
        readers.join(" or with ")
    ))
}
