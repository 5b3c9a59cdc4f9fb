//! Layers: structs of parameter handles with `new` and `forward`.
//!
//! A layer owns no numbers. `new` asks a [`Builder`](crate::autograd::Builder) for parameters under the names of the
//! published model and states how the published file orders them; `forward` records ops on the tape of its input.
//! A network is a list of [`Stage`]s. [`Frozen`] is made of such a list, holds numbers, and runs without a tape;
//! [`Written`] layers are for programs elsewhere.

mod batch_norm;
mod conv;
mod frozen;
mod linear;
mod residual;
mod stage;
mod written;

pub use batch_norm::BatchNorm;
pub use conv::{Conv, ConvTranspose, PointwiseConv, UpsampledConvTranspose};
pub use frozen::Frozen;
pub use linear::{Bias, Features, Linear};
pub use residual::{BlockConvolution, Residual, Size};
pub use stage::{Stage, forward};
pub use written::{Writer, Written, WrittenConvolution};
