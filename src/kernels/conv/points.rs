//! Convolution by multiplying values of polynomials: the maps along one axis.
//!
//! A row of numbers is a polynomial, x0 + x1 X + x2 X^2 + ..., and the full convolution of two rows is the product of
//! their polynomials. A product of degree 5 is settled by its values at six points, here 0, 1, -1, 1/2, -2 and infinity
//! (the leading coefficient), and there it is six products of numbers, where four pixels times three taps would take
//! twelve:
//!
//! ```text
//! x * w = interpolate(evaluate(x) . evaluate(w))        . element by element
//! ```
//!
//! (Toom 1963, Cook 1966; Winograd, "Arithmetic complexity of computations", 1980, chapter 3; for networks Lavin, Gray,
//! "Fast algorithms for convolutional neural networks", CVPR 2016.) Along two axes the maps are applied one after the
//! other, and 36 products replace 144. All are linear, so gradients take their transposes. The transpose with respect to
//! x is a correlation: of six pixels and five taps come two outputs, by 36 products instead of 100,
//!
//! ```text
//! y = evaluate^T(interpolate^T(x) . evaluate(w))
//! ```
//!
//! The points decide the rounding errors. Of the sets of small fractions, pairs x, -1/x lose least (Barabasz and others,
//! "Error analysis and improving the accuracy of Winograd convolution", 2020): these six are as exact as five with 2
//! would be. The constant factors of the interpolation, 1/6, 1/6, 16/15 and 1/30, are moved to the weights ([`SCALE`]).

use crate::simd::{LANES, Simd};

/// How many points there are.
pub(super) const POINTS: usize = 6;

/// What the values of the weights are multiplied by, so that interpolation has small whole factors.
pub(super) const SCALE: [f32; POINTS] = [1.0, 1.0 / 6.0, 1.0 / 6.0, 16.0 / 15.0, 1.0 / 30.0, 1.0];

/// c x + y
#[inline(always)]
fn times<S: Simd>(s: S, c: f32, x: S::V, y: S::V) -> S::V {
    s.mul_add(s.splat(c), x, y)
}

/// The value at p of the polynomial with these coefficients.
#[inline(always)]
fn horner<S: Simd, const N: usize>(s: S, p: f32, x: [S::V; N]) -> S::V {
    let mut value = x[N - 1];
    for &x in x[..N - 1].iter().rev() {
        value = times(s, p, value, x);
    }
    value
}

/// The values of x0 + x1 X + x2 X^2 + x3 X^3 at the six points, for infinity x3.
#[inline(always)]
pub(super) fn evaluate4<S: Simd>(s: S, [x0, x1, x2, x3]: [S::V; 4]) -> [S::V; POINTS] {
    let (even, odd) = (s.add(x0, x2), s.add(x1, x3));
    let x = [x0, x1, x2, x3];
    [x0, s.add(even, odd), s.sub(even, odd), horner(s, 0.5, x), horner(s, -2.0, x), x3]
}

/// The transpose of [`evaluate4`].
#[inline(always)]
pub(super) fn evaluate4_transposed<S: Simd>(s: S, [g0, g1, g2, g3, g4, g5]: [S::V; POINTS]) -> [S::V; 4] {
    let (even, odd) = (s.add(g1, g2), s.sub(g1, g2));
    [
        s.add(s.add(g0, even), s.add(g3, g4)),
        times(s, 0.5, g3, times(s, -2.0, g4, odd)),
        times(s, 0.25, g3, times(s, 4.0, g4, even)),
        times(s, 0.125, g3, times(s, -8.0, g4, s.add(g5, odd))),
    ]
}

/// The values of x0 + x1 X.
#[inline(always)]
pub(super) fn evaluate2<S: Simd>(s: S, [x0, x1]: [S::V; 2]) -> [S::V; POINTS] {
    [x0, s.add(x0, x1), s.sub(x0, x1), times(s, 0.5, x1, x0), times(s, -2.0, x1, x0), x1]
}

