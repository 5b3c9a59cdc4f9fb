//! The networks for images of any size, such as cells: residual blocks with batch normalisation and leaky rectifiers, and a
//! mixture of discretised logistics for every pixel.
//!
//! Sides are divided by 16 on the way to the latents, and multiplied by 16 on the way back.

use super::{PixelValue, Trunk, scaled};
use crate::autograd::{Builder, Params, Var};
use crate::nn::{
    Bias, BlockConvolution, Conv, ConvTranspose, Features, PointwiseConv, Residual, Size, Stage, Writer,
    Written,
};
use crate::ops::Activation::LeakyRelu;
use crate::ops::Conv2d;
use crate::prob::LogisticMixture;
use crate::rng::Stream;
use std::sync::Arc;

/// What sides of images are divided by on the way to the latents.
pub const SHRINKAGE: usize = 16;

/// Logistics in the mixture of a pixel.
pub const COMPONENTS: usize = 10;

/// Channels in front of the last layer.
const BEFORE_LAST: usize = 100;

/// The weight of a block's convolutions beside its skip.
const BRANCH: f32 = 0.1;

/// Residual blocks one after the other, each with its numbers of channels.
fn blocks<'a, C: BlockConvolution>(
    builder: &'a mut Builder<'_>,
    list: &'a [(Size, usize, usize)],
) -> impl Iterator<Item = Residual<C>> + 'a {
    list.iter().zip(1..).map(|(&(size, inputs, outputs), number)| {
        let scope = &mut builder.scope(&format!("rn{number}"));
        Residual::new(scope, size, [inputs, outputs], BRANCH, LeakyRelu)
    })
}

/// A convolution and seven residual blocks, for images of (height, width, channels); the last has int(64 width) channels.
///
/// # Panics
/// If a side of the images is no multiple of 16.
#[track_caller]
pub fn trunk(builder: &mut Builder<'_>, width: f64, image: [usize; 3]) -> Trunk {
    use Size::{Changed as Halved, Same};
    let (a, b) = (scaled(32, width), scaled(64, width));
    let [rows, columns] = shrunk(image);
    let mut stages = vec![Stage::conv_norm_activate(builder, ["conv1", "bn1"], [image[2], a], LeakyRelu)];
    let list = [
        (Halved, a, a),
        (Same, a, a),
        (Halved, a, b),
        (Same, b, b),
        (Halved, b, b),
        (Same, b, b),
        (Halved, b, b),
    ];
    stages.extend(blocks(builder, &list).map(Stage::Residual));
    Trunk { stages, output: [rows, columns, b] }
}

/// p(x|z): a linear layer to a small image, eight residual blocks and two convolutions to the parameters of a mixture of
/// discretised logistics for every pixel.
#[derive(Clone, Debug)]
pub struct Decoder {
    first: Stage,
    blocks: Vec<Residual<ConvTranspose>>,
    conv: Conv,
    parameters: PointwiseConv,
    /// (rows, columns, channels) of the small image.
    small: [usize; 3],
    /// Of a pixel of the image.
    channels: usize,
}

impl Decoder {
    /// A decoder from all latents together to images of (height, width, channels).
    ///
    /// # Panics
    /// If a side of the images is no multiple of 16.
    #[track_caller]
    pub fn new(builder: &mut Builder<'_>, width: f64, latents: usize, image: [usize; 3]) -> Self {
        use Size::{Changed as Doubled, Same};
        let (a, b) = (scaled(64, width), scaled(32, width));
        let [rows, columns] = shrunk(image);
        let (features, channels) = (rows * columns * a, image[2]);
        let first = Stage::linear_norm_activate(
            builder,
            ["fc1.0", "fc1.1"],
            [latents, features],
            Features::ToImage { channels: a },
            LeakyRelu,
        );
        let list = [
            (Same, a, a),
            (Doubled, a, a),
            (Same, a, a),
            (Doubled, a, b),
            (Same, b, b),
            (Doubled, b, b),
            (Same, b, b),
            (Doubled, b, b),
        ];
        let blocks = blocks(builder, &list).collect();
        let padded = Conv2d { stride: 1, padding: 1 };
        Decoder {
            first,
            blocks,
            conv: Conv::strided(&mut builder.scope("conv1"), b, BEFORE_LAST, 3, padded, Bias::With),
            parameters: PointwiseConv::new(&mut builder.scope("conv2"), BEFORE_LAST, parameters(channels)),
            small: [rows, columns, a],
            channels,
        }
    }

    /// -log p(x|z) of all pixels together, for levels x of (batch, height, width, channels).
    #[track_caller]
    pub fn negative_log_likelihood<'t>(&self, z: Var<'t>, levels: &Arc<[u32]>) -> Var<'t> {
        self.conv.logistic_mixture_through(&self.parameters, self.last(z), levels, self.channels)
    }

    /// The levels that are drawn of each pixel: the mean of the likeliest component, or a draw with the numbers of `noise`.
    ///
    /// # Panics
    /// If anything else is to be drawn ([`PixelValue::of`]).
    #[track_caller]
    pub fn levels(&self, z: Var<'_>, value: PixelValue, noise: Stream) -> Vec<u8> {
        let mixtures = self.mixtures(z);
        let values = match value {
            PixelValue::Mean => mixtures.likeliest_means(),
            PixelValue::Sample => mixtures.sample(noise),
            PixelValue::Median | PixelValue::Mode => panic!("a mixture is not drawn by its {}", value.name()),
        };
        values.data().iter().map(|value| (value * 255.0).round() as u8).collect()
    }

    /// p(x|z), a mixture for every pixel of (batch, height, width).
    #[track_caller]
    pub fn mixtures<'t>(&self, z: Var<'t>) -> LogisticMixture<'t> {
        let parameters = self.conv.forward_through(&self.parameters, self.last(z));
        LogisticMixture { parameters, channels: self.channels }
    }

    /// From z to the parameters of the mixtures, with their present numbers.
    pub fn written(&self, latents: usize, params: &Params) -> Vec<Written> {
        let mut writer = Writer::new([1, 1, latents], params);
        writer.stage(&self.first);
        writer.reshape(self.small);
        self.blocks.iter().for_each(|block| writer.transposed_block(block));
        writer.conv(&self.conv);
        writer.pointwise(&self.parameters);
        writer.finish()
    }

    /// What the last block makes of z: (batch, height, width, channels).
    #[track_caller]
    fn last<'t>(&self, z: Var<'t>) -> Var<'t> {
        let [rows, columns, channels] = self.small;
        let first = self.first.forward(z).reshape([z.shape().rows(), rows, columns, channels]);
        self.blocks.iter().fold(first, |a, block| block.forward(a))
    }
}

/// Rows and columns of an image on its way from the encoder to the latents.
#[track_caller]
fn shrunk([height, width, _]: [usize; 3]) -> [usize; 2] {
    [height, width].map(|side| {
        assert!(
            side > 0 && side % SHRINKAGE == 0,
            "an image of {height}x{width} pixels, sides are multiples of {SHRINKAGE}"
        );
        side / SHRINKAGE
    })
}

/// Parameters of the mixture of a pixel: for each component a weight, and for each channel a mean and a log-scale; of
/// colours also three coefficients that condition a channel on those before it.
const fn parameters(channels: usize) -> usize {
    match channels {
        1 => 3 * COMPONENTS,
        _ => 10 * COMPONENTS,
    }
}
