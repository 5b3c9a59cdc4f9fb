//! From the samples of each component to pixels, as libjpeg and Pillow make them.
//!
//! Components that were sampled at every second row or column are smoothed on the way to all of them (`jdsample.c`, "fancy"):
//! a new value is three quarters of the nearer sample and one of the farther. Other ratios repeat samples.

use super::frame::Frame;
use super::scan::Plane;

/// What the components are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    Grey,
    Rgb,
    /// Brightness and two differences of colour.
    Luma,
    /// Ink, as Adobe's programs count it: 255 is none.
    Inks,
    /// The first three inks as brightness and two differences of colour.
    LumaInks,
}

impl Colours {
    /// Values of a pixel: 1 (grey) or 3 (red, green, blue).
    pub(super) fn channels(self) -> usize {
        if self == Colours::Grey { 1 } else { 3 }
    }
}

/// The pixels, row by row.
pub(super) fn pixels(frame: &Frame, planes: &[Plane], colours: Colours) -> Vec<u8> {
    let [height, width] = frame.size;
    let mut pixels = Vec::with_capacity(height * width * colours.channels());
    let mut lines = vec![vec![0; width + 1]; planes.len()];
    for row in 0..height {
        for ((component, plane), line) in frame.components.iter().zip(planes).zip(&mut lines) {
            let ratio = [0, 1].map(|axis| frame.most[axis] / component.sampling[axis]);
            let samples =
                Samples { samples: &plane.samples, stride: 8 * component.blocks[1], size: component.size };
            samples.line(ratio, row, line);
        }
        let of = |column: usize| -> [i32; 4] {
            std::array::from_fn(|i| lines.get(i).map_or(0, |line| i32::from(line[column])))
        };
        match colours {
            Colours::Grey => pixels.extend(&lines[0][..width]),
            Colours::Rgb => pixels.extend((0..width).flat_map(|column| {
                let [red, green, blue, _] = of(column);
                [red, green, blue].map(|value| value as u8)
            })),
            Colours::Luma => pixels.extend((0..width).flat_map(|column| rgb(of(column)))),
            Colours::Inks => pixels.extend((0..width).flat_map(|column| {
                let [cyan, magenta, yellow, light] = of(column);
                printed([cyan, magenta, yellow].map(|value| 255 - value), light)
            })),
            Colours::LumaInks => pixels.extend((0..width).flat_map(|column| {
                let values = of(column);
                printed(rgb(values).map(i32::from), values[3])
            })),
        }
    }
    pixels
}

/// Red, green and blue (`jdcolor.c`), in 1/65536.
fn rgb([luma, blue, red, _]: [i32; 4]) -> [u8; 3] {
    let (blue, red) = (blue - 128, red - 128);
    let level = |difference: i32| (luma + ((difference + 0x8000) >> 16)).clamp(0, 255) as u8;
    [level(91881 * red), level(-22554 * blue - 46802 * red), level(116130 * blue)]
}

/// What is left of `light`, which the black lets through, by the other inks (Pillow's `cmyk2rgb`).
fn printed(inks: [i32; 3], light: i32) -> [u8; 3] {
    inks.map(|ink| {
        let taken = ink * light + 128;
        (light - (((taken >> 8) + taken) >> 8)).clamp(0, 255) as u8
    })
}

/// The samples of a component.
struct Samples<'a> {
    samples: &'a [u8],
    /// From one row to the next.
    stride: usize,
    /// Rows and columns.
    size: [usize; 2],
}

impl Samples<'_> {
    fn row(&self, row: usize) -> &[u8] {
        &self.samples[row * self.stride..][..self.size[1]]
    }

    /// Row `row` of the picture, of which this component has every `ratio`th row and column. `line` is at least as wide, and
    /// one wider.
    fn line(&self, ratio: [usize; 2], row: usize, line: &mut [u8]) {
        let near = self.row(row / ratio[0]);
        let is_upper = row.is_multiple_of(2);
        let further = || {
            let place = row / ratio[0];
            self.row(if is_upper { place.saturating_sub(1) } else { (place + 1).min(self.size[0] - 1) })
        };
        let columns = self.size[1];
        match ratio {
            [1, 1] => line[..columns].copy_from_slice(near),
            [1, 2] if columns > 2 => {
                widen(columns, line, |column| u32::from(near[column]), 2, [1, 2]);
            }
            [2, 1] => {
                let (further, round) = (further(), if is_upper { 1 } else { 2 }); // so that errors alternate
                for ((out, &near), &further) in line.iter_mut().zip(near).zip(further) {
                    *out = ((3 * u32::from(near) + u32::from(further) + round) >> 2) as u8;
                }
            }
            [2, 2] if columns > 2 => {
                let further = further();
                let sum = |column: usize| 3 * u32::from(near[column]) + u32::from(further[column]);
                widen(columns, line, sum, 4, [8, 7]);
            }
            [_, ratio] => {
                for (column, out) in line.iter_mut().enumerate() {
                    *out = near[(column / ratio).min(columns - 1)];
                }
            }
        }
    }
}

/// Two values for each of `columns`: three quarters of its own, one of its neighbour's, divided by `2^bits`; `round` is added
/// to the left and to the right ones.
fn widen(columns: usize, line: &mut [u8], value: impl Fn(usize) -> u32, bits: u32, round: [u32; 2]) {
    for column in 0..columns {
        let own = value(column);
        let left = value(column.saturating_sub(1));
        let right = value((column + 1).min(columns - 1));
        for ((out, neighbour), round) in line[2 * column..].iter_mut().zip([left, right]).zip(round) {
            *out = ((3 * own + neighbour + round) >> bits) as u8;
        }
    }
}
