//! The models: DIVA and its ablations, and the baselines it is compared with.
//!
//! All are made of the same networks ([`networks`]) and trained the same way: [`Model::loss`] is what a step minimises.
//! Each reads `nn`, `prob` and variables only.

mod classifier;
mod dann;
pub mod diva;
mod evidence;
mod latents;
pub mod networks;
mod predict;
mod vae;

pub use crate::config::{Kl, LogitLayout, ModelKind, Networks};
pub use classifier::Classifier;
pub use dann::Dann;
pub use diva::Diva;
pub use evidence::elbos;
pub use latents::{Latent, LatentVariableModel, Latents};
pub use networks::lenet::SIDE;
pub use predict::LabelPredictor;
pub use vae::Vae;

use crate::autograd::{Builder, Params, Tape, Var};
use crate::prob::Normal;
use crate::rng::Stream;
use crate::tensor::Tensor;
use std::sync::Arc;

/// Hidden features of the heads of the models without latents.
pub const HIDDEN: usize = 1024;

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

/// A batch of images with what is known of them.
#[derive(Clone, Debug)]
pub struct Batch {
    /// (batch, height, width, channels) in 0..1.
    pub images: Tensor,
    /// The same as levels 0..=255, in the same order: what the likelihood is of.
    pub levels: Arc<[u32]>,
    /// The domain of each image.
    pub domains: Arc<[u32]>,
    /// The class of each image, if known.
    pub classes: Option<Arc<[u32]>>,
}

impl Batch {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.domains.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }
}

/// The weights of the terms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// b, of the divergences.
    pub beta: f32,
    /// a_d, of the domain classifier.
    pub alpha_d: f32,
    /// a_y, of the class classifier.
    pub alpha_y: f32,
}

/// What a step knows besides its images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The seed of the run.
    pub seed: u64,
    /// The steps before this one, in all epochs: with the seed, what random numbers are a function of.
    pub number: u64,
    /// The weights of the terms.
    pub weights: Weights,
    /// What DANN multiplies the reversed gradient by, 0..1.
    pub reversal: f32,
}

impl Step {
    /// Standard normal numbers (rows, columns); `which` tells those of one step apart.
    pub fn normal(&self, which: u64, rows: usize, columns: usize) -> Tensor {
        normal([self.seed, self.number, which], [rows, columns])
    }

    /// What dropout multiplies (rows, columns) by: 0 or 2, as likely as each other.
    pub fn dropout(&self, which: u64, rows: usize, columns: usize) -> Tensor {
        let mut keep = Tensor::zeros([rows, columns]);
        Stream::new(self.seed, "dropout", &[self.number, which]).fill_uniform(0.0, 1.0, keep.data_mut());
        for number in keep.data_mut() {
            *number = if *number < 0.5 { 0.0 } else { 2.0 };
        }
        keep
    }
}

/// Standard normal numbers of the given shape: a function of seed, step, and which of the step's they are.
fn normal([seed, step, which]: [u64; 3], shape: [usize; 2]) -> Tensor {
    let mut noise = Tensor::zeros(shape);
    Stream::new(seed, "noise", &[step, which]).fill_normal(0, noise.data_mut());
    noise
}

/// The loss of a step, and its terms as numbers for the log.
#[derive(Debug)]
pub struct Loss<'t> {
    /// What is minimised: a single number.
    pub total: Var<'t>,
    /// The loss in nats, summed over the images, whatever is minimised.
    pub sum: f32,
    /// The terms by name, in nats, summed over the images, without their weights.
    pub terms: Vec<(&'static str, f32)>,
}

/// One of the models.
#[derive(Clone, Debug)]
pub enum Model {
    /// DIVA, with all three latents or without one of them.
    Diva(Box<Diva>),
    /// One latent that carries both classifiers.
    Vae(Box<Vae>),
    /// A convolutional network that is told nothing of domains.
    Classifier(Box<Classifier>),
    /// The same, trained so that domains cannot be told from its features.
    Dann(Box<Dann>),
}

impl Model {
    /// Makes the parameters of the model that the settings name.
    pub fn new(builder: &mut Builder<'_>, settings: Settings) -> Self {
        match settings.kind {
            ModelKind::Diva | ModelKind::DivaNoZd | ModelKind::DivaNoZx => {
                Model::Diva(Box::new(Diva::new(builder, settings)))
            }
            ModelKind::Vae => Model::Vae(Box::new(Vae::new(builder, settings))),
            ModelKind::Classifier => Model::Classifier(Box::new(Classifier::new(builder, &settings, HIDDEN))),
            ModelKind::Dann => Model::Dann(Box::new(Dann::new(builder, &settings, HIDDEN))),
        }
    }

