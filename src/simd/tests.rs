//! Every operation of [`Simd`] on every instruction set against the scalar arithmetic of Rust.

use super::*;
use crate::rng::Stream;

/// All operations on one set of arguments.
struct Operations {
    a: [f32; LANES],
    b: [f32; LANES],
    c: [f32; LANES],
}

type Named = Vec<(&'static str, [f32; LANES])>;

impl Kernel for Operations {
    type Output = Named;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Named {
        let (a, b, c) = (s.load(&self.a), s.load(&self.b), s.load(&self.c));
        let (one, zero) = (s.splat(1.0), s.splat(0.0));
        [
            ("splat", s.splat(self.a[3])),
            ("add", s.add(a, b)),
            ("sub", s.sub(a, b)),
            ("mul", s.mul(a, b)),
            ("div", s.div(a, b)),
            ("sqrt", s.sqrt(a)),
            ("mul_add", s.mul_add(a, b, c)),
            ("min", s.min(a, b)),
            ("max", s.max(a, b)),
            ("maximum", s.maximum(a, b)),
            ("abs", s.abs(a)),
            ("neg", s.neg(a)),
            ("less", s.select(s.less(a, b), one, zero)),
            ("less_equal", s.select(s.less_equal(a, b), one, zero)),
            ("equal", s.select(s.equal(a, b), one, zero)),
            ("select", s.select(s.less(a, b), b, c)),
            ("sum", s.splat(s.sum(a))),
            ("largest", s.splat(s.largest(a))),
        ]
        .into_iter()
        .map(|(name, v)| {
            let mut lanes = [0.0; LANES];
            s.store(v, &mut lanes);
            (name, lanes)
        })
        .collect()
    }
}

fn by_tree(mut lanes: Vec<f32>, join: fn(f32, f32) -> f32) -> [f32; LANES] {
    while lanes.len() > 1 {
        let half = lanes.split_off(lanes.len() / 2);
        lanes = lanes.into_iter().zip(half).map(|(x, y)| join(x, y)).collect();
    }
    [lanes[0]; LANES]
}

fn scalar(Operations { a, b, c }: &Operations) -> Named {
    let lanes = |f: fn(f32, f32, f32) -> f32| std::array::from_fn(|i| f(a[i], b[i], c[i]));
    vec![
        ("splat", [a[3]; LANES]),
        ("add", lanes(|a, b, _| a + b)),
        ("sub", lanes(|a, b, _| a - b)),
        ("mul", lanes(|a, b, _| a * b)),
        ("div", lanes(|a, b, _| a / b)),
        ("sqrt", lanes(|a, _, _| a.sqrt())),
        ("mul_add", lanes(f32::mul_add)),
        ("min", lanes(|a, b, _| if a < b { a } else { b })),
        ("max", lanes(|a, b, _| if a > b { a } else { b })),
        ("maximum", lanes(|a, b, _| if a.is_nan() || a > b { a } else { b })),
        ("abs", lanes(|a, _, _| f32::from_bits(a.to_bits() & 0x7fff_ffff))),
        ("neg", lanes(|a, _, _| f32::from_bits(a.to_bits() ^ 0x8000_0000))),
        ("less", lanes(|a, b, _| f32::from(a < b))),
        ("less_equal", lanes(|a, b, _| f32::from(a <= b))),
        ("equal", lanes(|a, b, _| f32::from(a == b))),
        ("select", lanes(|a, b, c| if a < b { b } else { c })),
        ("sum", by_tree(a.to_vec(), |x, y| x + y)),
        ("largest", by_tree(a.to_vec(), |x, y| if x > y { x } else { y })),
    ]
}

/// The bits, with one for every NaN.
fn bits(lanes: [f32; LANES]) -> [u32; LANES] {
    lanes.map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() })
}

#[track_caller]
fn check(arguments: [[f32; LANES]; 3]) {
    let operations = || {
        let [a, b, c] = arguments;
        Operations { a, b, c }
    };
    let expected = scalar(&operations());
    for &isa in Isa::supported() {
        for ((name, found), (_, expected)) in isa.run(operations()).into_iter().zip(&expected) {
            assert_eq!(bits(found), bits(*expected), "{name} on {}: {arguments:?}", isa.name());
        }
    }
}

#[test]
fn operations_equal_scalar_arithmetic_on_edges() {
    let edges =
        [0.0, 1e-45, 1e-39, f32::MIN_POSITIVE, 0.5, 1.0, 3.0, 1e20, f32::MAX, f32::INFINITY, f32::NAN];
    let edges: Vec<f32> = edges.into_iter().flat_map(|x| [x, -x]).collect();
    for shift in 0..edges.len() {
        for step in 0..edges.len() {
            let take = |start: usize| std::array::from_fn(|lane| edges[(start + lane) % edges.len()]);
            check([take(0), take(shift), take(shift + step)]);
            check([take(shift), take(0), take(step)]);
        }
    }
}

