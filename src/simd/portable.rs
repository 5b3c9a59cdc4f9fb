//! The lanes of the crate `wide`: plain Rust, compiled for whatever the build targets (SSE2, NEON, WebAssembly).
//!
//! Only the operations of `wide` that are exact are used. Its `mul_add` rounds twice where the *build* has no fused
//! multiply-add, which is the case on plain x86-64, and its `min` and `max` follow IEEE's minimum with NaN, so these
//! are made here.

use super::{BIASED_ROUNDER, LANES, MANTISSA, ONE_BITS, SQRT_HALF_BITS, Simd};
use wide::{f32x16, u32x16};

/// The token of the portable lanes, which every CPU has.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Simd for Portable {
    type V = f32x16;
    type Mask = f32x16;

    #[inline(always)]
    fn splat(self, x: f32) -> f32x16 {
        f32x16::splat(x)
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> f32x16 {
        f32x16::new(*from)
    }

    #[inline(always)]
    fn store(self, v: f32x16, to: &mut [f32; LANES]) {
        *to = v.to_array();
    }

    #[inline(always)]
    fn add(self, a: f32x16, b: f32x16) -> f32x16 {
        a + b
    }

    #[inline(always)]
    fn sub(self, a: f32x16, b: f32x16) -> f32x16 {
        a - b
    }

    #[inline(always)]
    fn mul(self, a: f32x16, b: f32x16) -> f32x16 {
        a * b
    }

    #[inline(always)]
    fn div(self, a: f32x16, b: f32x16) -> f32x16 {
        a / b
    }

    #[inline(always)]
    fn sqrt(self, a: f32x16) -> f32x16 {
        a.sqrt()
    }

    #[inline(always)]
    fn mul_add(self, a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
        if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
            a.mul_add(b, c)
        } else {
            fused_lanes(a, b, c)
        }
    }

    #[inline(always)]
    fn min(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_lt(b).select(a, b)
    }

    #[inline(always)]
    fn max(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_gt(b).select(a, b)
    }

    #[inline(always)]
    fn abs(self, a: f32x16) -> f32x16 {
        a.abs()
    }

    #[inline(always)]
    fn neg(self, a: f32x16) -> f32x16 {
        -a
    }

    #[inline(always)]
    fn less(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_lt(b)
    }

    #[inline(always)]
    fn less_equal(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_le(b)
    }

    #[inline(always)]
    fn equal(self, a: f32x16, b: f32x16) -> f32x16 {
        a.simd_eq(b)
    }

    #[inline(always)]
    fn select(self, mask: f32x16, yes: f32x16, no: f32x16) -> f32x16 {
        mask.select(yes, no)
    }

    #[inline(always)]
    fn exp2i(self, n: f32x16) -> f32x16 {
        f32x16::from_bits((n + f32x16::splat(BIASED_ROUNDER)).to_bits() << 23_u32)
    }

    #[inline(always)]
    fn split(self, x: f32x16) -> (f32x16, f32x16) {
        let shifted = x.to_bits() + u32x16::splat(ONE_BITS - SQRT_HALF_BITS);
        let biased = (shifted >> 23_u32) | u32x16::splat((8_388_608.0_f32).to_bits());
        let m = (shifted & u32x16::splat(MANTISSA)) + u32x16::splat(SQRT_HALF_BITS);
        (f32x16::from_bits(m), f32x16::from_bits(biased) - f32x16::splat(BIASED_ROUNDER))
    }

    #[inline(always)]
    fn sum(self, v: f32x16) -> f32 {
        halve(v.to_array(), |a, b| a + b)
    }

    #[inline(always)]
    fn largest(self, v: f32x16) -> f32 {
        halve(v.to_array(), |a, b| if a > b { a } else { b })
    }
}

/// The tree of [`Simd::sum`]: joins lane i with i + 8, then with i + 4, i + 2, i + 1.
#[inline(always)]
fn halve(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] = join(lanes[lane], lanes[lane + half]);
        }
    }
    lanes[0]
}

/// a * b + c in every lane. A function of its own, because it is long: inlined into every step of a polynomial it
/// would swell every kernel.
#[inline(never)]
fn fused_lanes(a: f32x16, b: f32x16, c: f32x16) -> f32x16 {
    let (a, b, c) = (a.to_array(), b.to_array(), c.to_array());
    let mut lanes = [0.0; LANES];
    for lane in 0..LANES {
        lanes[lane] = fused(a[lane], b[lane], c[lane]);
    }
    f32x16::new(lanes)
}

