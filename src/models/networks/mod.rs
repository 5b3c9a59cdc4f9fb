//! The networks, layer by layer, under their published names: what the models are made of.
//!
//! What predicts is a list of stages, which a tape reads in training and [`Frozen`](crate::nn::Frozen) without one.
//!
//! There are two families, [`lenet`] for digits and [`resnet`] for cells. What stands on top of them is the same for both but
//! for the activation.

pub mod lenet;
mod pixel;
pub mod resnet;
#[cfg(test)]
mod written_tests;

pub use pixel::PixelValue;

use super::{Batch, Settings};
use crate::autograd::{Builder, Params, Tape, Var};
use crate::config::{LogitLayout, Networks};
use crate::nn::{self, BatchNorm, Bias, Features, Linear, Stage, Written};
use crate::ops::Activation;
use crate::prob::Normal;
use crate::rng::Stream;
use std::sync::Arc;

/// Added to every standard deviation.
const SD_FLOOR: f32 = 1e-7;

/// int(channels * width), as the published code scales its networks.
fn scaled(channels: usize, width: f64) -> usize {
    (channels as f64 * width) as usize
}

/// The activation of a family of networks.
fn activation(networks: Networks) -> Activation {
    match networks {
        Networks::Lenet => Activation::Relu,
        Networks::Resnet => Activation::LeakyRelu,
    }
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

/// What turns an image into a vector of features.
#[derive(Clone, Debug)]
pub struct Trunk {
    stages: Vec<Stage>,
    /// (rows, columns, channels) of the small image that the features are.
    output: [usize; 3],
}

impl Trunk {
    /// The layers that the settings name.
    pub fn new(builder: &mut Builder<'_>, settings: &Settings) -> Self {
        let width = settings.encoder_width;
        match settings.networks {
            Networks::Lenet => lenet::trunk(builder, width),
            Networks::Resnet => resnet::trunk(builder, width, settings.image),
        }
    }

    /// The number of features of an image.
    pub fn features(&self) -> usize {
        self.output.iter().product()
    }

    /// How a layer sees these features: as a small image.
    pub fn layout(&self) -> Features {
        Features::FromImage { channels: self.output[2] }
    }

    /// x (batch, height, width, channels) to (batch, features).
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        nn::forward(&self.stages, x).reshape([x.shape().sizes()[0], self.features()])
    }

    /// From an image to its features.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }
}

/// q(z|x): a trunk and a Gaussian head.
#[derive(Clone, Debug)]
pub struct Encoder {
    trunk: Trunk,
    head: GaussianHead,
}

impl Encoder {
    /// An encoder into `latent` dimensions.
    pub fn new(builder: &mut Builder<'_>, settings: &Settings, latent: usize) -> Self {
        let trunk = match settings.networks {
            Networks::Lenet => Trunk::new(&mut builder.scope("encoder"), settings),
            Networks::Resnet => Trunk::new(builder, settings),
        };
        let head = GaussianHead::new(builder, ["fc11.0", "fc12.0"], trunk.features(), latent, trunk.layout());
        Encoder { trunk, head }
    }

    /// x (batch, height, width, channels) to a Gaussian over (batch, latent).
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>) -> Normal<'t> {
        self.head.forward(self.trunk.forward(x))
    }

    /// From an image to the mean.
    pub fn stages_to_mean(&self) -> Vec<Stage> {
        [self.trunk.stages(), &[Stage::Linear(self.head.mean)]].concat()
    }
}

/// p(x|z), from all latents together.
#[derive(Clone, Debug)]
pub enum Decoder {
    /// A categorical over the grey levels of 28 x 28 pixels.
    Lenet(lenet::Decoder, LogitLayout),
    /// A mixture of discretised logistics over the pixels of images of any size.
    Resnet(resnet::Decoder),
}

impl Decoder {
    /// The layers that the settings name, from all latents together.
    pub fn new(builder: &mut Builder<'_>, settings: &Settings, latents: usize) -> Self {
        let width = settings.decoder_width;
        match settings.networks {
            Networks::Lenet => Decoder::Lenet(lenet::Decoder::new(builder, width, latents), settings.logits),
            Networks::Resnet => {
                Decoder::Resnet(resnet::Decoder::new(builder, width, latents, settings.image))
            }
        }
    }

    /// The levels 0..=255 that are drawn of each pixel, (batch, height, width, channels). Samples take the numbers of `noise`
    /// from its beginning.
    ///
    /// # Panics
    /// If such a decoder does not draw this ([`PixelValue::of`]).
    #[track_caller]
    pub fn levels(&self, z: Var<'_>, value: PixelValue, noise: Stream) -> Vec<u8> {
        match self {
            Decoder::Lenet(decoder, layout) => pixel::levels(decoder.pixel_logits(z, *layout), value, noise),
            Decoder::Resnet(decoder) => decoder.levels(z, value, noise),
        }
    }

