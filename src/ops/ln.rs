//! The natural logarithm.
//!
//! y = ln x,   dy/dx = 1 / x

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::{Simd, math};

#[derive(Clone, Copy, Debug)]
struct Ln;

impl ElementWise<1> for Ln {
    const NAME: &'static str = "ln";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [x]: [S::V; 1]) -> S::V {
        math::ln(s, x)
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, s: S, [x]: [S::V; 1], _: S::V) -> [S::V; 1] {
        [s.div(s.splat(1.0), x)]
    }
}

impl<'t> Var<'t> {
    /// ln x of every element.
    #[track_caller]
    pub fn ln(self) -> Var<'t> {
        self.tape().apply(Each(Ln), &[self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape) -> Case {
        each::case(Ln, shape, |_, [x]| x.ln()).between(0, 0.1, 20.0)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
