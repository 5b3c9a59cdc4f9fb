//! One thing about an image changed: its class, or its domain.
//!
//! ```text
//! class    decode(E q(zd|x), E q(zx|x), E p(zy|y))    for each class y
//! domain   decode(E p(zd|d), E q(zx|x), E q(zy|x))    for each training domain d
//! ```

use super::{Example, Generator, SCALE, row};
use crate::data::are_numbered;
use crate::models::{LabelPredictor, Latent, argmax};
use crate::report::Grid;
use std::sync::Arc;

/// The labels whose priors are put in the place of the latent `changed`, and their names; nothing if the model has no such latent.
fn columns(generator: &Generator<'_>, changed: Latent) -> Option<(Arc<[u32]>, Vec<String>)> {
    let known = generator.model.labels(changed)? as u32;
    let labels: Vec<(u32, String)> = match changed {
        Latent::Domain => {
            generator.trained_domains().into_iter().map(|domain| (domain.label, domain.name)).collect()
        }
        _ => (0..known).zip(generator.split.class_names.iter().cloned()).collect(),
    };
    let (labels, names): (Vec<u32>, Vec<String>) =
        labels.into_iter().filter(|(label, _)| *label < known).unzip();
    Some((labels.into(), names))
}

/// The levels of what is decoded of an image: as it is, and with the prior of each label.
fn levels(
    generator: &Generator<'_>,
    image: &Example<'_>,
    changed: Latent,
    labels: &Arc<[u32]>,
) -> [Vec<u8>; 2] {
    let first: Arc<[u32]> = labels.iter().map(|_| 0).collect();
    let tape = generator.tape();
    let means = generator.means(&tape, image);
    let prior = generator.model.prior(&tape, changed, labels);
    let with_prior = means
        .map(|latent, mean| if latent == changed { prior.mean } else { mean.gather_rows(first.clone()) });
    [&means, &with_prior].map(|latents| generator.levels(generator.pixel, latents))
}

/// A row for each chosen image, with a column for each label whose prior is put in the place of the latent
/// `changed`; nothing if the model has no such latent.
pub(super) fn grid(generator: &Generator<'_>, changed: Latent) -> Option<Grid> {
    let (labels, names) = columns(generator, changed)?;
    let (title, explanation) = match changed {
        Latent::Domain => {
            ("The domain changed", "Under the name of a domain d: zd is replaced by the mean of p(zd|d).")
        }
        _ => (
            "The class changed",
            if are_numbered(&generator.split.class_names) {
                "Under the number of a class y: zy is replaced by the mean of p(zy|y)."
            } else {
                "Under the name of a class y: zy is replaced by the mean of p(zy|y)."
            },
        ),
    };
    let mut grid = Grid::new(title)
        .columns(["original", "reconstruction"].into_iter().map(String::from).chain(names))
        .scale(SCALE)
        .note(format!(
            "Each row begins with the first image of a class in its domain. The reconstruction is decoded from the \
             posterior means of {}. {explanation} All else is as in the reconstruction. {}",
            generator.names_of_latents(),
            generator.of_pixels()
        ));
    for image in generator.chosen() {
        let decoded = levels(generator, &image, changed, &labels);
        let decoded = decoded.iter().flat_map(|levels| generator.pictures(levels));
        grid = grid.row(image.name(generator.split), row(&image, decoded));
    }
    Some(grid)
}

/// How many images of the grid have another label than the image that they are made from, and how many of these `predictor` takes for
/// what their column says.
pub(super) fn recognised(
    generator: &Generator<'_>,
    changed: Latent,
    predictor: &LabelPredictor,
) -> Option<[usize; 2]> {
    let (labels, _) = columns(generator, changed)?;
    let mut counts = [0; 2];
    for image in generator.chosen() {
        let own = match changed {
            Latent::Domain => image.data.domains[image.index],
            _ => image.class(),
        };
        let [_, levels] = levels(generator, &image, changed, &labels);
        let images: Vec<f32> = levels.iter().map(|&level| f32::from(level) / 255.0).collect();
        let mut logits = vec![0.0; labels.len() * predictor.labels()];
        predictor.logits(&images, &mut logits);
        let taken_for = argmax(&logits, predictor.labels());
        for (taken_for, &label) in taken_for.zip(&*labels).filter(|(_, label)| **label != own) {
            counts[0] += 1;
            counts[1] += usize::from(taken_for == label);
        }
    }
    Some(counts)
}
