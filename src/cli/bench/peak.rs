//! Multiply-adds on registers alone: the pace that no matrix product can pass.
//!
//! A multiply-add takes about four cycles, and a core starts one or two in each: it is busy only if enough of them do
//! not wait for each other. So there are several chains, each x <- x / 2 + 1, which tends to 2 and so stays where
//! arithmetic is fast, as many as the registers hold beside the two constants.

use crate::simd::{Isa, Kernel, LANES, Simd};
use std::hint::black_box;

/// Does `rounds` steps of every chain on the calling thread, and returns how many multiply-adds that were.
///
/// # Panics
/// If the CPU lacks the instruction set.
pub(super) fn multiply_adds(isa: Isa, rounds: usize) -> usize {
    match isa {
        Isa::Avx512 => chains::<12>(isa, rounds),
        Isa::Avx2 | Isa::Portable => chains::<6>(isa, rounds),
    }
}

fn chains<const N: usize>(isa: Isa, rounds: usize) -> usize {
    // The compiler may neither know the constants nor find that nobody wants the sum.
    black_box(isa.run(Chains::<N> { rounds, factor: black_box(0.5), term: black_box(1.0) }));
    rounds * N * LANES
}

/// N chains x <- x factor + term; chain i starts at i.
struct Chains<const N: usize> {
    rounds: usize,
    factor: f32,
    term: f32,
}

impl<const N: usize> Kernel for Chains<N> {
    /// The sum of all lanes, chain by chain.
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let (factor, term) = (s.splat(self.factor), s.splat(self.term));
        let mut chains = [s.splat(0.0); N];
        for (i, x) in chains.iter_mut().enumerate() {
            *x = s.splat(i as f32);
        }
        for _ in 0..self.rounds {
            for x in &mut chains {
                *x = s.mul_add(*x, factor, term);
            }
        }
        let mut sum = 0.0;
        for x in chains {
            sum += s.sum(x);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chain_takes_every_step() {
        for rounds in [0, 1, 2, 7] {
            // x <- x / 2 + 1 from i: 2 + (i - 2) / 2^rounds, which f32 holds exactly, as it does the sum.
            let end = |i: usize| 2.0 + (i as f32 - 2.0) / (1 << rounds) as f32;
            let expected = (0..12).map(end).sum::<f32>() * LANES as f32;
            for &isa in Isa::supported() {
                let sum = isa.run(Chains::<12> { rounds, factor: 0.5, term: 1.0 });
                assert_eq!(sum, expected, "{rounds} rounds on {}", isa.name());
                let chains = if isa == Isa::Avx512 { 12 } else { 6 };
                assert_eq!(multiply_adds(isa, rounds), rounds * chains * LANES);
            }
        }
    }
}
