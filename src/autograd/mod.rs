//! Reverse-mode differentiation: an op, a tape of ops, and the parameters that it is all for.
//!
//! [`Op`] is a value that knows how to compute its output from its inputs and, given the gradient of the loss with
//! respect to the output, those with respect to the inputs. A [`Tape`] records which op was applied to what. Walking
//! it backwards, from the loss to the parameters, is the chain rule. Ops overwrite what they are given; the tape adds
//! where a variable was used more than once. `examples/01_gradient.rs` is the lesson.

mod engine;
pub mod gradcheck;
mod op;
mod params;
mod tape;
mod work;

pub use engine::{Anomaly, Engine, Observer};
pub use op::{Mismatch, Op, Plan, Point, Run, View, arity};
pub(crate) use op::{plan, require};
pub use params::{Builder, Entry, Gradients, Init, Layout, Param, Params, Role};
pub use tape::{Tape, Var};
pub use work::{MultiplyAdds, Pass};
