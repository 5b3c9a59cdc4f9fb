//! exp, ln, tanh and their like on 16 lanes: the same bits on every instruction set, within a few units in the last
//! place.
//!
//! The standard library's functions come from the system's C library and differ between systems; these are made
//! from the exactly rounded operations of [`Simd`] alone. The method is that of Cephes (Moshier, "Methods and
//! Programs for Mathematical Functions", 1989; netlib.org/cephes): reduce the argument to a small interval by
//! arithmetic that loses nothing, which fused multiply-add makes easy, and put it into a short minimax polynomial.
//! The polynomials are those of Cephes' single precision library.
//!
//! Errors are in ULP: the distance to the exact value, in units of the last place of an f32 of its size. The
//! tests check each bound on a sample from every binade, and an ignored one for every f32 there is (`cargo test
//! --release -- --ignored every_f32`). NaN gives NaN everywhere.

use super::Simd;

/// 1.5 * 2^23: adding it to x with |x| < 2^22 rounds x to an integer, to even on ties; subtracting it gives that.
const ROUNDER: f32 = 12_582_912.0;

/// ln 2 in two parts. Fused, n times the first can be taken from a number near n ln 2 without rounding.
const LN_2: [f32; 2] = [std::f32::consts::LN_2, -1.904_654_2e-9];

/// pi / 2 in three parts, all positive, so that a reduced -0 is still -0.
const HALF_PI: [f32; 3] = [f32::from_bits(0x3fc9_0fda), 7.549_789_4e-8, 5.390_303e-15];

/// The integer nearest to a * b, for |a * b| < 2^22.
#[inline(always)]
fn rounded_product<S: Simd>(s: S, a: S::V, b: f32) -> S::V {
    s.sub(s.mul_add(a, s.splat(b), s.splat(ROUNDER)), s.splat(ROUNDER))
}

/// The polynomial in x with these coefficients, the highest power first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::V, coefficients: [f32; N]) -> S::V {
    let mut value = s.splat(coefficients[0]);
    for coefficient in &coefficients[1..] {
        value = s.mul_add(value, x, s.splat(*coefficient));
    }
    value
}

/// e^x; error below 1 ULP.
///
/// Above 88.722839 it is infinity; below -87.33654 it goes through the subnormal numbers, rounded once, to 0 at
/// -103.97208.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; e^x = 2^n e^r.
#[inline(always)]
pub fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    exp_and_exp_m1(s, x).0
}

/// [`exp`] and e^x - 1 for little more than one of them: e^x loses no digits on the left, e^x - 1 none around 0. The error
/// of e^x - 1 is below 2 ULP, also where x is tiny; of -0 it is 0.
///
/// 2^n e^r - 1 = 2^n (e^r - 1) + (2^n - 1), whose second part is exact, or -1 where that is the result. All of it is
/// computed at half its size, because 2^128 is no number.
#[inline(always)]
pub fn exp_and_exp_m1<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    // Outside these bounds the results are 0 and -1 or infinity anyway; inside, n fits the steps below. The constants
    // come first because min and max return the second argument when one is NaN.
    let x = s.max(s.splat(-104.0), s.min(s.splat(89.0), x));
    let n = rounded_product(s, x, std::f32::consts::LOG2_E);
    // r is the sum of an exact difference and a correction, which is added late, among the small terms.
    let difference = s.mul_add(n, s.splat(-LN_2[0]), x);
    let correction = s.mul(n, s.splat(-LN_2[1]));
    let r = s.add(difference, correction);
    let rest =
        polynomial(s, r, [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5]);
    let power_m1 = s.add(difference, s.mul_add(s.mul(r, r), rest, correction));
    let power = s.add(power_m1, s.splat(1.0));
    // 2^n may not be a normal number, but its two factors are, and the first product is exact.
    let half = rounded_product(s, n, 0.5);
    let exp = s.mul(s.mul(power, s.exp2i(half)), s.exp2i(s.sub(n, half)));
    let half_scale = s.exp2i(s.max(s.splat(-126.0), s.sub(n, s.splat(1.0))));
    let half_exp_m1 = s.mul_add(power_m1, half_scale, s.sub(half_scale, s.splat(0.5)));
    (exp, s.add(half_exp_m1, half_exp_m1))
}

