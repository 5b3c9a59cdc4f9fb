//! Loops over slices of any length, in vectors of [`LANES`] numbers and a tail.
//!
//! Element-wise: [`map`] and [`map_in_place`], [`zip`], [`zip3`] and [`zip4`], [`update`], [`add_assign`]. Each
//! element depends on its own inputs only, so how a slice is cut changes no bits. The tail is computed on a vector
//! filled up with zeros, whose superfluous lanes are dropped.
//!
//! Reductions: [`sum`], [`sum_of`], [`dot`]. A sum of floats depends on its order, so the order is fixed: element i is
//! added to lane i % 16 of partial sum (i / 16) % 4, in order of i; then (partial 0 + partial 1) + (partial 2 +
//! partial 3), lane by lane; then the tree of [`Simd::sum`]. Four partial sums keep the adders busy and the error
//! low. A slice of very many numbers still loses accuracy in f32: [`sum_f64`] does not.
//!
//! A closure handed to these functions has to be inlined into them, or its instructions become function calls. Write
//! `map(s, x, y, #[inline(always)] |s, x| ...)`.

use super::{Kernel, LANES, Simd};

/// The partial sums of a reduction.
const PARTIALS: usize = 4;

#[track_caller]
#[inline(always)]
fn check_length(input: &[f32], output: usize) {
    assert!(input.len() == output, "slices of unequal length: {} numbers beside {output}", input.len());
}

/// Functions y\[i\] = f(inputs\[i\], ...), one for each number of inputs.
macro_rules! element_wise {
    ($($(#[$documentation:meta])* $name:ident($($x:ident: $vector:ty),+);)+) => {$(
        $(#[$documentation])*
        ///
        /// # Panics
        /// If the slices differ in length.
        #[track_caller]
        #[inline(always)]
        pub fn $name<S: Simd>(
            s: S,
            $($x: &[f32],)+
            y: &mut [f32],
            f: impl Fn(S, $($vector),+) -> S::V,
        ) {
            $(check_length($x, y.len());)+
            let (y_vectors, y_tail) = y.as_chunks_mut::<LANES>();
            $(
                let $x = $x.as_chunks::<LANES>();
                // Known to be as long, so that the loop needs no checks.
                let $x = (&$x.0[..y_vectors.len()], $x.1);
            )+
            for (i, y) in y_vectors.iter_mut().enumerate() {
                s.store(f(s, $(s.load(&$x.0[i])),+), y);
            }
            if !y_tail.is_empty() {
                s.store_head(f(s, $(s.load_head($x.1)),+), y_tail);
            }
        }
    )+};
}

element_wise! {
    /// y\[i\] = f(x\[i\])
    map(x: S::V);
    /// y\[i\] = f(a\[i\], b\[i\])
    zip(a: S::V, b: S::V);
    /// y\[i\] = f(a\[i\], b\[i\], c\[i\])
    zip3(a: S::V, b: S::V, c: S::V);
    /// y\[i\] = f(a\[i\], b\[i\], c\[i\], d\[i\])
    zip4(a: S::V, b: S::V, c: S::V, d: S::V);
}

/// y\[i\] = f(y\[i\])
#[inline(always)]
pub fn map_in_place<S: Simd>(s: S, y: &mut [f32], f: impl Fn(S, S::V) -> S::V) {
    let (vectors, tail) = y.as_chunks_mut::<LANES>();
    for y in vectors {
        s.store(f(s, s.load(y)), y);
    }
    if !tail.is_empty() {
        s.store_head(f(s, s.load_head(tail)), tail);
    }
}

/// y\[i\] = f(y\[i\], x\[i\])
///
/// # Panics
/// If the slices differ in length.
#[track_caller]
#[inline(always)]
pub fn update<S: Simd>(s: S, y: &mut [f32], x: &[f32], f: impl Fn(S, S::V, S::V) -> S::V) {
    check_length(x, y.len());
    let (y_vectors, y_tail) = y.as_chunks_mut::<LANES>();
    let (x_vectors, x_tail) = x.as_chunks::<LANES>();
    for (y, x) in y_vectors.iter_mut().zip(x_vectors) {
        s.store(f(s, s.load(y), s.load(x)), y);
    }
    if !y_tail.is_empty() {
        s.store_head(f(s, s.load_head(y_tail), s.load_head(x_tail)), y_tail);
    }
}

/// y\[i\] = y\[i\] + x\[i\]
///
/// # Panics
/// If the slices differ in length.
#[track_caller]
#[inline(always)]
pub fn add_assign<S: Simd>(s: S, y: &mut [f32], x: &[f32]) {
    update(
        s,
        y,
        x,
        #[inline(always)]
        |s, y, x| s.add(y, x),
    );
}

/// [`add_assign`] on the instruction set in use.
///
/// # Panics
/// If the slices differ in length.
#[track_caller]
pub fn accumulate(y: &mut [f32], x: &[f32]) {
    struct Accumulate<'a>(&'a mut [f32], &'a [f32]);
    impl Kernel for Accumulate<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            add_assign(s, self.0, self.1);
        }
    }
    super::run(Accumulate(y, x));
}

