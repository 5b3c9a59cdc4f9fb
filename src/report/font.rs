//! The letters: DejaVu Sans at two sizes, as grey pictures that `scripts/make_letters.py` has drawn once and for all, so that they are
//! the same bytes on every machine. Latin, Greek, and the signs that the program writes.
//!
//! A character that is none of them is written as its code ([`drawable`]): whoever sees ‹4E2D› can look it up, and tell two names apart.

use crate::names::composed;
use std::io::Cursor;
use std::sync::LazyLock;

/// Letters in a row of the picture of all.
const COLUMNS: usize = 32;

/// How large letters are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Capitals of 12 pixels.
    Text,
    /// Capitals of 16 pixels.
    Title,
}

/// Codes of all characters, rising, with the pixels from each to the next at both sizes.
static CHARACTERS: LazyLock<Vec<(char, [usize; 2])>> = LazyLock::new(|| {
    let line = |line: &str| {
        let mut fields = line.split('\t');
        let mut field = || fields.next().expect("a line of letters.tsv has three fields");
        let code = u32::from_str_radix(field(), 16).expect("the first is a code in hexadecimal");
        let mut advance = || field().parse().expect("the others are whole numbers");
        (char::from_u32(code).expect("it is the code of a character"), [advance(), advance()])
    };
    include_str!("../../assets/letters/letters.tsv").lines().map(line).collect()
});

static TEXT: LazyLock<Letters> =
    LazyLock::new(|| Letters::read(include_bytes!("../../assets/letters/text.png")));
static TITLE: LazyLock<Letters> =
    LazyLock::new(|| Letters::read(include_bytes!("../../assets/letters/title.png")));

/// The picture of all letters of a size: cells in rows, in the order of their codes.
struct Letters {
    /// Pixels of a row of the picture.
    width: usize,
    /// Pixels of a cell.
    cell: [usize; 2],
    /// How much of each pixel is ink, of 255.
    cover: Vec<u8>,
}

impl Letters {
    fn read(png: &'static [u8]) -> Self {
        let mut decoder = png::Decoder::new(Cursor::new(png));
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().expect("the letters are a PNG file");
        let mut cover = vec![0; reader.output_buffer_size().expect("it fits into memory")];
        let frame = reader.next_frame(&mut cover).expect("it is whole");
        let [width, height] = [frame.width as usize, frame.height as usize];
        let cell = [width / COLUMNS, height / CHARACTERS.len().div_ceil(COLUMNS)];
        Letters { width, cell, cover }
    }
}

/// The place of a character among all.
fn place(character: char) -> Option<usize> {
    CHARACTERS.binary_search_by_key(&character, |&(code, _)| code).ok()
}

impl Size {
    fn letters(self) -> &'static Letters {
        match self {
            Size::Text => &TEXT,
            Size::Title => &TITLE,
        }
    }

    /// Pixels from the top of a line, accents included, to its lowest descender, and to the top of the next line.
    pub(super) fn height(self) -> usize {
        self.letters().cell[1]
    }

    /// The letter of a character.
    ///
    /// # Panics
    /// If there is none: texts are made [`drawable`] first.
    #[track_caller]
    pub(super) fn letter(self, character: char) -> Letter {
        let place = place(character).unwrap_or_else(|| panic!("no letter for {character:?}"));
        let letters = self.letters();
        let corner = [place % COLUMNS * letters.cell[0], place / COLUMNS * letters.cell[1]];
        Letter { letters, corner, advance: CHARACTERS[place].1[self as usize] }
    }
}

/// One letter of a size.
#[derive(Clone, Copy)]
pub(super) struct Letter {
    letters: &'static Letters,
    /// Where its cell begins.
    corner: [usize; 2],
    /// Pixels from it to the next character. Of no other does it cover any.
    pub(super) advance: usize,
}

