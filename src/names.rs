//! Names as text: one spelling each, no two written alike, and as wide as they are shown.
//!
//! Unicode has two spellings of many letters: `é` is one character, or an `e` and an accent. They look the same, file systems
//! keep them apart, and which of them a folder has depends on the machine that it was made on. Names of classes and domains
//! are therefore kept composed. Names of files are left as they are, since they are only opened; but a system may have
//! names that are no text at all, and what is written of these must still say which file it was.

use std::ffi::OsStr;

#[cfg(feature = "application")]
mod unicode;

#[cfg(feature = "application")]
pub use unicode::{at_left, at_right, composed, likeness, terminal_width};

/// A path or a file's name as text. Bytes that are no UTF-8 are written `\xNN`, and so is a backslash that would otherwise
/// begin such a figure: different names have different texts.
pub fn shown(name: impl AsRef<OsStr>) -> String {
    escaped(name.as_ref().as_encoded_bytes())
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid();
        for (at, character) in valid.char_indices() {
            match character {
                '\\' if is_figure(&valid[at..]) => text += "\\x5c",
                _ => text.push(character),
            }
        }
        chunk.invalid().iter().for_each(|byte| text += &format!("\\x{byte:02x}"));
    }
    text
}

/// Whether a text begins with `\xNN`.
fn is_figure(text: &str) -> bool {
    matches!(text.as_bytes(), [b'\\', b'x', one, two, ..] if one.is_ascii_hexdigit() && two.is_ascii_hexdigit())
}