    /// From `latents` numbers to the parameters of p(x|z) of each pixel, layer by layer.
    pub fn written(&self, latents: usize, params: &Params) -> Vec<Written> {
        match self {
            Decoder::Lenet(decoder, _) => decoder.written(latents, params),
            Decoder::Resnet(decoder) => decoder.written(latents, params),
        }
    }

    /// -log p(x|z) of every pixel, row by row, image after image: (pixels).
    #[track_caller]
    pub fn pixel_losses<'t>(&self, z: Var<'t>, levels: &Arc<[u32]>) -> Var<'t> {
        match self {
            Decoder::Lenet(decoder, layout) => decoder.pixel_logits(z, *layout).cross_entropy(levels.clone()),
            Decoder::Resnet(decoder) => decoder.mixtures(z).negative_log_prob(levels),
        }
    }

    /// -log p(x|z) of all images together.
    #[track_caller]
    pub fn negative_log_likelihood<'t>(&self, z: Var<'t>, batch: &Batch) -> Var<'t> {
        match self {
            Decoder::Lenet(decoder, layout) => decoder.negative_log_likelihood(z, &batch.levels, *layout),
            Decoder::Resnet(decoder) => decoder.negative_log_likelihood(z, &batch.levels),
        }
    }
}

/// p(z|label): a Gaussian whose mean and standard deviation are learned from a one-hot label.
#[derive(Clone, Copy, Debug)]
pub struct ConditionalPrior {
    linear: Linear,
    norm: BatchNorm,
    activation: Activation,
    head: GaussianHead,
}

impl ConditionalPrior {
    /// A prior over a latent for each of `labels` labels.
    pub fn new(builder: &mut Builder<'_>, settings: &Settings, labels: usize) -> Self {
        let latent = settings.latent;
        ConditionalPrior {
            linear: Linear::new(&mut builder.scope("fc1.0"), labels, latent, Bias::Without, Features::Plain),
            norm: BatchNorm::new(&mut builder.scope("fc1.1"), latent, Features::Plain),
            activation: activation(settings.networks),
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
        self.head.forward(self.norm.forward_repeated(h, self.activation, repeats))
    }
}

/// q(label|z): an activation and a linear layer of logits.
#[derive(Clone, Copy, Debug)]
pub struct AuxiliaryClassifier {
    stages: [Stage; 2],
}

impl AuxiliaryClassifier {
    /// A classifier of `labels` labels from `latent` dimensions.
    pub fn new(builder: &mut Builder<'_>, settings: &Settings, latent: usize, labels: usize) -> Self {
        let activation = activation(settings.networks);
        let stages = [Stage::Activate(activation), Stage::linear(builder, "fc1", [latent, labels])];
        AuxiliaryClassifier { stages }
    }

    /// z (batch, latent) to logits (batch, labels).
    #[track_caller]
    pub fn forward<'t>(&self, z: Var<'t>) -> Var<'t> {
        nn::forward(&self.stages, z)
    }

    /// From z to the logits.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }
}

/// q(label|features) of the models without latents: a hidden layer with batch normalisation and activation, and a linear
/// layer of logits.
#[derive(Clone, Copy, Debug)]
pub struct ClassifierHead {
    stages: [Stage; 2],
}

impl ClassifierHead {
    /// A classifier of `labels` labels on the features of a trunk.
    pub fn new(
        builder: &mut Builder<'_>,
        settings: &Settings,
        trunk: &Trunk,
        hidden: usize,
        labels: usize,
    ) -> Self {
        let (sizes, activation) = ([trunk.features(), hidden], activation(settings.networks));
        let names = ["fc1.0", "fc1.1"];
        ClassifierHead {
            stages: [
                Stage::linear_norm_activate(builder, names, sizes, trunk.layout(), activation),
                Stage::linear(builder, "fc2", [hidden, labels]),
            ],
        }
    }

    /// Features (batch, features) to logits (batch, labels).
    #[track_caller]
    pub fn forward<'t>(&self, features: Var<'t>) -> Var<'t> {
        nn::forward(&self.stages, features)
    }

    /// The same with half of the hidden features left out and the others doubled: those where `keep` (batch, hidden) is
    /// 0 and those where it is 2 (Srivastava et al.: "Dropout", JMLR 2014).
    #[track_caller]
    pub fn forward_with_dropout<'t>(&self, features: Var<'t>, keep: Var<'t>) -> Var<'t> {
        let [hidden, logits] = &self.stages;
        logits.forward(hidden.forward(features) * keep)
    }

    /// From features to the logits.
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }
}

/// The index of the largest logit of every row of `columns`: the predicted label, the lowest of equals.
pub fn argmax(logits: &[f32], columns: usize) -> impl Iterator<Item = u32> {
    let largest =
        move |row: &[f32]| (0..columns).fold(0, |best, c| if row[c] > row[best] { c } else { best });
    logits.chunks_exact(columns).map(move |row| largest(row) as u32)
}