impl Letter {
    /// How much of a pixel is ink, of 255; `x` and `y` are below its advance and the height of a line.
    pub(super) fn cover(self, [x, y]: [usize; 2]) -> u8 {
        let Letter { letters, corner, advance } = self;
        assert!(x < advance && y < letters.cell[1], "pixel {x}, {y} of a letter of {advance} columns");
        letters.cover[(corner[1] + y) * letters.width + corner[0] + x]
    }
}

/// A text in characters that there are letters for: accents in one with what they stand on, and the code of any other in ‹›. Blanks stay.
pub(super) fn drawable(text: &str) -> String {
    let mut drawable = String::with_capacity(text.len());
    for character in composed(text).chars() {
        match character.is_whitespace() || place(character).is_some() {
            true => drawable.push(character),
            false => drawable += &format!("‹{:04X}›", u32::from(character)),
        }
    }
    drawable
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [Size; 2] = [Size::Text, Size::Title];

    /// The pixels of a character, a line a row: `#` more than half ink, `.` less.
    fn drawn(size: Size, character: char) -> Vec<String> {
        let letter = size.letter(character);
        let ink = |x, y| if letter.cover([x, y]) > 127 { '#' } else { '.' };
        (0..size.height()).map(|y| (0..letter.advance).map(|x| ink(x, y)).collect()).collect()
    }

    #[test]
    fn letters_are_what_their_codes_say() {
        let bar = drawn(Size::Text, '|');
        assert!(bar.iter().filter(|row| row.contains('#')).count() >= 15, "{bar:#?}");
        let [el, minus] = [drawn(Size::Text, 'L'), drawn(Size::Text, '-')];
        assert_eq!(el.iter().rposition(|row| row.contains("######")), Some(17), "{el:#?}");
        assert_eq!(el.iter().position(|row| row.contains('#')), Some(6));
        assert_eq!(minus.iter().filter(|row| row.contains("####")).count(), 2, "{minus:#?}");
        // An a with a tilde is an a below a tilde; the last letters are in their places too.
        assert_eq!(drawn(Size::Text, 'ã')[9..], drawn(Size::Text, 'a')[9..]);
        assert!(drawn(Size::Text, 'ã')[..9].concat().contains('#'));
        assert_eq!(drawn(Size::Title, 'Α'), drawn(Size::Title, 'A'), "capital alpha and A");
        assert_ne!(drawn(Size::Title, '♂'), drawn(Size::Title, '♀'));
    }

    /// No letter but the blanks is empty, and none is cut off: beyond its advance its cell has no ink.
    #[test]
    fn every_letter_lies_within_its_advance() {
        for (number, size) in SIZES.into_iter().enumerate() {
            for (place, &(character, advances)) in CHARACTERS.iter().enumerate() {
                let advance = advances[number];
                let letters = size.letters();
                let corner = [place % COLUMNS * letters.cell[0], place / COLUMNS * letters.cell[1]];
                let row = |y: usize| {
                    &letters.cover[(corner[1] + y) * letters.width + corner[0]..][..letters.cell[0]]
                };
                let rows: Vec<&[u8]> = (0..letters.cell[1]).map(row).collect();
                assert!(rows.iter().all(|row| row[advance..].iter().all(|&cover| cover == 0)), "{character}");
                let has_ink = rows.iter().any(|row| row.iter().any(|&cover| cover > 0));
                assert_eq!(has_ink, character != ' ', "{character:?}");
            }
        }
    }

    #[test]
    fn names_in_other_scripts_are_written_in_codes() {
        assert_eq!(drawable("São Tomé 75° α ≤ β"), "São Tomé 75° α ≤ β");
        assert_eq!(drawable("Sa\u{303}o"), "São");
        assert_eq!(drawable("中 a\u{200b}b 🙂"), "‹4E2D› a‹200B›b ‹1F642›");
        for character in drawable("‹›\u{0}\n日本\t").chars().filter(|c| !c.is_whitespace()) {
            assert!(Size::Text.letter(character).advance > 0);
        }
    }
}
