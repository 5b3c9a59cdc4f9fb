//! A SWEEP.toml as it is written: a configuration, and what is varied around it.
//!
//! Everything but `out`, `[[arms]]` and `[grid]` is a configuration in its own words, so that the file of a single run
//! becomes a sweep by adding a grid. Nothing is known of the keys here: whether they exist, and which values they take,
//! shows when each job is resolved.

use crate::error::{Error, Result};
use crate::names::is_plain;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

/// The parts of a SWEEP.toml.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SweepFile {
    /// The configuration that all jobs start from, as the text of a configuration file.
    pub(super) base: String,
    /// The sweep's folder, if the file names one.
    pub(super) out: Option<PathBuf>,
    /// Several keys at once under a name. Empty: the file has none.
    pub(super) arms: Vec<Arm>,
    /// Keys with the values that each is to take, in the order of the file.
    pub(super) grid: Vec<Axis>,
}

/// `[[arms]]`: keys that change together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Arm {
    pub(super) name: String,
    /// Dotted keys and their values.
    pub(super) settings: Vec<(String, Value)>,
}

/// A line of `[grid]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// The dotted key.
    pub(super) key: String,
    /// At least one, all different.
    pub(super) values: Vec<Value>,
}

impl SweepFile {
    /// Reads the text of a SWEEP.toml.
    ///
    /// # Errors
    /// If it is not TOML, nothing is varied in it, or something is varied in a way that it cannot be.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let ordered = DeTable::parse(text).map_err(|error| not_toml(text, &error))?;
        let mut base: Table = text.parse().map_err(|error| not_toml(text, &error))?;
        let out = match base.remove("out") {
            None => None,
            Some(Value::String(out)) if !out.is_empty() => Some(PathBuf::from(out)),
            Some(other) => {
                return Err(Error::request(format!(
                    "out = {other} is not usable; it takes a folder in quotes"
                )));
            }
        };
        let arms = match base.remove("arms") {
            None => Vec::new(),
            Some(Value::Array(arms)) => arms.into_iter().map(arm).collect::<Result<_>>()?,
            Some(_) => return Err(Error::request("arms is not usable; each arm is a table [[arms]]")),
        };
        let grid = match base.remove("grid") {
            None => Vec::new(),
            Some(Value::Table(grid)) => {
                axes(grid, &places(ordered.get_ref().get("grid").map(|grid| grid.get_ref())))?
            }
            Some(other) => {
                return Err(Error::request(format!(
                    "grid = {other} is not usable; it takes keys with lists"
                )));
            }
        };
        if arms.is_empty() && grid.is_empty() {
            let hint = "a sweep needs lists of values, such as seed = [0, 1] in [grid]";
            return Err(Error::request(format!("nothing is varied; {hint}")));
        }
        let file = SweepFile { base: base.to_string(), out, arms, grid };
        file.refuse_what_is_said_twice(&base)?;
        Ok(file)
    }

    /// A value that another one always replaces was meant for something.
    fn refuse_what_is_said_twice(&self, base: &Table) -> Result<()> {
        let mut names = BTreeSet::new();
        if let Some(arm) = self.arms.iter().find(|arm| !names.insert(&arm.name)) {
            return Err(Error::request(format!("two arms have the name {:?}", arm.name)));
        }
        let of_arms = self.arms.iter().flat_map(|arm| arm.settings.iter().map(|(key, _)| key));
        if self.grid.iter().map(|axis| &axis.key).chain(of_arms).any(|key| key == "preset") {
            return Err(Error::request(
                "preset is not usable in [grid] or [[arms]]; it is the same for all jobs",
            ));
        }
        let base: BTreeSet<String> = leaves(base.clone()).into_iter().map(|(key, _)| key).collect();
        let mut in_arms = BTreeMap::new();
        for arm in &self.arms {
            for (key, _) in &arm.settings {
                in_arms.entry(key).or_insert(&arm.name);
            }
        }
        for Axis { key, .. } in &self.grid {
            if base.contains(key) {
                return Err(Error::request(format!("{key} stands both in [grid] and outside of it")));
            }
            if let Some(arm) = in_arms.get(key) {
                return Err(Error::request(format!("{key} stands both in [grid] and in the arm {arm:?}")));
            }
        }
        Ok(())
    }
}

fn not_toml(text: &str, error: &toml::de::Error) -> Error {
    let before = &text[..error.span().map_or(text.len(), |span| span.start)];
    let line = before.matches('\n').count() + 1;
    let what = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    Error::request(format!("line {line} is not TOML: {what}"))
}

fn arm(value: Value) -> Result<Arm> {
    let Value::Table(mut settings) = value else {
        return Err(Error::request("arms is not usable; each arm is a table [[arms]]"));
    };
    let name = match settings.remove("name") {
        Some(Value::String(name)) if !name.trim().is_empty() && name.chars().all(is_plain) => name,
        Some(other) => {
            return Err(Error::request(format!(
                "the name {other} of an arm is not usable; it takes a line of text without unseen characters"
            )));
        }
        None => return Err(Error::request("an arm has no name; it takes name = \"...\" beside its keys")),
    };
    Ok(Arm { name, settings: leaves(settings) })
}

/// The dotted keys of a table with their values. A table that is empty is a value: a key of this name may not exist.
fn leaves(table: Table) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if !inner.is_empty() => {
                found.extend(leaves(inner).into_iter().map(|(rest, value)| (format!("{key}.{rest}"), value)));
            }
            value => found.push((key, value)),
        }
    }
    found
}

fn axes(grid: Table, places: &BTreeMap<String, usize>) -> Result<Vec<Axis>> {
    let mut keys = leaves(grid);
    if keys.is_empty() {
        return Err(Error::request("[grid] is empty; it takes keys with lists, such as seed = [0, 1]"));
    }
    keys.sort_by_key(|(key, _)| places.get(key));
    let axis = |(key, value): (String, Value)| match value {
        Value::Array(values) if !values.is_empty() => {
            let mut known = BTreeSet::new();
            if let Some(value) = values.iter().find(|value| !known.insert(value.to_string())) {
                return Err(Error::request(format!("[grid] names {key} = {value} twice")));
            }
            Ok(Axis { key, values })
        }
        other => {
            let takes = "it takes a list of at least one value";
            Err(Error::request(format!("[grid] {key} = {other} is not usable; {takes}")))
        }
    };
    keys.into_iter().map(axis).collect()
}

/// Where each dotted key stands in the text: a `Table` is sorted by name, and jobs are to come in the file's order.
fn places(value: Option<&DeValue<'_>>) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    if let Some(DeValue::Table(table)) = value {
        for (key, value) in table {
            found.insert(key.get_ref().to_string(), key.span().start);
            for (rest, place) in places(Some(value.get_ref())) {
                found.insert(format!("{}.{rest}", key.get_ref()), place);
            }
        }
    }
    found
}
