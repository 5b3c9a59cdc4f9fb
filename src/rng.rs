//! Counter-based random numbers: a draw is a pure function of (seed, stream, index).
//!
//! Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Ten rounds
//! of a keyed mixing turn a 128-bit counter into 128 random bits. The key is the seed; the counter holds the stream
//! (what the numbers are for) and the index of the block. Nothing has a state: the noise of step 712 can be drawn
//! without the 711 before it, in any order and on any thread, and adding a layer moves no other layer's start.
//!
//! Normal numbers come from the transform of Box and Muller (Annals of Mathematical Statistics 29, 1958), on the crate's
//! own ln, sin and cos: the same bits on every machine.

use crate::simd::{self, Kernel, LANES, Simd, math};

/// A family of random numbers: one (seed, purpose) pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
    stream: u64,
}

impl Stream {
    /// The stream of `purpose` under `seed`. Different purposes give independent numbers.
    ///
    /// The purpose is hashed by FNV-1a (64 bits); `numbers` (an epoch, a step) are hashed behind it.
    pub fn new(seed: u64, purpose: &str, numbers: &[u64]) -> Self {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        purpose.bytes().for_each(&mut eat);
        for number in numbers {
            eat(0xff); // never part of UTF-8: keeps ("a", [1]) and ("a\u{1}", []) apart
            number.to_le_bytes().into_iter().for_each(&mut eat);
        }
        Stream { key: [seed as u32, (seed >> 32) as u32], stream: hash }
    }

    /// Block `index` of the stream: four 32-bit numbers.
    #[inline]
    pub fn block(self, index: u64) -> [u32; 4] {
        philox([index as u32, (index >> 32) as u32, self.stream as u32, (self.stream >> 32) as u32], self.key)
    }

    /// The 32-bit number `index` of the stream.
    #[inline]
    pub fn bits(self, index: u64) -> u32 {
        self.block(index / 4)[(index % 4) as usize]
    }

    /// Number `index`, uniform in [0, 1), a multiple of 2^-24.
    #[inline]
    pub fn uniform(self, index: u64) -> f32 {
        unit(self.bits(index))
    }

    /// Number `index`, uniform in 0..bound, from 64 random bits (the bias is below bound / 2^64).
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(self, index: u64, bound: u64) -> u64 {
        assert!(bound > 0, "a random number below 0 was asked for");
        let [low, high, ..] = self.block(index);
        let wide = u128::from(low) | (u128::from(high) << 32);
        ((wide * u128::from(bound)) >> 64) as u64
    }

    /// Fills `out` with the numbers 0, 1, ..., uniform between `low` and `high`: low + (high - low) u with the u of
    /// [`Stream::uniform`]. Rounding can make a number equal to `high`.
    pub fn fill_uniform(self, low: f32, high: f32, out: &mut [f32]) {
        let width = high - low;
        for (block, numbers) in (0..).zip(out.chunks_mut(4)) {
            for (number, bits) in numbers.iter_mut().zip(self.block(block)) {
                *number = low + width * unit(bits);
            }
        }
    }

    /// Fills `out` with the numbers `first_index`, `first_index` + 1, ... of the standard normal distribution.
    ///
    /// A number depends on its index alone, not on where `out` begins or ends. None is larger than 6.77, which a
    /// true normal number is once in 10^11.
    ///
    /// # Panics
    /// If the last index does not fit 64 bits.
    pub fn fill_normal(self, first_index: u64, out: &mut [f32]) {
        simd::run(Normals { stream: self, first_index, out });
    }

    /// A random order of 0..count (Fisher-Yates).
    pub fn permutation(self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last as u64, last as u64 + 1) as usize);
        }
        order
    }
}

/// The upper 24 bits of `bits` as a fraction in [0, 1).
#[inline]
pub fn unit(bits: u32) -> f32 {
    (bits >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// The normal numbers that are made together: one vector by the cosine, one by the sine.
const GROUP: usize = 2 * LANES;

/// Fills `out` with the normal numbers from `first_index` on.
///
/// In group g, the random words 32 g + p and 32 g + 16 + p (p < 16) are the radius and the angle of pair p, whose
/// cosine is normal number 32 g + p and whose sine is number 32 g + 16 + p.
struct Normals<'a> {
    stream: Stream,
    first_index: u64,
    out: &'a mut [f32],
}

impl Kernel for Normals<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Normals { stream, first_index, out } = self;
        let end = first_index.checked_add(out.len() as u64);
        assert!(end.is_some(), "{} normal numbers from index {first_index} on do not fit 64 bits", out.len());
        let mut group = first_index / GROUP as u64;
        let mut skipped = (first_index % GROUP as u64) as usize;
        let mut rest = out;
        while !rest.is_empty() {
            let mut words = [[0; LANES]; 2];
            for (block, words) in (group * 8..).zip(words.as_flattened_mut().as_chunks_mut::<4>().0) {
                *words = stream.block(block);
            }
            let numbers = box_muller(s, words);
            let (now, later) = rest.split_at_mut(rest.len().min(GROUP - skipped));
            now.copy_from_slice(&numbers.as_flattened()[skipped..skipped + now.len()]);
            (rest, group, skipped) = (later, group + 1, 0);
        }
    }
}

