//! The identity, whose gradient is turned round: what comes before it is trained against what comes after it.
//!
//! ```text
//! y = x,   passed back as dL/dx := -factor dL/dy
//! ```
//!
//! Ganin et al.: "Domain-Adversarial Training of Neural Networks", JMLR 2016, section 4.2.

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::Simd;

#[derive(Clone, Copy, Debug)]
struct ReverseGradient(f32);

impl ElementWise<1> for ReverseGradient {
    const NAME: &'static str = "reverse_gradient";

    #[inline(always)]
    fn value<S: Simd>(self, _: S, [x]: [S::V; 1]) -> S::V {
        x
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, s: S, _: [S::V; 1], _: S::V) -> [S::V; 1] {
        [s.splat(-self.0)]
    }
}

impl<'t> Var<'t> {
    /// Itself; on the way back the gradient is multiplied by `-factor`.
    #[track_caller]
    pub fn reverse_gradient(self, factor: f32) -> Var<'t> {
        self.tape().apply(Each(ReverseGradient(factor)), &[self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape) -> Case {
        each::case(ReverseGradient(0.75), shape, |_, [x]| x).passing_back(-0.75)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
