//! The rectifier.
//!
//! ```text
//! y = max(x, 0),   dy/dx = 0 where y <= 0, else 1 (as PyTorch has it at x = 0)
//! ```
//!
//! At x = NaN both y is NaN and dy/dx 1, as in PyTorch.

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::Simd;

#[derive(Clone, Copy, Debug)]
struct Relu;

impl ElementWise<1> for Relu {
    const NAME: &'static str = "relu";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [x]: [S::V; 1]) -> S::V {
        s.max(s.splat(0.0), x)
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, s: S, _: [S::V; 1], y: S::V) -> [S::V; 1] {
        let zero = s.splat(0.0);
        [s.select(s.less_equal(y, zero), zero, s.splat(1.0))]
    }

    /// Not a product: where nothing passes, nothing of NaN and infinity does.
    #[inline(always)]
    fn gradients<S: Simd>(self, s: S, _: [S::V; 1], y: S::V, dy: S::V) -> [S::V; 1] {
        let zero = s.splat(0.0);
        [s.select(s.less_equal(y, zero), zero, dy)]
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
    use crate::autograd::gradcheck::{Case, Sizes, maximum};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape) -> Case {
        each::case(Relu, shape, |_, [x]| maximum(x, 0.0)).not_near_zero(0, -2.0, 2.0, 0.01)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
