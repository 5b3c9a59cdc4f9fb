//! The quotient of two tensors, element by element.
//!
//! ```text
//! y = a / b,   dy/da = 1 / b,   dy/db = -y / b
//! ```

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::Simd;

#[derive(Clone, Copy, Debug)]
struct Div;

impl ElementWise<2> for Div {
    const NAME: &'static str = "div";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [a, b]: [S::V; 2]) -> S::V {
        s.div(a, b)
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, s: S, [_, b]: [S::V; 2], y: S::V) -> [S::V; 2] {
        [s.div(s.splat(1.0), b), s.div(s.neg(y), b)]
    }
}

impl<'t> std::ops::Div for Var<'t> {
    type Output = Var<'t>;

    /// The quotient, element by element, of two tensors of one shape.
    #[track_caller]
    fn div(self, other: Var<'t>) -> Var<'t> {
        self.tape().apply(Each(Div), &[self, other])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape) -> Case {
        each::case(Div, shape, |_, [a, b]| a / b).not_near_zero(1, -2.0, 2.0, 0.5)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
