//! The product of two tensors, element by element.
//!
//! ```text
//! y = a b,   dy/da = b,   dy/db = a
//! ```

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::Simd;

#[derive(Clone, Copy, Debug)]
struct Mul;

impl ElementWise<2> for Mul {
    const NAME: &'static str = "mul";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [a, b]: [S::V; 2]) -> S::V {
        s.mul(a, b)
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, _: S, [a, b]: [S::V; 2], _: S::V) -> [S::V; 2] {
        [b, a]
    }
}

impl<'t> std::ops::Mul for Var<'t> {
    type Output = Var<'t>;

    /// The product, element by element, of two tensors of one shape.
    #[track_caller]
    fn mul(self, other: Var<'t>) -> Var<'t> {
        self.tape().apply(Each(Mul), &[self, other])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape) -> Case {
        each::case(Mul, shape, |_, [a, b]| a * b)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
