//! The yardsticks of a profile: the most that this machine does on the threads that the command uses.
//!
//! Each is the best of many short rounds, because whatever else the machine does can only slow a round down.

use super::peak;
use crate::parallel;
use crate::simd::Isa;
use crate::tensor::Buffer;
use serde::Serialize;
use std::time::Instant;

/// How long each yardstick is measured, in seconds, and for how many rounds at least.
const SECONDS: f64 = 0.2;
const LEAST_ROUNDS: usize = 3;

/// 128 MiB of numbers: with their copy more than caches hold.
const COPIED: usize = 32 << 20;
/// A megabyte: small enough that a chunk is copied by plain stores, as ops write their outputs.
const CHUNK: usize = 1 << 18;

/// What the machine can do.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Machine {
    /// Multiply-adds on registers alone, with the best instruction set that the CPU has, two operations each.
    pub(super) fma_gflop_per_s: f64,
    /// Copying memory, in 10^9 bytes read and written.
    pub(super) copy_gb_per_s: f64,
}

impl Machine {
    /// Measures both, in less than a second.
    pub(super) fn measure() -> Self {
        Machine { fma_gflop_per_s: fma_gflop_per_s(), copy_gb_per_s: copy_gb_per_s() }
    }
}

/// [`Machine::fma_gflop_per_s`] alone.
pub(super) fn fma_gflop_per_s() -> f64 {
    /// About a tenth of a millisecond.
    const ROUNDS: usize = 50_000;
    let isa = Isa::supported().last().copied().unwrap_or(Isa::Portable);
    // Several pieces a thread, so that one that is held up does not make all wait.
    let pieces = 8 * parallel::threads();
    best_rate(|| 2 * parallel::map(pieces, |_| peak::multiply_adds(isa, ROUNDS)).iter().sum::<usize>())
}

fn copy_gb_per_s() -> f64 {
    let [mut from, mut to] = [(); 2].map(|()| Buffer::zeros(COPIED));
    // Memory that was never written is one page of zeros in cache.
    parallel::for_each_chunk(&mut from, CHUNK, |_, from| from.fill(1.0));
    best_rate(|| {
        parallel::for_each_chunk(&mut to, CHUNK, |i, to| {
            to.copy_from_slice(&from[i * CHUNK..][..to.len()]);
        });
        2 * size_of_val(&from[..])
    })
}

/// The most, in 10^9 a second, of what `round` says that it did.
fn best_rate(mut round: impl FnMut() -> usize) -> f64 {
    let begin = Instant::now();
    let mut best: f64 = 0.0;
    let mut rounds = 0;
    while rounds < LEAST_ROUNDS || begin.elapsed().as_secs_f64() < SECONDS {
        let start = Instant::now();
        let done = round();
        best = best.max(done as f64 / start.elapsed().as_secs_f64());
        rounds += 1;
    }
    best / 1e9
}
