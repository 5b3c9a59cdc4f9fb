//! From the coefficients of a block to its samples.
//!
//! The inverse cosine transform in 13-bit integers by Loeffler, Ligtenberg and Moschytz (ICASSP 1989), as libjpeg computes it
//! (`jidctint.c`), so that every sample is the one that Pillow, OpenCV and PyTorch give.

/// The place, row by row, of the coefficients in the order in which they are stored (ITU-T T.81, figure 5).
pub(super) const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7,
    14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39,
    46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Bits behind the point of the constants.
const FRACTION: u32 = 13;

/// Bits behind the point that are kept between the columns and the rows.
const BETWEEN: u32 = 2;

/// A number in units of 2^-13, rounded.
const fn fixed(number: f64) -> i64 {
    (number * (1 << FRACTION) as f64 + 0.5) as i64
}

/// Eight values from eight coefficients, times 2^13 and the square root of 8.
fn transform([x0, x1, x2, x3, x4, x5, x6, x7]: [i64; 8]) -> [i64; 8] {
    let turn = (x2 + x6) * fixed(0.541196100);
    let low = turn - x6 * fixed(1.847759065);
    let high = turn + x2 * fixed(0.765366865);
    let (sum, difference) = ((x0 + x4) << FRACTION, (x0 - x4) << FRACTION);
    let even = [sum + high, difference + low, difference - low, sum - high];

    let (a, b, c, d) = (x7 + x1, x5 + x3, x7 + x3, x5 + x1);
    let turn = (c + d) * fixed(1.175875602);
    let a = -a * fixed(0.899976223);
    let b = -b * fixed(2.562915447);
    let c = turn - c * fixed(1.961570560);
    let d = turn - d * fixed(0.390180644);
    let odd = [
        x1 * fixed(1.501321110) + a + d,
        x3 * fixed(3.072711026) + b + c,
        x5 * fixed(2.053119869) + b + d,
        x7 * fixed(0.298631336) + a + c,
    ];
    std::array::from_fn(|i| if i < 4 { even[i] + odd[i] } else { even[7 - i] - odd[7 - i] })
}

/// Divides by 2^bits and rounds.
fn descale(value: i64, bits: u32) -> i64 {
    (value + (1 << (bits - 1))) >> bits
}

/// The samples of a block of which these are the coefficients, row by row, each times its step of quantisation. Rows of samples
/// are `stride` apart.
pub(super) fn samples(coefficients: &[i16; 64], steps: &[u16; 64], samples: &mut [u8], stride: usize) {
    let value = |i: usize| i64::from(coefficients[i]) * i64::from(steps[i]);
    let level = |value: i64| (descale(value, FRACTION + BETWEEN + 3) + 128).clamp(0, 255) as u8;
    if coefficients[1..].iter().all(|&coefficient| coefficient == 0) {
        let level = level(value(0) << (FRACTION + BETWEEN));
        samples.chunks_mut(stride).take(8).for_each(|row| row[..8].fill(level));
        return;
    }
    let mut between = [[0; 8]; 8];
    for column in 0..8 {
        let values = transform(std::array::from_fn(|row| value(8 * row + column)));
        for (row, value) in between.iter_mut().zip(values) {
            row[column] = descale(value, FRACTION - BETWEEN);
        }
    }
    for (row, out) in between.into_iter().zip(samples.chunks_mut(stride)) {
        for (value, out) in transform(row).into_iter().zip(out) {
            *out = level(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    /// ITU-T T.81, A.3.3, in f64.
    fn reference(coefficients: &[i16; 64], steps: &[u16; 64]) -> [f64; 64] {
        let scale = |i: usize| if i == 0 { 0.5_f64.sqrt() } else { 1.0 };
        let wave = |x: usize, u: usize| ((2 * x + 1) as f64 * u as f64 * PI / 16.0).cos();
        std::array::from_fn(|at| {
            let sum: f64 = (0..64)
                .map(|i| {
                    let (v, u) = (i / 8, i % 8);
                    let value = f64::from(coefficients[i]) * f64::from(steps[i]);
                    scale(u) * scale(v) * value * wave(at % 8, u) * wave(at / 8, v)
                })
                .sum();
            sum / 4.0 + 128.0
        })
    }

    #[test]
    fn samples_are_those_of_the_equation() {
        let steps: [u16; 64] = std::array::from_fn(|i| 3 + i as u16);
        let mut worst = 0.0_f64;
        for block in 0..500 {
            let mut coefficients = [0; 64];
            for (i, coefficient) in coefficients.iter_mut().enumerate().take(block % 64 + 1) {
                let draw = (block * 64 + i) as u64;
                *coefficient = (draw.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as i16 - 8;
            }
            coefficients[0] = 40;
            let mut found = [0; 8 * 11];
            samples(&coefficients, &steps, &mut found, 11);
            for (at, expected) in reference(&coefficients, &steps).into_iter().enumerate() {
                let found = f64::from(found[at / 8 * 11 + at % 8]);
                worst = worst.max((found - expected.clamp(0.0, 255.0)).abs());
            }
        }
        println!("at most {worst} from the equation");
        // rounded to whole levels, and to quarters of the square root of 8 in between
        assert!(worst < 0.6, "{worst}");
    }

    #[test]
    fn the_order_is_a_zigzag() {
        let mut seen = ZIGZAG;
        seen.sort_unstable();
        assert!(seen.iter().zip(0..).all(|(&place, i): (_, u8)| place == i));
        for two in ZIGZAG.windows(2) {
            let [[y, x], [v, u]] = [two[0], two[1]].map(|place| [place / 8, place % 8]);
            assert!(y.abs_diff(v) <= 1 && x.abs_diff(u) <= 1, "{two:?}");
        }
    }
}