/// The transpose of [`evaluate2`].
#[inline(always)]
pub(super) fn evaluate2_transposed<S: Simd>(s: S, [g0, g1, g2, g3, g4, g5]: [S::V; POINTS]) -> [S::V; 2] {
    [
        s.add(s.add(g0, s.add(g1, g2)), s.add(g3, g4)),
        times(s, 0.5, g3, times(s, -2.0, g4, s.add(g5, s.sub(g1, g2)))),
    ]
}

/// The values of w0 + w1 X + w2 X^2, times [`SCALE`].
#[inline(always)]
pub(super) fn evaluate3<S: Simd>(s: S, [w0, w1, w2]: [S::V; 3]) -> [S::V; POINTS] {
    let even = s.add(w0, w2);
    let w = [w0, w1, w2];
    scaled(s, [w0, s.add(even, w1), s.sub(even, w1), horner(s, 0.5, w), horner(s, -2.0, w), w2])
}

/// The transpose of [`evaluate3`].
#[inline(always)]
pub(super) fn evaluate3_transposed<S: Simd>(s: S, g: [S::V; POINTS]) -> [S::V; 3] {
    let [g0, g1, g2, g3, g4, g5] = scaled(s, g);
    let even = s.add(g1, g2);
    [
        s.add(s.add(g0, even), s.add(g3, g4)),
        times(s, 0.5, g3, times(s, -2.0, g4, s.sub(g1, g2))),
        times(s, 0.25, g3, times(s, 4.0, g4, s.add(g5, even))),
    ]
}

/// The values of w0 + w1 X + ... + w4 X^4, times [`SCALE`].
#[inline(always)]
pub(super) fn evaluate5<S: Simd>(s: S, w: [S::V; 5]) -> [S::V; POINTS] {
    let [w0, w1, w2, w3, w4] = w;
    let (even, odd) = (s.add(w0, s.add(w2, w4)), s.add(w1, w3));
    scaled(s, [w0, s.add(even, odd), s.sub(even, odd), horner(s, 0.5, w), horner(s, -2.0, w), w4])
}

/// The transpose of [`evaluate5`].
#[inline(always)]
pub(super) fn evaluate5_transposed<S: Simd>(s: S, g: [S::V; POINTS]) -> [S::V; 5] {
    let [g0, g1, g2, g3, g4, g5] = scaled(s, g);
    let (even, odd) = (s.add(g1, g2), s.sub(g1, g2));
    [
        s.add(s.add(g0, even), s.add(g3, g4)),
        times(s, 0.5, g3, times(s, -2.0, g4, odd)),
        times(s, 0.25, g3, times(s, 4.0, g4, even)),
        times(s, 0.125, g3, times(s, -8.0, g4, odd)),
        times(s, 0.0625, g3, times(s, 16.0, g4, s.add(g5, even))),
    ]
}

#[inline(always)]
fn scaled<S: Simd>(s: S, x: [S::V; POINTS]) -> [S::V; POINTS] {
    let [x0, mut x1, mut x2, mut x3, mut x4, x5] = x;
    for (x, scale) in [&mut x1, &mut x2, &mut x3, &mut x4].into_iter().zip(&SCALE[1..]) {
        *x = s.mul(s.splat(*scale), *x);
    }
    [x0, x1, x2, x3, x4, x5]
}

/// The coefficients y0 to y5 of the polynomial with these values, each divided by its [`SCALE`].
#[inline(always)]
pub(super) fn interpolate<S: Simd>(s: S, [e0, u, v, h, t, i]: [S::V; POINTS]) -> [S::V; POINTS] {
    let p = times(s, 2.0, h, t);
    let q = times(s, -2.0, t, h);
    let y1 = times(s, -1.5, e0, times(s, -2.0, s.add(u, v), s.add(p, i)));
    let y2 = times(s, -2.0, e0, times(s, -1.5, i, times(s, 5.0, v, s.add(u, q))));
    let y3 = times(s, 1.5, e0, times(s, -2.0, i, times(s, 5.0, u, s.neg(s.add(v, p)))));
    let y4 = times(s, 1.5, i, times(s, 2.0, s.sub(u, v), s.sub(e0, q)));
    [e0, y1, y2, y3, y4, i]
}

