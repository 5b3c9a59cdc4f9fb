//! The way from one image to another of another class and domain, in one latent at a time.
//!
//! ```text
//! z(t) = (1 - t) E q(z|first) + t E q(z|second)    for one latent, t = 0, 1/9, ..., 1
//! ```
//!
//! The other latents stay those of the first image.

use super::{Generator, SCALE, original, row};
use crate::data::class_in_words;
use crate::report::Grid;
use std::sync::Arc;

/// Images from one end to the other: eight between the two.
const IMAGES: usize = 10;

/// Pairs of images at most.
const PAIRS: usize = 5;

/// Rows for pairs of images, one a latent: of two classes, the first in the first training domain and the second in
/// the unseen one. Nothing if there is no such pair.
pub(super) fn grid(generator: &Generator<'_>) -> Option<Grid> {
    let model = generator.model;
    let from = generator.trained_domains().into_iter().next()?;
    let to = generator.unseen_domain();
    let (first, second) = (generator.examples(&from), generator.examples(&to));
    let pairs = first.iter().zip(second.iter().cycle().skip(1));
    let mut pairs = pairs.filter(|(a, b)| a.class() != b.class()).step_by(2).take(PAIRS).peekable();
    pairs.peek()?;

    let last = IMAGES - 1;
    let shares = (0..IMAGES).map(|step| match step {
        0 => "0".to_owned(),
        _ if step == last => "1".to_owned(),
        _ => format!("{step}/{last}"),
    });
    let others = match model.latents().len() {
        1 => "",
        _ => "; the other latents stay those of the left image",
    };
    let mut grid = Grid::new("From one image to another in one latent")
        .columns(["from".to_owned()].into_iter().chain(shares).chain(["to".to_owned()]))
        .scale(SCALE)
        .note(format!(
            "From the first image of a class in the domain {} to the first of another class in the unseen domain {}. \
             Each row decodes one latent on the straight way between its posterior means for the two images, from 0 to \
             1{others}. {}",
            from.full_name(),
            to.name,
            generator.of_pixels()
        ));
    for (a, b) in pairs {
        for moving in model.latents() {
            let tape = generator.tape();
            let [start, end] = [a, b].map(|image| generator.means(&tape, image));
            let between = start.map(|latent, start| {
                let repeated: Arc<[u32]> = Arc::new([0; IMAGES]);
                let start = start.gather_rows(repeated.clone());
                match end.get(latent).filter(|_| latent == moving) {
                    Some(end) => {
                        // Both ends exact: 1 z + 0 z' is z.
                        let share = |of: fn(f32) -> f32| {
                            tape.constant(start.shape(), |numbers| {
                                for (step, row) in
                                    numbers.chunks_exact_mut(start.shape().columns()).enumerate()
                                {
                                    row.fill(of(step as f32 / last as f32));
                                }
                            })
                        };
                        start * share(|t| 1.0 - t) + end.gather_rows(repeated) * share(|t| t)
                    }
                    None => start,
                }
            });
            let mut images = row(a, generator.decode(&between));
            images.push(Some(original(b)));
            let (name, start) = (moving.name(), class_in_words(&generator.split.class_names, a.class()));
            let end = &generator.split.class_names[b.class() as usize];
            grid = grid.row(format!("{name}, {start} to {end}"), images);
        }
    }
    Some(grid)
}
