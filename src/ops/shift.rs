//! A tensor plus a number.
//!
//! ```text
//! y = x + offset,   dy/dx = 1
//! ```

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::Simd;

#[derive(Clone, Copy, Debug)]
struct Shift(f32);

impl ElementWise<1> for Shift {
    const NAME: &'static str = "shift";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [x]: [S::V; 1]) -> S::V {
        s.add(x, s.splat(self.0))
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, s: S, _: [S::V; 1], _: S::V) -> [S::V; 1] {
        [s.splat(1.0)]
    }
}

impl<'t> Var<'t> {
    /// `offset` added to every element.
    #[track_caller]
    pub fn shift(self, offset: f32) -> Var<'t> {
        self.tape().apply(Each(Shift(offset)), &[self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape) -> Case {
        each::case(Shift(0.75), shape, |f, [x]| x + f64::from(f.0))
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
