//! What a model generates, as labelled pictures, one file for each [`Kind`].
//!
//! The latents of an image are the means of its posteriors, so nothing is drawn at random but the samples from the
//! priors and, if these are asked for, those of the pixels; their numbers are a function of the run's seed. What a pixel shows
//! of its distribution is a [`PixelValue`].
//! Normalisation is that of inference, by running statistics: a picture is the same whatever stands beside it.

mod changed;
mod interpolations;
mod latents;
mod reconstructions;
mod samples;
#[cfg(test)]
pub(super) mod tests;

use super::text::{degrees, percent};
use super::{Grid, Picture};
use crate::autograd::{Anomaly, Engine, Params, Tape};
use crate::config::Networks;
use crate::data::{Dataset, Split, class_in_words};
use crate::models::networks::PixelValue;
use crate::models::{Latent, LatentVariableModel, Latents, Model};
use crate::rng::Stream;
use crate::train::dataset;
use std::cell::Cell;
use std::fmt;

/// Pixels of a picture for a pixel of an image.
const SCALE: usize = 2;

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Images of every domain beside what the model makes of them.
    Reconstructions,
    /// Images with zy replaced by the mean of p(zy|y), for each class y.
    Classes,
    /// Images with zd replaced by the mean of p(zd|d), for each training domain d.
    Domains,
    /// Images drawn from the priors.
    Samples,
    /// Images decoded from one latent, with the others zero.
    Latents,
    /// Images between two, of which one latent moves from the first to the second.
    Interpolations,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 6] = [
        Kind::Reconstructions,
        Kind::Classes,
        Kind::Domains,
        Kind::Samples,
        Kind::Latents,
        Kind::Interpolations,
    ];

    /// The kind in one word.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Reconstructions => "reconstructions",
            Kind::Classes => "classes",
            Kind::Domains => "domains",
            Kind::Samples => "samples",
            Kind::Latents => "latents",
            Kind::Interpolations => "interpolations",
        }
    }

    /// The name of the picture's file.
    pub fn file(self) -> String {
        format!("{}.png", self.name())
    }
}

/// The bytes of a PNG file: a picture of what `model` generates with `params`, from images of `split`, of whose pixels it shows
/// `pixel`. Samples follow from `seed`.
///
/// # Errors
/// Why there is none, such as "the model has no decoder".
///
/// # Panics
/// If the split has no image, the model is not for images of its size, or its decoder does not draw such pixels.
pub fn draw(
    kind: Kind,
    (model, params): (&Model, &Params),
    split: &Split,
    pixel: PixelValue,
    seed: u64,
) -> Result<Vec<u8>, NoPicture> {
    let model = model.latent_variables().ok_or(NoPicture::Lack("the model has no decoder"))?;
    let generator = Generator::new((model, params), split, pixel, seed);
    generator.engine.detect_anomalies(true);
    let grid = generator.grid(kind).map_err(NoPicture::Lack)?;
    match generator.engine.take_anomaly() {
        None => Ok(grid.to_png()),
        Some(anomaly) => Err(NoPicture::NotFinite(anomaly)),
    }
}

/// Why there is no picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoPicture {
    /// What it would need and is not there, in a clause.
    Lack(&'static str),
    /// What the networks make of the images is not finite, from this op on.
    NotFinite(Anomaly),
}

impl fmt::Display for NoPicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoPicture::Lack(what) => f.write_str(what),
            NoPicture::NotFinite(anomaly) => {
                write!(f, "what the networks make of the images is not finite from {anomaly} on")
            }
        }
    }
}

/// A trained model and the images that it is shown.
struct Generator<'a> {
    model: &'a dyn LatentVariableModel,
    params: &'a Params,
    split: &'a Split,
    pixel: PixelValue,
    seed: u64,
    engine: Engine,
    /// How often the decoder was asked: pixels are drawn with other random numbers each time.
    asked: Cell<u64>,
}

/// A domain with its images, among those of others.
struct Domain<'a> {
    label: u32,
    name: String,
    /// Blank, or what sets it apart from domains that were trained on with labels.
    role: &'static str,
    data: &'a Dataset,
}

/// One image of the data.
struct Example<'a> {
    data: &'a Dataset,
    index: usize,
    domain: String,
}

impl Domain<'_> {
    /// The name, with what sets the domain apart.
    fn full_name(&self) -> String {
        [self.name.as_str(), self.role].join(" ").trim_end().to_owned()
    }

    /// The first image of each of `classes` classes, where there is one.
    fn first_of_each_class(&self, classes: usize) -> Vec<Option<usize>> {
        let Dataset { classes: labels, domains, .. } = self.data;
        let first = |class| (0..self.data.len()).find(|&i| domains[i] == self.label && labels[i] == class);
        (0..classes as u32).map(first).collect()
    }
}

