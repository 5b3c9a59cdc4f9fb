//! The networks for digits of 28 x 28 pixels, layer by layer, under their published names: what the models are made of.

use crate::autograd::{Builder, Params, Tape, Var};
use crate::config::LogitLayout;
use crate::nn::{BatchNorm, Bias, Conv, Features, Frozen, Linear, PointwiseConv, UpsampledConvTranspose};
use crate::ops::Activation::Relu;
use crate::prob::Normal;
use std::sync::Arc;

/// Rows and columns of the images.
pub const SIDE: usize = 28;

/// Grey levels of a pixel: what the decoder gives logits for.
pub const LEVELS: usize = 256;

/// Added to every standard deviation.
const SD_FLOOR: f32 = 1e-7;

/// int(channels * width), as the published code scales its networks.
fn scaled(channels: usize, width: f64) -> usize {
    (channels as f64 * width) as usize
}

/// A mean and, through a soft rectifier, a standard deviation.
#[derive(Clone, Copy, Debug)]
struct GaussianHead {
    mean: Linear,
    sd: Linear,
}

impl GaussianHead {
    fn new(
        builder: &mut Builder<'_>,
        [mean, sd]: [&str; 2],
        inputs: usize,
        latent: usize,
        features: Features,
    ) -> Self {
        let mut linear =
            |name: &str| Linear::new(&mut builder.scope(name), inputs, latent, Bias::With, features);
        GaussianHead { mean: linear(mean), sd: linear(sd) }
    }

    fn forward<'t>(&self, h: Var<'t>) -> Normal<'t> {
        Normal { mean: self.mean.forward(h), sd: self.sd.forward(h).softplus().shift(SD_FLOOR) }
    }
}

/// Two convolutions, each with batch normalisation, rectifier and pooling: an image becomes a vector of features.
#[derive(Clone, Copy, Debug)]
pub struct Trunk {
    conv1: Conv,
    norm1: BatchNorm,
    conv2: Conv,
    norm2: BatchNorm,
    channels: usize,
}

impl Trunk {
    /// The layers, of which the last has int(64 width) channels.
    pub fn new(builder: &mut Builder<'_>, width: f64) -> Self {
        let (a, b) = (scaled(32, width), scaled(64, width));
        Trunk {
            conv1: Conv::new(&mut builder.scope("0"), 1, a, 5, Bias::Without),
            norm1: BatchNorm::new(&mut builder.scope("1"), a, Features::Plain),
            conv2: Conv::new(&mut builder.scope("4"), a, b, 5, Bias::Without),
            norm2: BatchNorm::new(&mut builder.scope("5"), b, Features::Plain),
            channels: b,
        }
    }

    /// The number of features of an image.
    pub fn features(&self) -> usize {
        16 * self.channels
    }

    /// How a layer sees these features: as an image of 4 x 4 pixels.
    pub fn layout(&self) -> Features {
        Features::FromImage { channels: self.channels }
    }

    /// x (batch, 28, 28, 1) to (batch, features).
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        let h = self.norm1.rectified_max_pool(self.conv1.forward(x)); // 12 x 12
        let h = self.norm2.rectified_max_pool(self.conv2.forward(h)); // 4 x 4
        let [batch, ..] = h.shape().image().expect("pooling gives images");
        h.reshape([batch, self.features()])
    }

    /// Adds the layers, with the present parameters, to a network of images (28, 28, 1).
    pub fn freeze(&self, network: Frozen, params: &Params) -> Frozen {
        network.convolution(&self.conv1, &self.norm1, params).convolution(&self.conv2, &self.norm2, params)
    }
}

/// q(z|x): a trunk and a Gaussian head.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    trunk: Trunk,
    head: GaussianHead,
}

impl Encoder {
    /// An encoder into `latent` dimensions.
    pub fn new(builder: &mut Builder<'_>, width: f64, latent: usize) -> Self {
        let trunk = Trunk::new(&mut builder.scope("encoder"), width);
        let head = GaussianHead::new(builder, ["fc11.0", "fc12.0"], trunk.features(), latent, trunk.layout());
        Encoder { trunk, head }
    }

    /// x (batch, 28, 28, 1) to a Gaussian over (batch, latent).
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>) -> Normal<'t> {
        self.head.forward(self.trunk.forward(x))
    }

    /// Adds the layers to the mean, with the present parameters, to a network of images (28, 28, 1).
    pub fn freeze_mean(&self, network: Frozen, params: &Params) -> Frozen {
        self.trunk.freeze(network, params).linear(&self.head.mean, params)
    }
}

/// p(x|z): a linear layer to a 4x4 image, two up-sampled transposed convolutions, and 256 logits a pixel.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    linear: Linear,
    norm: BatchNorm,
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
            linear: Linear::new(&mut builder.scope("fc1.0"), latents, 16 * a, Bias::Without, image),
            norm: BatchNorm::new(&mut builder.scope("fc1.1"), 16 * a, image),
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

    /// What the last normalisation sees: (batch, 28, 28, channels).
    #[track_caller]
    fn features<'t>(&self, z: Var<'t>) -> Var<'t> {
        let h = self.norm.forward(self.linear.forward(z), Relu);
        let h = h.reshape([z.shape().rows(), 4, 4, self.channels]);
        let h = self.norm1.forward(self.conv1.forward(h), Relu); // 12 x 12
        self.conv2.forward(h) // 28 x 28
    }
}

