//! A tensor times a number.
//!
//! ```text
//! y = factor x,   dy/dx = factor
//! ```

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::Simd;

#[derive(Clone, Copy, Debug)]
struct Scale(f32);

impl ElementWise<1> for Scale {
    const NAME: &'static str = "scale";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [x]: [S::V; 1]) -> S::V {
        s.mul(x, s.splat(self.0))
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, s: S, _: [S::V; 1], _: S::V) -> [S::V; 1] {
        [s.splat(self.0)]
    }
}

impl<'t> Var<'t> {
    /// Every element times `factor`.
    #[track_caller]
    pub fn scale(self, factor: f32) -> Var<'t> {
        self.tape().apply(Each(Scale(factor)), &[self])
    }
}

impl<'t> std::ops::Mul<f32> for Var<'t> {
    type Output = Var<'t>;

    /// Every element times a number.
    #[track_caller]
    fn mul(self, factor: f32) -> Var<'t> {
        self.scale(factor)
    }
}

impl<'t> std::ops::Neg for Var<'t> {
    type Output = Var<'t>;

    /// Every element times -1.
    #[track_caller]
    fn neg(self) -> Var<'t> {
        self.scale(-1.0)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape) -> Case {
        each::case(Scale(-2.5), shape, |f, [x]| f64::from(f.0) * x)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