impl Example<'_> {
    fn class(&self) -> u32 {
        self.data.classes[self.index]
    }

    fn name(&self, split: &Split) -> String {
        format!("{}, {}", class_in_words(&split.class_names, self.class()), self.domain)
    }
}

impl<'a> Generator<'a> {
    fn new(
        (model, params): (&'a dyn LatentVariableModel, &'a Params),
        split: &'a Split,
        pixel: PixelValue,
        seed: u64,
    ) -> Self {
        Generator { model, params, split, pixel, seed, engine: Engine::new(), asked: Cell::new(0) }
    }

    fn grid(&self, kind: Kind) -> Result<Grid, &'static str> {
        match kind {
            Kind::Reconstructions => Ok(reconstructions::grid(self)),
            Kind::Classes => changed::grid(self, Latent::Class).ok_or("the model has no zy"),
            Kind::Domains => changed::grid(self, Latent::Domain).ok_or("the model has no zd"),
            Kind::Samples => Ok(samples::grid(self)),
            Kind::Latents => latents::grid(self).ok_or("the model has a single latent"),
            Kind::Interpolations => interpolations::grid(self)
                .ok_or("there are no images of two classes, one in training and one in the unseen domain"),
        }
    }

    /// The domains that were trained on, in the order of their labels.
    fn trained_domains(&self) -> Vec<Domain<'a>> {
        let Split { train, unlabelled, domain_names, .. } = self.split;
        let named = (0..).zip(domain_names);
        let found = named.filter_map(|(label, name)| {
            let has = |data: &&Dataset| data.domains.contains(&label);
            let (data, role) = match Some(train).filter(has) {
                Some(train) => (train, ""),
                None => (unlabelled.as_ref().filter(has)?, "unlabelled"),
            };
            Some(Domain { label, name: degrees(name), role, data })
        });
        found.collect()
    }

    fn unseen_domain(&self) -> Domain<'a> {
        let Split { test, test_domain, domain_names, .. } = self.split;
        let label = domain_names.len() as u32;
        Domain { label, name: degrees(test_domain), role: "unseen", data: test }
    }

    /// The first image of each class in a domain.
    fn examples(&self, domain: &Domain<'a>) -> Vec<Example<'a>> {
        let found = domain.first_of_each_class(self.split.classes).into_iter().flatten();
        found.map(|index| Example { data: domain.data, index, domain: domain.full_name() }).collect()
    }

    /// The first image of each class in the first training domain and in the unseen one.
    fn chosen(&self) -> Vec<Example<'a>> {
        let first = self.trained_domains().into_iter().next();
        first.iter().chain([&self.unseen_domain()]).flat_map(|domain| self.examples(domain)).collect()
    }

    fn tape(&self) -> Tape<'_> {
        Tape::inference(&self.engine, self.params)
    }

    /// The means of the posteriors of an image: a single row for each latent.
    fn means<'t>(&self, tape: &'t Tape<'t>, image: &Example<'_>) -> Latents<'t> {
        self.model.posterior_means(tape.input(&dataset::images(image.data, &[image.index])))
    }

    /// What the decoder makes of each row of the latents.
    fn decode(&self, latents: &Latents<'_>) -> Vec<Picture> {
        self.decode_as(self.pixel, latents)
    }

    /// The same with another value of each pixel.
    fn decode_as(&self, pixel: PixelValue, latents: &Latents<'_>) -> Vec<Picture> {
        self.pictures(&self.levels(pixel, latents)).collect()
    }

    /// The levels of what the decoder makes of each row of the latents.
    fn levels(&self, pixel: PixelValue, latents: &Latents<'_>) -> Vec<u8> {
        let noise = Stream::new(self.seed, "pixels", &[self.asked.get()]);
        self.asked.set(self.asked.get() + 1);
        self.model.levels(latents, pixel, noise)
    }

    fn pictures(&self, levels: &[u8]) -> impl Iterator<Item = Picture> {
        let data = &self.split.train;
        levels.chunks_exact(data.values()).map(|image| picture(data, image.to_vec()))
    }

    /// A sentence on the pixels of what was decoded.
    fn of_pixels(&self) -> String {
        of_pixels(self.pixel, self.model.settings().networks)
    }

    /// The latents of the model, as in "zd, zx and zy".
    fn names_of_latents(&self) -> String {
        let names: Vec<&str> = self.model.latents().into_iter().map(Latent::name).collect();
        match names.split_last() {
            Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
            _ => names.concat(),
        }
    }
}

