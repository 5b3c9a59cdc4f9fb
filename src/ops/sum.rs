//! The sum of all elements.
//!
//! ```text
//! y = sum over i of x[i],   dy/dx[i] = 1
//! ```
//!
//! Added in f64, in one fixed order, and rounded once: a loss is a sum of many terms of different sizes.

use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity};
use crate::simd::slice;
use crate::tensor::Shape;

#[derive(Clone, Copy, Debug)]
struct Sum;

impl Op for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [_] = arity(inputs)?;
        Ok(Plan::output(Shape::SCALAR))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        output[0] = slice::sum_f64(inputs[0].data) as f32;
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        if let Some(dx) = &mut gradients[0] {
            dx.fill(at.grad[0]);
        }
    }
}

impl<'t> Var<'t> {
    /// The sum of all elements: a single number.
    pub fn sum(self) -> Var<'t> {
        self.tape().apply(Sum, &[self])
    }

    /// The mean of all elements: a single number.
    pub fn mean(self) -> Var<'t> {
        self.sum().scale(1.0 / self.shape().len() as f32)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, Sizes};
    use crate::ops::elementwise::tests as each;

    fn case(shape: Shape) -> Case {
        Case::new(Sum, [shape], |x| Array64::new(Shape::SCALAR, vec![x[0].data.iter().sum()]))
            .between(0, -1.0, 2.0)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        each::shapes().into_iter().map(case).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(each::shape(sizes))
    }
}
