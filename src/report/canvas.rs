//! Drawing: rectangles, text and lines into an RGB image.
//!
//! Nothing is clipped: whoever draws outside has made a mistake in the layout and panics, which is what the tests
//! of the layouts rely on.

use super::font::Size;
use super::palette::{Colour, WHITE};
use super::picture::Picture;
use super::text::{Paragraph, width};

/// How the lines of a paragraph stand within its width.
#[derive(Clone, Copy, Debug)]
pub(super) enum Align {
    /// All begin at its left edge.
    Left,
    /// All are centred.
    Centre,
    /// All end at its right edge.
    Right,
}

/// An RGB image being drawn, at first all white. Places are `[x, y]`: pixels from the left, from the top.
pub(super) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Colour>,
}

impl Canvas {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Canvas { width, height, pixels: vec![WHITE; width * height] }
    }

    /// The finished image.
    pub(super) fn into_picture(self) -> Picture {
        Picture::new(self.height, self.width, 3, self.pixels.into_flattened())
    }

    /// Fills `size` = `[width, height]` pixels from `[x, y]` on.
    #[track_caller]
    pub(super) fn fill(&mut self, [x, y]: [usize; 2], [width, height]: [usize; 2], colour: Colour) {
        assert!(
            x + width <= self.width && y + height <= self.height,
            "a rectangle of {width}x{height} at {x}, {y} is outside a canvas of {}x{}",
            self.width,
            self.height
        );
        for row in y..y + height {
            self.pixels[row * self.width + x..][..width].fill(colour);
        }
    }

    /// Writes a paragraph whose upper left corner is `[x, y]`.
    #[track_caller]
    pub(super) fn write(&mut self, [x, y]: [usize; 2], text: &Paragraph, align: Align, colour: Colour) {
        for (number, line) in text.lines.iter().enumerate() {
            let spare = text.width() - width(line, text.size);
            let indent = match align {
                Align::Left => 0,
                Align::Centre => spare / 2,
                Align::Right => spare,
            };
            let mut left = x + indent;
            for character in line.chars() {
                self.letter([left, y + number * text.size.height()], text.size, character, colour);
                left += text.size.letter(character).advance;
            }
        }
    }

    #[track_caller]
    fn letter(&mut self, [x, y]: [usize; 2], size: Size, character: char, colour: Colour) {
        let letter = size.letter(character);
        let [width, height] = [letter.advance, size.height()];
        assert!(
            x + width <= self.width && y + height <= self.height,
            "the letter {character} at {x}, {y} is outside a canvas of {}x{}",
            self.width,
            self.height
        );
        for row in 0..height {
            for column in 0..width {
                let pixel = &mut self.pixels[(y + row) * self.width + x + column];
                *pixel = inked(*pixel, colour, letter.cover([column, row]));
            }
        }
    }

    /// Draws a line through points, `radius` pixels to each side and rounded at its ends; a single point is a disc.
    /// Points are in pixels, the centre of the upper left pixel being (0.5, 0.5).
    ///
    /// How much of a pixel the line covers is taken from the distance of its centre. Only +, -, *, / and the square
    /// root take part, which are the same on every machine.
    #[track_caller]
    pub(super) fn line(&mut self, points: &[[f64; 2]], radius: f64, colour: Colour) {
        let Some(last) = points.last() else { return };
        // The largest cover wins, not the sum: a line is no darker where its pieces meet.
        let mut cover = vec![0.0_f64; self.pixels.len()];
        for (from, to) in points.iter().zip(points.iter().skip(1).chain([last])) {
            let reach = radius + 1.0;
            let low = [from[0].min(to[0]) - reach, from[1].min(to[1]) - reach];
            let high = [from[0].max(to[0]) + reach, from[1].max(to[1]) + reach];
            assert!(
                low[0] >= 0.0
                    && low[1] >= 0.0
                    && high[0] <= self.width as f64
                    && high[1] <= self.height as f64,
                "a line from {from:?} to {to:?} is outside a canvas of {}x{}",
                self.width,
                self.height
            );
            for row in low[1] as usize..high[1] as usize {
                for column in low[0] as usize..high[0] as usize {
                    let distance = distance([column as f64 + 0.5, row as f64 + 0.5], *from, *to);
                    let covered = (radius + 0.5 - distance).clamp(0.0, 1.0);
                    let cover = &mut cover[row * self.width + column];
                    *cover = cover.max(covered);
                }
            }
        }
        for (pixel, cover) in self.pixels.iter_mut().zip(cover) {
            for (value, ink) in pixel.iter_mut().zip(colour) {
                *value = (f64::from(*value) * (1.0 - cover) + f64::from(ink) * cover).round() as u8;
            }
        }
    }
}

