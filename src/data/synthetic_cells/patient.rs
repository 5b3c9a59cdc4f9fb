//! What is a patient's own: the slide's stain, light, focus and noise, the blood's cells, how many are ill.

use super::Draws;
use crate::rng::Stream;

/// One patient's slide.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Patient {
    /// The light without any dye, for red, green and blue: 0 to 255.
    pub(super) light: [f32; 3],
    /// What one part of each dye absorbs of red, green and blue, as a power of e.
    pub(super) absorption: [[f32; 3]; 3],
    /// How much eosin a cell takes up, and how much azure with it (a slide that is too blue).
    pub(super) cell_dyes: [f64; 2],
    /// How much azure parasites and platelets take up.
    pub(super) azure: f64,
    /// How much paler the middle of a cell is: 0 to 1.
    pub(super) pallor: f64,
    /// The radius of the cells and its standard deviation; the image reaches from -1 to 1.
    pub(super) radius: [f64; 2],
    /// How far from round the cells are.
    pub(super) unrest: f64,
    /// The standard deviation of the blur, in 64ths of the image.
    pub(super) blur: f64,
    /// The standard deviation of the noise, in levels.
    pub(super) noise: f64,
    /// The share of cells with a platelet on or beside them, with drops of stain, with dust.
    pub(super) artefacts: [f64; 3],
    /// The share of parasitised cells.
    pub(super) parasitised: f64,
}

impl Patient {
    /// Patient `number` under `seed`.
    pub(super) fn drawn(seed: u64, number: u64) -> Self {
        let mut draws = Draws::new(Stream::new(seed, "synthetic patient", &[number]));
        let brightness = draws.between(0.76, 1.02);
        let light =
            [242.0, 234.0, 228.0].map(|level| (level * brightness * draws.between(0.94, 1.05)) as f32);
        // Pink lets red through, blue-violet some blue, brown a little red.
        let dyes = [[0.09, 0.46, 0.27], [0.86, 1.08, 0.40], [0.72, 0.98, 1.12]];
        let absorption = dyes.map(|dye| dye.map(|part| (part * draws.between(0.78, 1.25)) as f32));
        Patient {
            light,
            absorption,
            cell_dyes: [draws.between(0.55, 1.35), draws.between(0.0, 0.20)],
            azure: draws.between(0.55, 1.15),
            pallor: draws.between(0.05, 0.45),
            radius: [draws.between(0.60, 0.78), draws.between(0.02, 0.06)],
            unrest: draws.between(0.03, 0.10),
            blur: draws.between(0.35, 1.05),
            noise: draws.between(1.0, 4.5),
            artefacts: [draws.between(0.12, 0.35), draws.between(0.10, 0.35), draws.between(0.03, 0.20)],
            parasitised: draws.between(0.35, 0.65),
        }
    }
}
