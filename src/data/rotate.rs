//! Rotation about the centre, pixel for pixel as Pillow's `Image.rotate(angle)` does it.
//!
//! Counter-clockwise by `angle` degrees, nearest neighbour, the size kept, zeros where nothing comes from.
//! Output pixel (x, y) takes the input pixel that holds the point
//!
//! ```text
//! u = cos a (x + 1/2 - w/2) - sin a (y + 1/2 - h/2) + w/2
//! v = sin a (x + 1/2 - w/2) + cos a (y + 1/2 - h/2) + h/2        (rows count downwards)
//! ```
//!
//! Which pixel that is, near an edge, hangs on rounding, and the published experiments were run with Pillow.
//! So its arithmetic is repeated step by step: sine and cosine rounded to 15 decimals, the six coefficients
//! as 16.16 fixed-point numbers, and the position of a pixel by repeated addition. Pillow turns by 0, 90, 180
//! and 270 degrees by copying; for these the fixed-point numbers are exact and give the same pixels, so there
//! is no special case.
//!
//! The standard library's sine and cosine may differ in the last bit from one platform to the next. That does
//! not reach the pixels: the rounding to 15 decimals and then to 2^-16 swallows it, but for an angle whose
//! coefficient lies within 1e-15 of a rounding boundary (one in 10^10).

/// The largest side of an image: Pillow's fixed-point numbers, and so the agreement with it, end beyond this.
pub const LARGEST_SIDE: usize = 8192;

/// Rotates a grey image of `height` x `width` bytes, row by row, by `degrees` counter-clockwise.
///
/// # Panics
/// If the number of pixels does not fit the size, a side is above [`LARGEST_SIDE`], or `degrees` is not
/// finite.
#[track_caller]
pub fn rotate(pixels: &[u8], height: usize, width: usize, degrees: f64) -> Vec<u8> {
    assert_eq!(pixels.len(), height * width, "pixels of a {height}x{width} image");
    assert!(height.max(width) <= LARGEST_SIDE, "a {height}x{width} image, sides up to {LARGEST_SIDE}");
    assert!(degrees.is_finite(), "a rotation by {degrees} degrees");
    let [[a, b, c], [d, e, f]] = coefficients(height, width, degrees);
    // the centre of the first pixel
    let (mut row_u, mut row_v) = (fixed(c + a * 0.5 + b * 0.5), fixed(f + d * 0.5 + e * 0.5));
    let [a, b, d, e] = [a, b, d, e].map(fixed);
    let mut rotated = vec![0; pixels.len()];
    for line in rotated.chunks_exact_mut(width.max(1)) {
        let (mut u, mut v) = (row_u, row_v);
        for pixel in line {
            let inside =
                |position: i64, side: usize| usize::try_from(position >> 16).ok().filter(|&at| at < side);
            if let (Some(column), Some(row)) = (inside(u, width), inside(v, height)) {
                *pixel = pixels[row * width + column];
            }
            u += a;
            v += d;
        }
        row_u += b;
        row_v += e;
    }
    rotated
}

/// The affine map from output to input: u = a x + b y + c, v = d x + e y + f.
fn coefficients(height: usize, width: usize, degrees: f64) -> [[f64; 3]; 2] {
    let angle = -degrees.rem_euclid(360.0).to_radians();
    let (sine, cosine) = (round_15(angle.sin()), round_15(angle.cos()));
    let (x, y) = (width as f64 / 2.0, height as f64 / 2.0);
    [[cosine, sine, cosine * -x + sine * -y + x], [-sine, cosine, -sine * -x + cosine * -y + y]]
}

/// Python's `round(number, 15)`: the nearest decimal, exactly, and then the f64 nearest to that.
fn round_15(number: f64) -> f64 {
    format!("{number:.15}").parse().expect("a formatted number is a number")
}

