//! Convolutions with a square kernel, plain and transposed; and 1x1 ones.

use super::{BatchNorm, Bias};
use crate::autograd::{Builder, Init, Layout, Param, Tape, Var};
use crate::ops::{Activation, Conv2d, ConvTranspose2d};
use crate::tensor::Shape;
use std::sync::Arc;

/// Xavier's bounds for a kernel: every output pixel sees kernel^2 pixels of every input channel.
fn xavier(kernel: usize, inputs: usize, outputs: usize) -> Init {
    Init::XavierUniform { fan_in: inputs * kernel * kernel, fan_out: outputs * kernel * kernel }
}

/// Two-dimensional cross-correlation.
#[derive(Clone, Copy, Debug)]
pub struct Conv {
    pub(super) weight: Param,
    pub(super) bias: Option<Param>,
    pub(super) settings: Conv2d,
}

impl Conv {
    /// A layer from `inputs` to `outputs` channels, stride 1, no padding.
    pub fn new(builder: &mut Builder<'_>, inputs: usize, outputs: usize, kernel: usize, bias: Bias) -> Self {
        Conv::strided(builder, inputs, outputs, kernel, Conv2d { stride: 1, padding: 0 }, bias)
    }

    /// A layer from `inputs` to `outputs` channels with this stride and padding.
    pub fn strided(
        builder: &mut Builder<'_>,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        settings: Conv2d,
        bias: Bias,
    ) -> Self {
        let published = vec![outputs, inputs, kernel, kernel];
        let layout = Layout { view: published.clone(), shape: published, order: vec![2, 3, 1, 0] };
        let init = xavier(kernel, inputs, outputs);
        let weight = builder.weight("weight", [kernel, kernel, inputs, outputs], layout, init);
        let bias = (bias == Bias::With).then(|| {
            let shape = Shape::from([outputs]);
            builder.weight("bias", shape, Layout::same(shape), Init::Constant(0.0))
        });
        Conv { weight, bias, settings }
    }

    /// x (batch, height, width, inputs) to (batch, rows, columns, outputs), where an axis of n pixels becomes one of
    /// (n + 2 padding - kernel) div stride + 1.
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        let tape = x.tape();
        let bias = self.bias.map(|bias| tape.param(bias));
        x.conv2d(tape.param(self.weight), bias, self.settings)
    }

    /// activation(norm(conv(x))), without holding conv(x) where the layer has no bias.
    #[track_caller]
    pub fn forward_then<'t>(&self, norm: &BatchNorm, x: Var<'t>, activation: Activation) -> Var<'t> {
        match self.bias {
            Some(_) => norm.forward(self.forward(x), activation),
            None => norm.of_conv2d(x, x.tape().param(self.weight), self.settings, activation),
        }
    }

    /// What `next` makes of the outputs of this layer. With nothing between them the two are one convolution:
    ///
    /// ```text
    /// (x * w + b) v + c = x * (w v) + (b v + c)
    /// ```
    ///
    /// which has as many multiply-adds as this layer alone, and never holds its outputs.
    ///
    /// # Panics
    /// If this layer has no bias, or `next` has another number of inputs than it has outputs.
    #[track_caller]
    pub fn forward_through<'t>(&self, next: &PointwiseConv, x: Var<'t>) -> Var<'t> {
        let [weight, bias] = self.composed(next, x.tape());
        x.conv2d(weight, Some(bias), self.settings)
    }

    /// -ln p of `levels`, in nats, summed over all pixels, where `next` makes of the outputs of this layer the parameters
    /// of mixtures as in [`Var::logistic_mixture`]: without holding the parameters.
    ///
    /// # Panics
    /// As `forward_through`.
    #[track_caller]
    pub fn logistic_mixture_through<'t>(
        &self,
        next: &PointwiseConv,
        x: Var<'t>,
        levels: &Arc<[u32]>,
        channels: usize,
    ) -> Var<'t> {
        x.conv2d_logistic_mixture(self.composed(next, x.tape()), self.settings, levels.clone(), channels)
    }

    /// The weights and the bias of this layer and the next as one.
    #[track_caller]
    fn composed<'t>(&self, next: &PointwiseConv, tape: &'t Tape<'t>) -> [Var<'t>; 2] {
        let (weight, bias) = (tape.param(self.weight), self.bias.expect("a layer with a bias"));
        let [next_weight, next_bias] = [next.weight, next.bias].map(|param| tape.param(param));
        let [kernel, _, inputs, between] = weight.shape().image().expect("the weights of a convolution");
        let outputs = next_weight.shape().columns();
        let both = weight.reshape([kernel * kernel * inputs, between]).linear(next_weight, None);
        let bias = tape.param(bias).reshape([1, between]).linear(next_weight, Some(next_bias));
        [both.reshape([kernel, kernel, inputs, outputs]), bias.reshape([outputs])]
    }
}