/// A sentence on the pixels of pictures that such networks draw.
fn of_pixels(pixel: PixelValue, networks: Networks) -> String {
    let what = match (pixel, networks) {
        (PixelValue::Median, _) => "the median of its distribution over 256 grey levels",
        (PixelValue::Mean, Networks::Lenet) => "the mean of its distribution over 256 grey levels",
        (PixelValue::Mean, Networks::Resnet) => "the mean of the likeliest component of its mixture",
        (PixelValue::Mode, _) => "the likeliest of 256 grey levels",
        (PixelValue::Sample, Networks::Lenet) => "drawn at random from its distribution over 256 grey levels",
        (PixelValue::Sample, Networks::Resnet) => "drawn at random from its mixture",
    };
    format!("Each decoded pixel is {what}.")
}

/// Whether reconstructions are also drawn as the authors of the model drew them: of grey levels, by another value than theirs.
fn is_beside_the_mode(pixel: PixelValue, networks: Networks) -> bool {
    pixel != PixelValue::Mode && PixelValue::of(networks).contains(&PixelValue::Mode)
}

/// What to look for in a picture, and what is to be known of its pixels, for a text beside it; `unseen` is the unseen domain's name.
pub fn caption(kind: Kind, pixel: PixelValue, networks: Networks, unseen: &str) -> String {
    let beside = match kind {
        Kind::Reconstructions if is_beside_the_mode(pixel, networks) => format!(" {BESIDE_THE_MODE}"),
        _ => String::new(),
    };
    format!("{} {}{beside}", look_for(kind, unseen), of_pixels(pixel, networks))
}

/// A sentence that measures what a picture of changed classes or domains shows: for how many the model's own classifier sees the
/// change. Other pictures have none.
///
/// # Panics
/// As [`draw`].
pub fn measured(
    kind: Kind,
    (model, params): (&Model, &Params),
    split: &Split,
    pixel: PixelValue,
    seed: u64,
) -> Option<String> {
    let (changed, what, predictor) = match kind {
        Kind::Classes => (Latent::Class, "class", model.class_predictor(params)),
        Kind::Domains => (Latent::Domain, "domain", model.domain_predictor(params)?),
        _ => return None,
    };
    let generator = Generator::new((model.latent_variables()?, params), split, pixel, seed);
    let [changed, recognised] = changed::recognised(&generator, changed, &predictor)?;
    (changed > 0).then(|| {
        format!(
            "Of the {changed} images here that were given another {what}, the model itself takes {recognised} ({}) for one of it.",
            percent(recognised as f64 / changed as f64)
        )
    })
}

/// What a reader sees where the model has learned it, and what it means where it is not to be seen.
fn look_for(kind: Kind, unseen: &str) -> String {
    match kind {
        Kind::Reconstructions => format!(
            "Look whether an object keeps its shape, place and class. The rows of {unseen}, which training has not seen, show how much of \
             a new domain the model can say in terms of the others."
        ),
        Kind::Classes => format!(
            "Down a column the class should be that of its name, and along a row all else should stay, in the rows of {unseen} too. \
             Where a column keeps the row's class, zd or zx knows the class; where more than the class changes, zy knows more than it."
        ),
        Kind::Domains => "Down a column all should look as if it came from the domain of its name, and along a row the class should stay. \
             Where nothing changes, the decoder does not listen to zd."
            .into(),
        Kind::Samples => "No image went into these. They should be as different from each other as images are, and of the class and domain \
             that they are drawn for, as far as the model has priors for them."
            .into(),
        Kind::Latents => "What is left of an image where one latent alone speaks: with only zy its class and nothing of its looks, with only \
             zd its domain, with only zx what neither explains."
            .into(),
        Kind::Interpolations => "What changes along a row is what its latent says: the class in a row of zy, the domain in one of zd, the rest in \
             one of zx. Steps in between should be images too, and not two images laid over each other."
            .into(),
    }
}

/// How the last row of the reconstructions differs.
const BESIDE_THE_MODE: &str = "The last row shows the likeliest level instead, as the authors' published code does: where a \
    stroke may lie, its many greys share the probability, while black has all of its own at one level and can be the likeliest, so \
    that strokes break or are lost.";

/// A row of a grid in which no cell is blank: first the image itself.
fn row(image: &Example<'_>, decoded: impl IntoIterator<Item = Picture>) -> Vec<Option<Picture>> {
    [original(image)].into_iter().chain(decoded).map(Some).collect()
}

fn original(image: &Example<'_>) -> Picture {
    picture(image.data, image.data.image(image.index).to_vec())
}

fn picture(data: &Dataset, pixels: Vec<u8>) -> Picture {
    Picture::new(data.height, data.width, data.channels, pixels)
}
