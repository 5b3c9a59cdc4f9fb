//! From text to a layer: checked values under dotted names. A preset, a file and the `--set` flags are a
//! layer each, and a configuration is what is left when they are laid on top of each other.

use super::keys::{self, KEYS, SECTIONS, WIDTH_OF_BOTH, WIDTHS};
use super::values::shown;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Checked values under the names of their keys; `model.width` may stand for two.
pub(super) type Layer = BTreeMap<&'static str, Value>;

/// The longest text that is parsed. As values a text takes up to a few hundred times its length.
const LONGEST_TEXT: usize = 1 << 16;

/// The layer of a TOML text; `name` is the file's, for the message.
///
/// # Errors
/// If the text is longer than [`LONGEST_TEXT`] or not TOML, a key is not known, or a value is not one its key takes.
pub(super) fn of_text(name: &str, text: &str) -> Result<Layer> {
    if text.len() > LONGEST_TEXT {
        return Err(Error::request(format!(
            "cannot read {name} as a configuration: it has {} bytes, at most {LONGEST_TEXT} are read",
            text.len()
        )));
    }
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let (line, column) = position(text, error.span().map_or(text.len(), |span| span.start));
        Error::request(format!(
            "cannot read {name} as TOML: line {line}, column {column}: {}",
            one_line(error.message())
        ))
    })?;
    let mut layer = Layer::new();
    for (key, value) in table {
        flatten(&key, value, &mut layer).map_err(|cause| Error::request(format!("{name}: {cause}")))?;
    }
    Ok(layer)
}

/// The layer of `--set KEY=VALUE` flags. Of two with the same key the later one counts.
///
/// # Errors
/// As for a file; also if a flag has no `=`, or asks for a preset, which has a flag of its own.
pub(super) fn of_overrides(overrides: &[String]) -> Result<Layer> {
    let mut layer = Layer::new();
    for text in overrides {
        let (key, value) = match text.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            Some((key, value)) if !key.is_empty() => (key, value),
            _ => return Err(Error::request(format!("--set {text:?} is not usable; it takes KEY=VALUE"))),
        };
        if key == "preset" {
            let message =
                format!("--set preset={value:?} is not usable; a preset is chosen with --preset NAME");
            return Err(Error::request(message));
        }
        flatten(key, value_of_override(key, value)?, &mut layer)?;
    }
    Ok(layer)
}

/// A TOML value, or the text itself where it is none, so that a shell needs no second pair of quotes. What
/// begins like a list, table or quotation was meant to be one.
fn value_of_override(key: &str, text: &str) -> Result<Value> {
    match text.parse() {
        Ok(value) => Ok(value),
        Err(_) if !text.starts_with(['[', '{', '"', '\'']) => Ok(Value::String(text.into())),
        Err(error) => {
            let found = one_line(error.message());
            Err(Error::request(format!("--set {key}={text:?} is not a TOML value: {found}")))
        }
    }
}

/// Adds what stands under `name` to the layer, tables key by key.
fn flatten(name: &str, value: Value, layer: &mut Layer) -> Result<()> {
    if let Some(key) = keys::find(name) {
        layer.insert(key.name, key.admit(&value)?);
        return Ok(());
    }
    let is_section = SECTIONS.contains(&name);
    match value {
        Value::Table(table) if is_section || !table.is_empty() => {
            table.into_iter().try_for_each(|(key, value)| flatten(&format!("{name}.{key}"), value, layer))
        }
        _ if is_section => {
            let first = KEYS.iter().find(|key| key.name.starts_with(&format!("{name}.")));
            let example = first.map_or("", |key| key.name);
            Err(Error::request(format!(
                "{name} = {} is not usable; it takes a table of keys such as {example}",
                shown(&value)
            )))
        }
        _ => {
            let known = keys::nearest(name);
            Err(Error::request(format!("unknown key {}; did you mean {known}?", name.escape_debug())))
        }
    }
}

/// The layer with the two keys that `model.width` stands for in its place.
///
/// # Errors
/// If one of them is there too, with another value.
pub(super) fn with_both_widths(mut layer: Layer) -> Result<Layer> {
    let Some(width) = layer.remove(WIDTH_OF_BOTH.name) else { return Ok(layer) };
    for name in WIDTHS {
        if let Some(other) = layer.insert(name, width.clone())
            && other != width
        {
            return Err(Error::request(format!(
                "{} = {} contradicts {name} = {}; give both widths, or one for both",
                WIDTH_OF_BOTH.name,
                shown(&width),
                shown(&other)
            )));
        }
    }
    Ok(layer)
}

/// Line and column of a byte, both from 1; columns count characters.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

fn one_line(message: &str) -> String {
    message.split('\n').map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}
