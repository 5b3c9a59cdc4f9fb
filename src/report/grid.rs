//! Rows and columns of equally sized images, with a title, labels and a note: how people look at what a generative
//! model makes of its input.
//!
//! Every image has the same size, so that the eye can compare along rows and columns. A column is made wider, all rows
//! higher and the whole picture larger where a label needs it; the images stay whole multiples of their size.

use super::canvas::{Align, Canvas};
use super::font::Size;
use super::palette::{FAINT, GREY, INK};
use super::picture::Picture;
use super::text::{self, GAP, LETTER, MARGIN, Paragraph, with_gap};

/// Pixels of the lines between cells and around them all.
const SEPARATOR: usize = 2;

/// Labels of rows are broken into lines of so many pixels.
const ROW: usize = 170;

/// A table of images under construction.
///
/// ```
/// use diva::report::{Grid, Picture};
/// let dark = Picture::new(2, 2, 1, vec![0; 4]);
/// let png = Grid::new("Shades")
///     .columns(["left", "right"])
///     .row("dark", vec![Some(dark.clone()), None])
///     .row("also dark", vec![None, Some(dark)])
///     .scale(20)
///     .note("Blank: not computed.")
///     .to_png();
/// assert_eq!(&png[1..4], b"PNG");
/// ```
#[derive(Clone, Debug)]
pub struct Grid {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<Option<Picture>>)>,
    scale: usize,
    note: String,
}

/// Where everything goes, in pixels.
struct GridLayout {
    title: Paragraph,
    note: Paragraph,
    columns: Vec<Paragraph>,
    rows: Vec<Paragraph>,
    image: [usize; 2],
    /// The width of each column and the height of every row.
    widths: Vec<usize>,
    height: usize,
    lattice: [usize; 2],
    corner: [usize; 2],
    size: [usize; 2],
}

impl Grid {
    /// A grid without rows; an empty title takes no room.
    pub fn new(title: impl Into<String>) -> Self {
        Grid { title: title.into(), columns: Vec::new(), rows: Vec::new(), scale: 1, note: String::new() }
    }

    /// Names the columns, from left to right. Without this they have no names.
    #[must_use]
    pub fn columns(mut self, labels: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.columns = labels.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a row below the others, one image a column; `None` leaves its cell blank.
    #[must_use]
    pub fn row(mut self, label: impl Into<String>, images: Vec<Option<Picture>>) -> Self {
        self.rows.push((label.into(), images));
        self
    }

    /// Draws each pixel of the images as `factor` x `factor` pixels; 1 if not said.
    #[must_use]
    pub fn scale(mut self, factor: usize) -> Self {
        self.scale = factor;
        self
    }

    /// Writes a legend below the images.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.note = text.into();
        self
    }

    /// The grid as an RGB image.
    ///
    /// # Panics
    /// If there is no image at all, the scale is 0, two images differ in size, or the rows differ in length from
    /// each other or from the names of the columns.
    #[track_caller]
    pub fn render(&self) -> Picture {
        let layout = self.layout();
        let mut canvas = Canvas::new(layout.size[0], layout.size[1]);
        canvas.write([MARGIN, MARGIN], &layout.title, Align::Left, INK);
        let note = [MARGIN, layout.corner[1] + layout.lattice[1] + GAP];
        canvas.write(note, &layout.note, Align::Left, GREY);
        layout.lines(&mut canvas);
        for (number, label) in layout.columns.iter().enumerate() {
            let [x, _] = layout.cell_at(0, number);
            let left = x + (layout.widths[number] - label.width()) / 2;
            canvas.write([left, layout.corner[1] - GAP - label.height()], label, Align::Centre, INK);
        }
        for (number, label) in layout.rows.iter().enumerate() {
            let [_, y] = layout.cell_at(number, 0);
            let top = y + (layout.height - label.height()) / 2;
            canvas.write([layout.corner[0] - GAP - label.width(), top], label, Align::Right, INK);
        }
        for (row, (_, images)) in self.rows.iter().enumerate() {
            for (column, image) in images.iter().enumerate() {
                let Some(image) = image else { continue };
                let (cell, room) = (layout.cell_at(row, column), [layout.widths[column], layout.height]);
                let corner = [0, 1].map(|axis| cell[axis] + (room[axis] - layout.image[axis]) / 2);
                self.draw(&mut canvas, corner, image);
            }
        }
        canvas.into_picture()
    }

