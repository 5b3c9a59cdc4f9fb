//! From images to batches, and from a configuration to the settings of its model.

use super::sources;
use crate::config::{Config, ModelConfig, PriorY};
use crate::data::batches::{StepIndices, Supervision};
use crate::data::{Dataset, Split};
use crate::error::{Error, Result};
use crate::models::{Batch, Settings, StepImages};
use crate::tensor::Tensor;
use std::sync::Arc;

/// The images of a configuration, where nobody is to be told of them: [`sources::read`] without a cache.
///
/// # Errors
/// As [`sources::read`].
pub fn load(config: &Config) -> Result<Split> {
    Ok(sources::read(config, None)?.split)
}

/// The settings of the model for this many domains and classes; `class_counts` are those of the labelled training
/// images, if there are any. p(y) of a model that has none is uniform, and never met.
///
/// # Errors
/// If p(y) is to be the frequency in training images that are not there, or has another number of classes.
pub fn settings(
    model: &ModelConfig,
    domains: usize,
    classes: usize,
    class_counts: Option<&[usize]>,
) -> Result<Settings> {
    let uniform = || vec![1.0 / classes as f64; classes];
    let prior_y = match (&model.prior_y, class_counts) {
        (PriorY::Uniform, _) => uniform(),
        _ if !model.kind.has_prior_y() => uniform(),
        (PriorY::Probabilities(given), _) if given.len() == classes => given.clone(),
        (PriorY::Probabilities(given), _) => {
            let found = given.len();
            return Err(Error::request(format!(
                "model.prior_y has {found} probabilities for {classes} classes"
            )));
        }
        (PriorY::Training, Some(counts)) => shares(counts, 0),
        (PriorY::Smoothed, Some(counts)) => shares(counts, 1),
        (PriorY::Training | PriorY::Smoothed, None) => {
            let name = if model.prior_y == PriorY::Training { "training" } else { "smoothed" };
            return Err(Error::request(format!(
                "model.prior_y = {name:?} needs training images, and there are none here; set \"uniform\" or one \
                 probability a class"
            )));
        }
    };
    Ok(Settings {
        kind: model.kind,
        networks: model.networks,
        image: [model.image_size, model.image_size, model.channels],
        encoder_width: model.encoder_width,
        decoder_width: model.decoder_width,
        latent: model.latent,
        domains,
        classes,
        logits: model.logit_layout,
        kl: model.kl,
        prior_y,
    })
}

/// The share of each class when to each count are added so many.
fn shares(counts: &[usize], added: usize) -> Vec<f64> {
    let total = counts.iter().sum::<usize>() + added * counts.len();
    counts.iter().map(|&count| (count + added) as f64 / total as f64).collect()
}

/// Refuses p(y) from counts where a class has no labelled training image and images without a class are trained on: their
/// loss holds -log p(y), which would be infinite.
///
/// It is smoothed only on request: how many images to add to each count is a choice that decides the loss. Without such images
/// p(y) enters no loss, and a class that never was among the training images has no part in the ELBO, which is right.
///
/// # Errors
/// Names the classes, and what can be done.
pub fn refuse_impossible_classes(config: &Config, split: &Split) -> Result<()> {
    let model = &config.model;
    let meets_prior_y = model.kind.has_prior_y() && split.unlabelled.is_some();
    if model.prior_y != PriorY::Training || !meets_prior_y {
        return Ok(());
    }
    let counts = class_counts(&split.train, split.classes);
    let missing: Vec<String> = (split.class_names.iter().zip(counts))
        .filter(|&(_, count)| count == 0)
        .map(|(name, _)| format!("{name:?}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::request(format!(
        "model.prior_y = \"training\" is not usable here: no labelled training image is of the class {}, so that its p(y) would \
         be 0 and the loss of the images without a class infinite; set \"smoothed\", \"uniform\" or one probability a class, or \
         leave these images out with data.unlabelled.images = \"left-out\"",
        missing.join(" or ")
    )))
}

/// Refuses fewer images than one batch takes. Only training needs as many.
///
/// # Errors
/// Names both numbers.
pub fn refuse_too_few_images(config: &Config, split: &Split) -> Result<()> {
    let batch = config.train.batch;
    match split.trained_on().find(|(_, data)| batch > data.len()) {
        None => Ok(()),
        Some((which, data)) => {
            let images = data.len();
            Err(Error::request(format!("train.batch = {batch} is more than the {images} {which} images")))
        }
    }
}

/// How many images of each class there are.
pub fn class_counts(data: &Dataset, classes: usize) -> Vec<usize> {
    (0..classes as u32).map(|class| data.classes.iter().filter(|&&c| c == class).count()).collect()
}

/// The images of a step; flipped and turned as `augmented` (seed, epoch) says, if it does.
pub fn step_images(split: &Split, indices: StepIndices<'_>, augmented: Option<[u64; 2]>) -> StepImages {
    let of = |data: &Dataset, indices: &[usize], supervision| {
        (!indices.is_empty()).then(|| batch(data, indices, supervision, augmented))
    };
    let unlabelled =
        split.unlabelled.as_ref().and_then(|data| of(data, indices.unlabelled, Supervision::Unlabelled));
    StepImages {
        labelled: of(&split.train, indices.labelled, Supervision::Labelled),
        unlabelled: unlabelled.or_else(|| of(&split.train, indices.second, Supervision::Unlabelled)),
    }
}

/// The images `indices` with their domains, and with their classes if these may be looked at; flipped and turned as
/// `augmented` (seed, epoch) says, if it does.
pub fn batch(
    data: &Dataset,
    indices: &[usize],
    supervision: Supervision,
    augmented: Option<[u64; 2]>,
) -> Batch {
    let labels = |all: &[u32]| -> Arc<[u32]> { indices.iter().map(|&i| all[i]).collect() };
    let mut levels = vec![0; indices.len() * data.values()];
    match augmented {
        None => data.gather_levels(indices, &mut levels),
        Some(when) => data.gather_augmented(when, indices, &mut levels, u32::from),
    }
    let mut images = Tensor::zeros([indices.len(), data.height, data.width, data.channels]);
    for (pixel, &level) in images.data_mut().iter_mut().zip(&levels) {
        *pixel = level as f32 / 255.0;
    }
    Batch {
        images,
        levels: levels.into(),
        domains: labels(&data.domains),
        classes: (supervision == Supervision::Labelled).then(|| labels(&data.classes)),
    }
}

/// The images `indices`, (batch, height, width, channels) in 0..1.
pub fn images(data: &Dataset, indices: &[usize]) -> Tensor {
    let mut images = Tensor::zeros([indices.len(), data.height, data.width, data.channels]);
    data.gather_pixels(indices, images.data_mut());
    images
}
