//! Adam's update of one slab, in one pass over memory.
//!
//! ```text
//! m <- b1 m + (1 - b1) g            v <- b2 v + (1 - b2) g^2
//! w <- w - rate m' / (sqrt(v') + eps),    m' = m / (1 - b1^t),  v' = v / (1 - b2^t)
//! ```
//!
//! Kingma, Ba: "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1; the order of the operations is
//! PyTorch's: sqrt(v) / sqrt(1 - b2^t) + eps, and rate / (1 - b1^t) as one factor.

use crate::parallel;
use crate::simd::{self, Kernel, LANES, Simd};

/// The numbers of one step, the same for every weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// b1
    pub beta1: f32,
    /// b2
    pub beta2: f32,
    /// 1 - b1
    pub rest1: f32,
    /// 1 - b2
    pub rest2: f32,
    /// rate / (1 - b1^t)
    pub rate: f32,
    /// 1 / sqrt(1 - b2^t)
    pub correction: f32,
    /// eps
    pub epsilon: f32,
}

/// Updates the weights and both moments from the gradient.
///
/// # Panics
/// If the four slices differ in length.
pub fn update(step: Step, weights: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32]) {
    let len = weights.len();
    assert_eq!([first.len(), second.len(), gradient.len()], [len; 3], "slabs of different lengths");
    let chunk = parallel::GRAIN;
    parallel::for_each_chunk3(weights, first, second, chunk, |i, weights, first, second| {
        let gradient = &gradient[i * chunk..][..weights.len()];
        simd::run(Update { step, weights, first, second, gradient });
    });
}

struct Update<'a> {
    step: Step,
    weights: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    gradient: &'a [f32],
}

impl Kernel for Update<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Step { beta1, beta2, rest1, rest2, rate, correction, epsilon } = self.step;
        let (b1, b2) = (s.splat(beta1), s.splat(beta2));
        let (rest1, rest2) = (s.splat(rest1), s.splat(rest2));
        let (rate, correction, epsilon) = (s.splat(-rate), s.splat(correction), s.splat(epsilon));
        let moments = self.first.chunks_mut(LANES).zip(self.second.chunks_mut(LANES));
        let all = self.weights.chunks_mut(LANES).zip(self.gradient.chunks(LANES)).zip(moments);
        for ((w, g), (m, v)) in all {
            let g = s.load_head(g);
            let first = s.mul_add(rest1, g, s.mul(b1, s.load_head(m)));
            let second = s.mul_add(s.mul(rest2, g), g, s.mul(b2, s.load_head(v)));
            let step = s.div(first, s.mul_add(s.sqrt(second), correction, epsilon));
            s.store_head(first, m);
            s.store_head(second, v);
            s.store_head(s.mul_add(rate, step, s.load_head(w)), w);
        }
    }
}
