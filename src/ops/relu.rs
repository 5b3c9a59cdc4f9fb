//! The rectifier.
//!
//! ```text
//! y = max(x, 0),   dy/dx = 1 where y > 0, else 0 (as PyTorch has it at x = 0)
//! ```

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::Simd;

#[derive(Clone, Copy, Debug)]
struct Relu;

impl ElementWise<1> for Relu {
    const NAME: &'static str = "relu";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [x]: [S::V; 1]) -> S::V {
        s.max(x, s.splat(0.0))
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, s: S, _: [S::V; 1], y: S::V) -> [S::V; 1] {
        [s.select(s.less(s.splat(0.0), y), s.splat(1.0), s.splat(0.0))]
    }
}

impl<'t> Var<'t> {
    /// max(x, 0) of every element.
    #[track_caller]
    pub fn relu(self) -> Var<'t> {
        self.tape().apply(Each(Relu), &[self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape) -> Case {
        each::case(Relu, shape, |_, [x]| x.max(0.0)).not_near_zero(0, -2.0, 2.0, 0.01)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