    /// The loss of a step on labelled images, unlabelled ones, or both.
    ///
    /// # Panics
    /// If there are both and the model is not DANN, which alone takes them together, or there are no labelled ones and it
    /// learns from nothing else.
    #[track_caller]
    pub fn loss<'t>(&self, tape: &'t Tape<'t>, images: &StepImages, step: &Step) -> Loss<'t> {
        match (self, images) {
            (Model::Diva(diva), StepImages { labelled: Some(batch), unlabelled: None })
            | (Model::Diva(diva), StepImages { labelled: None, unlabelled: Some(batch) }) => {
                let noise = diva::Noise::of_step(step.seed, step.number, batch.len(), diva.settings().latent);
                diva.loss(tape, batch, &noise, step.weights)
            }
            (Model::Vae(vae), StepImages { labelled: Some(batch), unlabelled: None })
            | (Model::Vae(vae), StepImages { labelled: None, unlabelled: Some(batch) }) => {
                let noise = step.normal(0, batch.len(), vae.settings().single_latent());
                vae.loss(tape, batch, &noise, step.weights)
            }
            (Model::Classifier(classifier), StepImages { labelled: Some(batch), unlabelled: None }) => {
                classifier.loss(tape, batch)
            }
            (Model::Dann(dann), StepImages { labelled: Some(batch), unlabelled }) => {
                let keep = |which, batch: &Batch| step.dropout(which, batch.len(), HIDDEN);
                dann.loss(tape, batch, unlabelled.as_ref(), keep, step.reversal)
            }
            _ => panic!(
                "a step on labelled: {}, unlabelled: {} images",
                images.labelled.is_some(),
                images.unlabelled.is_some()
            ),
        }
    }

    /// What predicts classes with the present parameters, without a tape.
    pub fn class_predictor(&self, params: &Params) -> LabelPredictor {
        match self {
            Model::Diva(diva) => diva.class_predictor(params),
            Model::Vae(vae) => vae.class_predictor(params),
            Model::Classifier(classifier) => classifier.class_predictor(params),
            Model::Dann(dann) => dann.class_predictor(params),
        }
    }

    /// The same for domains, if the model has learned to tell them.
    pub fn domain_predictor(&self, params: &Params) -> Option<LabelPredictor> {
        match self {
            Model::Diva(diva) => diva.domain_predictor(params),
            Model::Vae(vae) => Some(vae.domain_predictor(params)),
            Model::Classifier(_) | Model::Dann(_) => None,
        }
    }

    /// The model as one that explains images by latents; nothing if it has none, and so no decoder.
    pub fn latent_variables(&self) -> Option<&dyn LatentVariableModel> {
        match self {
            Model::Diva(diva) => Some(&**diva),
            Model::Vae(vae) => Some(&**vae),
            Model::Classifier(_) | Model::Dann(_) => None,
        }
    }
}

/// KL of a posterior from a prior, one number an image: at the sample z, or in closed form.
#[track_caller]
fn divergence<'t>(q: Normal<'t>, p: Normal<'t>, z: Var<'t>, kl: Kl) -> Var<'t> {
    match kl {
        Kl::Sampled => q.log_prob(z) - p.log_prob(z),
        Kl::ClosedForm => q.kl(&p),
    }
}

/// The images of a step.
#[derive(Clone, Debug, Default)]
pub struct StepImages {
    /// Those whose classes are known.
    pub labelled: Option<Batch>,
    /// Those of which only the domain is.
    pub unlabelled: Option<Batch>,
}

impl StepImages {
    /// The number of images of both parts.
    pub fn len(&self) -> usize {
        [&self.labelled, &self.unlabelled].into_iter().flatten().map(Batch::len).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The index of the largest logit of every row of `columns`: the predicted label, the lowest of equals.
pub fn argmax(logits: &[f32], columns: usize) -> impl Iterator<Item = u32> {
    let largest =
        move |row: &[f32]| (0..columns).fold(0, |best, c| if row[c] > row[best] { c } else { best });
    logits.chunks_exact(columns).map(move |row| largest(row) as u32)
}
