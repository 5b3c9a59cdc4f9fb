//! The log-density of a normal distribution, element by element.
//!
//! ```text
//! y = ln N(x | mean, sd^2) = -u^2 / 2 - ln sd - ln(2 pi) / 2,   u = (x - mean) / sd
//!
//! dy/dx = -u / sd,   dy/dmean = u / sd,   dy/dsd = (u^2 - 1) / sd
//! ```

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::{Simd, math};

/// ln(2 pi) / 2
const HALF_LOG_TAU: f32 = 0.918_938_5;

#[derive(Clone, Copy, Debug)]
struct NormalLogProb;

impl ElementWise<3> for NormalLogProb {
    const NAME: &'static str = "normal_log_prob";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [x, mean, sd]: [S::V; 3]) -> S::V {
        let u = s.div(s.sub(x, mean), sd);
        let constant = s.add(math::ln(s, sd), s.splat(HALF_LOG_TAU));
        s.neg(s.mul_add(s.mul(u, s.splat(0.5)), u, constant))
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, s: S, [x, mean, sd]: [S::V; 3], _: S::V) -> [S::V; 3] {
        let u = s.div(s.sub(x, mean), sd);
        let slope = s.div(u, sd);
        [s.neg(slope), slope, s.div(s.mul_add(u, u, s.splat(-1.0)), sd)]
    }
}

impl<'t> Var<'t> {
    /// The log-density, in nats, of every element under a normal distribution of its own.
    #[track_caller]
    pub fn normal_log_prob(self, mean: Var<'t>, sd: Var<'t>) -> Var<'t> {
        self.tape().apply(Each(NormalLogProb), &[self, mean, sd])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape) -> Case {
        let reference = |_, [x, mean, sd]: [f64; 3]| {
            let u = (x - mean) / sd;
            -0.5 * u * u - sd.ln() - 0.5 * std::f64::consts::TAU.ln()
        };
        each::case(NormalLogProb, shape, reference).between(2, 0.2, 3.0)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