/// p(z|label): a Gaussian whose mean and standard deviation are learned from a one-hot label.
#[derive(Clone, Copy, Debug)]
pub struct ConditionalPrior {
    linear: Linear,
    norm: BatchNorm,
    head: GaussianHead,
}

impl ConditionalPrior {
    /// A prior over `latent` dimensions for each of `labels` labels.
    pub fn new(builder: &mut Builder<'_>, labels: usize, latent: usize) -> Self {
        ConditionalPrior {
            linear: Linear::new(&mut builder.scope("fc1.0"), labels, latent, Bias::Without, Features::Plain),
            norm: BatchNorm::new(&mut builder.scope("fc1.1"), latent, Features::Plain),
            head: GaussianHead::new(builder, ["fc21.0", "fc22.0"], latent, latent, Features::Plain),
        }
    }

    /// One Gaussian a label: (labels given, latent).
    #[track_caller]
    pub fn forward<'t>(&self, tape: &'t Tape<'t>, labels: &Arc<[u32]>) -> Normal<'t> {
        self.forward_repeated(tape, labels, 1)
    }

    /// As `forward` on a batch in which every label stands `repeats` times, one row for each of them.
    ///
    /// Batch normalisation makes a prior depend on the labels it is evaluated with. Equal rows have equal results, so
    /// one of each is enough: only the running variance needs to know how many there would be.
    #[track_caller]
    pub fn forward_repeated<'t>(
        &self,
        tape: &'t Tape<'t>,
        labels: &Arc<[u32]>,
        repeats: usize,
    ) -> Normal<'t> {
        let h = tape.param(self.linear.weight()).gather_rows(labels.clone());
        self.head.forward(self.norm.forward_repeated(h, Relu, repeats))
    }
}

/// q(label|z): a rectifier and a linear layer of logits.
#[derive(Clone, Copy, Debug)]
pub struct AuxiliaryClassifier {
    linear: Linear,
}

impl AuxiliaryClassifier {
    /// A classifier of `labels` labels.
    pub fn new(builder: &mut Builder<'_>, latent: usize, labels: usize) -> Self {
        let linear = Linear::new(&mut builder.scope("fc1"), latent, labels, Bias::With, Features::Plain);
        AuxiliaryClassifier { linear }
    }

    /// z (batch, latent) to logits (batch, labels).
    #[track_caller]
    pub fn forward<'t>(&self, z: Var<'t>) -> Var<'t> {
        self.linear.forward(z.relu())
    }

    /// Adds the classifier, with the present parameters, to a network that ends in z.
    pub fn freeze(&self, network: Frozen, params: &Params) -> Frozen {
        network.relu().linear(&self.linear, params)
    }
}

/// q(label|features) of the models without latents: a hidden layer with batch normalisation and rectifier, and a linear
/// layer of logits.
#[derive(Clone, Copy, Debug)]
pub struct ClassifierHead {
    hidden: Linear,
    norm: BatchNorm,
    linear: Linear,
}

impl ClassifierHead {
    /// A classifier of `labels` labels on the features of a trunk.
    pub fn new(builder: &mut Builder<'_>, trunk: &Trunk, hidden: usize, labels: usize) -> Self {
        let features = trunk.features();
        ClassifierHead {
            hidden: Linear::new(&mut builder.scope("fc1.0"), features, hidden, Bias::Without, trunk.layout()),
            norm: BatchNorm::new(&mut builder.scope("fc1.1"), hidden, Features::Plain),
            linear: Linear::new(&mut builder.scope("fc2"), hidden, labels, Bias::With, Features::Plain),
        }
    }

    /// Features (batch, features) to logits (batch, labels).
    #[track_caller]
    pub fn forward<'t>(&self, features: Var<'t>) -> Var<'t> {
        self.linear.forward(self.hidden(features))
    }

    /// The same with half of the hidden features left out and the others doubled: those where `keep` (batch, hidden) is
    /// 0 and those where it is 2 (Srivastava et al.: "Dropout", JMLR 2014).
    #[track_caller]
    pub fn forward_with_dropout<'t>(&self, features: Var<'t>, keep: Var<'t>) -> Var<'t> {
        self.linear.forward(self.hidden(features) * keep)
    }

    #[track_caller]
    fn hidden<'t>(&self, features: Var<'t>) -> Var<'t> {
        self.norm.forward(self.hidden.forward(features), Relu)
    }

    /// Adds the layers, with the present parameters, to a network that ends in the features.
    pub fn freeze(&self, network: Frozen, params: &Params) -> Frozen {
        network.normalized_linear(&self.hidden, &self.norm, params).relu().linear(&self.linear, params)
    }
}
