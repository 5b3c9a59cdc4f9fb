//! Inputs that hold no numbers.

use super::Case;
use crate::autograd::{Mismatch, Plan, plan};
use crate::tensor::Shape;

impl Case {
    /// The plan for inputs of these shapes.
    ///
    /// # Errors
    /// As [`crate::autograd::Op::plan`], or if an input or the output would hold no numbers.
    pub fn plan(&self, shapes: &[Shape]) -> Result<Plan, Mismatch> {
        plan(&*self.op, shapes)
    }

    /// The shapes of the inputs with a size of 0: each size of each input in turn, wherever else it stands too.
    pub fn shapes_with_a_size_of_0(&self) -> Vec<Vec<Shape>> {
        let sizes = self.inputs.iter().flat_map(|input| input.shape.sizes().to_vec());
        let without = |gone: usize| {
            let emptied = |shape: Shape| {
                let sizes = shape.sizes().iter().map(|&size| if size == gone { 0 } else { size });
                Shape::new(&sizes.collect::<Vec<_>>())
            };
            self.inputs.iter().map(|input| emptied(input.shape)).collect()
        };
        sizes.map(without).collect()
    }
}
