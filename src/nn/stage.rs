//! The stages that a network is a list of.
//!
//! The list is read by a tape, to be trained ([`forward`]), and by what predicts without one ([`Frozen`](super::Frozen)).

use super::{BatchNorm, Bias, Conv, Features, Linear, Residual};
use crate::autograd::{Builder, Var};
use crate::ops::{Activation, Conv2d};

/// A stage of a network.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// Convolution, batch normalisation, rectifier, and the largest of every 2x2 block of pixels.
    ConvNormPool(Conv, BatchNorm),
    /// Convolution, batch normalisation, activation.
    ConvNormActivate(Conv, BatchNorm, Activation),
    /// A residual block. What comes in is activated.
    Residual(Residual<Conv>),
    /// A linear layer on all numbers of an image.
    Linear(Linear),
    /// The same, batch normalisation, activation.
    LinearNormActivate(Linear, BatchNorm, Activation),
    /// Activation.
    Activate(Activation),
}

impl Stage {
    /// From `inputs` to `outputs` channels, stride 1, no padding; the convolution without bias.
    pub fn conv_norm_pool(
        builder: &mut Builder<'_>,
        [conv, norm]: [&str; 2],
        [inputs, outputs]: [usize; 2],
        kernel: usize,
    ) -> Self {
        Stage::ConvNormPool(
            Conv::new(&mut builder.scope(conv), inputs, outputs, kernel, Bias::Without),
            BatchNorm::new(&mut builder.scope(norm), outputs, Features::Plain),
        )
    }

    /// From `inputs` to `outputs` channels, 3 x 3 pixels, to images of the same size; the convolution without bias.
    pub fn conv_norm_activate(
        builder: &mut Builder<'_>,
        [conv, norm]: [&str; 2],
        [inputs, outputs]: [usize; 2],
        activation: Activation,
    ) -> Self {
        let padded = Conv2d { stride: 1, padding: 1 };
        Stage::ConvNormActivate(
            Conv::strided(&mut builder.scope(conv), inputs, outputs, 3, padded, Bias::Without),
            BatchNorm::new(&mut builder.scope(norm), outputs, Features::Plain),
            activation,
        )
    }

    /// From `inputs` to `outputs` features, without bias.
    pub fn linear_norm_activate(
        builder: &mut Builder<'_>,
        [linear, norm]: [&str; 2],
        [inputs, outputs]: [usize; 2],
        features: Features,
        activation: Activation,
    ) -> Self {
        Stage::LinearNormActivate(
            Linear::new(&mut builder.scope(linear), inputs, outputs, Bias::Without, features),
            BatchNorm::new(&mut builder.scope(norm), outputs, features),
            activation,
        )
    }

    /// From `inputs` to `outputs` features, with a bias.
    pub fn linear(builder: &mut Builder<'_>, name: &str, [inputs, outputs]: [usize; 2]) -> Self {
        let scope = &mut builder.scope(name);
        Stage::Linear(Linear::new(scope, inputs, outputs, Bias::With, Features::Plain))
    }

    /// What becomes of a batch.
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        match self {
            Stage::ConvNormPool(conv, norm) => norm.rectified_max_pool(conv.forward(x)),
            Stage::ConvNormActivate(conv, norm, activation) => conv.forward_then(norm, x, *activation),
            Stage::Residual(block) => block.forward(x),
            Stage::Linear(linear) => linear.forward(flat(x)),
            Stage::LinearNormActivate(linear, norm, activation) => {
                norm.forward(linear.forward(flat(x)), *activation)
            }
            Stage::Activate(activation) => x.activate(*activation),
        }
    }
}

/// Takes a batch through a list of stages.
#[track_caller]
pub fn forward<'t>(stages: &[Stage], x: Var<'t>) -> Var<'t> {
    stages.iter().fold(x, |x, stage| stage.forward(x))
}

/// Every image of a batch as a row.
#[track_caller]
fn flat(x: Var<'_>) -> Var<'_> {
    let batch = x.shape().sizes()[0];
    x.reshape([batch, x.shape().len() / batch])
}
