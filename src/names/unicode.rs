//! What takes Unicode's tables: one spelling of a name, and how wide it is.

use super::printable;
use unicode_normalization::UnicodeNormalization;
use unicode_width::UnicodeWidthStr;

/// A name in the spelling in which letters and their accents are one character where there is one (Unicode NFC).
pub fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// What two names have in common that are easily taken for one: they differ at most in case, spaces and forms of the same letter
/// (Unicode NFKC).
pub fn likeness(name: &str) -> String {
    let plain = name.nfkc().collect::<String>().to_lowercase();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How many columns of a terminal a text takes once it is [`printable`].
pub fn terminal_width(text: &str) -> usize {
    printable(text).width()
}

/// A text at the left of so many columns; a longer one takes more.
pub fn at_left(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(terminal_width(text))))
}

/// A text at the right of so many columns; a longer one takes more.
pub fn at_right(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(terminal_width(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_has_one_spelling() {
        for (name, expected) in [
            ("cafe\u{301}", "caf\u{e9}"),
            ("caf\u{e9}", "caf\u{e9}"),
            ("A\u{30a}", "\u{c5}"),
            ("\u{212b}", "\u{c5}"), // the sign of Angstrom
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("plain name_1", "plain name_1"),
            ("\u{fb01}sh", "\u{fb01}sh"), // a ligature is another name, though it looks alike
        ] {
            assert_eq!(composed(name), expected);
            assert_eq!(composed(&composed(name)), expected);
        }
        let alike = ["Healthy", "healthy", " HEALTHY", "healthy ", "ｈｅａｌｔｈｙ"];
        assert!(alike.iter().all(|name| likeness(name) == "healthy"));
        assert_eq!(likeness("\u{fb01}sh  a\u{a0}b"), "fish a b");
        assert_ne!(likeness("healthy"), likeness("health y"));
    }

    #[test]
    fn columns_are_those_of_a_terminal() {
        for (text, columns) in
            [("", 0), ("abc", 3), ("é", 1), ("e\u{301}", 1), ("寄生虫", 6), ("a\u{ff21}", 3), ("\u{1b}", 6)]
        {
            assert_eq!(terminal_width(text), columns, "{text}");
            let (left, right) = (at_left(text, 8), at_right(text, 8));
            assert_eq!((terminal_width(&left), terminal_width(&right)), (8, 8));
            assert!(left.starts_with(text) && right.ends_with(text));
        }
        assert_eq!((at_left("long", 2), at_right("long", 2)), ("long".to_owned(), "long".to_owned()));
    }
}
