//! One thing about an image changed: its class, or its domain.
//!
//! ```text
//! class    decode(E q(zd|x), E q(zx|x), E p(zy|y))    for each class y
//! domain   decode(E p(zd|d), E q(zx|x), E q(zy|x))    for each training domain d
//! ```

use super::{Generator, SCALE, row};
use crate::data::are_numbered;
use crate::models::Latent;
use crate::report::Grid;
use std::sync::Arc;

/// A row for each chosen image, with a column for each label whose prior is put in the place of the latent
/// `changed`; nothing if the model has no such latent.
pub(super) fn grid(generator: &Generator<'_>, changed: Latent) -> Option<Grid> {
    let model = generator.model;
    let known = model.labels(changed)? as u32;
    let (title, explanation, labels): (_, _, Vec<(u32, String)>) = match changed {
        Latent::Domain => (
            "The domain changed",
            "Under the name of a domain d: zd is replaced by the mean of p(zd|d).",
            generator.trained_domains().into_iter().map(|domain| (domain.label, domain.name)).collect(),
        ),
        _ => (
            "The class changed",
            if are_numbered(&generator.split.class_names) {
                "Under the number of a class y: zy is replaced by the mean of p(zy|y)."
            } else {
                "Under the name of a class y: zy is replaced by the mean of p(zy|y)."
            },
            (0..known).zip(generator.split.class_names.iter().cloned()).collect(),
        ),
    };
    let (labels, names): (Vec<u32>, Vec<String>) =
        labels.into_iter().filter(|(label, _)| *label < known).unzip();
    let labels: Arc<[u32]> = labels.into();
    let first: Arc<[u32]> = labels.iter().map(|_| 0).collect();

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
        let tape = generator.tape();
        let means = generator.means(&tape, &image);
        let prior = model.prior(&tape, changed, &labels);
        let with_prior = means
            .map(|latent, mean| if latent == changed { prior.mean } else { mean.gather_rows(first.clone()) });
        let decoded = [generator.decode(&means), generator.decode(&with_prior)].concat();
        grid = grid.row(image.name(generator.split), row(&image, decoded));
    }
    Some(grid)
}