/// The sum of the numbers, 0 for none, in the order given [above](self).
#[inline(always)]
pub fn sum<S: Simd>(s: S, x: &[f32]) -> f32 {
    sum_of(
        s,
        x,
        #[inline(always)]
        |_, x| x,
    )
}

/// The sum of f(x\[i\]), 0 for none, in the order given [above](self).
#[inline(always)]
pub fn sum_of<S: Simd>(s: S, x: &[f32], f: impl Fn(S, S::V) -> S::V) -> f32 {
    let mut partials = [s.splat(0.0); PARTIALS];
    let (vectors, tail) = x.as_chunks::<LANES>();
    let (rounds, rest) = vectors.as_chunks::<PARTIALS>();
    for round in rounds {
        for (partial, x) in partials.iter_mut().zip(round) {
            *partial = s.add(*partial, f(s, s.load(x)));
        }
    }
    for (partial, x) in partials.iter_mut().zip(rest) {
        *partial = s.add(*partial, f(s, s.load(x)));
    }
    if !tail.is_empty() {
        // f may not be 0 at 0: the lanes behind the tail are cleared once more.
        let mut lanes = [0.0; LANES];
        s.store_head(f(s, s.load_head(tail)), &mut lanes[..tail.len()]);
        partials[rest.len()] = s.add(partials[rest.len()], s.load(&lanes));
    }
    join(s, partials)
}

/// The inner product: the sum of a\[i\] * b\[i\], 0 for none, in the order given [above](self), each product fused with
/// its addition.
///
/// # Panics
/// If the slices differ in length.
#[track_caller]
#[inline(always)]
pub fn dot<S: Simd>(s: S, a: &[f32], b: &[f32]) -> f32 {
    check_length(a, b.len());
    let mut partials = [s.splat(0.0); PARTIALS];
    let ((a_vectors, a_tail), (b_vectors, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let (a_rounds, a_rest) = a_vectors.as_chunks::<PARTIALS>();
    let (b_rounds, b_rest) = b_vectors.as_chunks::<PARTIALS>();
    for (a, b) in a_rounds.iter().zip(b_rounds) {
        for (partial, (a, b)) in partials.iter_mut().zip(a.iter().zip(b)) {
            *partial = s.mul_add(s.load(a), s.load(b), *partial);
        }
    }
    for (partial, (a, b)) in partials.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *partial = s.mul_add(s.load(a), s.load(b), *partial);
    }
    if !a_tail.is_empty() {
        let partial = &mut partials[a_rest.len()];
        *partial = s.mul_add(s.load_head(a_tail), s.load_head(b_tail), *partial);
    }
    join(s, partials)
}

#[inline(always)]
fn join<S: Simd>(s: S, partials: [S::V; PARTIALS]) -> f32 {
    s.sum(s.add(s.add(partials[0], partials[1]), s.add(partials[2], partials[3])))
}

/// The sum of the numbers in f64, 0 for none.
///
/// Element i is added to partial sum i % 16, in order of i; these are joined by the tree of [`Simd::sum`].
pub fn sum_f64(x: &[f32]) -> f64 {
    let mut partials = [0.0_f64; LANES];
    let (vectors, tail) = x.as_chunks::<LANES>();
    for x in vectors {
        for (partial, x) in partials.iter_mut().zip(x) {
            *partial += f64::from(*x);
        }
    }
    for (partial, x) in partials.iter_mut().zip(tail) {
        *partial += f64::from(*x);
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            partials[lane] += partials[lane + half];
        }
    }
    partials[0]
}