    /// The grid as the bytes of a PNG file; the same grid gives the same bytes.
    ///
    /// # Panics
    /// As [`Grid::render`].
    #[track_caller]
    pub fn to_png(&self) -> Vec<u8> {
        self.render().to_png()
    }

    fn draw(&self, canvas: &mut Canvas, [x, y]: [usize; 2], image: &Picture) {
        for row in 0..image.height {
            for column in 0..image.width {
                let place = [x + column * self.scale, y + row * self.scale];
                canvas.fill(place, [self.scale; 2], image.colour(row, column));
            }
        }
    }

    /// Width and height of every image, before scaling.
    #[track_caller]
    fn image_size(&self) -> [usize; 2] {
        let mut images = self.rows.iter().flat_map(|(_, images)| images.iter().flatten());
        let first = images.next().expect("a grid needs at least one image, found none");
        for image in images {
            assert_eq!([image.height, image.width], [first.height, first.width], "sizes of images of a grid");
        }
        [first.width, first.height]
    }

    #[track_caller]
    fn layout(&self) -> GridLayout {
        let image = self.image_size().map(|side| side * self.scale);
        assert!(self.scale > 0, "a scale of 0 leaves nothing of the images, expected 1 or more");
        let count = self.rows[0].1.len();
        for (label, images) in &self.rows {
            assert_eq!(images.len(), count, "images of the row {label:?} and of the first row");
        }
        assert!(
            self.columns.is_empty() || self.columns.len() == count,
            "{} names for {count} columns",
            self.columns.len()
        );

        // one letter of blank keeps the names of neighbouring columns apart
        let room = |label: &String| with_gap(text::longest_word(label, Size::Text), LETTER);
        let widths: Vec<usize> = match self.columns.as_slice() {
            [] => vec![image[0]; count],
            labels => labels.iter().map(|label| image[0].max(room(label))).collect(),
        };
        let columns: Vec<_> = self
            .columns
            .iter()
            .zip(&widths)
            .map(|(label, &width)| Paragraph::new(label, width - LETTER.min(width)))
            .collect();
        let rows: Vec<_> = self.rows.iter().map(|(label, _)| Paragraph::new(label, ROW)).collect();
        let [row_width, row_height] = [
            rows.iter().map(Paragraph::width).max().unwrap_or(0),
            rows.iter().map(Paragraph::height).max().unwrap_or(0),
        ];
        let header = columns.iter().map(Paragraph::height).max().unwrap_or(0);
        let height = image[1].max(row_height);
        let lattice = [
            widths.iter().map(|width| width + SEPARATOR).sum::<usize>() + SEPARATOR,
            rows.len() * (height + SEPARATOR) + SEPARATOR,
        ];

        let body = with_gap(row_width, GAP) + lattice[0];
        let width = body
            .max(text::longest_word(&self.title, Size::Title))
            .max(text::longest_word(&self.note, Size::Text));
        let [title, note] = [Paragraph::title(&self.title, width), Paragraph::new(&self.note, width)];
        let corner = [
            MARGIN + with_gap(row_width, GAP),
            MARGIN + with_gap(title.height(), GAP) + with_gap(header, GAP),
        ];
        let size = [2 * MARGIN + width, corner[1] + lattice[1] + with_gap(note.height(), GAP) + MARGIN];
        GridLayout { title, note, columns, rows, image, widths, height, lattice, corner, size }
    }
}

impl GridLayout {
    /// The upper left corner of a cell.
    fn cell_at(&self, row: usize, column: usize) -> [usize; 2] {
        let before: usize = self.widths[..column].iter().map(|width| width + SEPARATOR).sum();
        [self.corner[0] + SEPARATOR + before, self.corner[1] + SEPARATOR + row * (self.height + SEPARATOR)]
    }

