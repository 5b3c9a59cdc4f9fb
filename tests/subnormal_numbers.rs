//! Subnormal numbers, those nearer to zero than 2^-126, are numbers like all others: on every thread and every
//! instruction set, nothing reads them as zero and nothing puts zero in their place.
//!
//! A CPU can be told to do either ("denormals are zero", "flush to zero"), and it is told thread by thread: a single
//! thread that somebody has told would change results with the number of threads. Nobody here does, and this test
//! would notice, because its oracle is integer arithmetic: a positive f32 below 2^-125 is its own bits times 2^-149.
//! Rust's f32 arithmetic as the oracle would prove nothing, for it obeys the same flags.

use diva::kernels::gemm::{Matrix, Start, gemm, gemm_parallel};
use diva::parallel;
use diva::rng::Stream;
use diva::simd::{Isa, Kernel, LANES, Simd};
use std::sync::Barrier;

type Lanes = [u32; LANES];

/// n * 2^-149 for n up to 2^24; subnormal below 2^23.
fn tiny(n: u32) -> f32 {
    f32::from_bits(n)
}

/// 2^n for a normal result.
fn power_of_two(n: i32) -> f32 {
    f32::from_bits(u32::try_from(n + 127).unwrap() << 23)
}

/// n / 2^places, rounded to the nearest integer, ties to the even one.
fn rounded(n: u64, places: u32) -> u32 {
    let (quotient, rest, half) = (n >> places, n & ((1 << places) - 1), 1 << (places - 1));
    let up = rest > half || (rest == half && quotient & 1 == 1);
    u32::try_from(quotient + u64::from(up)).unwrap()
}

/// Every operation on `a` > 0 and `b` > 0, counts of 2^-149 below 2^19, so that 16 of them add up to less than 2^23; and
/// on `c`, 24 bits with the highest one set.
struct Operations {
    a: Lanes,
    b: Lanes,
    c: Lanes,
}

impl Operations {
    /// The bits of the results by integers, where need be by f32 arithmetic far from the subnormals.
    fn expected(&self) -> Vec<(&'static str, Lanes)> {
        let lanes = |f: &dyn Fn(u32, u32, u32) -> u32| -> Lanes {
            std::array::from_fn(|i| f(self.a[i], self.b[i], self.c[i]))
        };
        vec![
            ("add", lanes(&|a, b, _| a + b)),
            ("sub", lanes(&|a, b, _| if a >= b { a - b } else { (b - a) | 1 << 31 })),
            ("mul to a normal number", lanes(&|a, _, _| (a as f32 * power_of_two(-49)).to_bits())),
            ("mul of normal numbers", lanes(&|_, _, c| rounded(c.into(), 11))),
            ("div to a subnormal number", lanes(&|a, _, _| rounded(a.into(), 3))),
            ("div to a normal number", lanes(&|a, b, _| (a as f32 / b as f32).to_bits())),
            ("sqrt", lanes(&|a, _, _| ((2 * a) as f32).sqrt().to_bits() - (75 << 23))),
            ("mul_add", lanes(&|_, b, c| rounded(u64::from(c) + (u64::from(b) << 11), 11))),
            ("min", lanes(&|a, b, _| a.min(b))),
            ("max with zero", lanes(&|a, _, _| a)),
            ("less than zero or more", lanes(&|_, _, _| 1.0_f32.to_bits())),
            ("equal to zero", lanes(&|_, _, _| 0)),
            ("sum", [self.a.iter().sum(); LANES]),
        ]
    }
}

impl Kernel for Operations {
    type Output = Vec<Lanes>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<Lanes> {
        let [a, b] = [self.a, self.b].map(|counts| s.load(&counts.map(tiny)));
        let c = s.load(&self.c.map(|c| c as f32 * power_of_two(-100)));
        let (zero, one) = (s.splat(0.0), s.splat(1.0));
        [
            s.add(a, b),
            s.sub(a, b),
            s.mul(a, s.splat(power_of_two(100))),
            s.mul(c, s.splat(power_of_two(-60))),
            s.div(a, s.splat(8.0)),
            s.div(a, b),
            s.sqrt(a),
            s.mul_add(c, s.splat(power_of_two(-60)), b),
            s.min(a, b),
            s.max(zero, a),
            s.select(s.less(zero, a), one, zero),
            s.select(s.equal(zero, a), one, zero),
            s.splat(s.sum(a)),
        ]
        .map(|v| {
            let mut lanes = [0.0; LANES];
            s.store(v, &mut lanes);
            lanes.map(f32::to_bits)
        })
        .into()
    }
}

fn check_operations(isa: Isa, thread: usize) {
    let stream = Stream::new(1, "subnormal numbers", &[thread as u64]);
    for trial in 0..200 {
        let draw = |argument: u64, bits: u32| -> Lanes {
            std::array::from_fn(|lane| {
                let draw = stream.bits((trial * 3 + argument) * LANES as u64 + lane as u64);
                (draw >> (32 - bits)).max(1)
            })
        };
        let (a, b, c) = (draw(0, 19), draw(1, 19), draw(2, 23).map(|c| c | 1 << 23));
        let operations = Operations { a, b, c };
        let expected = operations.expected();
        let found = isa.run(operations);
        assert_eq!(found.len(), expected.len());
        for (found, (name, expected)) in found.into_iter().zip(expected) {
            assert_eq!(found, expected, "{name} on {}, thread {thread}: {a:?} {b:?} {c:?}", isa.name());
        }
    }
}

/// Products in which a factor, or every product, is subnormal, while every sum is exact: counts of 2^-149.
fn check_products(isa: Isa, multiply: fn(Matrix<'_>, Matrix<'_>, &mut [f32], Start<'_>)) {
    let stream = Stream::new(2, "subnormal numbers", &[]);
    for [m, k, n] in [[1, 1, 1], [13, 300, 35], [150, 40, 70]] {
        let draw = |from: usize, len: usize| -> Vec<u32> {
            (from..from + len).map(|i| stream.bits(i as u64) >> 26).collect()
        };
        let (a, b) = (draw(0, m * k), draw(m * k, k * n));
        let expected: Vec<u32> =
            (0..m * n).map(|i| (0..k).map(|p| a[i / n * k + p] * b[p * n + i % n]).sum()).collect();
        for (scale_a, scale_b) in [(tiny(1), 1.0), (1.0, tiny(1)), (power_of_two(-80), power_of_two(-69))] {
            let [a, b] = [(&a, scale_a), (&b, scale_b)]
                .map(|(counts, scale)| counts.iter().map(|&n| n as f32 * scale).collect::<Vec<f32>>());
            let mut c = vec![f32::NAN; m * n];
            multiply(Matrix::new(&a, m, k), Matrix::new(&b, k, n), &mut c, Start::Zero);
            let found: Vec<u32> = c.iter().map(|c| c.to_bits()).collect();
            assert!(found == expected, "{m} x {k} x {n} on {}, factors of {scale_a:e}", isa.name());
        }
    }
}

#[test]
fn subnormal_numbers_are_kept_on_every_thread_and_instruction_set() {
    for &isa in Isa::supported() {
        isa.choose();
        for threads in [1, 2, 3, 4, 7] {
            let all = Barrier::new(threads);
            parallel::with_threads(threads, || {
                // Each piece holds its thread until every thread has one.
                parallel::map(threads, |thread| {
                    all.wait();
                    check_operations(isa, thread);
                    check_products(isa, gemm);
                });
                check_products(isa, gemm_parallel);
            });
        }
        check_operations(isa, usize::MAX);
        check_products(isa, gemm);
    }
}
