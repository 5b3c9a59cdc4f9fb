//! The soft rectifier, which makes a standard deviation of any number.
//!
//! ```text
//! y = ln(1 + exp x),   dy/dx = sigmoid x
//! ```

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::{Simd, math};

#[derive(Clone, Copy, Debug)]
struct Softplus;

impl ElementWise<1> for Softplus {
    const NAME: &'static str = "softplus";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [x]: [S::V; 1]) -> S::V {
        math::softplus(s, x)
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, s: S, [x]: [S::V; 1], _: S::V) -> [S::V; 1] {
        [math::sigmoid(s, x)]
    }
}

impl<'t> Var<'t> {
    /// ln(1 + exp x) of every element.
    #[track_caller]
    pub fn softplus(self) -> Var<'t> {
        self.tape().apply(Each(Softplus), &[self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes, maximum};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape) -> Case {
        each::case(Softplus, shape, |_, [x]| maximum(x, 0.0) + (-x.abs()).exp().ln_1p())
            .between(0, -30.0, 30.0)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
