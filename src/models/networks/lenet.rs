//! The networks for grey images of 28 x 28 pixels, such as digits: 5x5 convolutions, pooling, up-sampling, and a
//! categorical over 256 grey levels for every pixel.

use super::{Trunk, scaled};
use crate::autograd::{Builder, Params, Var};
use crate::config::LogitLayout;
use crate::nn::{BatchNorm, Features, PointwiseConv, Stage, UpsampledConvTranspose, Writer, Written};
use crate::ops::Activation::Relu;
use std::sync::Arc;

/// Rows and columns of the images.
pub const SIDE: usize = 28;

/// Grey levels of a pixel: what the decoder gives logits for.
pub const LEVELS: usize = 256;

/// Two convolutions, each with batch normalisation, rectifier and pooling; the last has int(64 width) channels.
pub fn trunk(builder: &mut Builder<'_>, width: f64) -> Trunk {
    let (a, b) = (scaled(32, width), scaled(64, width));
    let stages = vec![
        Stage::conv_norm_pool(builder, ["0", "1"], [1, a], 5), // 12 x 12
        Stage::conv_norm_pool(builder, ["4", "5"], [a, b], 5), // 4 x 4
    ];
    Trunk { stages, output: [4, 4, b] }
}

/// p(x|z): a linear layer to a 4x4 image, two up-sampled transposed convolutions, and 256 logits a pixel.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    first: Stage,
    conv1: UpsampledConvTranspose,
    norm1: BatchNorm,
    conv2: UpsampledConvTranspose,
    norm2: BatchNorm,
    logits: PointwiseConv,
    channels: usize,
}

impl Decoder {
    /// A decoder from all latents together.
    pub fn new(builder: &mut Builder<'_>, width: f64, latents: usize) -> Self {
        let [a, b, c] = [64, 128, 256].map(|channels| scaled(channels, width));
        let image = Features::ToImage { channels: a };
        Decoder {
            first: Stage::linear_norm_activate(builder, ["fc1.0", "fc1.1"], [latents, 16 * a], image, Relu),
            conv1: UpsampledConvTranspose::new(&mut builder.scope("de1.0"), a, b, 5),
            norm1: BatchNorm::new(&mut builder.scope("de1.1"), b, Features::Plain),
            conv2: UpsampledConvTranspose::new(&mut builder.scope("de2.0"), b, c, 5),
            norm2: BatchNorm::new(&mut builder.scope("de2.1"), c, Features::Plain),
            logits: PointwiseConv::new(&mut builder.scope("de3.0"), c, LEVELS),
            channels: a,
        }
    }

    /// z (batch, latents) to logits (batch, 28, 28, 256).
    #[track_caller]
    pub fn forward<'t>(&self, z: Var<'t>) -> Var<'t> {
        self.logits.forward(self.norm2.forward(self.features(z), Relu))
    }

    /// The logits of z, one row of 256 for every pixel in row-major order.
    #[track_caller]
    pub fn pixel_logits<'t>(&self, z: Var<'t>, layout: LogitLayout) -> Var<'t> {
        let logits = self.forward(z);
        let rows = logits.shape().len() / LEVELS;
        match layout {
            LogitLayout::PerPixel => logits.reshape([rows, LEVELS]),
            // The authors' code reads the (batch, 256, 28, 28) block as rows of 256 without moving the channels last.
            LogitLayout::Published => logits.to_channels_first().reshape([rows, LEVELS]),
        }
    }

    /// -log p(x|z) of all pixels together, for grey levels x (batch * 28 * 28): without holding the logits, unless
    /// their layout asks for it.
    #[track_caller]
    pub fn negative_log_likelihood<'t>(
        &self,
        z: Var<'t>,
        levels: &Arc<[u32]>,
        layout: LogitLayout,
    ) -> Var<'t> {
        match layout {
            LogitLayout::PerPixel => self.logits.cross_entropy(&self.norm2, self.features(z), levels),
            LogitLayout::Published => self.pixel_logits(z, layout).cross_entropy(levels.clone()).sum(),
        }
    }

    /// From z to the logits, with their present numbers.
    pub fn written(&self, latents: usize, params: &Params) -> Vec<Written> {
        let mut writer = Writer::new([1, 1, latents], params);
        writer.stage(&self.first);
        writer.reshape([4, 4, self.channels]);
        writer.upsampled(&self.conv1, &self.norm1, Relu);
        writer.upsampled(&self.conv2, &self.norm2, Relu);
        writer.pointwise(&self.logits);
        writer.finish()
    }

    /// What the last normalisation sees: (batch, 28, 28, channels).
    #[track_caller]
    fn features<'t>(&self, z: Var<'t>) -> Var<'t> {
        let h = self.first.forward(z).reshape([z.shape().rows(), 4, 4, self.channels]);
        let h = self.norm1.forward(self.conv1.forward(h), Relu); // 12 x 12
        self.conv2.forward(h) // 28 x 28
    }
}
