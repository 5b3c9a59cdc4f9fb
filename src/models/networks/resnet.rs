//! The networks for images of any size, such as cells: residual blocks with batch normalisation and leaky rectifiers, and a
//! mixture of discretised logistics for every pixel.
//!
//! A block begins by activating what it is given, so that each block here hands on what is already activated:
//!
//! ```text
//! a = act(x)        y = 0.1 norm(conv(act(norm(conv(a))))) + skip(a)        skip(a) = a, or norm(conv1x1(a)) where the size changes
//! ```
//!
//! Sides are divided by 16 on the way to the latents, and multiplied by 16 on the way back.

use super::scaled;
use crate::autograd::{Builder, Params, Var};
use crate::nn::{BatchNorm, Bias, Conv, ConvTranspose, Features, Frozen, Linear, PointwiseConv};
use crate::ops::Activation::LeakyRelu;
use crate::ops::{Conv2d, ConvTranspose2d};
use crate::prob::LogisticMixture;
use std::sync::Arc;

/// What sides of images are divided by on the way to the latents.
pub const SHRINKAGE: usize = 16;

/// Logistics in the mixture of a pixel.
pub const COMPONENTS: usize = 10;

/// Channels in front of the last layer.
const BEFORE_LAST: usize = 100;

/// The weight of a block's convolutions beside its skip.
const BRANCH: f32 = 0.1;

/// A residual block.
#[derive(Clone, Copy, Debug)]
struct Residual {
    conv1: Convolution,
    norm1: BatchNorm,
    conv2: Convolution,
    norm2: BatchNorm,
    /// Where the size changes.
    skip: Option<(Convolution, BatchNorm)>,
}

/// A convolution without bias, or a transposed one.
#[derive(Clone, Copy, Debug)]
enum Convolution {
    Plain(Conv),
    Transposed(ConvTranspose),
}

/// What a block does to the size of images, and with which convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Halves it.
    Down,
    /// Keeps it.
    Same,
    /// Doubles it, by transposed convolutions.
    Up,
    /// Keeps it, by transposed convolutions.
    SameTransposed,
}

impl Convolution {
    /// 3 x 3 pixels.
    fn new(builder: &mut Builder<'_>, [inputs, outputs]: [usize; 2], kind: Kind, resizes: bool) -> Self {
        let stride = if resizes { 2 } else { 1 };
        match kind {
            Kind::Down | Kind::Same => {
                let settings = Conv2d { stride, padding: 1 };
                Convolution::Plain(Conv::strided(builder, inputs, outputs, 3, settings, Bias::Without))
            }
            Kind::Up | Kind::SameTransposed => {
                let settings = ConvTranspose2d { stride, padding: 1, output_padding: stride - 1 };
                Convolution::Transposed(ConvTranspose::new(builder, inputs, outputs, 3, settings))
            }
        }
    }

    /// The skip of a block that changes sizes: 1 x 1 pixels, every second pixel of the larger image. Going up, the zeros
    /// between the pixels are left to [`BatchNorm::residual`].
    fn skip(builder: &mut Builder<'_>, [inputs, outputs]: [usize; 2], kind: Kind) -> Self {
        match kind {
            Kind::Down | Kind::Same => {
                let settings = Conv2d { stride: 2, padding: 0 };
                Convolution::Plain(Conv::strided(builder, inputs, outputs, 1, settings, Bias::Without))
            }
            Kind::Up | Kind::SameTransposed => {
                let settings = ConvTranspose2d { stride: 1, padding: 0, output_padding: 0 };
                Convolution::Transposed(ConvTranspose::new(builder, inputs, outputs, 1, settings))
            }
        }
    }

    #[track_caller]
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        match self {
            Convolution::Plain(conv) => conv.forward(x),
            Convolution::Transposed(conv) => conv.forward(x),
        }
    }

    /// Of x normalised and activated, without holding that.
    #[track_caller]
    fn forward_normalized<'t>(&self, norm: &BatchNorm, x: Var<'t>) -> Var<'t> {
        match self {
            Convolution::Plain(conv) => conv.forward_normalized(norm, x, LeakyRelu),
            Convolution::Transposed(conv) => conv.forward_normalized(norm, x, LeakyRelu),
        }
    }

    /// The layer itself, where it is no transposed one.
    #[track_caller]
    fn plain(&self) -> &Conv {
        match self {
            Convolution::Plain(conv) => conv,
            Convolution::Transposed(_) => panic!("a transposed convolution where a plain one is needed"),
        }
    }
}

impl Residual {
    fn new(builder: &mut Builder<'_>, kind: Kind, inputs: usize, outputs: usize) -> Self {
        let resizes = matches!(kind, Kind::Down | Kind::Up);
        let conv1 = Convolution::new(&mut builder.scope("conv1"), [inputs, outputs], kind, resizes);
        let conv2 = Convolution::new(&mut builder.scope("conv2"), [outputs; 2], kind, false);
        let skip =
            resizes.then(|| Convolution::skip(&mut builder.scope("conv_residual"), [inputs, outputs], kind));
        let mut norm = |name: &str| BatchNorm::new(&mut builder.scope(name), outputs, Features::Plain);
        Residual {
            conv1,
            norm1: norm("bn1"),
            conv2,
            norm2: norm("bn2"),
            skip: skip.map(|conv| (conv, norm("bn_residual"))),
        }
    }

