//! The Kullback-Leibler divergence of two normal distributions, element by element.
//!
//! ```text
//! y = KL(N(m1, s1^2) || N(m2, s2^2)) = ln(s2 / s1) + (r^2 + u^2 - 1) / 2,   r = s1 / s2,   u = (m1 - m2) / s2
//!
//! dy/dm1 = u / s2,   dy/ds1 = r / s2 - 1 / s1,   dy/dm2 = -u / s2,   dy/ds2 = (1 - r^2 - u^2) / s2
//! ```

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::{Simd, math};

#[derive(Clone, Copy, Debug)]
struct NormalKl;

impl ElementWise<4> for NormalKl {
    const NAME: &'static str = "normal_kl";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [m1, s1, m2, s2]: [S::V; 4]) -> S::V {
        let (r, u) = (s.div(s1, s2), s.div(s.sub(m1, m2), s2));
        let squares = s.mul_add(r, r, s.mul_add(u, u, s.splat(-1.0)));
        s.sub(s.mul(squares, s.splat(0.5)), math::ln(s, r))
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, s: S, [m1, s1, m2, s2]: [S::V; 4], _: S::V) -> [S::V; 4] {
        let (r, u) = (s.div(s1, s2), s.div(s.sub(m1, m2), s2));
        let mean = s.div(u, s2);
        let first = s.sub(s.div(r, s2), s.div(s.splat(1.0), s1));
        let squares = s.mul_add(r, r, s.mul_add(u, u, s.splat(-1.0)));
        [mean, first, s.neg(mean), s.neg(s.div(squares, s2))]
    }
}

impl<'t> Var<'t> {
    /// The divergence, in nats, of N(self, sd^2) from N(other mean, other sd^2), element by element.
    #[track_caller]
    pub fn normal_kl(self, sd: Var<'t>, [other_mean, other_sd]: [Var<'t>; 2]) -> Var<'t> {
        self.tape().apply(Each(NormalKl), &[self, sd, other_mean, other_sd])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape) -> Case {
        let reference = |_, [m1, s1, m2, s2]: [f64; 4]| {
            (s2 / s1).ln() + (s1 * s1 + (m1 - m2) * (m1 - m2)) / (2.0 * s2 * s2) - 0.5
        };
        each::case(NormalKl, shape, reference).between(1, 0.3, 3.0).between(3, 0.3, 3.0)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
