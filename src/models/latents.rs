//! What a model with latents can be asked besides its loss: the posteriors' means, the priors, and what the decoder
//! makes of any values.
//!
//! Pictures and probes are made of these three, so that one of them reads as its definition: "the class changed" is the
//! means with zy replaced by that of p(zy|y), decoded.

use crate::autograd::{Tape, Var};
use crate::prob::Normal;
use std::sync::Arc;

/// One of the latents that explain an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latent {
    /// zd: what the domain does to an image.
    Domain,
    /// zx: what neither domain nor class says.
    Residual,
    /// zy: what the class does.
    Class,
    /// z, where a model has a single one for everything.
    Single,
}

impl Latent {
    /// The name in equations.
    pub fn name(self) -> &'static str {
        match self {
            Latent::Domain => "zd",
            Latent::Residual => "zx",
            Latent::Class => "zy",
            Latent::Single => "z",
        }
    }
}

/// A value of every latent of a model for a number of images: (images, dimensions) each.
#[derive(Clone, Debug)]
pub struct Latents<'t>(Vec<(Latent, Var<'t>)>);

impl<'t> Latents<'t> {
    /// The value of one latent, if the model has it.
    pub fn get(&self, latent: Latent) -> Option<Var<'t>> {
        self.0.iter().find(|(its, _)| *its == latent).map(|(_, value)| *value)
    }

    /// Makes a value of each latent from that latent and its present value.
    #[must_use]
    pub fn map(&self, make: impl Fn(Latent, Var<'t>) -> Var<'t>) -> Self {
        self.0.iter().map(|&(latent, value)| (latent, make(latent, value))).collect()
    }

    /// All values side by side, as the decoder takes them.
    #[track_caller]
    pub(super) fn side_by_side(&self) -> Var<'t> {
        let values: Vec<Var<'t>> = self.0.iter().map(|(_, value)| *value).collect();
        Var::concat(&values)
    }
}

impl<'t> FromIterator<(Latent, Var<'t>)> for Latents<'t> {
    /// Values in the order of [`LatentVariableModel::latents`].
    fn from_iter<I: IntoIterator<Item = (Latent, Var<'t>)>>(values: I) -> Self {
        Latents(values.into_iter().collect())
    }
}

/// A model that explains images by latents and has a decoder from them to pixels.
pub trait LatentVariableModel {
    /// Its latents, in the order in which the decoder takes them.
    fn latents(&self) -> Vec<Latent>;

    /// How many labels the prior of a latent tells apart: domains for zd, classes for zy; nothing for a latent without
    /// labels, or one that the model does not have.
    fn labels(&self, latent: Latent) -> Option<usize>;

    /// The means of the posteriors q(z|x) of images (batch, 28, 28, 1): (batch, dimensions) each.
    #[track_caller]
    fn posterior_means<'t>(&self, images: Var<'t>) -> Latents<'t>;

    /// The prior of a latent, one row for each of `labels`: p(zd|d) of domains d, p(zy|y) of classes y. That of the
    /// others is N(0, I), whatever the labels are.
    ///
    /// # Panics
    /// If the model does not have the latent, or not that many labels.
    #[track_caller]
    fn prior<'t>(&self, tape: &'t Tape<'t>, latent: Latent, labels: &Arc<[u32]>) -> Normal<'t>;

    /// What the decoder makes of latents: a row of 256 logits for every pixel, image by image, row-major.
    ///
    /// # Panics
    /// If these are not the latents of the model.
    #[track_caller]
    fn pixel_logits<'t>(&self, latents: &Latents<'t>) -> Var<'t>;
}
