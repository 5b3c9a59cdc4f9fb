//! DIVA: the domain-invariant variational autoencoder.
//!
//! Ilse, Tomczak, Louizos, Welling: "DIVA: Domain Invariant Variational Autoencoders", MIDL 2020.
//!
//! An image x of class y from domain d is explained by three latents: zd (what the domain does to it), zy (what the
//! class does) and zx (the rest).
//!
//! ```text
//! generative:  p(zd|d) p(zx) p(zy|y) p(x|zd, zx, zy)      p(zx) = N(0, I)
//! inference:   q(zd|x) q(zx|x) q(zy|x)                    diagonal Gaussians, an encoder each
//! auxiliary:   q(d|zd) q(y|zy)                            linear classifiers
//! ```
//!
//! [`networks`] holds the parts, `elbo.rs` the objective, `predict.rs` what a finished model is asked for.

mod elbo;
pub mod networks;
mod predict;

pub use crate::config::{Kl, LogitLayout};
pub use elbo::{Batch, Loss, Noise, Weights};
pub use predict::LabelPredictor;

use crate::autograd::{Builder, Var};
use networks::{AuxiliaryClassifier, ConditionalPrior, Decoder, Encoder};

/// The sizes and choices that define a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Scales the channel counts of the encoders: int(channels * width).
    pub encoder_width: f64,
    /// Scales those of the decoder.
    pub decoder_width: f64,
    /// The dimensions of each latent.
    pub latent: usize,
    /// How many domains are trained on.
    pub domains: usize,
    /// How many classes there are.
    pub classes: usize,
    /// How the decoder's logits are read.
    pub logits: LogitLayout,
    /// How the divergence from the prior is found.
    pub kl: Kl,
    /// p(y) for images without a label, one probability a class.
    pub prior_y: Vec<f64>,
}

/// The model: handles of its parameters, and its settings.
#[derive(Clone, Debug)]
pub struct Diva {
    settings: Settings,
    decoder: Decoder,
    prior_domain: ConditionalPrior,
    prior_class: ConditionalPrior,
    encode_domain: Encoder,
    encode_residual: Encoder,
    encode_class: Encoder,
    classify_domain: AuxiliaryClassifier,
    classify_class: AuxiliaryClassifier,
}

/// Rows and columns of the images.
pub const SIDE: usize = 28;

impl Diva {
    /// Makes the parameters, under their published names and in their published order.
    pub fn new(builder: &mut Builder<'_>, settings: Settings) -> Self {
        let Settings { encoder_width, decoder_width, latent, domains, classes, .. } = settings;
        Diva {
            decoder: Decoder::new(&mut builder.scope("px"), decoder_width, 3 * latent),
            prior_domain: ConditionalPrior::new(&mut builder.scope("pzd"), domains, latent),
            prior_class: ConditionalPrior::new(&mut builder.scope("pzy"), classes, latent),
            encode_domain: Encoder::new(&mut builder.scope("qzd"), encoder_width, latent),
            encode_residual: Encoder::new(&mut builder.scope("qzx"), encoder_width, latent),
            encode_class: Encoder::new(&mut builder.scope("qzy"), encoder_width, latent),
            classify_domain: AuxiliaryClassifier::new(&mut builder.scope("qd"), latent, domains),
            classify_class: AuxiliaryClassifier::new(&mut builder.scope("qy"), latent, classes),
            settings,
        }
    }

    /// The settings that it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The class logits of images (batch, 28, 28, 1), from the mean of q(zy|x): (batch, classes).
    #[track_caller]
    pub fn class_logits<'t>(&self, images: Var<'t>) -> Var<'t> {
        self.classify_class.forward(self.encode_class.forward(images).mean)
    }

    /// The domain logits of images, from the mean of q(zd|x): (batch, domains).
    #[track_caller]
    pub fn domain_logits<'t>(&self, images: Var<'t>) -> Var<'t> {
        self.classify_domain.forward(self.encode_domain.forward(images).mean)
    }

    /// The pixel logits that the decoder gives for the means of all three latents of images: the reconstruction.
    #[track_caller]
    pub fn reconstruction_logits<'t>(&self, images: Var<'t>) -> Var<'t> {
        let means =
            [&self.encode_domain, &self.encode_residual, &self.encode_class].map(|q| q.forward(images).mean);
        self.pixel_logits(Var::concat(&means))
    }

    /// The decoder's logits of z (batch, 3 latent), one row of 256 for every pixel in row-major order.
    #[track_caller]
    fn pixel_logits<'t>(&self, z: Var<'t>) -> Var<'t> {
        let logits = self.decoder.forward(z);
        let rows = logits.shape().len() / networks::LEVELS;
        match self.settings.logits {
            LogitLayout::PerPixel => logits.reshape([rows, networks::LEVELS]),
            // The authors' code reads the (batch, 256, 28, 28) block as rows of 256 without moving the channels last.
            LogitLayout::Published => logits.to_channels_first().reshape([rows, networks::LEVELS]),
        }
    }
}

/// The index of the largest logit of every row of `columns`: the predicted label, the lowest of equals.
pub fn argmax(logits: &[f32], columns: usize) -> impl Iterator<Item = u32> {
    let largest =
        move |row: &[f32]| (0..columns).fold(0, |best, c| if row[c] > row[best] { c } else { best });
    logits.chunks_exact(columns).map(move |row| largest(row) as u32)
}
