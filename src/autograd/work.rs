//! What one run of an op costs: its multiply-adds, and the tensors that go through it.
//!
//! Both follow from the shapes. An op that multiplies matrices says how many multiply-adds it does
//! ([`Op::multiply_adds`](super::Op::multiply_adds)); every tensor that goes in or comes out is counted once
//! ([`Run::bytes`](super::Run::bytes)). How long a run takes is for the caller to find out: the library has no clock.

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
