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
mod settings;
mod step;
mod vae;

pub use crate::config::{Kl, LogitLayout, ModelKind, Networks};
pub use classifier::Classifier;
pub use dann::Dann;
pub use diva::Diva;
pub use evidence::elbos;
pub use latents::{Latent, LatentVariableModel, Latents};
pub use networks::argmax;
pub use networks::lenet::SIDE;
pub use predict::LabelPredictor;
pub use settings::{Settings, single_latent};
pub use step::{Batch, Loss, Step, StepImages, Weights};
pub use vae::Vae;

use crate::autograd::{Builder, Params, Tape, Var};
use crate::prob::Normal;
use step::normal;

/// Hidden features of the heads of the models without latents.
pub const HIDDEN: usize = 1024;

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
