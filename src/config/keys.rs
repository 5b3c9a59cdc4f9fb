//! The table of keys: one row for each, in the order in which they are written, with what it takes.
//!
//! Everything that treats keys alike reads this table: checking a file, suggesting the nearest known key,
//! writing a configuration, comparing two, refusing what has no effect. A new key is a field in `sections.rs`, a row here and
//! a line in each preset that names no other.

use super::ModelKind;
use super::readers::{self, Group};
use super::values::{either, shown};
use crate::error::{Error, Result};
use crate::names;
use toml::{Table, Value};

/// A key of the configuration.
pub(super) struct Key {
    /// The dotted name.
    pub(super) name: &'static str,
    /// The values it takes.
    pub(super) takes: Takes,
    /// Whether it decides what a run has computed after a given number of epochs.
    pub(super) decides_results: bool,
    /// Of a key younger than others: the value, as TOML writes it, with which everything is as it was before there was
    /// such a key.
    pub(super) as_before: Option<&'static str>,
    /// What its value has an effect on, if not on every run: each group must have a reader.
    pub(super) readers: &'static [Group],
}

impl Key {
    /// The same, read where each of these groups has a reader.
    const fn read_by(self, readers: &'static [Group]) -> Key {
        Key { readers, ..self }
    }

    /// Whether it decides what a run of this kind of model has computed after a given number of epochs: DANN's schedule
    /// is one over the whole training.
    pub(super) fn decides_results_of(&self, kind: ModelKind) -> bool {
        self.decides_results || (kind == ModelKind::Dann && self.name == "train.epochs")
    }

    /// The sentence that refuses this key in a complete configuration where nothing reads it.
    pub(super) fn without_effect(&self, config: &Table) -> Option<String> {
        readers::without_effect(self.name, self.readers, config)
    }
}

/// The values that a key takes.
pub(super) enum Takes {
    /// A whole number, both ends included.
    Whole(i64, i64),
    /// A number, both ends included; a TOML integer is a number too.
    Number(f64, f64),
    /// One of these names.
    OneOf(&'static [&'static str]),
    /// Any text.
    Text,
    /// An angle or a name.
    Domain,
    /// A list of angles or names, at least so many or none.
    Domains(usize),
    /// A distribution over classes.
    Prior,
    /// Different names, or none.
    Names,
    /// What columns of a list are called, as COLUMN=NAME, each at most once.
    Columns,
    /// true or false.
    Switch,
}

const fn key(name: &'static str, takes: Takes) -> Key {
    Key { name, takes, decides_results: true, as_before: None, readers: &[] }
}

const fn free_key(name: &'static str, takes: Takes) -> Key {
    Key { name, takes, decides_results: false, as_before: None, readers: &[] }
}

const fn younger_key(name: &'static str, takes: Takes, as_before: &'static str) -> Key {
    Key { name, takes, decides_results: true, as_before: Some(as_before), readers: &[] }
}

/// More epochs than a lifetime has, and few enough that no count of steps overflows.
const MOST_EPOCHS: i64 = 1_000_000;
/// From one channel of the narrowest layer's 32 to networks with 256 times the parameters.
const WIDTH: Takes = Takes::Number(0.031_25, 16.0);
/// The upper end keeps the squares of gradients, which Adam takes in f32, finite.
const ALPHA: Takes = Takes::Number(0.0, 1e9);
/// The columns of a list of images.
const COLUMNS: [&str; 5] = ["file", "class", "domain", "group", "split"];
/// Class probabilities below this make log p(y) the whole loss.
const LEAST_PROBABILITY: f64 = 1e-6;

