//! Making pictures of any size one size: bilinear with antialiasing, equal to Pillow's `resize(..., BILINEAR)`.
//!
//! Each value of the smaller or larger row is a weighted mean of the old row, out_i = sum_x w((x + 1/2 - c_i) / f) in_x /
//! sum_x w(...), where w is the triangle max(0, 1 - |t|), c_i = (i + 1/2) s lies in the middle of the new pixel,
//! s = old / new, and f = max(1, s): a smaller picture averages over everything that falls into its pixel instead of
//! picking two neighbours. Rows first, then columns, each rounded to 8 bits.
//!
//! Pillow (`libImaging/Resample.c`) computes the weights in f64, rounds them to 22 binary digits and sums in i32. So is
//! it done here, and the bytes are those of Pillow up to version 12: a network trained on either sees the same pictures.
//! Pillow 13 does the columns first where that is faster, by which some values differ by one level.

/// The binary digits of a weight behind the point: of 32, less 8 for the pixel and 2 for the sum.
const PRECISION: u32 = 32 - 8 - 2;

/// The longest row whose weights are kept from one row to the next. Of longer ones a picture has few.
const LONGEST_KEPT: usize = 1 << 16;

/// The old values that make a new one, and the share of each. Of the weights none is kept: for a row of millions of values they
/// would take more than the picture.
struct Window {
    first: usize,
    end: usize,
    centre: f64,
    squeeze: f64,
    sum: f64,
}

impl Window {
    /// The triangle over the old value `x`.
    fn triangle(&self, x: usize) -> f64 {
        (1.0 - ((x as f64 - self.centre + 0.5) * self.squeeze).abs()).max(0.0)
    }

    /// The share of the old value `x`, in 2^-22.
    fn weight(&self, x: usize) -> i32 {
        (0.5 + self.triangle(x) / self.sum * f64::from(1 << PRECISION)) as i32
    }

    /// The shares of all its old values.
    fn weights(&self) -> impl Iterator<Item = i32> {
        (self.first..self.end).map(|x| self.weight(x))
    }
}

/// The windows of a row of `from` values that becomes one of `to`.
fn windows(from: usize, to: usize) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    let support = scale.max(1.0); // the triangle reaches 1 to either side
    let window = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        // `as` drops what is behind the point, and makes negative numbers 0
        let first = (centre - support + 0.5) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let window = Window { first, end, centre, squeeze: 1.0 / support, sum: 0.0 };
        let sum = (first..end).map(|x| window.triangle(x)).sum();
        Window { sum, ..window }
    };
    (0..to).map(window).collect()
}

/// A window, with its weights where these are kept.
type Column = (Window, Option<Vec<i32>>);

/// The windows of the columns, with their weights where these are kept.
fn columns(from: usize, to: usize) -> Vec<Column> {
    let with_weights = |window: Window| {
        let weights = (from <= LONGEST_KEPT).then(|| window.weights().collect());
        (window, weights)
    };
    windows(from, to).into_iter().map(with_weights).collect()
}

/// A half, which a sum begins with: what is behind the point is then dropped.
const HALF: i32 = 1 << (PRECISION - 1);

/// A sum of values times weights as a value.
fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Writes a picture of `[height, width]` with `channels` values a pixel to `out` as one of `size`.
///
/// The rows of `pixels` are gone through once, each added to the new rows that it is part of. So no picture in between
/// has to be held, which would be large if a picture were high and narrow. Memory: five bytes for each value of `out`, about
/// 40 for each of its rows and columns, and less than 1 MiB for weights, whatever the size of `pixels`.
///
/// # Panics
/// If a size is 0 or does not fit its slice.
#[track_caller]
pub fn resize(pixels: &[u8], from: [usize; 2], channels: usize, size: [usize; 2], out: &mut [u8]) {
    assert!(
        [from, size].as_flattened().iter().all(|&side| side > 0),
        "a picture of {from:?} to be one of {size:?}"
    );
    assert_eq!(pixels.len(), from[0] * from[1] * channels, "values of a picture of {from:?} x {channels}");
    assert_eq!(out.len(), size[0] * size[1] * channels, "room for a picture of {size:?} x {channels}");
    if from == size {
        out.copy_from_slice(pixels);
        return;
    }
    let rows = pixels.chunks_exact(from[1] * channels);
    let narrowing = (from[1] != size[1]).then(|| columns(from[1], size[1]));
    let values = size[1] * channels;
    if from[0] == size[0] {
        for (row, out) in rows.zip(out.chunks_exact_mut(values)) {
            resize_row(row, narrowing.as_deref(), channels, out);
        }
        return;
    }
    let lowering = windows(from[0], size[0]);
    let mut sums = vec![HALF; out.len()];
    let mut resized = vec![0; values];
    let mut first = 0; // new rows before it are done
    for (y, row) in rows.enumerate() {
        resize_row(row, narrowing.as_deref(), channels, &mut resized);
        while lowering.get(first).is_some_and(|window| window.end <= y) {
            first += 1;
        }
        let open = lowering[first..].iter().take_while(|window| window.first <= y);
        for (window, sums) in open.zip(sums[first * values..].chunks_exact_mut(values)) {
            let weight = window.weight(y);
            for (sum, &value) in sums.iter_mut().zip(&resized) {
                *sum += i32::from(value) * weight;
            }
        }
    }
    for (out, sum) in out.iter_mut().zip(sums) {
        *out = rounded(sum);
    }
}