    /// From activated images to activated images.
    #[track_caller]
    fn forward<'t>(&self, a: Var<'t>) -> Var<'t> {
        let h = self.conv2.forward_normalized(&self.norm1, self.conv1.forward(a));
        match &self.skip {
            None => self.norm2.residual(h, a, None, BRANCH, LeakyRelu),
            Some((conv, norm)) => self.norm2.residual(h, conv.forward(a), Some(norm), BRANCH, LeakyRelu),
        }
    }

    /// Adds the block, of plain convolutions, with the present parameters to a network.
    fn freeze(&self, network: Frozen, params: &Params) -> Frozen {
        let branch = [(self.conv1.plain(), &self.norm1), (self.conv2.plain(), &self.norm2)];
        let skip = self.skip.as_ref().map(|(conv, norm)| (conv.plain(), norm));
        network.residual(branch, skip, BRANCH, LeakyRelu, params)
    }
}

/// A convolution and seven residual blocks: an image becomes a vector of features.
#[derive(Clone, Copy, Debug)]
pub struct Trunk {
    conv: Conv,
    norm: BatchNorm,
    blocks: [Residual; 7],
    channels: usize,
    /// Pixels that are left.
    pixels: usize,
}

impl Trunk {
    /// The layers for images of (height, width, channels); the last has int(64 width) channels.
    ///
    /// # Panics
    /// If a side of the images is no multiple of 16.
    #[track_caller]
    pub fn new(builder: &mut Builder<'_>, width: f64, image: [usize; 3]) -> Self {
        let (a, b) = (scaled(32, width), scaled(64, width));
        let [rows, columns] = shrunk(image);
        let padded = Conv2d { stride: 1, padding: 1 };
        let conv = Conv::strided(&mut builder.scope("conv1"), image[2], a, 3, padded, Bias::Without);
        let norm = BatchNorm::new(&mut builder.scope("bn1"), a, Features::Plain);
        let mut number = 0;
        let blocks = [
            (Kind::Down, a, a),
            (Kind::Same, a, a),
            (Kind::Down, a, b),
            (Kind::Same, b, b),
            (Kind::Down, b, b),
            (Kind::Same, b, b),
            (Kind::Down, b, b),
        ]
        .map(|(kind, inputs, outputs)| {
            number += 1;
            Residual::new(&mut builder.scope(&format!("rn{number}")), kind, inputs, outputs)
        });
        Trunk { conv, norm, blocks, channels: b, pixels: rows * columns }
    }

    /// The number of features of an image.
    pub fn features(&self) -> usize {
        self.pixels * self.channels
    }

    /// How a layer sees these features: as an image of a sixteenth of each side.
    pub fn layout(&self) -> Features {
        Features::FromImage { channels: self.channels }
    }

    /// x (batch, height, width, channels) to (batch, features).
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        let first = self.norm.after(&self.conv, x, LeakyRelu);
        let last = self.blocks.iter().fold(first, |a, block| block.forward(a));
        last.reshape([x.shape().image().expect("a network of images")[0], self.features()])
    }

    /// Adds the layers, with the present parameters, to a network of images.
    pub fn freeze(&self, network: Frozen, params: &Params) -> Frozen {
        let first = network.activated_convolution(&self.conv, &self.norm, LeakyRelu, params);
        self.blocks.iter().fold(first, |network, block| block.freeze(network, params))
    }
}

/// p(x|z): a linear layer to a small image, eight residual blocks and two convolutions to the parameters of a mixture of
/// discretised logistics for every pixel.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    linear: Linear,
    norm: BatchNorm,
    blocks: [Residual; 8],
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
        let (a, b) = (scaled(64, width), scaled(32, width));
        let [rows, columns] = shrunk(image);
        let (first, channels) = (Features::ToImage { channels: a }, image[2]);
        let features = rows * columns * a;
        let linear = Linear::new(&mut builder.scope("fc1.0"), latents, features, Bias::Without, first);
        let norm = BatchNorm::new(&mut builder.scope("fc1.1"), features, first);
        let mut number = 0;
        let blocks = [
            (Kind::SameTransposed, a, a),
            (Kind::Up, a, a),
            (Kind::SameTransposed, a, a),
            (Kind::Up, a, b),
            (Kind::SameTransposed, b, b),
            (Kind::Up, b, b),
            (Kind::SameTransposed, b, b),
            (Kind::Up, b, b),
        ]
        .map(|(kind, inputs, outputs)| {
            number += 1;
            Residual::new(&mut builder.scope(&format!("rn{number}")), kind, inputs, outputs)
        });
        let padded = Conv2d { stride: 1, padding: 1 };
        Decoder {
            linear,
            norm,
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

    /// The likeliest levels of each pixel: the mean of the likeliest component.
    #[track_caller]
    pub fn likeliest(&self, z: Var<'_>) -> Vec<u8> {
        let level = |&value: &f32| (value * 255.0).round() as u8;
        self.mixtures(z).likeliest_means().data().iter().map(level).collect()
    }

    /// p(x|z), a mixture for every pixel of (batch, height, width).
    #[track_caller]
    pub fn mixtures<'t>(&self, z: Var<'t>) -> LogisticMixture<'t> {
        let parameters = self.conv.forward_through(&self.parameters, self.last(z));
        LogisticMixture { parameters, channels: self.channels }
    }

    /// What the last block makes of z: (batch, height, width, channels).
    #[track_caller]
    fn last<'t>(&self, z: Var<'t>) -> Var<'t> {
        let [rows, columns, channels] = self.small;
        let first = self.norm.forward(self.linear.forward(z), LeakyRelu);
        let first = first.reshape([z.shape().rows(), rows, columns, channels]);
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
