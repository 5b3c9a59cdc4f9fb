//! The exponential function.
//!
//! ```text
//! y = exp x,   dy/dx = y
//! ```

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::{Simd, math};

#[derive(Clone, Copy, Debug)]
struct Exp;

impl ElementWise<1> for Exp {
    const NAME: &'static str = "exp";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [x]: [S::V; 1]) -> S::V {
        math::exp(s, x)
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, _: S, _: [S::V; 1], y: S::V) -> [S::V; 1] {
        [y]
    }
}

impl<'t> Var<'t> {
    /// exp x of every element.
    #[track_caller]
    pub fn exp(self) -> Var<'t> {
        self.tape().apply(Each(Exp), &[self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape) -> Case {
        each::case(Exp, shape, |_, [x]| x.exp()).between(0, -5.0, 3.0)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
