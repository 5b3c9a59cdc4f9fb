//! Values of a configuration: found by their key, and as text.

use toml::{Table, Value};

/// The value of the key of this dotted name in a complete configuration.
pub(super) fn look_up<'table>(table: &'table Table, key: &str) -> &'table Value {
    let (sections, name) = key.rsplit_once('.').unwrap_or(("", key));
    let inner = sections
        .split('.')
        .filter(|section| !section.is_empty())
        .try_fold(table, |table, section| table.get(section).and_then(Value::as_table));
    inner.and_then(|table| table.get(name)).unwrap_or_else(|| panic!("no field of Config is {key}"))
}

/// A value as TOML on one line, the same on every machine. The `toml` crate's own choice between kinds of
/// quotation includes several lines, which neither a message nor an identity can use.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Float(number) if number.is_finite() => format!("{number:?}"),
        Value::Array(list) => format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", ")),
        // In messages alone: no key takes a table.
        Value::Table(table) => {
            let pair = |(key, value): (&String, &Value)| format!("{} = {}", key.escape_debug(), shown(value));
            format!("{{{}}}", table.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        _ => value.to_string(),
    }
}

/// A TOML basic string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted += "\\n",
            '\t' => quoted += "\\t",
            _ if letter.is_control() => quoted += &format!("\\u{:04X}", u32::from(letter)),
            _ => quoted.push(letter),
        }
    }
    quoted + "\""
}

/// `a, b or c`.
pub(super) fn either(names: &[String]) -> String {
    match names {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}