/// sqrt(-2 ln u) cos(2 pi v) and sqrt(-2 ln u) sin(2 pi v), where u in (0, 1] comes from the first words and v in
/// \[0, 1) from the second.
///
/// u takes all 32 bits of a word, because the size of the largest numbers hangs on how small u can get.
#[inline(always)]
fn box_muller<S: Simd>(s: S, [radii, angles]: [[u32; LANES]; 2]) -> [[f32; LANES]; 2] {
    let step = 1.0 / 4_294_967_296.0;
    let u = s.mul_add(s.load(&radii.map(|word| word as f32)), s.splat(step), s.splat(step / 2.0));
    let radius = s.sqrt(s.mul(s.splat(-2.0), math::ln(s, u)));
    let v = s.load(&angles.map(unit));
    let (sine, cosine) = math::sin_cos(s, s.mul(v, s.splat(std::f32::consts::TAU)));
    let mut numbers = [[0.0; LANES]; 2];
    s.store(s.mul(radius, cosine), &mut numbers[0]);
    s.store(s.mul(radius, sine), &mut numbers[1]);
    numbers
}

#[inline]
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
        }
        let p0 = u64::from(counter[0]) * 0xd251_1f53;
        let p1 = u64::from(counter[2]) * 0xcd9e_8d57;
        counter = [
            (p1 >> 32) as u32 ^ counter[1] ^ key[0],
            p1 as u32,
            (p0 >> 32) as u32 ^ counter[3] ^ key[1],
            p0 as u32,
        ];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers published with the Random123 library.
    #[test]
    fn philox_equals_the_published_vectors() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = u32::MAX;
        assert_eq!(philox([ones; 4], [ones; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn uniform_numbers_have_the_moments_of_a_uniform() {
        let stream = Stream::new(7, "test", &[]);
        let n = 100_000;
        let draws: Vec<f64> = (0..n).map(|i| f64::from(stream.uniform(i))).collect();
        let mean = draws.iter().sum::<f64>() / n as f64;
        let square = draws.iter().map(|x| x * x).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 5.0 * (1.0 / 12.0 / n as f64).sqrt(), "mean {mean}");
        assert!((square - 1.0 / 3.0).abs() < 5.0 * (4.0 / 45.0 / n as f64).sqrt(), "second moment {square}");
        assert!(draws.iter().all(|&x| (0.0..1.0).contains(&x)));
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_number() {
        let base = Stream::new(1, "noise", &[5]).block(0);
        for other in
            [Stream::new(2, "noise", &[5]), Stream::new(1, "order", &[5]), Stream::new(1, "noise", &[6])]
        {
            assert_ne!(base, other.block(0));
        }
        assert_eq!(base, Stream::new(1, "noise", &[5]).block(0));
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        for count in [0, 1, 2, 17, 1000] {
            let mut order = Stream::new(3, "order", &[]).permutation(count);
            order.sort_unstable();
            assert_eq!(order, (0..count).collect::<Vec<_>>());
        }
        let first: Vec<usize> =
            (0..600).map(|seed| Stream::new(seed, "order", &[]).permutation(3)[0]).collect();
        for place in 0..3 {
            let hits = first.iter().filter(|&&p| p == place).count();
            assert!((150..250).contains(&hits), "index {place} came first in {hits} of 600");
        }
    }

    #[test]
    fn filled_uniform_numbers_are_the_numbers_by_index() {
        let stream = Stream::new(9, "weights", &[]);
        for count in [0, 1, 15, 16, 17, 31, 33, 100] {
            let mut out = vec![f32::NAN; count];
            stream.fill_uniform(-0.5, 1.5, &mut out);
            let expected: Vec<f32> = (0..count as u64).map(|i| -0.5 + 2.0 * stream.uniform(i)).collect();
            assert_eq!(out, expected);
        }
    }

    fn normals(stream: Stream, first_index: u64, count: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; count];
        stream.fill_normal(first_index, &mut out);
        out
    }

    #[test]
    fn normal_numbers_equal_box_muller_in_f64() {
        let stream = Stream::new(4, "noise", &[1]);
        for (index, found) in (0_u64..).zip(normals(stream, 0, 10_000)) {
            let pair = index / 32 * 32 + index % 16;
            let u = (f64::from(stream.bits(pair)) + 0.5) / 2.0_f64.powi(32);
            let angle = std::f64::consts::TAU * f64::from(stream.bits(pair + 16) >> 8) / 2.0_f64.powi(24);
            let turn = if index % 32 < 16 { angle.cos() } else { angle.sin() };
            let exact = (-2.0 * u.ln()).sqrt() * turn;
            // u near 1 is rounded to a multiple of 2^-24, which moves a small radius by up to 2^-12.5.
            let radius_error = 2.0_f64.powi(-25) / (-2.0 * u.ln()).sqrt() + 1e-6 * exact.abs() + 4e-6;
            assert!(
                (f64::from(found) - exact).abs() <= radius_error,
                "number {index}: {found}, expected {exact}"
            );
        }
    }

    #[test]
    fn normal_numbers_do_not_depend_on_how_they_are_cut() {
        let stream = Stream::new(4, "noise", &[2]);
        let all = normals(stream, 0, 200);
        for first in [0, 1, 15, 16, 31, 32, 33, 63, 64, 70] {
            for count in [0, 1, 15, 16, 17, 31, 33, 100] {
                assert_eq!(
                    normals(stream, first as u64, count),
                    all[first..first + count],
                    "{count} from {first}"
                );
            }
        }
        let far = u64::MAX - 40;
        assert_eq!(normals(stream, far + 3, 20), normals(stream, far, 40)[3..23]);
    }

    #[test]
    fn normal_numbers_have_the_same_bits_on_every_instruction_set() {
        let stream = Stream::new(4, "noise", &[3]);
        for &isa in simd::Isa::supported() {
            let mut out = vec![f32::NAN; 10_007];
            isa.run(Normals { stream, first_index: 5, out: &mut out });
            let expected = normals(stream, 5, out.len());
            assert!(out.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", isa.name());
        }
    }

    struct Extremes([[u32; LANES]; 2]);

    impl Kernel for Extremes {
        type Output = [[f32; LANES]; 2];

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> [[f32; LANES]; 2] {
            box_muller(s, self.0)
        }
    }

    #[test]
    fn extreme_random_words_give_finite_normal_numbers() {
        let words = [0, 1, u32::MAX - 1, u32::MAX];
        let pairs = [std::array::from_fn(|i| words[i % 4]), std::array::from_fn(|i| words[i / 4])];
        for &isa in simd::Isa::supported() {
            let numbers = isa.run(Extremes(pairs));
            let largest = numbers.as_flattened().iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
            assert!(numbers.as_flattened().iter().all(|x| x.is_finite()), "{numbers:?}");
            assert!((largest - (66.0 * std::f32::consts::LN_2).sqrt()).abs() < 1e-5, "{largest}");
        }
    }

    /// The normal distribution function by its power series; good to 1e-14 for |x| < 7.
    fn distribution(x: f64) -> f64 {
        let (mut term, mut sum) = (x, x);
        for odd in (3..400).step_by(2) {
            term *= x * x / f64::from(odd);
            sum += term;
        }
        0.5 + sum * (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt()
    }

    #[test]
    fn normal_numbers_are_distributed_normally() {
        let n = 400_000;
        let mut draws: Vec<f64> =
            normals(Stream::new(8, "noise", &[]), 0, n).into_iter().map(f64::from).collect();
        let count = n as f64;
        // The moments, their expected values and the variances of x^power.
        for (power, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            let moment = draws.iter().map(|x| x.powi(power)).sum::<f64>() / count;
            let limit = 4.5 * (variance / count).sqrt();
            assert!((moment - expected).abs() < limit, "moment {power} is {moment}");
        }
        // Neighbours, and the two numbers of a pair, are uncorrelated, and so are their squares.
        for lag in [1, 16, 32] {
            for power in [1, 2] {
                let centre = |x: f64| if power == 1 { x } else { (x * x - 1.0) / 2.0_f64.sqrt() };
                let products = draws.iter().zip(&draws[lag..]).map(|(&x, &y)| centre(x) * centre(y));
                let correlation = products.sum::<f64>() / (count - lag as f64);
                assert!(correlation.abs() < 4.5 / count.sqrt(), "lag {lag}, power {power}: {correlation}");
            }
        }
        let beyond = draws.iter().filter(|x| x.abs() > 4.0).count() as f64;
        let expected = 2.0 * distribution(-4.0) * count;
        assert!((beyond - expected).abs() < 4.5 * expected.sqrt(), "{beyond} beyond 4, expected {expected}");
        // Kolmogorov and Smirnov: 1.95 is exceeded once in 1,000 samples.
        draws.sort_by(f64::total_cmp);
        let distance = draws.iter().enumerate().fold(0.0_f64, |distance, (rank, &x)| {
            let expected = distribution(x);
            distance
                .max((expected - rank as f64 / count).abs())
                .max((expected - (rank + 1) as f64 / count).abs())
        });
        assert!(distance * count.sqrt() < 1.95, "the distance is {distance}");
    }
}