/// A 16.16 fixed-point number.
fn fixed(number: f64) -> i64 {
    (number * 65536.0 + 0.5).floor() as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::embedded;
    use sha2::{Digest, Sha256};

    /// Made by Pillow 13.0.0: the output of `scripts/check_rotation.py`.
    const PILLOW: [(f64, &str); 14] = [
        (0.0, "385d47a81c48cdb5d197883d5a76d8bf63c86d3251dea9ab0884831c192d7a92"),
        (15.0, "fae8e808a61d4ebbd22c93444df42e22da851bfd2d1526b5c9fe9dc54e6fdde9"),
        (30.0, "77127fefd9dfb8a80afa9a89a13b1cc831c4fb4c4c9c04f43f4061fff807741e"),
        (45.0, "b620cac17c2112fa03e0d590903d5dca49ae8b0e5aca9c1755f0ef66f3cc1618"),
        (60.0, "1636f4366f09cdd698f6a48c633138eb407474a883a97b3df973a5cff8b6b2f2"),
        (75.0, "2fa80f3af5207ee7281f80fa78888a5ae5b16a3c1f384e2c6b2fcc55f2979a6d"),
        (-17.3, "17a306ad603ae82813789da4479718de5500f5cf79f62635fd9fc6e347ef013e"),
        (90.0, "fc8ce76124a19e5c0e0cbdbc6bb44bc2dc6a7617f83d021d833ca7cce3dece82"),
        (180.0, "34e29b6c83a8327f9d2c817a2fdb2d7a7c50a5f1064b9f94eb5f4094de0cfc8f"),
        (270.0, "8f7e3854849a01d0c119e9d996dc42fa4a784e08e7a02165e94c7b0038c2225d"),
        (359.5, "385d47a81c48cdb5d197883d5a76d8bf63c86d3251dea9ab0884831c192d7a92"),
        (123.456, "aa4fa02b581fb0f533a079b4f9d8ce3901745b4a3f4739c16be92522927a6edd"),
        (725.5, "65f764a39d1a643f81cd30dce9a8b8f7eafa9ac42d89475958fa30b8456ca6bb"),
        (89.9999, "fc8ce76124a19e5c0e0cbdbc6bb44bc2dc6a7617f83d021d833ca7cce3dece82"),
    ];

    #[test]
    fn digits_turn_as_pillow_turns_them() {
        let digits = embedded::train();
        let wrong: Vec<f64> = PILLOW
            .iter()
            .filter(|(angle, expected)| {
                let mut hash = Sha256::new();
                (0..digits.len()).for_each(|i| hash.update(rotate(digits.image(i), 28, 28, *angle)));
                let found: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                found != *expected
            })
            .map(|&(angle, _)| angle)
            .collect();
        assert!(wrong.is_empty(), "angles {wrong:?} differ");
    }

    #[test]
    fn quarter_turns_move_corners_counter_clockwise() {
        let image = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        assert_eq!(rotate(&image, 3, 3, 0.0), image);
        assert_eq!(rotate(&image, 3, 3, 90.0), [3, 6, 9, 2, 5, 8, 1, 4, 7]);
        assert_eq!(rotate(&image, 3, 3, -180.0), [9, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(rotate(&image, 3, 3, 630.0), [7, 4, 1, 8, 5, 2, 9, 6, 3]);
    }

    #[test]
    fn what_leaves_an_oblong_image_is_lost() {
        // as PIL.Image.frombytes("L", (4, 2), bytes(range(1, 9))).rotate(90)
        assert_eq!(rotate(&[1, 2, 3, 4, 5, 6, 7, 8], 2, 4, 90.0), [0, 3, 7, 0, 0, 2, 6, 0]);
        assert_eq!(rotate(&[1, 2, 3, 4, 5, 6, 7, 8], 2, 4, 180.0), [8, 7, 6, 5, 4, 3, 2, 1]);
        assert!(rotate(&[], 0, 0, 45.0).is_empty());
    }

    /// Values that Python prints; `(x * 1e15).round() / 1e15` gets the first two wrong.
    #[test]
    fn decimals_round_as_in_python() {
        assert_eq!(round_15(43_f64.to_radians().sin()), 0.681_998_360_062_498);
        assert_eq!(round_15(54_f64.to_radians().sin()), 0.809_016_994_374_947);
        assert_eq!(round_15(75_f64.to_radians().cos()), 0.258_819_045_102_521);
        assert_eq!(round_15(60_f64.to_radians().cos()), 0.5);
        assert_eq!(round_15(90_f64.to_radians().cos()), 0.0);
    }

    #[test]
    #[should_panic(expected = "a rotation by NaN degrees")]
    fn an_angle_that_is_no_number_is_a_bug() {
        rotate(&[0], 1, 1, f64::NAN);
    }

    #[test]
    #[should_panic(expected = "pixels of a 2x2 image")]
    fn missing_pixels_are_a_bug() {
        rotate(&[0; 3], 2, 2, 1.0);
    }
}