    /// Draws the separators.
    fn lines(&self, canvas: &mut Canvas) {
        let [[x, y], [width, height]] = [self.corner, self.lattice];
        canvas.fill([x, y], [SEPARATOR, height], FAINT);
        for (column, cell) in self.widths.iter().enumerate() {
            let [left, _] = self.cell_at(0, column);
            canvas.fill([left + cell, y], [SEPARATOR, height], FAINT);
        }
        for top in (0..height).step_by(self.height + SEPARATOR) {
            canvas.fill([x, y + top], [width, SEPARATOR], FAINT);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::canvas::tests::{find, find_title};
    use crate::report::palette::WHITE;
    use proptest::prelude::*;

    fn picture(height: usize, width: usize) -> Picture {
        Picture::new(height, width, 1, (0..height * width).map(|value| value as u8).collect())
    }

    fn some(height: usize, width: usize) -> Option<Picture> {
        Some(picture(height, width))
    }

    fn digits() -> Grid {
        Grid::new("")
            .columns((0..10).map(|class| class.to_string()))
            .row("input", vec![some(28, 28); 10])
            .row("reconstruction", vec![some(28, 28); 10])
            .scale(3)
    }

    /// Pixels of a line of text.
    fn wide(line: &str) -> usize {
        text::width(line, Size::Text)
    }

    /// Margins of 16, the longest label, gaps of 10, ten cells of 3 * 28 with lines of 2 around; a line of text is 22 high.
    #[test]
    fn the_size_follows_from_the_contents() {
        let size = |grid: &Grid| {
            let picture = grid.render();
            [picture.width, picture.height]
        };
        let width = 16 + wide("reconstruction") + 10 + 10 * (84 + 2) + 2 + 16;
        let height = 16 + 22 + 10 + 2 * (84 + 2) + 2 + 16;
        assert_eq!(size(&digits()), [width, height]);
        assert_eq!(size(&digits().note("why")), [width, height + 10 + 22]);
        let titled = Grid { title: "DIVA ".repeat(20), ..digits() };
        assert_eq!(size(&titled), [width, height + 2 * 29 + 10]);
        assert_eq!(
            size(&Grid::new("").row("", vec![some(3, 5)])),
            [16 + 2 + 5 + 2 + 16, 16 + 2 + 3 + 2 + 16]
        );
        // words and a letter of blank are wider than the images, and the 0 goes below its word; a title is still wider
        let named = Grid::new("").columns(["class 0", "another"]).row("", vec![some(9, 9), None]);
        let columns = wide("class") + 12 + wide("another") + 12;
        assert_eq!(size(&named), [16 + columns + 2 + 16, 16 + (2 * 22 + 10) + 2 + 9 + 2 + 16]);
        let titled = Grid { title: "a".repeat(60), ..named };
        assert_eq!(size(&titled)[0], 16 + text::width(&"a".repeat(60), Size::Title) + 16);
    }

    #[test]
    fn labels_stand_beside_what_they_name() {
        let grid = Grid { title: "Digits".into(), ..digits() }.note("(75°)").render();
        let [left, top] = [16 + wide("reconstruction") + 10, 16 + 39 + 32];
        assert_eq!(find_title(&grid, "Digits", INK), [[16, 16]]);
        assert_eq!(find(&grid, "reconstruction", INK), [[16, top + 2 + 84 + 2 + (84 - 22) / 2]]);
        assert_eq!(find(&grid, "input", INK), [[left - 10 - wide("input"), top + 2 + (84 - 22) / 2]]);
        for class in 0..10 {
            let place = [left + 2 + class * 86 + (84 - 11) / 2, top - 10 - 22];
            assert_eq!(find(&grid, &class.to_string(), INK), [place]);
        }
        assert_eq!(find(&grid, "(75°)", GREY), [[16, top + 2 * 86 + 2 + 10]]);
    }

    #[test]
    fn images_are_enlarged_without_blending_between_separators() {
        let colour = Picture::new(2, 3, 3, (100..118).collect());
        let grid = Grid::new("").row("", vec![some(2, 3), None]).row("", vec![None, Some(colour)]).scale(4);
        let drawn = grid.render();
        assert_eq!([drawn.width, drawn.height], [2 * 16 + 2 + 2 * 14, 2 * 16 + 2 + 2 * 10]);
        for y in 0..22 {
            for x in 0..30 {
                let [row, column] = [y / 10, x / 14];
                let expected = match [y % 10, x % 14] {
                    [0 | 1, _] | [_, 0 | 1] => FAINT,
                    [dy, dx] => {
                        let pixel = (dy - 2) / 4 * 3 + (dx - 2) / 4;
                        match [row, column] {
                            [0, 0] => [pixel as u8; 3],
                            [1, 1] => [0, 1, 2].map(|channel| (100 + 3 * pixel + channel) as u8),
                            _ => WHITE,
                        }
                    }
                };
                assert_eq!(drawn.colour(16 + y, 16 + x), expected, "row {y}, column {x}");
            }
        }
        let around = |at: usize, end: usize| at < 16 || at >= end - 16;
        for y in 0..drawn.height {
            for x in 0..drawn.width {
                if around(y, drawn.height) || around(x, drawn.width) {
                    assert_eq!(drawn.colour(y, x), WHITE);
                }
            }
        }
    }

    #[test]
    fn an_image_smaller_than_its_cell_is_in_the_middle() {
        let dark = Picture::new(4, 6, 1, vec![0; 24]);
        let drawn = Grid::new("").columns(["wide"]).row("", vec![Some(dark)]).render();
        let [cell, top] = [wide("wide") + LETTER, 16 + 32 + 2];
        let row: Vec<_> = (0..drawn.width).map(|x| drawn.colour(top + 1, x)).collect();
        let black: Vec<_> = (0..row.len()).filter(|&x| row[x] == [0; 3]).collect();
        let left = 16 + 2 + (cell - 6) / 2;
        assert_eq!(black, (left..left + 6).collect::<Vec<_>>());
    }

    #[test]
    #[should_panic(expected = "a grid needs at least one image")]
    fn a_grid_without_images_is_a_bug() {
        Grid::new("empty").row("nothing", vec![None, None]).render();
    }

    #[test]
    #[should_panic(expected = "images of the row \"short\"")]
    fn ragged_rows_are_a_bug() {
        Grid::new("").row("long", vec![some(2, 2), None]).row("short", vec![some(2, 2)]).render();
    }

    #[test]
    #[should_panic(expected = "sizes of images of a grid")]
    fn images_of_different_sizes_are_a_bug() {
        Grid::new("").row("", vec![some(2, 3), some(3, 2)]).render();
    }

    #[test]
    #[should_panic(expected = "3 names for 2 columns")]
    fn names_that_do_not_fit_are_a_bug() {
        Grid::new("").columns(["a", "b", "c"]).row("", vec![some(2, 2), None]).render();
    }

    #[test]
    #[should_panic(expected = "a scale of 0")]
    fn a_scale_of_0_is_a_bug() {
        Grid::new("").row("", vec![some(2, 2)]).scale(0).render();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Whatever the labels are, each of their words can be read somewhere: not cut off, nothing drawn over it.
        /// What is outside the picture panics.
        #[test]
        fn every_word_can_be_read(
            title in "[ -~°é]{0,30}",
            note in "[ -~°é]{0,30}",
            columns in prop::collection::vec("[ -~°é]{0,12}", 1..4),
            rows in prop::collection::vec("[ -~°é]{0,40}", 1..4),
            scale in 1_usize..4,
        ) {
            let mut grid = Grid::new(title.clone()).columns(columns.clone()).note(note.clone()).scale(scale);
            for label in &rows {
                grid = grid.row(label.clone(), vec![some(7, 9); columns.len()]);
            }
            let drawn = grid.render();
            let labels: Vec<_> = rows.iter().chain(&columns).collect();
            let words: Vec<_> = labels.iter().flat_map(|label| label.split_whitespace()).collect();
            for word in &words {
                let times = words.iter().filter(|other| *other == word).count();
                prop_assert!(find(&drawn, word, INK).len() >= times, "{word:?}, {times} times");
            }
            for word in title.split_whitespace() {
                prop_assert!(!find_title(&drawn, word, INK).is_empty(), "{word:?}");
            }
            for word in note.split_whitespace() {
                prop_assert!(!find(&drawn, word, GREY).is_empty(), "{word:?}");
            }
        }
    }
}
