//! The leaky rectifier.
//!
//! ```text
//! y = x where x > 0, else slope x,   dy/dx = 1 where y > 0, else slope (as PyTorch has it at x = 0)
//! ```
//!
//! At x = NaN y is NaN and dy/dx the slope, as in PyTorch.
//!
//! Maas, Hannun, Ng: "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.

use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::Simd;

#[derive(Clone, Copy, Debug)]
struct LeakyRelu {
    slope: f32,
}

impl ElementWise<1> for LeakyRelu {
    const NAME: &'static str = "leaky_relu";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [x]: [S::V; 1]) -> S::V {
        s.select(s.less(s.splat(0.0), x), x, s.mul(x, s.splat(self.slope)))
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, s: S, [x]: [S::V; 1], _: S::V) -> [S::V; 1] {
        [s.select(s.less(s.splat(0.0), x), s.splat(1.0), s.splat(self.slope))]
    }
}

impl<'t> Var<'t> {
    /// Every element as it is if it is positive, else times `slope`.
    #[track_caller]
    pub fn leaky_relu(self, slope: f32) -> Var<'t> {
        self.tape().apply(Each(LeakyRelu { slope }), &[self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::elementwise::tests as each;
    use crate::tensor::Shape;

    fn case(shape: Shape, slope: f32) -> Case {
        let reference = |f: LeakyRelu, [x]: [f64; 1]| if x > 0.0 { x } else { f64::from(f.slope) * x };
        each::case(LeakyRelu { slope }, shape, reference).not_near_zero(0, -2.0, 2.0, 0.01)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let negative = case([33].into(), -0.5);
        each::shapes().into_iter().map(|shape| case(shape, 0.01)).chain([negative]).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes), 0.25)
    }
}