/// A colour of which `cover` of 255 parts are ink, to the nearest level.
fn inked(paper: Colour, ink: Colour, cover: u8) -> Colour {
    let cover = u32::from(cover);
    std::array::from_fn(|channel| {
        let parts = u32::from(paper[channel]) * (255 - cover) + u32::from(ink[channel]) * cover;
        ((parts + 127) / 255) as u8
    })
}

/// The distance of a point from the piece of a line between two points.
fn distance(point: [f64; 2], from: [f64; 2], to: [f64; 2]) -> f64 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let offset = [point[0] - from[0], point[1] - from[1]];
    let length = along[0] * along[0] + along[1] * along[1];
    let share = if length > 0.0 { (offset[0] * along[0] + offset[1] * along[1]) / length } else { 0.0 };
    let share = share.clamp(0.0, 1.0);
    let [x, y] = [offset[0] - share * along[0], offset[1] - share * along[1]];
    (x * x + y * y).sqrt()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Where in a picture a line of text stands: the corners `[x, y]` of every place where the rectangle of the
    /// text, its blanks included, has exactly the pixels of that text in that colour on white.
    pub(in crate::report) fn find(picture: &Picture, line: &str, colour: Colour) -> Vec<[usize; 2]> {
        find_of_size(picture, line, Size::Text, colour)
    }

    /// The same in large letters.
    pub(in crate::report) fn find_title(picture: &Picture, line: &str, colour: Colour) -> Vec<[usize; 2]> {
        find_of_size(picture, line, Size::Title, colour)
    }

    fn find_of_size(picture: &Picture, line: &str, size: Size, colour: Colour) -> Vec<[usize; 2]> {
        let [width, height] = [width(line, size), size.height()];
        let mut pixels = Vec::new();
        let mut left = 0;
        for character in line.chars() {
            let letter = size.letter(character);
            for (x, y) in (0..letter.advance).flat_map(|x| (0..height).map(move |y| (x, y))) {
                let cover = letter.cover([x, y]);
                pixels.push((cover, [left + x, y], inked(WHITE, colour, cover)));
            }
            left += letter.advance;
        }
        // most places are blank: the search is quick if it looks for ink first
        pixels.sort_by_key(|&(cover, ..)| std::cmp::Reverse(cover));
        let mut places = Vec::new();
        for top in 0..(picture.height + 1).saturating_sub(height) {
            for left in 0..(picture.width + 1).saturating_sub(width) {
                if pixels.iter().all(|(_, [x, y], expected)| picture.colour(top + y, left + x) == *expected) {
                    places.push([left, top]);
                }
            }
        }
        places
    }

    const RED: Colour = [255, 0, 0];

    #[test]
    fn text_stands_where_it_was_written() {
        let mut canvas = Canvas::new(80, 60);
        let text = Paragraph { lines: vec!["ab".into(), "cde".into()], size: Size::Text };
        canvas.write([10, 4], &text, Align::Right, RED);
        let picture = canvas.into_picture();
        let spare = width("cde", Size::Text) - width("ab", Size::Text);
        assert_eq!(find(&picture, "ab", RED), [[10 + spare, 4]]);
        assert_eq!(find(&picture, "cde", RED), [[10, 4 + 22]]);
        assert_eq!(find(&picture, "ab", [254, 0, 0]), Vec::<[usize; 2]>::new());
        assert_eq!(find(&picture, "ba", RED), Vec::<[usize; 2]>::new());
        // of the b the stem, the bowl and the white within it
        let b = 10 + spare + Size::Text.letter('a').advance;
        let [stem, white, bowl] = [2, 5, 9].map(|x| picture.colour(4 + 13, b + x));
        assert!(
            (stem, white) == (RED, WHITE) && bowl[0] == 255 && bowl[1] < 64,
            "{stem:?}, {white:?}, {bowl:?}"
        );
    }

    #[test]
    fn ink_covers_paper_by_parts() {
        assert_eq!(inked([200, 0, 255], [0, 100, 255], 0), [200, 0, 255]);
        assert_eq!(inked([200, 0, 255], [0, 100, 255], 255), [0, 100, 255]);
        assert_eq!(inked([200, 0, 255], [0, 100, 255], 51), [160, 20, 255]);
        assert_eq!(inked([255; 3], [0; 3], 17), [238; 3]);
    }

    #[test]
    #[should_panic(expected = "is outside a canvas of 20x22")]
    fn text_outside_is_a_bug() {
        Canvas::new(20, 22).write([0, 0], &Paragraph::new("ab", 0), Align::Left, RED);
    }

    /// A horizontal line 3 pixels wide through pixel centres covers three rows fully and nothing else; one shifted
    /// by half a pixel covers half of a fourth row instead of one.
    #[test]
    fn a_line_covers_its_width() {
        let column = |y: f64| {
            let mut canvas = Canvas::new(40, 12);
            canvas.line(&[[5.0, y], [20.0, y], [35.0, y]], 1.5, [5, 105, 205]);
            let picture = canvas.into_picture();
            (0..12).map(|row| picture.colour(row, 20)).collect::<Vec<_>>()
        };
        let [full, half] = [[5, 105, 205], [130, 180, 230]];
        let blank = |rows: usize| vec![WHITE; rows];
        assert_eq!(column(6.5), [blank(5), vec![full; 3], blank(4)].concat());
        assert_eq!(column(6.0), [blank(4), vec![half], vec![full; 2], vec![half], blank(4)].concat());
    }

    #[test]
    fn a_single_point_is_a_disc() {
        let mut canvas = Canvas::new(20, 20);
        canvas.line(&[[10.5, 10.5]], 3.0, RED);
        let picture = canvas.into_picture();
        let red = (0..400).filter(|&at| picture.colour(at / 20, at % 20) == RED).count();
        // pixels with x² + y² <= 2.5²
        assert_eq!(red, 21);
        assert_eq!(picture.colour(10, 10), RED);
        assert_eq!(picture.colour(10, 14), WHITE);
    }

    #[test]
    fn a_line_is_no_darker_where_its_pieces_meet() {
        let draw = |points: &[[f64; 2]]| {
            let mut canvas = Canvas::new(40, 40);
            canvas.line(points, 1.25, RED);
            canvas.into_picture()
        };
        assert_eq!(draw(&[[4.0, 8.0], [20.0, 16.0], [36.0, 24.0]]), draw(&[[4.0, 8.0], [36.0, 24.0]]));
    }

    #[test]
    fn the_distance_is_that_of_the_nearest_point() {
        assert_eq!(distance([3.0, 4.0], [0.0, 0.0], [0.0, 0.0]), 5.0);
        assert_eq!(distance([5.0, 2.0], [0.0, 0.0], [10.0, 0.0]), 2.0);
        assert_eq!(distance([13.0, 4.0], [0.0, 0.0], [10.0, 0.0]), 5.0);
        assert_eq!(distance([-3.0, -4.0], [0.0, 0.0], [10.0, 0.0]), 5.0);
    }
}
