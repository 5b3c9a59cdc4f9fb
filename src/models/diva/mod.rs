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
//! The ablations leave out zd with its prior and classifier, or zx. `elbo.rs` is the objective.

mod elbo;

pub use elbo::Noise;

use super::networks::{AuxiliaryClassifier, ConditionalPrior, Decoder, Encoder};
use super::{LabelPredictor, Latent, LatentVariableModel, ModelKind, Settings};
use crate::autograd::{Builder, Params, Tape, Var};
use crate::nn::Stage;
use crate::prob::Normal;
use std::sync::Arc;

/// The model: handles of its parameters, and its settings.
#[derive(Clone, Debug)]
pub struct Diva {
    settings: Settings,
    decoder: Decoder,
    domain: Option<LabelLatent>,
    residual: Option<Encoder>,
    class: LabelLatent,
}

/// A latent that belongs to a label: zd to the domain, zy to the class.
#[derive(Clone, Debug)]
struct LabelLatent {
    /// p(z|label)
    prior: ConditionalPrior,
    /// q(z|x)
    encoder: Encoder,
    /// q(label|z)
    classifier: AuxiliaryClassifier,
}

impl LabelLatent {
    fn predictor(&self, image: [usize; 3], params: &Params) -> LabelPredictor {
        LabelPredictor::of_latent(image, &self.encoder, &self.classifier, params)
    }

    #[track_caller]
    fn logits_of_mean<'t>(&self, images: Var<'t>) -> Var<'t> {
        self.classifier.forward(self.encoder.forward(images).mean)
    }
}

impl Diva {
    /// Makes the parameters, under their published names and in their published order.
    pub fn new(builder: &mut Builder<'_>, settings: Settings) -> Self {
        let Settings { kind, latent, domains, classes, .. } = settings;
        let (has_zd, has_zx) = (kind != ModelKind::DivaNoZd, kind != ModelKind::DivaNoZx);
        let latents = 1 + usize::from(has_zd) + usize::from(has_zx);

        let decoder = Decoder::new(&mut builder.scope("px"), &settings, latents * latent);
        let mut prior =
            |name: &str, labels| ConditionalPrior::new(&mut builder.scope(name), &settings, labels);
        let (p_zd, p_zy) = (has_zd.then(|| prior("pzd", domains)), prior("pzy", classes));
        let mut encoder = |name: &str| Encoder::new(&mut builder.scope(name), &settings, latent);
        let (q_zd, q_zx) = (has_zd.then(|| encoder("qzd")), has_zx.then(|| encoder("qzx")));
        let q_zy = encoder("qzy");
        let mut classifier = |name: &str, labels| {
            AuxiliaryClassifier::new(&mut builder.scope(name), &settings, latent, labels)
        };
        let q_d = has_zd.then(|| classifier("qd", domains));
        let q_y = classifier("qy", classes);

        let domain = match (p_zd, q_zd, q_d) {
            (Some(prior), Some(encoder), Some(classifier)) => {
                Some(LabelLatent { prior, encoder, classifier })
            }
            _ => None,
        };
        let class = LabelLatent { prior: p_zy, encoder: q_zy, classifier: q_y };
        Diva { settings, decoder, domain, residual: q_zx, class }
    }

    /// The class logits of images (batch, height, width, channels), from the mean of q(zy|x): (batch, classes).
    #[track_caller]
    pub fn class_logits<'t>(&self, images: Var<'t>) -> Var<'t> {
        self.class.logits_of_mean(images)
    }

    /// The domain logits of images, from the mean of q(zd|x): (batch, domains); nothing without zd.
    #[track_caller]
    pub fn domain_logits<'t>(&self, images: Var<'t>) -> Option<Var<'t>> {
        Some(self.domain.as_ref()?.logits_of_mean(images))
    }

    /// q(z|x) of each latent that there is, in the order in which the decoder takes them.
    fn encoders(&self) -> impl Iterator<Item = (Latent, &Encoder)> {
        let [domain, class] = [self.domain.as_ref(), Some(&self.class)].map(|of| Some(&of?.encoder));
        let residual = self.residual.as_ref();
        let all = [(Latent::Domain, domain), (Latent::Residual, residual), (Latent::Class, class)];
        all.into_iter().filter_map(|(latent, encoder)| Some((latent, encoder?)))
    }

    /// What predicts classes with the present parameters, by zy: [`Diva::class_logits`] without a tape.
    pub fn class_predictor(&self, params: &Params) -> LabelPredictor {
        self.class.predictor(self.settings.image, params)
    }

    /// What predicts domains with the present parameters, by zd; nothing without zd.
    pub fn domain_predictor(&self, params: &Params) -> Option<LabelPredictor> {
        Some(self.domain.as_ref()?.predictor(self.settings.image, params))
    }
}

impl LatentVariableModel for Diva {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn latents(&self) -> Vec<Latent> {
        self.encoders().map(|(latent, _)| latent).collect()
    }

    fn labels(&self, latent: Latent) -> Option<usize> {
        match latent {
            Latent::Domain => self.domain.as_ref().map(|_| self.settings.domains),
            Latent::Class => Some(self.settings.classes),
            Latent::Residual | Latent::Single => None,
        }
    }

    fn posteriors<'t>(&self, images: Var<'t>) -> Vec<(Latent, Normal<'t>)> {
        self.encoders().map(|(latent, encoder)| (latent, encoder.forward(images))).collect()
    }

    fn prior<'t>(&self, tape: &'t Tape<'t>, latent: Latent, labels: &Arc<[u32]>) -> Normal<'t> {
        match (latent, &self.domain) {
            (Latent::Domain, Some(domain)) => domain.prior.forward(tape, labels),
            (Latent::Class, _) => self.class.prior.forward(tape, labels),
            (Latent::Residual, _) if self.residual.is_some() => {
                Normal::standard(tape, [labels.len(), self.settings.latent].into())
            }
            _ => panic!("the prior of {}, which the model does not have", latent.name()),
        }
    }

    fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    fn class_stages(&self) -> Vec<Stage> {
        [&self.class.encoder.stages_to_mean(), self.class.classifier.stages()].concat()
    }
}
