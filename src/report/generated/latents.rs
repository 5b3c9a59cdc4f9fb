//! What a single latent says about an image: it is decoded with the others zero.

use super::{Generator, SCALE, row};
use crate::report::Grid;

/// A row for each chosen image, with a column for each latent that is kept; nothing if the model has only one.
pub(super) fn grid(generator: &Generator<'_>) -> Option<Grid> {
    let latents = generator.model.latents();
    if latents.len() < 2 {
        return None;
    }
    let only = latents.iter().map(|latent| format!("only {}", latent.name()));
    let mut grid = Grid::new("One latent kept, the others zero")
        .columns(["original", "reconstruction"].into_iter().map(String::from).chain(only))
        .scale(SCALE)
        .note(format!(
            "Each row begins with the first image of a class in its domain. The reconstruction is decoded from the \
             posterior means of {}. Then one of these is kept and the others are zero, which need not be likely \
             under their priors. {}",
            generator.names_of_latents(),
            generator.of_pixels()
        ));
    for image in generator.chosen() {
        let tape = generator.tape();
        let means = generator.means(&tape, &image);
        let mut decoded = generator.decode(&means);
        for &kept in &latents {
            let alone = means.map(|latent, mean| {
                if latent == kept { mean } else { tape.constant(mean.shape(), |numbers| numbers.fill(0.0)) }
            });
            decoded.extend(generator.decode(&alone));
        }
        grid = grid.row(image.name(generator.split), row(&image, decoded));
    }
    Some(grid)
}
