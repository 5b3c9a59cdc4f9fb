//! The activations of the networks: the rectifier and the leaky one.
//!
//! ```text
//! relu         y = max(x, 0)                      dy/dx = 0 where y <= 0, else 1
//! leaky relu   y = x where x > 0, else 0.01 x     dy/dx = 1 where y > 0, else 0.01     (both as PyTorch has it at x = 0)
//! ```
//!
//! At x = NaN y is NaN, and dy/dx 1 or, if leaky, 0.01, as in PyTorch. `kernels/norm/mod.rs` has both, for the fused ops too.
//!
//! Maas, Hannun, Ng: "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.

use super::Activation;
use super::elementwise::{Each, ElementWise};
use crate::autograd::Var;
use crate::simd::Simd;

impl ElementWise<1> for Activation {
    const NAME: &'static str = "activation";

    #[inline(always)]
    fn value<S: Simd>(self, s: S, [x]: [S::V; 1]) -> S::V {
        self.of(s, x)
    }

    #[inline(always)]
    fn slopes<S: Simd>(self, s: S, _: [S::V; 1], y: S::V) -> [S::V; 1] {
        [self.passed(s, y, s.splat(1.0))]
    }

    /// Not a product: where a rectifier lets nothing pass, nothing of NaN and infinity does.
    #[inline(always)]
    fn gradients<S: Simd>(self, s: S, _: [S::V; 1], y: S::V, dy: S::V) -> [S::V; 1] {
        [self.passed(s, y, dy)]
    }
}

impl<'t> Var<'t> {
    /// The activation of every element.
    #[track_caller]
    pub fn activate(self, activation: Activation) -> Var<'t> {
        match activation {
            Activation::Identity => self,
            Activation::Relu | Activation::LeakyRelu => self.tape().apply(Each(activation), &[self]),
        }
    }

    /// max(x, 0) of every element.
    #[track_caller]
    pub fn relu(self) -> Var<'t> {
        self.activate(Activation::Relu)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::elementwise::tests as each;
    use crate::ops::statistics::tests::activated;
    use crate::tensor::Shape;

    fn case(activation: Activation, shape: Shape) -> Case {
        each::case(activation, shape, |f, [x]| activated(f, x)).not_near_zero(0, -2.0, 2.0, 0.01)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let of = |activation| each::shapes().into_iter().map(move |shape| case(activation, shape));
        of(Activation::Relu).chain(of(Activation::LeakyRelu)).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        let activation = [Activation::Relu, Activation::LeakyRelu][sizes.next(0, 1)];
        case(activation, each::shape(sizes))
    }
}
