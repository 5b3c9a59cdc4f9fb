//! What a model with latents can be asked besides its loss: the posteriors' means, the priors, and what the decoder
//! makes of any values.
//!
//! Pictures and probes are made of these three, so that one of them reads as its definition: "the class changed" is the
//! means with zy replaced by that of p(zy|y), decoded.

use super::Settings;
use super::networks::{Decoder, PixelValue};
use crate::autograd::{Tape, Var};
use crate::nn::Stage;
use crate::prob::Normal;
use crate::rng::Stream;
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
    pub fn side_by_side(&self) -> Var<'t> {
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
    /// The settings that it was made with.
    fn settings(&self) -> &Settings;

    /// Its latents, in the order in which the decoder takes them.
    fn latents(&self) -> Vec<Latent>;

    /// How many labels the prior of a latent tells apart: domains for zd, classes for zy; nothing for a latent without
    /// labels, or one that the model does not have.
    fn labels(&self, latent: Latent) -> Option<usize>;

    /// The posterior q(z|x) of each latent, in their order, of images (batch, height, width, channels): (batch, dimensions).
    #[track_caller]
    fn posteriors<'t>(&self, images: Var<'t>) -> Vec<(Latent, Normal<'t>)>;

    /// The means of these posteriors.
    #[track_caller]
    fn posterior_means<'t>(&self, images: Var<'t>) -> Latents<'t> {
        self.posteriors(images).into_iter().map(|(latent, q)| (latent, q.mean)).collect()
    }

    /// The prior of a latent, one row for each of `labels`: p(zd|d) of domains d, p(zy|y) of classes y. That of the
    /// others is N(0, I), whatever the labels are.
    ///
    /// # Panics
    /// If the model does not have the latent, or not that many labels.
    #[track_caller]
    fn prior<'t>(&self, tape: &'t Tape<'t>, latent: Latent, labels: &Arc<[u32]>) -> Normal<'t>;

    /// p(x|z)
    fn decoder(&self) -> &Decoder;

    /// From an image to the logits of its class, by the mean of a latent.
    fn class_stages(&self) -> Vec<Stage>;

    /// What the decoder makes of latents: levels 0..=255, (images, height, width, channels), as [`Decoder::levels`] has them.
    ///
    /// # Panics
    /// If these are not the latents of the model, or its decoder does not draw such a value.
    #[track_caller]
    fn levels(&self, latents: &Latents<'_>, value: PixelValue, noise: Stream) -> Vec<u8> {
        self.decoder().levels(latents.side_by_side(), value, noise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{Builder, Engine, Params};
    use crate::models::{Kl, LogitLayout, Model, ModelKind, Networks, SIDE, Settings};
    use crate::tensor::Tensor;

    const LATENT: usize = 5;

    /// A narrow model of which no two numbers of a prior are alike.
    fn narrow(kind: ModelKind) -> (Model, Params) {
        let settings = Settings {
            kind,
            networks: Networks::Lenet,
            image: [SIDE, SIDE, 1],
            encoder_width: 0.1,
            decoder_width: 0.05,
            latent: LATENT,
            domains: 3,
            classes: 4,
            logits: LogitLayout::PerPixel,
            kl: Kl::Sampled,
            prior_y: vec![0.25; 4],
        };
        let mut params = Params::new();
        let model = Model::new(&mut Builder::new(&mut params, 2), settings);
        for prior in ["pzd", "pzy"] {
            for (place, name) in ["weight", "bias", "running_mean", "running_var"].into_iter().enumerate() {
                if let Some(param) = params.find(&format!("{prior}.fc1.1.{name}")) {
                    Stream::new(5, prior, &[place as u64]).fill_uniform(0.2, 1.0, params.get_mut(param));
                }
            }
        }
        (model, params)
    }

    /// Mean and standard deviation of p(z|label) in f64: the one-hot label picks a row of the first layer; running
    /// statistics, a rectifier, and the two linear layers of the head.
    fn prior_by_its_equations(params: &Params, prior: &str, label: usize) -> [Vec<f64>; 2] {
        let numbers = |name: &str| -> Vec<f64> {
            let param = params.find(&format!("{prior}.{name}")).unwrap();
            params.get(param).iter().map(|&x| f64::from(x)).collect()
        };
        let [first, gamma, beta, mean, variance] =
            ["0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var"]
                .map(|name| numbers(&format!("fc1.{name}")));
        let h: Vec<f64> = (0..LATENT)
            .map(|i| {
                let normal = (first[label * LATENT + i] - mean[i]) / (variance[i] + 1e-5).sqrt();
                (normal * gamma[i] + beta[i]).max(0.0)
            })
            .collect();
        let linear = |layer: &str| -> Vec<f64> {
            let (w, b) = (numbers(&format!("{layer}.weight")), numbers(&format!("{layer}.bias")));
            (0..LATENT).map(|j| b[j] + (0..LATENT).map(|i| h[i] * w[i * LATENT + j]).sum::<f64>()).collect()
        };
        let sd = linear("fc22.0").into_iter().map(|x| (1.0 + x.exp()).ln() + 1e-7).collect();
        [linear("fc21.0"), sd]
    }

    #[test]
    fn priors_are_those_of_the_labels_whatever_stands_beside_them() {
        let (model, params) = narrow(ModelKind::Diva);
        let (model, engine) = (model.latent_variables().unwrap(), Engine::new());
        for (latent, name, labels) in
            [(Latent::Domain, "pzd", &[2, 0][..]), (Latent::Class, "pzy", &[3, 3, 1])]
        {
            let tape = Tape::inference(&engine, &params);
            let prior = model.prior(&tape, latent, &labels.into());
            for (row, &label) in labels.iter().enumerate() {
                let expected = prior_by_its_equations(&params, name, label as usize);
                for (found, expected) in [prior.mean, prior.sd].into_iter().zip(expected) {
                    let found = found.read(|numbers| numbers[row * LATENT..][..LATENT].to_vec());
                    for (found, expected) in found.into_iter().zip(expected) {
                        let off = (f64::from(found) - expected).abs();
                        assert!(
                            off < 4e-6 * expected.abs().max(1.0),
                            "{name} of {label}: {found}, not {expected}"
                        );
                    }
                }
            }
        }
        let tape = Tape::inference(&engine, &params);
        let prior = model.prior(&tape, Latent::Residual, &Arc::from([0; 7]));
        assert_eq!(prior.mean.read(<[f32]>::to_vec), [0.0; 7 * LATENT]);
        assert_eq!(prior.sd.read(<[f32]>::to_vec), [1.0; 7 * LATENT]);
    }

    /// The published names say which encoder is whose: of a head that is nothing but a bias, the mean is the bias.
    #[test]
    fn the_mean_of_each_latent_is_that_of_its_encoder() {
        let images = Tensor::new([2, SIDE, SIDE, 1], &[0.5; 2 * SIDE * SIDE]);
        let engine = Engine::new();
        for (kind, expected) in [
            (
                ModelKind::Diva,
                &[(Latent::Domain, "qzd"), (Latent::Residual, "qzx"), (Latent::Class, "qzy")][..],
            ),
            (ModelKind::DivaNoZd, &[(Latent::Residual, "qzx"), (Latent::Class, "qzy")]),
            (ModelKind::DivaNoZx, &[(Latent::Domain, "qzd"), (Latent::Class, "qzy")]),
            (ModelKind::Vae, &[(Latent::Single, "qz")]),
        ] {
            let (model, mut params) = narrow(kind);
            for (place, (_, encoder)) in expected.iter().enumerate() {
                for (name, value) in [("weight", 0.0), ("bias", 1.0 + place as f32)] {
                    let param = params.find(&format!("{encoder}.fc11.0.{name}")).unwrap();
                    params.get_mut(param).fill(value);
                }
            }
            let model = model.latent_variables().unwrap();
            assert!(model.latents().iter().eq(expected.iter().map(|(latent, _)| latent)), "{kind:?}");
            let tape = Tape::inference(&engine, &params);
            let means = model.posterior_means(tape.input(&images));
            for (place, (latent, _)) in expected.iter().enumerate() {
                let found = means.get(*latent).unwrap().read(<[f32]>::to_vec);
                let dimensions = if kind == ModelKind::Vae { 3 * LATENT } else { LATENT };
                assert_eq!(found, vec![1.0 + place as f32; 2 * dimensions], "{kind:?}, {}", latent.name());
            }
            let labels = [Latent::Domain, Latent::Residual, Latent::Class, Latent::Single]
                .map(|latent| model.labels(latent));
            let of_domain = expected.iter().any(|(latent, _)| *latent == Latent::Domain).then_some(3);
            assert_eq!(labels, [of_domain, None, (kind != ModelKind::Vae).then_some(4), None], "{kind:?}");
        }
    }
}