#[test]
fn operations_equal_scalar_arithmetic_on_random_numbers() {
    let stream = Stream::new(1, "simd operations", &[]);
    // Miri, which interprets, is to see each operation, not each number.
    for trial in 0..if cfg!(miri) { 5 } else { 20_000 } {
        let bits: [[u32; LANES]; 3] = std::array::from_fn(|argument| {
            std::array::from_fn(|lane| stream.bits((trial * 3 + argument as u64) * 16 + lane as u64))
        });
        check(bits.map(|lanes| lanes.map(f32::from_bits)));
        check(bits.map(|lanes| lanes.map(|bits| crate::rng::unit(bits) - 0.5)));
    }
}

struct Exponents([f32; LANES]);

impl Kernel for Exponents {
    type Output = [[f32; LANES]; 3];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let (m, e) = s.split(s.load(&self.0));
        let mut lanes = [[0.0; LANES]; 3];
        s.store(m, &mut lanes[0]);
        s.store(e, &mut lanes[1]);
        s.store(s.exp2i(e), &mut lanes[2]);
        lanes
    }
}

#[test]
fn split_and_exp2i_take_numbers_apart() {
    let stream = Stream::new(2, "exponents", &[]);
    let (low, high) = (f32::MIN_POSITIVE.to_bits(), f32::MAX.to_bits());
    for trial in 0..50_000 {
        let mut x: [f32; LANES] = std::array::from_fn(|lane| {
            f32::from_bits(low + stream.below(trial * 16 + lane as u64, u64::from(high - low)) as u32)
        });
        x[..4].copy_from_slice(&[
            f32::MIN_POSITIVE,
            1.0,
            f32::from_bits(SQRT_HALF_BITS),
            f32::from_bits(SQRT_HALF_BITS - 1),
        ]);
        // The largest number's exponent is 128, which exp2i does not take.
        x[4] = f32::from_bits(0x7fb5_04f2 - 0x0080_0000);
        let results: Vec<_> = Isa::supported().iter().map(|isa| isa.run(Exponents(x)).map(bits)).collect();
        assert!(results.iter().all(|result| *result == results[0]), "the instruction sets differ at {x:?}");
        let [m, e, power] = results[0].map(|lanes| lanes.map(f32::from_bits));
        for lane in 0..LANES {
            assert!(
                (f32::from_bits(SQRT_HALF_BITS)..std::f32::consts::SQRT_2).contains(&m[lane]),
                "{x:?}: {m:?}"
            );
            assert_eq!(f64::from(m[lane]) * 2.0_f64.powi(e[lane] as i32), f64::from(x[lane]));
            if e[lane] < 128.0 {
                assert_eq!(f64::from(power[lane]), 2.0_f64.powi(e[lane] as i32));
            }
        }
    }
}

struct Heads<'a> {
    from: &'a [f32],
    to: &'a mut [f32],
}

impl Kernel for Heads<'_> {
    type Output = [f32; LANES];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [f32; LANES] {
        let v = s.load_head(self.from);
        s.store_head(s.add(v, s.splat(1.0)), self.to);
        let mut lanes = [f32::NAN; LANES];
        s.store(v, &mut lanes);
        lanes
    }
}

#[test]
fn heads_touch_their_lanes_only() {
    let numbers: Vec<f32> = (1..=40).map(|i| i as f32).collect();
    for &isa in Isa::supported() {
        for count in 0..=LANES {
            let mut to = [-1.0; 40];
            let lanes = isa.run(Heads { from: &numbers[7..7 + count], to: &mut to[3..3 + count] });
            for (lane, &found) in lanes.iter().enumerate() {
                assert_eq!(found, if lane < count { 8.0 + lane as f32 } else { 0.0 });
            }
            for (i, &found) in to.iter().enumerate() {
                assert_eq!(found, if (3..3 + count).contains(&i) { i as f32 + 6.0 } else { -1.0 });
            }
            // The last numbers of an allocation: a read behind them would leave it.
            let tail = vec![2.0; count].into_boxed_slice();
            assert_eq!(isa.run(Heads { from: &tail, to: &mut vec![0.0; count] })[..count], vec![2.0; count]);
        }
    }
}

#[test]
fn heads_longer_than_a_vector_panic() {
    for &isa in Isa::supported() {
        let run = || isa.run(Heads { from: &[0.0; 17], to: &mut [0.0; 16] });
        assert!(std::panic::catch_unwind(run).is_err(), "{} loads 17 numbers", isa.name());
        let run = || isa.run(Heads { from: &[0.0; 16], to: &mut [0.0; 17] });
        assert!(std::panic::catch_unwind(run).is_err(), "{} stores 17 numbers", isa.name());
    }
}

#[test]
fn instruction_sets_are_found_by_name() {
    for &isa in Isa::supported() {
        assert_eq!(Isa::named(isa.name()).unwrap(), isa);
    }
    assert!(Isa::named("sse9").unwrap_err().to_string().contains("portable"));
    assert_eq!(Isa::supported()[0], Isa::Portable);
}
