//! From a configuration to images, and from images to batches.

use crate::config::{Config, DomainName, ModelConfig, PriorY, Protocol, Source, UnlabelledImages};
use crate::data::batches::{Part, StepIndices};
use crate::data::idx::{self, Half};
use crate::data::rotated::{self, RotatedDigits};
use crate::data::{Dataset, Split, embedded, subset};
use crate::error::{Error, Result};
use crate::models::{Batch, Settings, StepImages};
use crate::tensor::Tensor;
use std::path::Path;
use std::sync::Arc;

/// Reads the data of a configuration and divides it into training and test images.
///
/// # Errors
/// If the configuration cannot be trained, or its data is missing, damaged or too small.
pub fn load(config: &Config) -> Result<Split> {
    config.validate_for_training()?;
    let data = &config.data;
    let (train, test) = match (data.source, &data.path) {
        (Source::Embedded, _) => (embedded::train(), embedded::test()),
        (Source::Idx, Some(path)) => {
            (idx::read_folder(Path::new(path), Half::Train)?, idx::read_folder(Path::new(path), Half::Test)?)
        }
        (source, _) => return Err(Error::request(format!("data.source = {source:?} cannot be read here"))),
    };
    let subset = data.subset_file.as_ref();
    let options = RotatedDigits {
        angles: data.domains.iter().map(angle).collect::<Result<_>>()?,
        test_angle: angle(&data.test_domain)?,
        per_class: data.per_class,
        subset: subset.map(|file| subset::read_indices(Path::new(file), train.len())).transpose()?,
        unlabelled_angles: data.unlabelled.domains.iter().map(angle).collect::<Result<_>>()?,
        with_unlabelled: data.unlabelled.images == UnlabelledImages::Used,
        unlabelled_subsets: data.unlabelled.subsets,
        protocol: match data.protocol {
            Protocol::Published => rotated::Protocol::Published,
            Protocol::DisjointTest => rotated::Protocol::DisjointTest,
        },
        with_disjoint_test: true,
    };
    let split = rotated::build(&options, &train, Some(&test), config.seed)?;
    for (which, images) in split.trained_on() {
        if config.train.batch > images.len() {
            return Err(Error::request(format!(
                "train.batch = {} is more than the {} {which} images",
                config.train.batch,
                images.len()
            )));
        }
    }
    Ok(split)
}

fn angle(domain: &DomainName) -> Result<f64> {
    match domain {
        DomainName::Angle(angle) => Ok(*angle),
        DomainName::Name(name) => Err(Error::request(format!("the domain \"{name}\" is not an angle"))),
    }
}

/// The settings of the model for this many domains and classes; `class_counts` are those of the labelled training
/// images, if there are any.
///
/// # Errors
/// If p(y) is to be the frequency in training images that are not there, or has another number of classes.
pub fn settings(
    model: &ModelConfig,
    domains: usize,
    classes: usize,
    class_counts: Option<&[usize]>,
) -> Result<Settings> {
    let prior_y = match (&model.prior_y, class_counts) {
        (PriorY::Uniform, _) => vec![1.0 / classes as f64; classes],
        (PriorY::Probabilities(given), _) if given.len() == classes => given.clone(),
        (PriorY::Probabilities(given), _) => {
            let found = given.len();
            return Err(Error::request(format!(
                "model.prior_y has {found} probabilities for {classes} classes"
            )));
        }
        (PriorY::Training, Some(counts)) => {
            let total: usize = counts.iter().sum();
            counts.iter().map(|&count| count as f64 / total as f64).collect()
        }
        (PriorY::Training, None) => {
            return Err(Error::request(
                "model.prior_y = \"training\" needs training images, and there are none here; set \"uniform\" or one \
                 probability a class",
            ));
        }
    };
    Ok(Settings {
        kind: model.kind,
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

/// How many images of each class there are.
pub fn class_counts(data: &Dataset, classes: usize) -> Vec<usize> {
    (0..classes as u32).map(|class| data.classes.iter().filter(|&&c| c == class).count()).collect()
}

/// The images of a step.
pub fn step_images(split: &Split, indices: StepIndices<'_>) -> StepImages {
    let of =
        |data: &Dataset, indices: &[usize], part| (!indices.is_empty()).then(|| batch(data, indices, part));
    StepImages {
        labelled: of(&split.train, indices.labelled, Part::Labelled),
        unlabelled: split.unlabelled.as_ref().and_then(|data| of(data, indices.unlabelled, Part::Unlabelled)),
    }
}

/// The images `indices` with their domains, and with their classes if these may be looked at.
pub fn batch(data: &Dataset, indices: &[usize], part: Part) -> Batch {
    let labels = |all: &[u32]| -> Arc<[u32]> { indices.iter().map(|&i| all[i]).collect() };
    let levels = indices.iter().flat_map(|&i| data.image(i)).map(|&level| u32::from(level)).collect();
    Batch {
        images: images(data, indices),
        levels,
        domains: labels(&data.domains),
        classes: (part == Part::Labelled).then(|| labels(&data.classes)),
    }
}

/// The images `indices`, (batch, height, width, channels) in 0..1.
pub fn images(data: &Dataset, indices: &[usize]) -> Tensor {
    let mut images = Tensor::zeros([indices.len(), data.height, data.width, data.channels]);
    data.gather_pixels(indices, images.data_mut());
    images
}