/// Whether every number is finite: neither infinite nor NaN.
pub fn all_finite(x: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7f80_0000;
    // Without an exit inside a piece, its loop becomes vector instructions.
    let is_finite = |piece: &[f32]| {
        piece.iter().fold(true, |finite, number| finite & (number.to_bits() & EXPONENT != EXPONENT))
    };
    x.chunks(1024).all(is_finite)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;
    use crate::simd::{Isa, Kernel};

    // Miri, which interprets, gets the short ones: no vector, one, a tail behind each.
    const LENGTHS: &[usize] =
        if cfg!(miri) { &[0, 1, 16, 33] } else { &[0, 1, 15, 16, 17, 31, 33, 64, 100, 1000] };

    fn numbers(purpose: &str, count: usize) -> Vec<f32> {
        let stream = Stream::new(5, purpose, &[]);
        (0..count as u64).map(|i| (stream.uniform(i) - 0.4) * 10.0).collect()
    }

    fn bits(x: &[f32]) -> Vec<u32> {
        x.iter().map(|x| x.to_bits()).collect()
    }

    /// The order of summation of this module, one number at a time; `step` adds element i to its lane.
    fn summed(count: usize, step: impl Fn(f32, usize) -> f32) -> f32 {
        let mut partials = [[0.0; LANES]; PARTIALS];
        for i in 0..count {
            let lane = &mut partials[i / LANES % PARTIALS][i % LANES];
            *lane = step(*lane, i);
        }
        let [p, q, r, s] = partials;
        let mut lanes: Vec<f32> = (0..LANES).map(|i| (p[i] + q[i]) + (r[i] + s[i])).collect();
        while lanes.len() > 1 {
            let half = lanes.split_off(lanes.len() / 2);
            lanes.iter_mut().zip(half).for_each(|(x, y)| *x += y);
        }
        lanes[0]
    }

    struct ElementWise<'a> {
        name: &'a str,
        inputs: [&'a [f32]; 4],
        y: &'a mut [f32],
    }

    impl Kernel for ElementWise<'_> {
        type Output = ();

        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let ([a, b, c, d], y) = (self.inputs, self.y);
            match self.name {
                "map" => map(s, a, y, |s, a| s.div(s.splat(1.0), a)),
                "map_in_place" => map_in_place(s, y, |s, y| s.div(s.splat(1.0), y)),
                "zip" => zip(s, a, b, y, |s, a, b| s.sub(a, b)),
                "zip3" => zip3(s, a, b, c, y, |s, a, b, c| s.mul_add(a, b, c)),
                "zip4" => zip4(s, a, b, c, d, y, |s, a, b, c, d| s.sub(s.mul(a, b), s.mul(c, d))),
                "update" => update(s, y, a, |s, y, a| s.sub(y, a)),
                "add_assign" => add_assign(s, y, a),
                other => panic!("no case is named {other}"),
            }
        }
    }

    type Scalar = fn([f32; 4], f32) -> f32;

    #[test]
    fn element_wise_loops_equal_naive_ones() {
        let cases: [(&str, Scalar); 7] = [
            ("map", |[a, ..], _| 1.0 / a),
            ("map_in_place", |_, y| 1.0 / y),
            ("zip", |[a, b, ..], _| a - b),
            ("zip3", |[a, b, c, _], _| a.mul_add(b, c)),
            ("zip4", |[a, b, c, d], _| a * b - c * d),
            ("update", |[a, ..], y| y - a),
            ("add_assign", |[a, ..], y| y + a),
        ];
        for (name, scalar) in cases {
            for &count in LENGTHS {
                let x = ["a", "b", "c", "d"].map(|purpose| numbers(purpose, count));
                let before = numbers("y", count);
                let expected: Vec<f32> =
                    (0..count).map(|i| scalar(std::array::from_fn(|input| x[input][i]), before[i])).collect();
                for &isa in Isa::supported() {
                    let mut y = before.clone();
                    let inputs = x.each_ref().map(Vec::as_slice);
                    isa.run(ElementWise { name, inputs, y: &mut y });
                    assert_eq!(bits(&y), bits(&expected), "{name} of {count} numbers on {}", isa.name());
                }
            }
        }
    }

    struct Reductions<'a> {
        a: &'a [f32],
        b: &'a [f32],
    }

    impl Kernel for Reductions<'_> {
        type Output = [f32; 3];

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> [f32; 3] {
            let from_one = sum_of(s, self.a, |s, a| s.sub(s.splat(1.0), a));
            [sum(s, self.a), from_one, dot(s, self.a, self.b)]
        }
    }

    #[test]
    fn reductions_equal_naive_ones_in_the_documented_order() {
        for &count in LENGTHS {
            let (a, b) = (numbers("a", count), numbers("b", count));
            let expected = [
                summed(count, |partial, i| partial + a[i]),
                summed(count, |partial, i| partial + (1.0 - a[i])),
                summed(count, |partial, i| a[i].mul_add(b[i], partial)),
            ];
            for &isa in Isa::supported() {
                let found = isa.run(Reductions { a: &a, b: &b });
                assert_eq!(bits(&found), bits(&expected), "{count} numbers on {}", isa.name());
            }
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            let size: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a * *b).abs()).sum();
            assert!((f64::from(expected[2]) - exact).abs() <= 1e-6 * size, "{count} numbers");
        }
    }

    #[test]
    fn sum_f64_keeps_what_f32_loses() {
        for &count in LENGTHS {
            let a = numbers("a", count);
            let naive: f64 = a.iter().map(|&a| f64::from(a)).sum();
            assert!((sum_f64(&a) - naive).abs() <= 1e-12 * count as f64, "{count} numbers");
        }
        let mut many = vec![0.1_f32; 1_000_000];
        many[0] = 1e9;
        let expected = 1e9 + 999_999.0 * f64::from(0.1_f32);
        assert!((sum_f64(&many) - expected).abs() < 0.01, "found {}, expected {expected}", sum_f64(&many));
    }

    #[test]
    #[should_panic(expected = "slices of unequal length: 3 numbers beside 4")]
    fn unequal_lengths_panic() {
        Isa::Portable.run(ElementWise {
            name: "add_assign",
            inputs: [&[0.0; 3], &[], &[], &[]],
            y: &mut [0.0; 4],
        });
    }

    #[test]
    fn one_number_that_is_not_finite_is_found_wherever_it_is() {
        let finite = [0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, -1.5];
        let mut numbers: Vec<f32> = finite.into_iter().cycle().take(2500).collect();
        assert!(all_finite(&numbers) && all_finite(&[]));
        for at in [0, 1, 1023, 1024, 2047, 2499] {
            for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let before = std::mem::replace(&mut numbers[at], bad);
                assert!(!all_finite(&numbers), "{bad} at {at}");
                numbers[at] = before;
            }
        }
        assert!(all_finite(&numbers));
    }
}
