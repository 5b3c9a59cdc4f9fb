//! What one run of an op costs: its multiply-adds, and the tensors that go through it.
//!
//! Both follow from the shapes. An op that multiplies matrices says how many multiply-adds it does
//! ([`Op::multiply_adds`]); every tensor that goes in or comes out is counted once. How long a run takes is for the
//! caller to find out: the library has no clock.

use super::op::Op;
use crate::tensor::Shape;

/// The multiply-adds of one pass of an op; each is worth two floating-point operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MultiplyAdds {
    /// Those that the op does.
    pub computed: usize,
    /// Those that its equation asks for, taken at its word: nothing folded, nothing computed twice.
    pub naive: usize,
}

/// A pass of an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass<'a> {
    /// From the inputs to the output.
    Forward,
    /// From the gradient of the output to those of the inputs for which `wanted` is true.
    Backward {
        /// A flag for each input.
        wanted: &'a [bool],
    },
}

impl Pass<'_> {
    /// How many products a layer takes that multiplies input 0 by input 1: the output, or the gradients of these two.
    pub fn products(self) -> usize {
        match self {
            Pass::Forward => 1,
            Pass::Backward { wanted } => wanted.iter().take(2).filter(|&&wanted| wanted).count(),
        }
    }
}

/// One run of an op, as the observer of an [`Engine`](super::Engine) sees it.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// The op.
    pub op: &'a dyn Op,
    /// The shapes of its inputs.
    pub inputs: &'a [Shape],
    /// The shape of its output.
    pub output: Shape,
    /// Which pass is run.
    pub pass: Pass<'a>,
}

impl Run<'_> {
    /// The multiply-adds of the matrix products in this pass.
    pub fn multiply_adds(&self) -> MultiplyAdds {
        self.op.multiply_adds(self.inputs, self.output, self.pass)
    }

    /// The bytes of the tensors that this pass is given: the inputs, the output or its gradient, and the gradients to
    /// be written, each once. A pass that goes over one of them twice moves more, one that ignores an input less.
    pub fn bytes(&self) -> usize {
        let inputs: usize = self.inputs.iter().map(Shape::len).sum();
        let gradients: usize = match self.pass {
            Pass::Forward => 0,
            Pass::Backward { wanted } => self
                .inputs
                .iter()
                .zip(wanted)
                .filter(|(_, wanted)| **wanted)
                .map(|(input, _)| input.len())
                .sum(),
        };
        size_of::<f32>() * (inputs + self.output.len() + gradients)
    }
}
