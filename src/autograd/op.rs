//! The contract of an op: slices in, slices out, no knowledge of the tape; and a run of one, as it is observed.

use super::work::{MultiplyAdds, Pass};
use crate::tensor::Shape;
use std::fmt;

/// A tensor that is only looked at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its shape.
    pub shape: Shape,
    /// Its numbers, row-major.
    pub data: &'a [f32],
}

/// What an op needs for inputs of given shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The shape of the output.
    pub output: Shape,
    /// How many f32s the forward pass leaves for the backward pass, besides inputs and output.
    pub saved: usize,
    /// Whether the first of these, as many as input 0 has, are a draft of its gradient. The backward pass finds them in
    /// the slot of that gradient, to be finished where they lie, and only the others in `saved`.
    pub draft: bool,
}

impl Plan {
    /// An output of this shape, nothing saved.
    pub fn output(shape: impl Into<Shape>) -> Self {
        Plan { output: shape.into(), saved: 0, draft: false }
    }

    /// An output of this shape, and so many numbers saved.
    pub fn saving(shape: impl Into<Shape>, saved: usize) -> Self {
        Plan { saved, ..Plan::output(shape) }
    }
}

/// Why an op cannot be applied to inputs of these shapes: what it found, what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch(pub String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

/// Returns `Err(Mismatch)` with the formatted message unless the condition holds.
macro_rules! require {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::autograd::Mismatch(format!($($message)+)));
        }
    };
}
pub(crate) use require;

/// What an op may read when it differentiates.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a> {
    /// The inputs of the forward pass.
    pub inputs: &'a [View<'a>],
    /// Its output.
    pub output: View<'a>,
    /// What it left in `saved`, behind a draft.
    pub saved: &'a [f32],
    /// The gradient of the loss with respect to the output.
    pub grad: &'a [f32],
}

/// A differentiable operation. Plain data (a stride, class labels), no tensors.
///
/// Both passes are functions of their arguments alone, with the same bits for every number of threads and every
/// instruction set. They overwrite every element that they are given: buffers arrive full of old numbers, but for a
/// draft ([`Plan::draft`]).
pub trait Op: fmt::Debug + Send + Sync {
    /// The name in messages and profiles.
    fn name(&self) -> &'static str;

    /// Checks the shapes of the inputs and sizes the result.
    ///
    /// # Errors
    /// If the shapes do not fit the op or each other.
    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch>;

    /// Computes the output, and `saved` for the backward pass.
    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]);

    /// Computes the gradient of the loss with respect to each input whose slot is `Some`.
    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]);

    /// The multiply-adds of its matrix products in one pass over inputs of shapes that `plan` has accepted; for
    /// profiles. None, unless the op multiplies matrices.
    fn multiply_adds(&self, _inputs: &[Shape], _output: Shape, _pass: Pass<'_>) -> MultiplyAdds {
        MultiplyAdds::default()
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

/// What `op` needs for inputs of these shapes.
///
/// # Errors
/// As [`Op::plan`], or if an input or the output would hold no numbers: no op needs to be made for sizes of 0.
pub(crate) fn plan(op: &dyn Op, inputs: &[Shape]) -> Result<Plan, Mismatch> {
    for (i, input) in inputs.iter().enumerate() {
        require!(!input.is_empty(), "input {i} holds no numbers: {input}");
    }
    let plan = op.plan(inputs)?;
    require!(!plan.output.is_empty(), "the output holds no numbers: {}", plan.output);
    Ok(plan)
}

/// Fails unless there are exactly `N` inputs; returns their shapes.
///
/// # Errors
/// If there are more or fewer.
pub fn arity<const N: usize>(inputs: &[Shape]) -> Result<[Shape; N], Mismatch> {
    inputs.try_into().map_err(|_| Mismatch(format!("it takes {N} inputs, not {}", inputs.len())))
}
