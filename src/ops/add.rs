//! The sum of two tensors.
//!
//! ```text
//! y = a + b,   dy/da = dy/db = 1
//! ```

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::Simd;

#[derive(Clone, Copy, Debug)]
struct Add;

impl ElementWise<2> for Add {
    const NAME: &'static str = "add";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [a, b]: [S::V; 2]) -> S::V {
        s.add(a, b)
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, s: S, _: [S::V; 2], _: S::V) -> [S::V; 2] {
        [s.splat(1.0); 2]
    }
}

impl<'t> std::ops::Add for Var<'t> {
    type Output = Var<'t>;

    /// The sum, element by element, of two tensors of one shape.
    #[track_caller]
    fn add(self, other: Var<'t>) -> Var<'t> {
        self.tape().apply(Each(Add), &[self, other])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape) -> Case {
        each::case(Add, shape, |_, [a, b]| a + b)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
