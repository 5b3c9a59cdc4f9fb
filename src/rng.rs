//! Counter-based random numbers: a draw is a pure function of (seed, stream, index).
//!
//! Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Ten rounds
//! of a keyed mixing turn a 128-bit counter into 128 random bits. The key is the seed; the counter holds the stream
//! (what the numbers are for) and the index of the block. Nothing has a state: the noise of step 712 can be drawn
//! without the 711 before it, in any order and on any thread, and adding a layer moves no other layer's start.

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

#[inline]
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(0x9e37_79b9), key[1].wrapping_add(0xbb67_ae85)];
        }
        let p0 = u64::from(counter[0]) * 0xd251_1f53;
        let p1 = u64::from(counter[2]) * 0xcd9e_8d57;
        counter =
            [(p1 >> 32) as u32 ^ counter[1] ^ key[0], p1 as u32, (p0 >> 32) as u32 ^ counter[3] ^ key[1], p0 as u32];
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
        for other in [Stream::new(2, "noise", &[5]), Stream::new(1, "order", &[5]), Stream::new(1, "noise", &[6])] {
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
        let first: Vec<usize> = (0..600).map(|seed| Stream::new(seed, "order", &[]).permutation(3)[0]).collect();
        for place in 0..3 {
            let hits = first.iter().filter(|&&p| p == place).count();
            assert!((150..250).contains(&hits), "index {place} came first in {hits} of 600");
        }
    }
}
