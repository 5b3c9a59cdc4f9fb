//! exp, ln and ln(1 + x) in f64 by arithmetic alone: the system's may differ in their last digits between machines, and a
//! thousand iterations later a picture would.

/// 1 / k! for k = 13 down to 0.
const INVERSE_FACTORIALS: [f64; 14] = {
    let mut all = [1.0; 14];
    let (mut k, mut factorial) = (0, 1.0);
    while k < 14 {
        all[13 - k] = 1.0 / factorial;
        k += 1;
        factorial *= k as f64;
    }
    all
};

/// ln 2 in two parts: a whole number of times the first is exact.
const LN_2: [f64; 2] = [f64::from_bits(0x3fe6_2e42_fee0_0000), f64::from_bits(0x3dea_39ef_3579_3c76)];

/// e^x to a few units in the last place; 0 below -708, where it would be subnormal soon, infinite above 709.
#[inline]
pub(crate) fn exp(x: f64) -> f64 {
    /// Added and taken away again, it rounds to a whole number.
    const ROUNDING: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
    if x < -708.0 {
        return 0.0;
    }
    if x > 709.0 {
        return f64::INFINITY;
    }
    // x = n ln 2 + r with |r| <= ln 2 / 2, where the next term of the series is below 5e-18.
    let n = (x * std::f64::consts::LOG2_E + ROUNDING) - ROUNDING;
    let r = (x - n * LN_2[0]) - n * LN_2[1];
    let series = INVERSE_FACTORIALS.iter().fold(0.0, |sum, term| sum * r + term);
    series * f64::from_bits(((n as i64 + 1023) as u64) << 52)
}

/// ln x to a few units in the last place.
///
/// # Panics
/// If x is not a positive, normal, finite number.
#[track_caller]
pub(crate) fn ln(x: f64) -> f64 {
    assert!(x.is_normal() && x > 0.0, "ln of {x}");
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as f64 - 1023.0;
    let mut m = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if m > std::f64::consts::SQRT_2 {
        m /= 2.0;
        exponent += 1.0;
    }
    // ln m = 2 artanh s; |s| < 0.172, so that the first term left out is below 1e-18.
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let series = (0..11).rev().fold(0.0, |sum, k| sum * z + 1.0 / f64::from(2 * k + 1));
    exponent * LN_2[0] + (exponent * LN_2[1] + 2.0 * s * series)
}

/// ln(1 + x) of a positive x, or 0, to a few units in the last place, however small x is.
///
/// # Panics
/// If x is negative or not finite.
#[track_caller]
pub(crate) fn ln_1p(x: f64) -> f64 {
    assert!(x >= 0.0, "ln_1p of {x}");
    let sum = 1.0 + x;
    // What the sum has lost of x is lost of its distance from 1 as well (Kahan).
    if sum == 1.0 { x } else { ln(sum) * (x / (sum - 1.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_equal_the_systems_to_a_few_units_in_the_last_place() {
        assert_eq!(LN_2[0] + LN_2[1], std::f64::consts::LN_2);
        for i in -70_800..=70_900 {
            let x = f64::from(i) / 100.0;
            let (found, expected) = (exp(x), x.exp());
            assert!((found - expected).abs() <= 1e-15 * expected, "exp {x} = {found}, expected {expected}");
            let (found, expected) = (ln(expected), expected.ln());
            assert!(
                (found - expected).abs() <= 5e-16 * expected.abs().max(0.5),
                "ln of exp {x} = {found}, expected {expected}"
            );
        }
        for i in -4_000..=30_000 {
            let x = (f64::from(i) / 100.0).exp();
            let (found, expected) = (ln_1p(x), x.ln_1p());
            assert!((found - expected).abs() <= 1e-15 * expected, "ln_1p {x} = {found}, expected {expected}");
        }
        assert_eq!([ln_1p(0.0), ln_1p(1e-300)], [0.0, 1e-300]);
        assert_eq!([exp(0.0), exp(-709.0), exp(-1e300)], [1.0, 0.0, 0.0]);
        assert_eq!(exp(710.0), f64::INFINITY);
        assert!(exp(f64::NAN).is_nan());
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    #[should_panic(expected = "ln of 0")]
    fn the_logarithm_of_zero_is_a_bug() {
        ln(0.0);
    }
}
