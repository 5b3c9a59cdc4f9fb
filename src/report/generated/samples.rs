//! Images that no data went into: all latents are drawn from their priors, and decoded.
//!
//! ```text
//! decode(zd, zx, zy)    zd ~ p(zd|d), zx ~ N(0, I), zy ~ p(zy|y)
//! ```

use super::{Generator, SCALE};
use crate::models::{Latent, Latents};
use crate::prob::Normal;
use crate::report::Grid;
use crate::rng::Stream;
use std::sync::Arc;

/// Rows for each domain.
const ROWS: usize = 3;

/// Rows where the model has no prior of domains.
const ROWS_WITHOUT_DOMAINS: usize = 6;

/// Columns where the model has no prior of classes.
const COLUMNS_WITHOUT_CLASSES: usize = 10;

/// A column for each class, and some rows for each training domain, where the model has priors for them.
pub(super) fn grid(generator: &Generator<'_>) -> Grid {
    let model = generator.model;
    let classes = model.labels(Latent::Class);
    let domains = model.labels(Latent::Domain).map(|known| {
        let mut domains = generator.trained_domains();
        domains.retain(|domain| (domain.label as usize) < known);
        domains
    });
    let rows: Vec<(u32, String)> = match &domains {
        Some(domains) => domains
            .iter()
            .flat_map(|domain| {
                (1..=ROWS).map(|row| (domain.label, format!("sample {row} at {}", domain.name)))
            })
            .collect(),
        None if classes.is_some() => {
            (1..=ROWS_WITHOUT_DOMAINS).map(|row| (0, format!("sample {row}"))).collect()
        }
        None => vec![(0, String::new()); ROWS_WITHOUT_DOMAINS],
    };
    let columns: Arc<[u32]> = (0..classes.unwrap_or(COLUMNS_WITHOUT_CLASSES) as u32).collect();

    let from = |latent| match latent {
        Latent::Domain => "zd from p(zd|d) for the domain d of its row",
        Latent::Residual => "zx from N(0, I)",
        Latent::Class => "zy from p(zy|y) for the class y of its column",
        Latent::Single => "z from N(0, I)",
    };
    let drawn: Vec<&str> = model.latents().into_iter().map(from).collect();
    let mut grid = Grid::new("Samples from the priors").scale(SCALE).note(format!(
        "Each image is decoded from latents drawn at random: {}. {}",
        drawn.join(", "),
        generator.of_pixels()
    ));
    if classes.is_some() {
        grid = grid.columns(generator.split.class_names.iter().cloned());
    }
    for (number, (domain, label)) in rows.into_iter().enumerate() {
        let tape = generator.tape();
        let domains: Arc<[u32]> = columns.iter().map(|_| domain).collect();
        let samples: Latents<'_> = model
            .latents()
            .into_iter()
            .map(|latent| {
                let labels = if latent == Latent::Domain { &domains } else { &columns };
                let prior: Normal<'_> = model.prior(&tape, latent, labels);
                let stream = Stream::new(generator.seed, "samples", &[latent as u64, number as u64]);
                let noise = tape.constant(prior.mean.shape(), |numbers| stream.fill_normal(0, numbers));
                (latent, prior.sample(noise))
            })
            .collect();
        grid = grid.row(label, generator.decode(&samples).into_iter().map(Some).collect());
    }
    grid
}
