//! Layers: structs of parameter handles with `new` and `forward`.
//!
//! A layer owns no numbers. `new` asks a [`Builder`](crate::autograd::Builder) for parameters under the names of the
//! published model and states how the published file orders them; `forward` records ops on the tape of its input.
//! [`Frozen`] layers are the exception: they hold numbers, and run without a tape.

mod batch_norm;
mod conv;
mod frozen;
mod linear;

pub use batch_norm::BatchNorm;
pub use conv::{Conv, ConvTranspose, PointwiseConv, UpsampledConvTranspose};
pub use frozen::Frozen;
pub use linear::{Bias, Features, Linear};