/// Every key. The name of the preset decides nothing: what it stands for is written out. Epochs do not decide
/// what was computed in those already done, so a run may be continued further than was first asked for; nor does the
/// time between checkpoints.
pub(super) const KEYS: &[Key] = &[
    free_key("preset", Takes::OneOf(&["quick", "rotated-mnist", "malaria", "quick-cells", "own-images"])),
    key("seed", Takes::Whole(0, i64::MAX)),
    key("data.source", Takes::OneOf(&["embedded", "idx", "folders", "list", "malaria", "synthetic-cells"])),
    free_key("data.path", Takes::Text).read_by(&[readers::OF_FILES]),
    younger_key("data.columns", Takes::Columns, "[]").read_by(&[readers::OF_LIST]),
    key("data.subset_file", Takes::Text),
    key("data.domains", Takes::Domains(2)),
    key("data.test_domain", Takes::Domain),
    key("data.per_class", Takes::Whole(1, 1_000_000)).read_by(&[readers::OF_DIGITS]),
    key("data.protocol", Takes::OneOf(&["published", "disjoint-test"])).read_by(&[readers::OF_DIGITS]),
    younger_key("data.classes", Takes::Names, "[]"),
    younger_key("data.per_domain", Takes::Whole(1, 1_000_000), "200").read_by(&[readers::OF_SYNTHETIC_CELLS]),
    younger_key("data.least_images", Takes::Whole(0, 1_000_000_000), "0").read_by(&[readers::OF_MALARIA]),
    younger_key("data.validation", Takes::Number(0.0, 0.9), "0.0"),
    younger_key("data.augment", Takes::Switch, "false"),
    younger_key("data.skip_unreadable", Takes::Switch, "false").read_by(&[readers::OF_PICTURES]),
    // Ten seeds have ten subsets; an eleventh would be the first again.
    key("data.unlabelled.subsets", Takes::Whole(0, 9)),
    key("data.unlabelled.domains", Takes::Domains(0)),
    key("data.unlabelled.images", Takes::OneOf(&["used", "left-out"])).read_by(&[readers::OF_UNLABELLED]),
    key("model.kind", Takes::OneOf(&["diva", "diva-no-zd", "diva-no-zx", "vae", "classifier", "dann"])),
    key("model.networks", Takes::OneOf(&["lenet", "resnet"])),
    younger_key("model.image_size", Takes::Whole(16, 128), "28"),
    younger_key("model.channels", Takes::Whole(1, 3), "1"),
    key("model.encoder_width", WIDTH),
    key("model.decoder_width", WIDTH).read_by(&[readers::OF_LATENTS]),
    key("model.latent", Takes::Whole(1, 4_096)).read_by(&[readers::OF_LATENTS]),
    key("model.likelihood", Takes::OneOf(&["categorical", "logistic-mixture"])),
    key("model.logit_layout", Takes::OneOf(&["per-pixel", "published"]))
        .read_by(&[readers::OF_LENET, readers::OF_LATENTS]),
    key("model.kl", Takes::OneOf(&["sampled", "closed-form"])).read_by(&[readers::OF_LATENTS]),
    key("model.prior_y", Takes::Prior).read_by(&[readers::OF_CLASS_PRIOR]),
    free_key("train.epochs", Takes::Whole(1, MOST_EPOCHS)),
    key("train.batch", Takes::Whole(2, 65_536)),
    key("train.learning_rate", Takes::Number(1e-12, 1e6)),
    key("train.warmup", Takes::Whole(0, MOST_EPOCHS)).read_by(&[readers::OF_LATENTS]),
    key("train.alpha_d", ALPHA).read_by(&[readers::OF_DOMAIN_CLASSIFIER]),
    key("train.alpha_y", ALPHA).read_by(&[readers::OF_LATENTS]),
    younger_key("train.reversal", Takes::Number(0.0, 1e3), "1.0").read_by(&[readers::OF_DANN]),
    younger_key("train.second_batch", Takes::Switch, "false").read_by(&[readers::OF_DANN]),
    key("train.patience", Takes::Whole(1, MOST_EPOCHS)),
    free_key("train.checkpoint_seconds", Takes::Number(0.0, 1e9)),
];

/// Sets both widths; accepted where configurations are read, never written.
pub(super) const WIDTH_OF_BOTH: Key = key("model.width", WIDTH);

/// What that stands for.
pub(super) const WIDTHS: [&str; 2] = ["model.encoder_width", "model.decoder_width"];

/// The tables that hold the keys.
pub(super) const SECTIONS: [&str; 4] = ["data", "data.unlabelled", "model", "train"];

impl Key {
    /// `value` in the one spelling that this key has for it.
    ///
    /// # Errors
    /// Names key, value and what the key takes.
    pub(super) fn admit(&self, value: &Value) -> Result<Value> {
        self.takes.admit(value).ok_or_else(|| self.refuse(&shown(value)))
    }

    /// The error that refuses `value`, given as TOML writes it.
    pub(super) fn refuse(&self, value: &str) -> Error {
        Error::request(format!(
            "{} = {value} is not usable; it takes {}",
            self.name,
            self.takes.description()
        ))
    }
}

impl Takes {
    fn admit(&self, value: &Value) -> Option<Value> {
        let value = match self {
            Takes::Domain | Takes::Domains(_) | Takes::Names | Takes::Columns => composed(value),
            _ => value.clone(),
        };
        let admitted = match (self, &value) {
            (Takes::Whole(least, most), Value::Integer(whole)) => (least..=most).contains(&whole),
            (Takes::Number(least, most), _) => {
                let number = number(&value)?;
                return (*least..=*most).contains(&number).then_some(Value::Float(number));
            }
            (Takes::OneOf(names), Value::String(name)) => names.contains(&name.as_str()),
            (Takes::Text, Value::String(_)) => true,
            (Takes::Domain, _) => is_domain(&value),
            (Takes::Domains(least), Value::Array(list)) => {
                (list.is_empty() || list.len() >= *least) && list.iter().all(is_domain)
            }
            (Takes::Names, Value::Array(list)) => {
                let is_new = |(i, name): (usize, &Value)| {
                    name.as_str().is_some_and(|name| !name.is_empty()) && !list[..i].contains(name)
                };
                list.iter().enumerate().all(is_new)
            }
            (Takes::Columns, Value::Array(list)) => {
                let column = |value: &Value| {
                    let (column, name) = value.as_str()?.split_once('=')?;
                    let place = COLUMNS.iter().position(|&known| known == column)?;
                    (!name.is_empty()).then_some(place)
                };
                let places: Option<Vec<usize>> = list.iter().map(column).collect();
                let is_new = |places: &[usize], i: usize| !places[..i].contains(&places[i]);
                places.is_some_and(|places| (0..places.len()).all(|i| is_new(&places, i)))
            }
            (Takes::Switch, Value::Boolean(_)) => true,
            (Takes::Prior, Value::String(name)) => {
                ["training", "smoothed", "uniform"].contains(&name.as_str())
            }
            (Takes::Prior, Value::Array(list)) => {
                let probabilities = list.iter().map(number).collect::<Option<Vec<f64>>>()?;
                return is_distribution(&probabilities)
                    .then(|| Value::Array(probabilities.into_iter().map(Value::Float).collect()));
            }
            _ => false,
        };
        admitted.then_some(value)
    }