/// Writes a row with as many pixels as there are windows, or as it is.
fn resize_row(row: &[u8], windows: Option<&[Column]>, channels: usize, out: &mut [u8]) {
    let Some(windows) = windows else {
        out.copy_from_slice(row);
        return;
    };
    for ((window, weights), out) in windows.iter().zip(out.chunks_exact_mut(channels)) {
        let pixels = &row[window.first * channels..];
        for (channel, out) in out.iter_mut().enumerate() {
            let values = pixels.iter().skip(channel).step_by(channels);
            *out = match weights {
                Some(weights) => mean(values, weights.iter().copied()),
                None => mean(values, window.weights()),
            };
        }
    }
}

/// The weighted mean of values whose weights sum to 1.
fn mean<'a>(values: impl Iterator<Item = &'a u8>, weights: impl Iterator<Item = i32>) -> u8 {
    rounded(values.zip(weights).fold(HALF, |sum, (&value, weight)| sum + i32::from(value) * weight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::digest::sha256_hex;
    use proptest::prelude::*;

    /// The picture of `scripts/pillow_pictures.py`: steps, a slope and noise, another in each channel.
    fn picture([height, width]: [usize; 2], channels: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut pixels = Vec::new();
        for y in 0..height {
            for x in 0..width {
                for channel in 0..channels {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let step = if (x / 5 + y / 3) % 2 == 0 { 200 } else { 0 };
                    pixels.push(match (x + y + channel) % 3 {
                        0 => (state >> 24) as u8,
                        1 => step,
                        _ => ((x * 7 + y * 3 + channel * 50) % 256) as u8,
                    });
                }
            }
        }
        pixels
    }

    /// SHA-256 of what Pillow 12.0.0 made of each, by `scripts/pillow_pictures.py`.
    const TABLE: &[([usize; 2], usize, [usize; 2], &str)] = &[
        ([50, 50], 1, [64, 64], "53f00671fa732654d3dc8407b164dcce3a7a12bc98b3323df769a52d083a1912"),
        ([50, 50], 3, [64, 64], "d617268f16ec1e70576c09901afa9478c216b53416e59c1bdc67c6fb4e93d05c"),
        ([148, 142], 1, [64, 64], "501e81941d966793e646b104264d65814d976c95d44fc887b37ff73049e6f874"),
        ([148, 142], 3, [64, 64], "ccd395348a162ecf5e49f68766f03f16ac57ec4360e163a4b06724f38285090d"),
        ([131, 178], 1, [64, 64], "42f4043fde0228ecd1d6a95e01df6324c8dd5fb5bfacf0186ccc7e6ed95e13b7"),
        ([131, 178], 3, [64, 64], "2c2aeb1d80b79fd893e13c15b4f32f0e6b79b5533891fc959930a99a59280f9d"),
        ([37, 53], 1, [64, 64], "02525d3c35d5d6b860906eae5e253b63bfc0cf75b4fccfe73b29c03db1aede5a"),
        ([37, 53], 3, [64, 64], "7b1a8a60c72542db1e0778c0b8a2cf2cc8f2eba49ebfe6251d9b4bdab7f36fce"),
        ([37, 53], 1, [16, 128], "1f0d5a9d1b0a582b419d91e375fdfaef51b5da8ebf56522c258d86767a2deb9d"),
        ([37, 53], 3, [16, 128], "954990133ee94927c87430905f6ea513829dc6f29d008b14afbca32dee7d7a5a"),
        ([64, 64], 1, [64, 64], "d6ec015e0ada877fb66a5c561afa6e3c1d15b0483b229b70b59dae6cc45b4e32"),
        ([64, 64], 3, [64, 64], "1eaab94caf3372e82d03dcef6a4d4b57b5f9ee8b0f96c70dfff3dfd86a5c0607"),
        ([64, 20], 1, [64, 48], "b1b1e92504d5f338b07b120937e151702dae71569f38a20e8e71408e85cf5f64"),
        ([64, 20], 3, [64, 48], "68a776507a4ba5e6fa771a825f10a820ee5c7584ba9e73cd9d1383f0583e68d5"),
        ([20, 64], 1, [48, 64], "5d731839f3eef837bca0bfb507070c689a143c0299003600db99c0b920473dc4"),
        ([20, 64], 3, [48, 64], "850887e5e3c733ca28831a8c36394aa08a4943770a5c6da98661af8735897163"),
        ([1, 1], 1, [16, 16], "ba30fd6988acfc4dafd6f261b747b1486f6a6423cbee7191df46764f63e27312"),
        ([1, 1], 3, [16, 16], "e7eb82ae2e91cd7755aeedfdf7080c38a329f11cd8394a74afaf5d6e43c66681"),
        ([1, 300], 1, [32, 32], "9d2b89d484d43c1d66e9bb24b5390ef43ec2c1fc3ff227360a452b90c8750f93"),
        ([1, 300], 3, [32, 32], "d5d5714bff549a673e37264114c138fe19482ee03058f3f6e8255505dd02cbe0"),
        ([385, 7], 1, [28, 28], "60d1a3dbaff76b7b855371aff37da6953b23c11c13c3bc9999a8187194feeb1a"),
        ([385, 7], 3, [28, 28], "68bdb1279339a787776373335b2b4a04d0e50f851dd70b043f1adc599d3ef897"),
        ([13, 11], 1, [5, 3], "69c4eb5905b33d21d0fbb414de1731b4dec47f025548b330c7e993b2a0db2c0f"),
        ([13, 11], 3, [5, 3], "02463f12f6fda3989cc13073f65e6e3c086530aad2e5deea74de5d8add87ce33"),
        ([3, 2], 1, [1, 1], "8d33f520a3c4cef80d2453aef81b612bfe1cb44c8b2025630ad38662763f13d3"),
        ([3, 2], 3, [1, 1], "8e58523e6958a8512f02dd71e04a09c35a0cbef9b77bd29e8ce46556fb22c79a"),
        ([97, 101], 1, [96, 100], "03a08bccc6988ecf5b6bdce0b35e757bf0c4a90cfa1eb818ad1c4906420fe7f2"),
        ([97, 101], 3, [96, 100], "52de4559c8e446a9de9888657669605cadc9ae500caa78f39e508fa5a2ebfbff"),
    ];

    #[test]
    fn the_bytes_are_those_of_pillow() {
        for &(from, channels, size, expected) in TABLE {
            let mut out = vec![0; size[0] * size[1] * channels];
            resize(&picture(from, channels), from, channels, size, &mut out);
            assert_eq!(sha256_hex(&out), expected, "{from:?} x {channels} to {size:?}");
        }
    }

    proptest! {
        /// The definition in f64, without rounding in between: within one level for each of the two passes.
        #[test]
        fn random_sizes_are_means(
            from in [1_usize..20, 1_usize..20], size in [1_usize..20, 1_usize..20], channels in 1_usize..4,
        ) {
            let pixels = picture(from, channels);
            let mut out = vec![0; size[0] * size[1] * channels];
            resize(&pixels, from, channels, size, &mut out);
            let share = |from: usize, to: usize, i: usize, x: usize| {
                let scale = from as f64 / to as f64;
                (1.0 - ((x as f64 + 0.5 - (i as f64 + 0.5) * scale) / scale.max(1.0)).abs()).max(0.0)
            };
            for (place, &found) in out.iter().enumerate() {
                let (pixel, channel) = (place / channels, place % channels);
                let (row, column) = (pixel / size[1], pixel % size[1]);
                let (mut sum, mut shares) = (0.0, 0.0);
                for y in 0..from[0] {
                    for x in 0..from[1] {
                        let share = share(from[0], size[0], row, y) * share(from[1], size[1], column, x);
                        shares += share;
                        sum += share * f64::from(pixels[(y * from[1] + x) * channels + channel]);
                    }
                }
                prop_assert!((sum / shares - f64::from(found)).abs() < 1.001, "{} {}", sum / shares, found);
            }
        }
    }

    #[test]
    #[should_panic(expected = "room for a picture of [2, 2] x 3")]
    fn a_short_slice_is_a_bug() {
        resize(&[0; 3], [1, 1], 3, [2, 2], &mut [0; 11]);
    }
}
