//! What defines a model before it has parameters.

use crate::config::{Kl, LogitLayout, ModelKind, Networks};

/// The sizes and choices that define a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// DIVA, one of its ablations, or a baseline.
    pub kind: ModelKind,
    /// The layers of encoders and decoder.
    pub networks: Networks,
    /// (height, width, channels) of the images; 28 x 28 grey pixels where the networks are [`Networks::Lenet`].
    pub image: [usize; 3],
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

impl Settings {
    /// The dimensions of z where a model has a single latent.
    pub fn single_latent(&self) -> usize {
        single_latent(self.networks, self.latent)
    }
}

/// The dimensions of z where a model has a single latent: as many as DIVA's three of `latent` together for digits, as one of
/// them for cells (as published).
pub fn single_latent(networks: Networks, latent: usize) -> usize {
    match networks {
        Networks::Lenet => 3 * latent,
        Networks::Resnet => latent,
    }
}
