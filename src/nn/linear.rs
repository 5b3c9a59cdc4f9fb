//! A fully connected layer.

use crate::autograd::{Builder, Init, Layout, Param, Var};
use crate::tensor::Shape;

/// Whether a layer adds a bias. Where batch normalisation follows it would be taken off again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// Yes, starting at 0.
    With,
    /// No.
    Without,
}

/// Which side of a fully connected layer is a flattened image.
///
/// PyTorch flattens (channel, row, column); here the channel is innermost. A layer on either side of an image
/// therefore has its weights in another order than the published file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// Neither.
    Plain,
    /// The inputs are an image of so many channels.
    FromImage {
        /// Channels of a pixel.
        channels: usize,
    },
    /// The outputs are an image of so many channels.
    ToImage {
        /// Channels of a pixel.
        channels: usize,
    },
}

/// y = x w + b
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    weight: Param,
    pub(super) bias: Option<Param>,
}

impl Linear {
    /// A layer from `inputs` to `outputs` features; Xavier-uniform weights.
    ///
    /// # Panics
    /// If the channels do not divide the features of an image.
    pub fn new(
        builder: &mut Builder<'_>,
        inputs: usize,
        outputs: usize,
        bias: Bias,
        features: Features,
    ) -> Self {
        let shape = vec![outputs, inputs];
        let layout = match features {
            Features::Plain => Layout { view: shape.clone(), order: vec![1, 0], shape },
            Features::FromImage { channels } => {
                Layout { view: vec![outputs, channels, inputs / channels], order: vec![2, 1, 0], shape }
            }
            Features::ToImage { channels } => {
                Layout { view: vec![channels, outputs / channels, inputs], order: vec![2, 1, 0], shape }
            }
        };
        let init = Init::XavierUniform { fan_in: inputs, fan_out: outputs };
        let weight = builder.weight("weight", [inputs, outputs], layout, init);
        let bias = (bias == Bias::With).then(|| {
            let shape = Shape::from([outputs]);
            builder.weight("bias", shape, Layout::same(shape), Init::Constant(0.0))
        });
        Linear { weight, bias }
    }

    /// x (rows, inputs) to (rows, outputs).
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        let tape = x.tape();
        x.linear(tape.param(self.weight), self.bias.map(|bias| tape.param(bias)))
    }

    /// The weights themselves (inputs, outputs): row k is what one-hot label k would give.
    pub fn weight(&self) -> Param {
        self.weight
    }
}