/// a * b + c with one rounding, without a fused instruction.
///
/// In f64 the product of two f32 is exact. The sum is not, and rounding it to f64 and then to f32 can go wrong when
/// the first rounding lands on a tie of the second. Rounding to odd cannot (Boldo and Melquiond, "Emulation of FMA
/// and correctly rounded sums: proved algorithms using rounding to odd", IEEE Trans. Computers 57, 2008): where the
/// sum is inexact, of the two neighbours the one with the odd mantissa is taken. The part lost comes from Knuth's
/// two-sum; f64's range is so much wider than f32's that nothing in it overflows or underflows.
#[inline(always)]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    let product = f64::from(a) * f64::from(b);
    let c = f64::from(c);
    let sum = product + c;
    let of_c = sum - product;
    let lost = (product - (sum - of_c)) + (c - of_c);
    let bits = sum.to_bits();
    // Infinity and NaN make `lost` NaN, for which this is false.
    let inexact = lost.abs() > 0.0;
    let move_to_odd = inexact & (bits & 1 == 0);
    let away_from_zero = (bits ^ lost.to_bits()) >> 63 == 0;
    let step = if away_from_zero { 1 } else { u64::MAX };
    f64::from_bits(bits.wrapping_add(if move_to_odd { step } else { 0 })) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use proptest::prelude::*;

    #[track_caller]
    fn check(a: f32, b: f32, c: f32) {
        let (found, expected) = (fused(a, b, c), a.mul_add(b, c));
        assert!(
            found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
            "{a:e} * {b:e} + {c:e}: {found:e}, expected {expected:e}"
        );
    }

    #[test]
    fn fused_equals_std_on_edges() {
        let edges =
            [0.0, 1e-45, 1.1754942e-38, f32::MIN_POSITIVE, 1.0 - f32::EPSILON / 2.0, 1.0, 1.0 + f32::EPSILON];
        let edges = edges.into_iter().chain([1.5, 16_777_215.0, 1e19, f32::MAX, f32::INFINITY, f32::NAN]);
        let edges: Vec<f32> = edges.flat_map(|x| [x, -x]).collect();
        for &a in &edges {
            for &b in &edges {
                for &c in &edges {
                    check(a, b, c);
                }
            }
        }
    }

    #[test]
    fn fused_equals_std_on_random_bits() {
        let stream = Stream::new(11, "fused multiply-add", &[]);
        for index in 0..2_000_000 {
            let [a, b, c, _] = stream.block(index).map(f32::from_bits);
            check(a, b, c);
        }
    }

    /// Products with few bits beside an addend some 24 or 53 binary places away: here ties of f32, and f64 sums that
    /// round onto such ties, are common.
    #[test]
    fn fused_equals_std_near_ties() {
        let stream = Stream::new(12, "fused multiply-add", &[]);
        let mut rounded_twice_differs = 0;
        for index in 0..2_000_000 {
            let [first, second, third, places] = stream.block(index);
            let mantissa = |bits: u32| ONE_BITS | (bits & MANTISSA);
            let few = |bits: u32| f32::from_bits(mantissa(bits) & !((1 << (12 + bits % 11)) - 1));
            let scale = |exponent: u32| f32::from_bits(exponent << 23);
            let sign = if places & 1 == 0 { 1.0 } else { -1.0 };
            let a = few(first);
            let b = if places & 2 == 0 { few(second) } else { f32::from_bits(mantissa(second)) };
            // The exponent of c reaches from 70 places below the product to 30 above it; half of the trials end
            // among the subnormals.
            let (shift, low) = ((places >> 8) % 100, if places & 4 == 0 { 100 } else { 1 });
            let a = a * if low == 1 { scale(1) } else { scale(90) };
            let b = b * scale(if low == 1 { 120 } else { 127 });
            let c = sign * few(third) * scale((low + shift).saturating_sub(70));
            check(a, b, c);
            let twice = (f64::from(a) * f64::from(b) + f64::from(c)) as f32;
            rounded_twice_differs += u32::from(twice.to_bits() != a.mul_add(b, c).to_bits());
        }
        assert!(rounded_twice_differs > 100, "only {rounded_twice_differs} trials need rounding to odd");
    }

    proptest! {
        #[test]
        fn fused_equals_std(a in any::<f32>(), b in any::<f32>(), place in -60_i32..60, c in any::<f32>()) {
            check(a, b, c);
            // An addend of the product's size, where the sum cancels or rounds.
            check(a, b, (f64::from(a) * f64::from(b) * 2.0_f64.powi(place)) as f32);
            check(a, b, -(a * b));
        }
    }
}