/// ln x; error below 1 ULP.
///
/// 0 and -0 give minus infinity, negative numbers NaN. Subnormal numbers are as accurate as others.
#[inline(always)]
pub fn ln<S: Simd>(s: S, x: S::V) -> S::V {
    let subnormal = s.less(x, s.splat(f32::MIN_POSITIVE));
    let scaled = s.select(subnormal, s.mul(x, s.splat(8_388_608.0)), x);
    let (m, e) = s.split(scaled);
    let e = s.select(subnormal, s.sub(e, s.splat(23.0)), e);
    let y = ln_of_parts(s, s.sub(m, s.splat(1.0)), e);
    let y = s.select(s.equal(x, s.splat(0.0)), s.splat(f32::NEG_INFINITY), y);
    let y = s.select(s.less(x, s.splat(0.0)), s.splat(f32::NAN), y);
    // Infinity and NaN are their own logarithms.
    s.select(s.less(x, s.splat(f32::INFINITY)), y, x)
}

/// ln(1 + x) for x >= -1/2; error below 1.5 ULP, also where x is tiny. (Below -1/2: [`ln`] of 1 + x, which is exact.)
///
/// 1 + x rounds to w and loses x - (w - 1). Where w = 2^e m, the fraction m - 1 gets the lost part back, scaled by
/// 2^-e; for e = 0 that restores x itself.
#[inline(always)]
pub fn ln_1p<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let w = s.add(x, one);
    // Knuth's two-sum: exact whichever of 1 and x is the larger.
    let of_x = s.sub(w, one);
    let lost = s.add(s.sub(one, s.sub(w, of_x)), s.sub(x, of_x));
    let (m, e) = s.split(w);
    // Where e is beyond exp2i the lost part no longer counts.
    let scale = s.exp2i(s.max(s.neg(e), s.splat(-126.0)));
    let y = ln_of_parts(s, s.mul_add(lost, scale, s.sub(m, one)), e);
    s.select(s.less(x, s.splat(f32::INFINITY)), y, x)
}

/// ln((1 + f) 2^e) for 1 + f in [sqrt(1/2), sqrt(2)).
#[inline(always)]
fn ln_of_parts<S: Simd>(s: S, f: S::V, e: S::V) -> S::V {
    let rest = polynomial(
        s,
        f,
        [
            7.037_683_6e-2,
            -0.115_146_1,
            0.116_769_99,
            -0.124_201_41,
            0.142_493_23,
            -0.166_680_58,
            0.200_007_15,
            -0.249_999_94,
            0.333_333_3,
        ],
    );
    let small = s.mul(s.mul(s.mul(f, f), f), rest);
    let small = s.mul_add(e, s.splat(LN_2[1]), small);
    let small = s.mul_add(s.mul(f, s.splat(-0.5)), f, small);
    s.mul_add(e, s.splat(LN_2[0]), s.add(f, small))
}

/// ln(1 + e^x); error below 2 ULP. Its derivative is [`sigmoid`].
///
/// max(x, 0) + ln(1 + e^-|x|): never overflows, is x for large x, and e^x, not 0, for very negative x. (PyTorch's
/// softplus is x above 20; there the two differ by less than a rounding.)
#[inline(always)]
pub fn softplus<S: Simd>(s: S, x: S::V) -> S::V {
    s.add(s.max(s.splat(0.0), x), ln_1p(s, exp(s, s.neg(s.abs(x)))))
}

/// 1 / (1 + e^-x); error below 2.5 ULP, also far out on the left, where it is e^x.
#[inline(always)]
pub fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    let one = s.splat(1.0);
    let power = exp(s, s.neg(s.abs(x)));
    s.div(s.select(s.less(x, s.splat(0.0)), power, one), s.add(one, power))
}