/// A 1x1 convolution with a bias: a linear layer on every pixel.
#[derive(Clone, Copy, Debug)]
pub struct PointwiseConv {
    pub(super) weight: Param,
    pub(super) bias: Param,
}

impl PointwiseConv {
    /// A layer from `inputs` to `outputs` channels.
    pub fn new(builder: &mut Builder<'_>, inputs: usize, outputs: usize) -> Self {
        let published = vec![outputs, inputs, 1, 1];
        let layout = Layout { shape: published, view: vec![outputs, inputs], order: vec![1, 0] };
        let shape = Shape::from([outputs]);
        PointwiseConv {
            weight: builder.weight("weight", [inputs, outputs], layout, xavier(1, inputs, outputs)),
            bias: builder.weight("bias", shape, Layout::same(shape), Init::Constant(0.0)),
        }
    }

    /// x (batch, height, width, inputs) to (batch, height, width, outputs).
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        let [batch, height, width, _] = x.shape().image().expect("a convolution of images");
        let (tape, rows) = (x.tape(), as_rows(x));
        let y = rows.linear(tape.param(self.weight), Some(tape.param(self.bias)));
        y.reshape([batch, height, width, y.shape().columns()])
    }

    /// The cross-entropy, in nats, of the outputs with a label for every pixel, summed over all pixels, where the layer
    /// sees x normalised by `norm` and rectified.
    #[track_caller]
    pub fn cross_entropy<'t>(&self, norm: &BatchNorm, x: Var<'t>, labels: &Arc<[u32]>) -> Var<'t> {
        let weight_and_bias = [self.weight, self.bias].map(|p| x.tape().param(p));
        norm.rectified_cross_entropy(as_rows(x), weight_and_bias, labels)
    }
}

/// Images as a matrix with a row for every pixel.
#[track_caller]
fn as_rows(x: Var<'_>) -> Var<'_> {
    x.reshape([x.shape().rows(), x.shape().columns()])
}

/// Nearest up-sampling to twice the size, then a transposed convolution, without bias.
#[derive(Clone, Copy, Debug)]
pub struct UpsampledConvTranspose {
    pub(super) weight: Param,
}

impl UpsampledConvTranspose {
    /// A layer from `inputs` to `outputs` channels; `kernel` is odd.
    pub fn new(builder: &mut Builder<'_>, inputs: usize, outputs: usize, kernel: usize) -> Self {
        let published = vec![inputs, outputs, kernel, kernel];
        let layout = Layout { view: published.clone(), shape: published, order: vec![2, 3, 0, 1] };
        let init = xavier(kernel, inputs, outputs);
        UpsampledConvTranspose {
            weight: builder.weight("weight", [kernel, kernel, inputs, outputs], layout, init),
        }
    }

    /// x (batch, h, w, inputs) to (batch, 2 h + kernel - 1, 2 w + kernel - 1, outputs).
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        x.upsampled_conv_transpose2d(x.tape().param(self.weight))
    }
}

/// A transposed convolution without bias.
#[derive(Clone, Copy, Debug)]
pub struct ConvTranspose {
    pub(super) weight: Param,
    pub(super) settings: ConvTranspose2d,
}

impl ConvTranspose {
    /// A layer from `inputs` to `outputs` channels.
    pub fn new(
        builder: &mut Builder<'_>,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        settings: ConvTranspose2d,
    ) -> Self {
        let published = vec![inputs, outputs, kernel, kernel];
        let layout = Layout { view: published.clone(), shape: published, order: vec![2, 3, 1, 0] };
        let init = xavier(kernel, inputs, outputs);
        ConvTranspose {
            weight: builder.weight("weight", [kernel, kernel, outputs, inputs], layout, init),
            settings,
        }
    }

    /// x (batch, height, width, inputs) to (batch, rows, columns, outputs), where an axis of n pixels becomes one of
    /// (n - 1) stride - 2 padding + kernel + output padding.
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        x.conv_transpose2d(x.tape().param(self.weight), self.settings)
    }
}
