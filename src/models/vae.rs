//! The ablation with a single latent: a VAE that carries both classifiers on one z as wide as DIVA's three together.
//!
//! ```text
//! L = - log p(x|z) + b KL(q(z|x) || N(0, I)) + a_d CE(q(d|z), d) + a_y CE(q(y|z), y)
//! ```
//!
//! For images without a class the last term is left out.

use super::networks::{AuxiliaryClassifier, Decoder, Encoder};
use super::{Batch, LabelPredictor, Latent, LatentVariableModel, Loss, Settings, Weights, divergence};
use crate::autograd::{Builder, Params, Tape, Var};
use crate::nn::Stage;
use crate::prob::Normal;
use crate::tensor::Tensor;
use std::sync::Arc;

/// An encoder, a decoder and two classifiers.
#[derive(Clone, Debug)]
pub struct Vae {
    settings: Settings,
    decoder: Decoder,
    encoder: Encoder,
    classify_domain: AuxiliaryClassifier,
    classify_class: AuxiliaryClassifier,
}

impl Vae {
    /// Makes the parameters; [`Settings::single_latent`] says how many dimensions z has.
    pub fn new(builder: &mut Builder<'_>, settings: Settings) -> Self {
        let latent = settings.single_latent();
        let decoder = Decoder::new(&mut builder.scope("px"), &settings, latent);
        let encoder = Encoder::new(&mut builder.scope("qz"), &settings, latent);
        let mut classifier = |name: &str, labels| {
            AuxiliaryClassifier::new(&mut builder.scope(name), &settings, latent, labels)
        };
        Vae {
            decoder,
            encoder,
            classify_domain: classifier("qd", settings.domains),
            classify_class: classifier("qy", settings.classes),
            settings,
        }
    }

    /// The loss of a batch, with the noise of the sample (batch, dimensions of z): without the term of the classes if these are
    /// not known.
    #[track_caller]
    pub fn loss<'t>(&self, tape: &'t Tape<'t>, batch: &Batch, noise: &Tensor, weights: Weights) -> Loss<'t> {
        let q = self.encoder.forward(tape.input(&batch.images));
        let z = q.sample(tape.input(noise));
        let p = Normal::standard(tape, z.shape());
        let reconstruction = self.decoder.negative_log_likelihood(z, batch);
        let kl = divergence(q, p, z, self.settings.kl).sum();
        let ce_d = self.classify_domain.forward(z).cross_entropy(batch.domains.clone()).sum();
        let mut total = reconstruction + kl.scale(weights.beta) + ce_d.scale(weights.alpha_d);
        let mut terms =
            vec![("reconstruction", reconstruction.item()), ("kl", kl.item()), ("ce_d", ce_d.item())];
        if let Some(classes) = &batch.classes {
            let ce_y = self.classify_class.forward(z).cross_entropy(classes.clone()).sum();
            total = total + ce_y.scale(weights.alpha_y);
            terms.push(("ce_y", ce_y.item()));
        }
        Loss { total, sum: total.item(), terms }
    }

    /// What predicts classes with the present parameters.
    pub fn class_predictor(&self, params: &Params) -> LabelPredictor {
        LabelPredictor::of_latent(self.settings.image, &self.encoder, &self.classify_class, params)
    }

    /// What predicts domains with the present parameters.
    pub fn domain_predictor(&self, params: &Params) -> LabelPredictor {
        LabelPredictor::of_latent(self.settings.image, &self.encoder, &self.classify_domain, params)
    }
}

impl LatentVariableModel for Vae {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn latents(&self) -> Vec<Latent> {
        vec![Latent::Single]
    }

    fn labels(&self, _: Latent) -> Option<usize> {
        None
    }

    fn posteriors<'t>(&self, images: Var<'t>) -> Vec<(Latent, Normal<'t>)> {
        vec![(Latent::Single, self.encoder.forward(images))]
    }

    fn prior<'t>(&self, tape: &'t Tape<'t>, latent: Latent, labels: &Arc<[u32]>) -> Normal<'t> {
        assert_eq!(latent, Latent::Single, "the latent of a VAE");
        Normal::standard(tape, [labels.len(), self.settings.single_latent()].into())
    }

    fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    fn class_stages(&self) -> Vec<Stage> {
        [&self.encoder.stages_to_mean(), self.classify_class.stages()].concat()
    }
}