/// tanh x; error below 2 ULP; keeps the sign of 0.
#[inline(always)]
pub fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    let size = s.abs(x);
    let one = s.splat(1.0);
    let power = exp(s, s.add(size, size));
    let far = s.sub(one, s.div(s.splat(2.0), s.add(power, one)));
    let far = s.select(s.less(x, s.splat(0.0)), s.neg(far), far);
    let square = s.mul(x, x);
    let near = polynomial(
        s,
        square,
        [-5.704_988_7e-3, 2.063_908_8e-2, -5.373_971_6e-2, 0.133_314_42, -0.333_332_8, 1.0],
    );
    s.select(s.less(size, s.splat(0.625)), s.mul(x, near), far)
}

/// sin x and cos x for |x| <= 8192, NaN outside; error below 2.5 ULP, also near their zeros.
///
/// x = n pi / 2 + r with |r| <= pi / 4; pi / 2 has three parts, so that r is exact to the last place even where most
/// of x cancels. n modulo 4 says which of sin r and cos r is which, and with which sign.
#[inline(always)]
pub fn sin_cos<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    let n = rounded_product(s, x, std::f32::consts::FRAC_2_PI);
    let mut r = x;
    for part in HALF_PI {
        r = s.mul_add(n, s.splat(-part), r);
    }
    let square = s.mul(r, r);
    let sine = polynomial(s, square, [-1.951_529_6e-4, 8.332_161e-3, -0.166_666_55, 1.0]);
    let sine = s.mul(r, sine);
    let cosine = polynomial(s, square, [2.443_315_7e-5, -1.388_731_6e-3, 4.166_664_6e-2, -0.5, 1.0]);

    // The quarter turns behind the last full turn: -2, -1, 0, 1 or 2.
    let quarters = s.mul_add(rounded_product(s, n, 0.25), s.splat(-4.0), n);
    let swapped = s.equal(s.abs(quarters), s.splat(1.0));
    let (sine, cosine) = (s.select(swapped, cosine, sine), s.select(swapped, sine, cosine));
    // sin: negative for -1 and for 2 or -2; cos: for 1 and for 2 or -2.
    let zero = s.splat(0.0);
    let flipped_sine = s.select(s.less(quarters, zero), s.neg(sine), sine);
    let flipped_sine = s.select(s.equal(quarters, s.splat(2.0)), s.neg(sine), flipped_sine);
    let flipped_cosine = s.select(s.less(zero, quarters), s.neg(cosine), cosine);
    let flipped_cosine = s.select(s.equal(quarters, s.splat(-2.0)), s.neg(cosine), flipped_cosine);

    let outside = s.less(s.splat(8192.0), s.abs(x));
    let nan = s.splat(f32::NAN);
    (s.select(outside, nan, flipped_sine), s.select(outside, nan, flipped_cosine))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Isa, Kernel, slice};

    #[derive(Clone, Copy, Debug)]
    enum Function {
        Exp,
        ExpM1,
        Ln,
        Ln1p,
        Softplus,
        Sigmoid,
        Tanh,
        Sin,
        Cos,
    }

    /// A function, its f64 reference, its domain and the bound of its docstring.
    struct Row {
        function: Function,
        reference: fn(f64) -> f64,
        domain: fn(f32) -> bool,
        bound: f64,
    }

    fn table() -> [Row; 9] {
        let row = |function, reference, domain, bound| Row { function, reference, domain, bound };
        [
            row(Function::Exp, f64::exp, |_| true, 1.0),
            row(Function::ExpM1, f64::exp_m1, |_| true, 2.0),
            row(Function::Ln, f64::ln, |_| true, 1.0),
            row(Function::Ln1p, f64::ln_1p, |x| x >= -0.5 || x.is_nan(), 1.5),
            row(Function::Softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), |x| !x.is_nan(), 2.0),
            row(Function::Sigmoid, |x| 1.0 / (1.0 + (-x).exp()), |_| true, 2.5),
            row(Function::Tanh, f64::tanh, |_| true, 2.0),
            row(Function::Sin, f64::sin, |x| x.abs() <= 8192.0, 2.5),
            row(Function::Cos, f64::cos, |x| x.abs() <= 8192.0, 2.5),
        ]
    }

    struct Apply<'a> {
        function: Function,
        y: &'a mut [f32],
    }

    impl Kernel for Apply<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            macro_rules! on {
                ($x:ident => $value:expr) => {
                    slice::map_in_place(
                        s,
                        self.y,
                        #[inline(always)]
                        |s, $x| $value(s),
                    )
                };
            }
            match self.function {
                Function::Exp => on!(x => |s| exp(s, x)),
                Function::ExpM1 => on!(x => |s| exp_and_exp_m1(s, x).1),
                Function::Ln => on!(x => |s| ln(s, x)),
                Function::Ln1p => on!(x => |s| ln_1p(s, x)),
                Function::Softplus => on!(x => |s| softplus(s, x)),
                Function::Sigmoid => on!(x => |s| sigmoid(s, x)),
                Function::Tanh => on!(x => |s| tanh(s, x)),
                Function::Sin => on!(x => |s| sin_cos(s, x).0),
                Function::Cos => on!(x => |s| sin_cos(s, x).1),
            }
        }
    }

    fn apply(isa: Isa, function: Function, x: &[f32]) -> Vec<f32> {
        let mut y = x.to_vec();
        isa.run(Apply { function, y: &mut y });
        y
    }

    fn bits(x: &[f32]) -> Vec<u32> {
        x.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
    }

    /// The distance from `found` to `exact` in units in the last place of f32 at `exact`.
    fn ulps(found: f32, exact: f64) -> f64 {
        if found.is_nan() || exact.is_nan() {
            return if found.is_nan() && exact.is_nan() { 0.0 } else { f64::INFINITY };
        }
        // Infinity stands where the next f32 would be.
        let end = 2.0_f64.powi(128);
        let (found, exact) = (f64::from(found).clamp(-end, end), exact.clamp(-end, end));
        let exponent = (exact.abs().to_bits() >> 52) as i32 - 1023;
        (found - exact).abs() / 2.0_f64.powi((exponent - 23).clamp(-149, 127 - 23))
    }

    fn sweep(stride: usize, instruction_sets: &[Isa]) {
        let mut failed = Vec::new();
        for Row { function, reference, domain, bound } in table() {
            let (mut worst, mut at) = (0.0, 0.0);
            let mut patterns = (0..=u32::MAX).step_by(stride).peekable();
            while patterns.peek().is_some() {
                let x: Vec<f32> = patterns.by_ref().map(f32::from_bits).take(1 << 16).collect();
                let y = apply(instruction_sets[0], function, &x);
                for &isa in &instruction_sets[1..] {
                    assert_eq!(bits(&apply(isa, function, &x)), bits(&y), "{function:?} on {}", isa.name());
                }
                for (&x, &y) in x.iter().zip(&y).filter(|(x, _)| domain(**x)) {
                    let error = ulps(y, reference(f64::from(x)));
                    if error > worst {
                        (worst, at) = (error, x);
                    }
                }
            }
            println!("{function:?}: at most {worst:.3} ULP, at {at:e}");
            if worst > bound {
                failed.push(format!("{function:?}: {worst:.3} ULP at {at:e}, stated {bound}"));
            }
        }
        assert!(failed.is_empty(), "{}", failed.join("; "));
    }

    #[test]
    fn errors_stay_within_the_stated_bounds_on_every_instruction_set() {
        sweep(997, Isa::supported());
    }

    #[test]
    #[ignore = "every f32: some minutes"]
    fn errors_stay_within_the_stated_bounds_for_every_f32() {
        sweep(1, &[Isa::current()]);
    }

    /// Closer together than the sweep, where networks compute.
    #[test]
    fn errors_stay_within_the_stated_bounds_between_minus_and_plus_110() {
        let x: Vec<f32> = (-1_100_000..=1_100_000).map(|i| i as f32 * 1e-4).collect();
        for Row { function, reference, domain, bound } in table() {
            let y = apply(Isa::current(), function, &x);
            for (&x, &y) in x.iter().zip(&y).filter(|(x, _)| domain(**x)) {
                let error = ulps(y, reference(f64::from(x)));
                assert!(error <= bound, "{function:?} of {x:e}: {y:e} is {error:.3} ULP off");
            }
        }
    }

    #[test]
    fn edges_are_right() {
        let (inf, nan) = (f32::INFINITY, f32::NAN);
        let least = f32::from_bits(1);
        let cases: [(Function, &[(f32, f32)]); 9] = [
            (
                Function::Exp,
                &[
                    (0.0, 1.0),
                    (-0.0, 1.0),
                    (inf, inf),
                    (-inf, 0.0),
                    (nan, nan),
                    (1000.0, inf),
                    (88.722_84, inf),
                    (-103.9, least),
                    (-103.98, 0.0),
                    (-1e30, 0.0),
                ],
            ),
            (
                Function::ExpM1,
                &[
                    (0.0, 0.0),
                    (-0.0, 0.0),
                    (1e-30, 1e-30),
                    (-1e-30, -1e-30),
                    (inf, inf),
                    (-inf, -1.0),
                    (-18.0, -1.0),
                    (88.722_84, inf),
                    (nan, nan),
                ],
            ),
            (
                Function::Ln,
                &[
                    (1.0, 0.0),
                    (0.0, -inf),
                    (-0.0, -inf),
                    (-1.0, nan),
                    (-least, nan),
                    (-inf, nan),
                    (inf, inf),
                    (nan, nan),
                ],
            ),
            (Function::Ln1p, &[(0.0, 0.0), (least, least), (1e-30, 1e-30), (inf, inf), (nan, nan)]),
            (
                Function::Softplus,
                &[(inf, inf), (-inf, 0.0), (nan, nan), (30.0, 30.0), (f32::MAX, f32::MAX), (-103.9, least)],
            ),
            (
                Function::Sigmoid,
                &[(0.0, 0.5), (inf, 1.0), (-inf, 0.0), (nan, nan), (-103.9, least), (100.0, 1.0)],
            ),
            (
                Function::Tanh,
                &[
                    (0.0, 0.0),
                    (-0.0, -0.0),
                    (inf, 1.0),
                    (-inf, -1.0),
                    (nan, nan),
                    (10.0, 1.0),
                    (-10.0, -1.0),
                    (1e-30, 1e-30),
                ],
            ),
            (
                Function::Sin,
                &[(0.0, 0.0), (-0.0, -0.0), (inf, nan), (nan, nan), (8193.0, nan), (1e-30, 1e-30)],
            ),
            (Function::Cos, &[(0.0, 1.0), (-0.0, 1.0), (-inf, nan), (nan, nan), (-8193.0, nan)]),
        ];
        for &isa in Isa::supported() {
            for (function, pairs) in cases {
                let (x, y): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
                assert_eq!(
                    bits(&apply(isa, function, &x)),
                    bits(&y),
                    "{function:?} of {x:?} on {}",
                    isa.name()
                );
            }
        }
    }

    #[test]
    fn sizes_beside_whole_vectors_give_the_same_bits() {
        let all: Vec<f32> = (0..100).map(|i| i as f32 * 0.13 - 0.4).collect();
        for Row { function, .. } in table() {
            let whole: Vec<u32> =
                all.iter().flat_map(|&x| bits(&apply(Isa::Portable, function, &[x]))).collect();
            for &isa in Isa::supported() {
                for count in [0, 1, 15, 16, 17, 31, 33, 100] {
                    assert_eq!(bits(&apply(isa, function, &all[..count])), whole[..count], "{function:?}");
                }
            }
        }
    }
}
