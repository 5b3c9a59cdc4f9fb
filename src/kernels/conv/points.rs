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
use std::ops::Range;

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

/// The powers of the points 1/2 and -2.
const POWERS: [[f32; 2]; 5] = [[1.0, 1.0], [0.5, -2.0], [0.25, 4.0], [0.125, -8.0], [0.0625, 16.0]];

/// The sum of every second number from `first` on, beginning with the last one.
#[inline(always)]
fn every_second<S: Simd, const N: usize>(s: S, x: [S::V; N], first: usize) -> S::V {
    let mut i = N - 1 - (N - 1 - first) % 2;
    let mut sum = x[i];
    while i > first {
        i -= 2;
        sum = s.add(x[i], sum);
    }
    sum
}

/// The values of x0 + x1 X + x2 X^2 + ... at the six points, for infinity the last coefficient; of two to five numbers.
#[inline(always)]
pub(super) fn evaluate<S: Simd, const N: usize>(s: S, x: [S::V; N]) -> [S::V; POINTS] {
    let (even, odd) = (every_second(s, x, 0), every_second(s, x, 1));
    [x[0], s.add(even, odd), s.sub(even, odd), horner(s, 0.5, x), horner(s, -2.0, x), x[N - 1]]
}

/// The transpose of [`evaluate`].
#[inline(always)]
pub(super) fn evaluate_transposed<S: Simd, const N: usize>(s: S, g: [S::V; POINTS]) -> [S::V; N] {
    let [g0, g1, g2, g3, g4, g5] = g;
    let (even, odd) = (s.add(g1, g2), s.sub(g1, g2));
    let mut x = [s.add(s.add(g0, even), s.add(g3, g4)); N];
    for j in 1..N {
        let mut rest = if j % 2 == 0 { even } else { odd };
        if j == N - 1 {
            rest = s.add(g5, rest);
        }
        x[j] = times(s, POWERS[j][0], g3, times(s, POWERS[j][1], g4, rest));
    }
    x
}

/// The values of weights, as [`evaluate`], times [`SCALE`].
#[inline(always)]
pub(super) fn evaluate_weights<S: Simd, const N: usize>(s: S, w: [S::V; N]) -> [S::V; POINTS] {
    scaled(s, evaluate(s, w))
}

/// The transpose of [`evaluate_weights`].
#[inline(always)]
pub(super) fn evaluate_weights_transposed<S: Simd, const N: usize>(s: S, g: [S::V; POINTS]) -> [S::V; N] {
    evaluate_transposed(s, scaled(s, g))
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

/// A map along both axes of a tile: of every line, read entry by entry, then of every column of what came of the lines,
/// of those in `columns` alone. `read` and `write` are told line and column.
///
/// Closures handed over must be `#[inline(always)]`, as for [`slice`](crate::simd::slice). A function by its name is none: it is
/// called through a function of the compiler's that knows no wide registers, which took 1.7 times as long for a whole step.
#[inline(always)]
pub(super) fn along_both_axes<S: Simd, const FROM: usize, const TO: usize>(
    s: S,
    read: impl Fn(usize, usize) -> S::V,
    map: impl Fn(S, [S::V; FROM]) -> [S::V; TO],
    columns: Range<usize>,
    mut write: impl FnMut(usize, usize, S::V),
) {
    let mut lines = [[s.splat(0.0); TO]; FROM];
    for (i, line) in lines.iter_mut().enumerate() {
        let mut entries = [s.splat(0.0); FROM];
        for (j, entry) in entries.iter_mut().enumerate() {
            *entry = read(i, j);
        }
        *line = map(s, entries);
    }
    for j in 0..TO {
        if columns.contains(&j) {
            let mut entries = [s.splat(0.0); FROM];
            for (entry, line) in entries.iter_mut().zip(&lines) {
                *entry = line[j];
            }
            for (i, number) in map(s, entries).into_iter().enumerate() {
                write(i, j, number);
            }
        }
    }
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
        ($map:ident, $inputs:literal) => {
            matrix!($map, $inputs => POINTS)
        };
        ($map:ident, $inputs:literal => $outputs:expr) => {{
            struct Columns;
            impl Kernel for Columns {
                type Output = Vec<Vec<f64>>;
                #[inline(always)]
                fn run<S: Simd>(self, s: S) -> Self::Output {
                    let column = |j: usize| {
                        let x: [S::V; $inputs] =
                            std::array::from_fn(|i| s.splat(f32::from(u8::from(i == j))));
                        let y: [S::V; $outputs] = $map(s, x);
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
        for (x, w) in [
            (matrix!(evaluate, 4), matrix!(evaluate_weights, 3)),
            (matrix!(evaluate, 2), matrix!(evaluate_weights, 5)),
        ] {
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
        matrix!(evaluate, 4).assert_transposed(&matrix!(evaluate_transposed, 6 => 4));
        matrix!(evaluate, 2).assert_transposed(&matrix!(evaluate_transposed, 6 => 2));
        matrix!(evaluate_weights, 5).assert_transposed(&matrix!(evaluate_weights_transposed, 6 => 5));
        matrix!(evaluate_weights, 3).assert_transposed(&matrix!(evaluate_weights_transposed, 6 => 3));
        matrix!(interpolate, 6).assert_transposed(&matrix!(interpolate_transposed, 6));
    }
}
