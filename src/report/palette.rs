//! The colours of every picture: those of Okabe and Ito, which stay apart under all common kinds of colour
//! blindness (M. Okabe, K. Ito, "Color Universal Design", 2008), and a few greys for what is not data.

/// Red, green and blue, 0 to 255 each, as in a PNG file (sRGB).
pub type Colour = [u8; 3];

/// The eight colours of Okabe and Ito, ordered so that the first ones are the easiest to see and to tell apart as
/// thin lines on white: yellow, which is nearly invisible there, comes last.
pub const SERIES: [Colour; 8] = [
    [0, 114, 178],   // blue
    [213, 94, 0],    // vermilion
    [0, 158, 115],   // bluish green
    [204, 121, 167], // reddish purple
    [230, 159, 0],   // orange
    [86, 180, 233],  // sky blue
    [0, 0, 0],       // black
    [240, 228, 66],  // yellow
];

/// A colour for each of ten classes, and for as many domains: those of [`SERIES`], a brown and a grey. Black comes last,
/// as it stands for all domains together too.
pub const LABELS: [Colour; 10] = {
    let [a, b, c, d, e, f, black, yellow] = SERIES;
    [a, b, c, d, e, f, [120, 72, 20], [148, 148, 148], yellow, black]
};

/// The background of every picture.
pub const WHITE: Colour = [255; 3];

/// Titles and labels.
pub const INK: Colour = [32; 3];

/// What explains, such as notes, axes and their numbers.
pub const GREY: Colour = [96; 3];

/// Lines that only guide the eye: separators, grid lines.
pub const FAINT: Colour = [216; 3];

/// The colour of the class or domain number `index`, the same in every picture; after [`LABELS`] they repeat. The domain
/// that is held out comes after those that are trained on.
pub fn label(index: usize) -> Colour {
    LABELS[index % LABELS.len()]
}

/// The colour of the series number `index`; after [`SERIES`] they repeat.
pub const fn series(index: usize) -> Colour {
    SERIES[index % SERIES.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hexadecimal codes as commonly printed with the palette (e.g. `palette.colors("Okabe-Ito")` of R 4).
    #[test]
    fn the_colours_are_those_of_okabe_and_ito() {
        let mut published = ["000000", "e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7"]
            .map(String::from);
        let mut ours = SERIES.map(|[red, green, blue]| format!("{red:02x}{green:02x}{blue:02x}"));
        published.sort();
        ours.sort();
        assert_eq!(ours, published);
    }

    #[test]
    fn colours_come_back_after_the_last_one() {
        assert_eq!(series(8), series(0));
        assert_eq!(label(10), label(0));
        assert_eq!(series(7), [240, 228, 66]);
    }
}