/// The transpose of [`interpolate`].
#[inline(always)]
pub(super) fn interpolate_transposed<S: Simd>(
    s: S,
    [g0, g1, g2, g3, g4, g5]: [S::V; POINTS],
) -> [S::V; POINTS] {
    let (a, b) = (s.sub(g1, g3), s.sub(g2, g4));
    [
        times(s, -1.5, a, times(s, -2.0, g2, s.add(g0, g4))),
        times(s, -2.0, g1, times(s, 5.0, g3, times(s, 2.0, g4, g2))),
        times(s, -2.0, g1, times(s, 5.0, g2, times(s, -2.0, g4, s.neg(g3)))),
        times(s, 2.0, a, b),
        times(s, -2.0, b, a),
        times(s, -1.5, b, times(s, -2.0, g3, s.add(g1, g5))),
    ]
}

/// The sixteen numbers from `at` on.
#[inline(always)]
pub(super) fn load<S: Simd>(s: S, from: &[f32], at: usize) -> S::V {
    let lanes: &[f32; LANES] = from[at..at + LANES].try_into().expect("sixteen numbers");
    s.load(lanes)
}

/// Writes sixteen numbers from `at` on.
#[inline(always)]
pub(super) fn store<S: Simd>(s: S, v: S::V, to: &mut [f32], at: usize) {
    let lanes: &mut [f32; LANES] = (&mut to[at..at + LANES]).try_into().expect("sixteen numbers");
    s.store(v, lanes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{self, Kernel};

    /// Applies a map to every unit vector: its matrix, column by column.
    struct Matrix<F>(F);

    macro_rules! matrix {
        ($map:ident, $inputs:literal) => {{
            struct Columns;
            impl Kernel for Columns {
                type Output = Vec<Vec<f64>>;
                #[inline(always)]
                fn run<S: Simd>(self, s: S) -> Self::Output {
                    let column = |j: usize| {
                        let x: [S::V; $inputs] =
                            std::array::from_fn(|i| s.splat(f32::from(u8::from(i == j))));
                        let y = $map(s, x);
                        y.map(|v| {
                            let mut lanes = [0.0; LANES];
                            s.store(v, &mut lanes);
                            f64::from(lanes[0])
                        })
                        .to_vec()
                    };
                    (0..$inputs).map(column).collect()
                }
            }
            Matrix(simd::run(Columns))
        }};
    }

    type Columns = Matrix<Vec<Vec<f64>>>;

    impl Columns {
        fn at(&self, row: usize, column: usize) -> f64 {
            self.0[column][row]
        }

        fn assert_transposed(&self, other: &Columns) {
            for (j, column) in self.0.iter().enumerate() {
                for i in 0..column.len() {
                    let (a, b) = (self.at(i, j), other.at(j, i));
                    assert!((a - b).abs() < 1e-6, "row {i}, column {j}: {a} and {b}");
                }
            }
        }
    }

    #[test]
    fn products_of_values_are_values_of_products() {
        let y = matrix!(interpolate, 6);
        for (x, w) in
            [(matrix!(evaluate4, 4), matrix!(evaluate3, 3)), (matrix!(evaluate2, 2), matrix!(evaluate5, 5))]
        {
            for i in 0..x.0.len() {
                for j in 0..w.0.len() {
                    for k in 0..POINTS {
                        let sum: f64 = (0..POINTS).map(|p| y.at(k, p) * x.at(p, i) * w.at(p, j)).sum();
                        let expected = f64::from(u8::from(i + j == k));
                        assert!((sum - expected).abs() < 1e-6, "X^{i} X^{j} has {sum} X^{k}");
                    }
                }
            }
        }
    }

    #[test]
    fn transposes_are_transposed() {
        matrix!(evaluate4, 4).assert_transposed(&matrix!(evaluate4_transposed, 6));
        matrix!(evaluate2, 2).assert_transposed(&matrix!(evaluate2_transposed, 6));
        matrix!(evaluate5, 5).assert_transposed(&matrix!(evaluate5_transposed, 6));
        matrix!(evaluate3, 3).assert_transposed(&matrix!(evaluate3_transposed, 6));
        matrix!(interpolate, 6).assert_transposed(&matrix!(interpolate_transposed, 6));
    }
}