    fn description(&self) -> String {
        match self {
            Takes::Whole(least, most) => format!("a whole number from {least} to {most}"),
            Takes::Number(least, most) => format!("a number from {least:?} to {most:?}"),
            Takes::OneOf(names) => {
                either(&names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>())
            }
            Takes::Text => "text in quotes".into(),
            Takes::Domain => "an angle between -360 and 360 degrees or a name in quotes".into(),
            Takes::Domains(least) => {
                let count = if *least == 0 { String::new() } else { format!("no or at least {least} ") };
                format!(
                    "a list of {count}domains, each an angle between -360 and 360 degrees or a name in quotes"
                )
            }
            Takes::Names => "a list of different names in quotes".into(),
            Takes::Columns => {
                format!(
                    "a list of texts COLUMN=NAME, for {} each at most once",
                    either(&COLUMNS.map(str::to_owned))
                )
            }
            Takes::Switch => "true or false".into(),
            Takes::Prior => format!(
                "\"training\", \"smoothed\", \"uniform\" or a list of probabilities, each at least {LEAST_PROBABILITY:?}, \
                 that add up to 1"
            ),
        }
    }
}

/// A TOML integer or float as a number, and -0.0 as 0.0: equal numbers have one spelling.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(whole) => Some(*whole as f64),
        Value::Float(real) => Some(real + 0.0),
        _ => None,
    }
}

/// A name, or a list of names, in one spelling.
fn composed(value: &Value) -> Value {
    match value {
        Value::String(name) => Value::String(names::composed(name)),
        Value::Array(list) => Value::Array(list.iter().map(composed).collect()),
        other => other.clone(),
    }
}

fn is_domain(value: &Value) -> bool {
    match value {
        Value::String(name) => !name.is_empty(),
        _ => number(value).is_some_and(|angle| angle.abs() < 360.0),
    }
}

fn is_distribution(probabilities: &[f64]) -> bool {
    probabilities.iter().all(|&probability| probability >= LEAST_PROBABILITY)
        && (probabilities.iter().sum::<f64>() - 1.0).abs() <= 1e-6
}

/// The row of a dotted name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().chain(std::iter::once(&WIDTH_OF_BOTH)).find(|key| key.name == name)
}

/// The known key or section that `unknown` was most likely meant to be.
///
/// The distance is between the full names; or, one step further away, between what stands behind the last
/// dot, so that a key in the wrong section finds its own. The first row wins a tie.
pub(super) fn nearest(unknown: &str) -> &'static str {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let distance = |known: &str| edits(unknown, known).min(1 + edits(&last(unknown), &last(known)));
    KEYS.iter()
        .map(|key| key.name)
        .chain([WIDTH_OF_BOTH.name])
        .chain(SECTIONS)
        .min_by_key(|known| distance(known))
        .expect("the table of keys is not empty")
}

/// The least number of insertions, deletions, replacements and swaps of neighbours that turn `from` into
/// `to`, no place edited twice (optimal string alignment).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (row, letter) in from.chars().enumerate() {
        let mut this = vec![row + 1];
        for column in 0..to.len() {
            let replaced = last[column] + usize::from(letter != to[column]);
            let mut best = replaced.min(last[column + 1] + 1).min(this[column] + 1);
            if column > 0 && previous == Some(to[column]) && letter == to[column - 1] {
                best = best.min(before_last[column - 1] + 1);
            }
            this.push(best);
        }
        before_last = std::mem::replace(&mut last, this);
        previous = Some(letter);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_agree_with_worked_examples() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("epcohs", "epochs", 1),
            ("ca", "abc", 3), // optimal string alignment; 2 if a place could be edited twice
            ("größe", "grösse", 2),
        ] {
            assert_eq!(edits(from, to), expected, "{from} -> {to}");
        }
    }

    #[test]
    fn the_nearest_key_is_suggested() {
        for (unknown, expected) in [
            ("train.epoch", "train.epochs"),
            ("train.epcohs", "train.epochs"),
            ("trian.epochs", "train.epochs"),
            ("epochs", "train.epochs"),
            ("model.epochs", "train.epochs"),
            ("train.width", "model.width"),
            ("modle", "model"),
            ("data.unlabeled.subset", "data.unlabelled.subsets"),
            ("data.unlabeled", "data.unlabelled"),
            ("model.prior", "model.prior_y"),
            ("seeds", "seed"),
        ] {
            assert_eq!(nearest(unknown), expected, "{unknown}");
        }
    }
}
