//! Figures as they are written; lines of text and their measures in pixels.
//!
//! Layout asks a [`Paragraph`] how large it is and makes room for it; the paragraph in turn is broken at spaces to
//! fit the room, but never within a word: a word that is too long makes the room larger.

use super::font::{Size, drawable};

/// Pixels of a letter of middling width.
pub(super) const LETTER: usize = 10;

/// Pixels from the top of a line of text to the middle of its capitals and digits.
pub(super) const MIDDLE: usize = 12;

/// Pixels of blank around a picture.
pub(super) const MARGIN: usize = 16;

/// Pixels between the parts of a picture.
pub(super) const GAP: usize = 10;

/// The room of a part and of the gap after it; a part that is not there takes none.
pub(super) fn with_gap(room: usize, gap: usize) -> usize {
    if room > 0 { room + gap } else { 0 }
}

/// Pixels of a line of letters.
pub(super) fn width(line: &str, size: Size) -> usize {
    line.chars().map(|character| size.letter(character).advance).sum()
}

/// Pixels of the longest word of a text.
pub(super) fn longest_word(text: &str, size: Size) -> usize {
    drawable(text).split_whitespace().map(|word| width(word, size)).max().unwrap_or(0)
}

/// The name of a domain as people write it: an angle gets the sign of degrees.
pub(super) fn degrees(domain: &str) -> String {
    if domain.parse::<f64>().is_ok_and(f64::is_finite) { format!("{domain}°") } else { domain.to_owned() }
}

/// A share as it is written.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// What stands in a table where there is no figure.
pub(super) const MISSING: &str = "–";

/// The figure as `show` writes it, if there is one.
pub(super) fn or_dash(figure: Option<f64>, show: impl Fn(f64) -> String) -> String {
    figure.map_or(MISSING.into(), show)
}

/// Takes away the columns in which no row but the head has anything.
pub(super) fn without_empty_columns(rows: &mut [Vec<Option<String>>]) {
    for column in (1..rows[0].len()).rev() {
        if rows[1..].iter().all(|row| row[column].is_none()) {
            rows.iter_mut().for_each(|row| drop(row.remove(column)));
        }
    }
}

/// The cells of a row of a table.
pub(super) fn cells(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// A text broken into lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Paragraph {
    /// The lines, none empty, words separated by one space, of characters that there are letters for.
    pub(super) lines: Vec<String>,
    /// How large its letters are.
    pub(super) size: Size,
}

impl Paragraph {
    /// The text in lines of at most `room` pixels, or as wide as its longest word if that is more.
    pub(super) fn new(text: &str, room: usize) -> Self {
        Paragraph::of_size(Size::Text, text, room)
    }

    /// The same in large letters.
    pub(super) fn title(text: &str, room: usize) -> Self {
        Paragraph::of_size(Size::Title, text, room)
    }

    fn of_size(size: Size, text: &str, room: usize) -> Self {
        let room = room.max(longest_word(text, size));
        let mut lines: Vec<String> = Vec::new();
        for word in drawable(text).split_whitespace() {
            match lines.last_mut() {
                Some(line) if width(line, size) + size.letter(' ').advance + width(word, size) <= room => {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_string()),
            }
        }
        Paragraph { lines, size }
    }

    /// Pixels of the longest line; 0 without text.
    pub(super) fn width(&self) -> usize {
        self.lines.iter().map(|line| width(line, self.size)).max().unwrap_or(0)
    }

    /// Pixels from the top of the first line to the descenders of the last; 0 without text.
    pub(super) fn height(&self) -> usize {
        self.lines.len() * self.size.height()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_break_at_spaces_only() {
        let text = " mean  over\n10 seeds ";
        let lines = |room| Paragraph::new(text, room).lines;
        let of = |line| width(line, Size::Text);
        assert_eq!(lines(1000), ["mean over 10 seeds"]);
        assert_eq!(lines(of("mean over 10 seeds")), ["mean over 10 seeds"]);
        assert_eq!(lines(of("mean over 10 seeds") - 1), ["mean over 10", "seeds"]);
        assert_eq!(lines(0), ["mean", "over", "10", "seeds"]);
        assert_eq!(Paragraph::new("", 100).lines, Vec::<String>::new());
    }

    #[test]
    fn measures_are_those_of_the_letters() {
        // The digits of DejaVu Sans are 0.636 em wide, an em being 17 and 22 pixels.
        assert_eq!([width("75", Size::Text), width("75", Size::Title)], [2 * 11, 2 * 14]);
        let paragraph = Paragraph::new("75° or 60°", 0);
        assert_eq!([paragraph.width(), paragraph.height()], [width("75°", Size::Text), 3 * 22]);
        assert_eq!(Paragraph::title("75° or 60°", 0).height(), 3 * 29);
        assert_eq!([Paragraph::new(" ", 9).width(), Paragraph::new(" ", 9).height()], [0, 0]);
        assert_eq!(Paragraph::new("中", 0).lines, ["‹4E2D›"]);
    }

    #[test]
    fn angles_are_in_degrees_and_names_are_not() {
        let spelled = ["0", "-7.5", "75", "C59P20", "inf", "nan", ""].map(degrees);
        assert_eq!(spelled, ["0°", "-7.5°", "75°", "C59P20", "inf", "nan", ""]);
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_no_line_too_long(text in ".{0,60}", room in 0_usize..400) {
            let paragraph = Paragraph::new(&text, room);
            let drawable = drawable(&text);
            let words: Vec<&str> = drawable.split_whitespace().collect();
            prop_assert_eq!(paragraph.lines.join(" "), words.join(" "));
            prop_assert!(paragraph.width() <= room.max(longest_word(&text, Size::Text)));
        }
    }
}
