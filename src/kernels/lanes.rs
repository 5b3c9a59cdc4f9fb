//! Vectors of neighbouring channels, the last of them perhaps not full.

use crate::simd::{LANES, Simd};

/// Neighbouring channels that share a vector.
#[derive(Clone, Copy)]
pub(super) struct Lanes {
    first: usize,
    count: usize,
}

impl Lanes {
    /// Calls `work` for every vector of channels. It must be `#[inline(always)]`: then all vectors but a last one that
    /// is not full have a constant number of lanes, and no masks.
    #[inline(always)]
    pub(super) fn for_each(channels: usize, mut work: impl FnMut(Lanes)) {
        let whole = channels - channels % LANES;
        for first in (0..whole).step_by(LANES) {
            work(Lanes { first, count: LANES });
        }
        if whole < channels {
            work(Lanes { first: whole, count: channels - whole });
        }
    }

    /// These channels of the pixel that starts at `pixel`.
    #[inline(always)]
    pub(super) fn load<S: Simd>(self, s: S, x: &[f32], pixel: usize) -> S::V {
        load_some(s, &x[pixel + self.first..pixel + self.first + self.count])
    }

    /// Overwrites these channels of the pixel that starts at `pixel`.
    #[inline(always)]
    pub(super) fn store<S: Simd>(self, s: S, v: S::V, y: &mut [f32], pixel: usize) {
        store_some(s, v, &mut y[pixel + self.first..pixel + self.first + self.count]);
    }
}

/// Sixteen numbers, or as many as there are.
#[inline(always)]
pub(super) fn load_some<S: Simd>(s: S, from: &[f32]) -> S::V {
    match from.first_chunk() {
        Some(from) => s.load(from),
        None => s.load_head(from),
    }
}

/// Writes sixteen numbers, or as many as there is room for.
#[inline(always)]
pub(super) fn store_some<S: Simd>(s: S, v: S::V, to: &mut [f32]) {
    match to.first_chunk_mut() {
        Some(to) => s.store(v, to),
        None => s.store_head(v, to),
    }
}