/// Whether a character only stands where it is put, and is seen there. The others move the cursor, clear a screen, end a line, turn
/// the direction of all that follows or are not seen at all: control characters (C0, DEL, C1), line and paragraph separators,
/// Unicode's format characters (general category Cf), spaces that look like another (Z) and those that are ignored where they
/// are not known (Default_Ignorable_Code_Point).
pub fn is_plain(character: char) -> bool {
    let is_unseen = matches!(
        character,
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' // spaces
            | '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    );
    !(is_unseen || character.is_control() || matches!(character, '\u{2028}' | '\u{2029}'))
}

/// A text as one line that a terminal only shows: what is not [plain](is_plain) is written `\n`, `\u{1b}`, `\u{202e}`. Doing it twice
/// changes nothing.
pub fn printable(text: &str) -> String {
    escaped_where_needed(text, |character| match character.is_control() {
        true => character.escape_debug().to_string(),
        false => character.escape_unicode().to_string(),
    })
}

/// A name as [`printable`] text that is no other name's: a backslash that would otherwise begin what stands for an escaped character
/// is written `\u{5c}`.
pub fn printable_name(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for (at, character) in name.char_indices() {
        let is_escape = |rest: &str| rest.starts_with(['n', 'r', 't', '0']) || rest.starts_with("u{");
        match character == '\\' && is_escape(&name[at + 1..]) {
            true => text += "\\u{5c}",
            false => text.push(character),
        }
    }
    printable(&text)
}

/// The same of JSON in its own words, so that it means what it meant.
pub fn printable_json(text: &str) -> String {
    escaped_where_needed(text, |character| {
        character.encode_utf16(&mut [0; 2]).iter().map(|half| format!("\\u{half:04X}")).collect()
    })
}

/// The same of TOML whose texts stand in double quotation marks. The breaks between lines stay.
pub fn printable_toml(text: &str) -> String {
    escaped_where_needed(text, |character| match character {
        '\n' => "\n".to_owned(),
        '\u{10000}'.. => format!("\\U{:08X}", u32::from(character)),
        _ => format!("\\u{:04X}", u32::from(character)),
    })
}

fn escaped_where_needed(text: &str, escape: impl Fn(char) -> String) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if is_plain(character) { printable.push(character) } else { printable += &escape(character) }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_are_no_text_are_told_apart() {
        for (bytes, expected) in [
            (&b"a/b 1.png"[..], "a/b 1.png"),
            ("größe/é.png".as_bytes(), "größe/é.png"),
            (b"\xff.png", "\\xff.png"),
            (b"\xfe.png", "\\xfe.png"),
            ("\u{fffd}.png".as_bytes(), "\u{fffd}.png"),
            (b"\\xff.png", "\\x5cxff.png"),
            (b"\\\xff", "\\\\xff"),
            (b"C:\\x\\file.png", "C:\\x\\file.png"),
            (b"caf\xe9", "caf\\xe9"),             // Latin 1
            (b"\xf0\x9f\x98", "\\xf0\\x9f\\x98"), // half of a face
        ] {
            assert_eq!(escaped(bytes), expected);
        }
        assert_eq!(shown(std::path::Path::new("runs/quick-seed0")), "runs/quick-seed0");
    }

    /// The bytes that a text stands for.
    fn unescaped(text: &str) -> Vec<u8> {
        let (mut bytes, mut rest) = (Vec::new(), text);
        while let Some(first) = rest.chars().next() {
            let length = if is_figure(rest) { 4 } else { first.len_utf8() };
            match length {
                4 if first == '\\' => bytes.push(u8::from_str_radix(&rest[2..4], 16).unwrap()),
                _ => bytes.extend(rest[..length].bytes()),
            }
            rest = &rest[length..];
        }
        bytes
    }

    proptest! {
        #[test]
        fn every_name_can_be_read_back(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"\\x5cfF\xc3\xa9"[..])], 0..40)
        ) {
            prop_assert_eq!(unescaped(&escaped(&bytes)), bytes);
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_all_else_is_left() {
        for (text, shown) in [
            ("größe = \"1\" \\ 寄生虫 עברית 🦠", "größe = \"1\" \\ 寄生虫 עברית 🦠"),
            ("a\nb\r\n\tc\0", "a\\nb\\r\\n\\tc\\0"),
            ("\u{1b}[2J\u{7f}\u{9b}31m\u{85}", "\\u{1b}[2J\\u{7f}\\u{9b}31m\\u{85}"),
            ("\u{202e}gnp.exe\u{2066}\u{61c}\u{200f}", "\\u{202e}gnp.exe\\u{2066}\\u{61c}\\u{200f}"),
            ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
        ] {
            assert_eq!(printable(text), shown);
            assert_eq!(printable(&printable(text)), shown);
        }
    }

    #[cfg(feature = "application")]
    #[test]
    fn escaped_json_and_toml_mean_what_they_meant() {
        let name = "a\u{7f}\u{9b}\u{202e}\u{2028}\u{e0041}b";
        let json = serde_json::to_string(name).unwrap();
        let printed = printable_json(&json);
        assert_eq!(printed, "\"a\\u007F\\u009B\\u202E\\u2028\\uDB40\\uDC41b\"");
        assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), name);
        let table: toml::Table = printable_toml("a = \"\u{202e}\u{e0041}\"\nb = 1\n").parse().unwrap();
        assert_eq!(table["a"].as_str(), Some("\u{202e}\u{e0041}"));
    }

    /// The tables of another crate, which has them from Unicode's own.
    #[test]
    fn what_is_not_seen_is_what_unicode_says() {
        let class = r"[[\p{Cf}\p{Cc}\p{Z}\p{Default_Ignorable_Code_Point}]--[ ]]";
        let hir = regex_syntax::parse(class).unwrap();
        let regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) = hir.kind() else {
            panic!("{hir:?}")
        };
        let is_in =
            |letter: char| class.ranges().iter().any(|range| (range.start()..=range.end()).contains(&letter));
        let differing: Vec<char> =
            ('\0'..=char::MAX).filter(|&letter| is_plain(letter) == is_in(letter)).collect();
        assert!(differing.is_empty(), "{differing:?}");
    }

    /// The name that a printed one stands for.
    fn read_back(text: &str) -> String {
        let (mut name, mut rest) = (String::new(), text);
        while let Some(first) = rest.chars().next() {
            let (letter, length) = match rest.as_bytes() {
                [b'\\', b'n', ..] => ('\n', 2),
                [b'\\', b'r', ..] => ('\r', 2),
                [b'\\', b't', ..] => ('\t', 2),
                [b'\\', b'0', ..] => ('\0', 2),
                [b'\\', b'u', b'{', ..] => {
                    let end = rest.find('}').unwrap();
                    (char::from_u32(u32::from_str_radix(&rest[3..end], 16).unwrap()).unwrap(), end + 1)
                }
                _ => (first, first.len_utf8()),
            };
            name.push(letter);
            rest = &rest[length..];
        }
        name
    }

    /// The fault: `a`, an end of a line and `b` were written as `a\nb`, and so was that.
    #[test]
    fn no_two_names_are_printed_alike() {
        for (name, printed) in [
            ("a\nb", "a\\nb"),
            ("a\\nb", "a\\u{5c}nb"),
            ("a\\u{5c}nb", "a\\u{5c}u{5c}nb"),
            ("C:\\x\\", "C:\\x\\"),
            ("\u{200b}\u{ad}\u{feff}", "\\u{200b}\\u{ad}\\u{feff}"),
        ] {
            assert_eq!(printable_name(name), printed);
            assert_eq!(printable(printed), printed);
        }
    }

    proptest! {
        #[test]
        fn every_printed_name_can_be_read_back(name in "[\\\\nrtux0{}5c'=\n\r\t\0\u{1b}\u{200b}\u{202e}\u{e0041}é]{0,12}|\\PC{0,12}") {
            let printed = printable_name(&name);
            prop_assert!(printed.chars().all(is_plain));
            prop_assert_eq!(read_back(&printed), name);
        }
    }
}
