//! Cells as under a microscope, made up: the shapes and colours of a stained blood smear, some with malaria parasites.
//!
//! Data for trying out and for tests, where no patient's are at hand. What makes the real task hard is in them. Every
//! patient has a slide of its own: stain, light, focus, noise and the size of the cells differ from patient to patient more
//! than between the classes. What tells the classes apart is small, comes in four shapes and is of the colour that
//! platelets and drops of stain have too, and these lie on cells of both classes alike. Colours alone do therefore not
//! tell, shapes do.
//!
//! How: each image is painted as amounts of three dyes (`canvas.rs`), a pink one (eosin) for the cell, a blue-violet one
//! (azure) for parasites and platelets, a brown one for the parasites' pigment; light is then absorbed as Beer and Lambert
//! have it, I = I0 exp(-sum of amount x absorption), blurred and made noisy (`film.rs`). A cell is a function of (seed,
//! patient, number), in the same bits on every machine.
//!
//! They are no substitute for real cells: nothing that is found on them says anything about patients.

mod canvas;
mod cell;
mod film;
mod patient;

use super::Dataset;
use super::collection::Collection;
use super::image::luma;
use super::pictures::malaria::CLASS_NAMES;
use crate::error::{Error, Result};
use crate::parallel;
use crate::rng::Stream;
use patient::Patient;

/// What [`SyntheticCells::build`] is to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyntheticCells {
    /// How many patients there are: 1 to 99.
    pub patients: usize,
    /// How many cells each has.
    pub cells: usize,
    /// Rows and columns of an image: a multiple of 16 up to 128.
    pub side: usize,
    /// Values of a pixel: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// What all is drawn by.
    pub seed: u64,
}

impl SyntheticCells {
    /// The cells of all patients, patient by patient; the patients are called P01, P02, ..., the classes as those of the
    /// real cells. A patient's and a cell's looks do not hang on how many there are. The classes are drawn cell by cell;
    /// 35 to 65 of 100 cells are parasitised, depending on the patient.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn build(&self) -> Result<Collection> {
        let SyntheticCells { patients, cells, side, channels, seed } = *self;
        let check = |fits: bool, what: String| {
            if fits { Ok(()) } else { Err(Error::request(format!("cannot make {what}"))) }
        };
        check((1..=99).contains(&patients), format!("cells of {patients} patients, expected 1 to 99"))?;
        check(cells > 0, "0 cells of each patient, expected at least 1".into())?;
        let fits = side > 0 && side <= 128 && side.is_multiple_of(16);
        check(fits, format!("cells of {side}x{side} pixels, expected a multiple of 16 up to 128"))?;
        check(matches!(channels, 1 | 3), format!("cells of {channels} channels, expected 1 or 3"))?;

        let slides: Vec<Patient> =
            (0..patients as u64).map(|patient| Patient::drawn(seed, patient)).collect();
        let classes: Vec<u32> = slides
            .iter()
            .zip(0..)
            .flat_map(|(slide, patient)| {
                let draws = Stream::new(seed, "synthetic classes", &[patient]);
                (0..cells as u64)
                    .map(move |cell| u32::from(f64::from(draws.uniform(cell)) < slide.parasitised))
            })
            .collect();
        let values = side * side * channels;
        let mut pixels = vec![0; patients * cells * values];
        parallel::map_chunks(&mut pixels, values, |i, out| {
            let (patient, cell) = (i / cells, (i % cells) as u64);
            let mut draws = Draws::new(Stream::new(seed, "synthetic cell", &[patient as u64, cell]));
            let canvas =
                cell::painted(&slides[patient], classes[i] == 1, film::painted_side(side), &mut draws);
            let noise = Stream::new(seed, "synthetic noise", &[patient as u64, cell]);
            let colours = film::exposed(&canvas, &slides[patient], side, &mut draws, noise);
            match channels {
                1 => out
                    .iter_mut()
                    .zip(colours.as_chunks().0)
                    .for_each(|(out, &[r, g, b])| *out = luma(r, g, b)),
                _ => out.copy_from_slice(&colours),
            }
        });
        let domains = (0..patients as u32).flat_map(|patient| std::iter::repeat_n(patient, cells)).collect();
        let images = Dataset::new([side, side, channels], pixels, classes, domains);
        let names = (1..=patients).map(|patient| format!("P{patient:02}")).collect();
        Ok(Collection::new(images, names, CLASS_NAMES.map(str::to_owned).to_vec()))
    }
}

/// Numbers of a stream, one after the other.
struct Draws {
    stream: Stream,
    next: u64,
}

impl Draws {
    fn new(stream: Stream) -> Self {
        Draws { stream, next: 0 }
    }

    /// A number between `low` and `high`, all alike.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        let unit = f64::from(self.stream.uniform(self.next));
        self.next += 1;
        low + (high - low) * unit
    }

    /// A number about 0 with standard deviation 1, never beyond 3: the sum of three that are all alike.
    fn about_normal(&mut self) -> f64 {
        (0..3).map(|_| self.between(-1.0, 1.0)).sum()
    }

    /// True once in 1 / `share` draws.
    fn chance(&mut self, share: f64) -> bool {
        self.between(0.0, 1.0) < share
    }

    /// A whole number from `low` to `high`.
    fn whole(&mut self, low: usize, high: usize) -> usize {
        (self.between(low as f64, high as f64 + 1.0) as usize).min(high)
    }

    /// A point of the disc of radius 1 about the origin.
    fn in_disc(&mut self) -> [f64; 2] {
        loop {
            let [x, y] = [self.between(-1.0, 1.0), self.between(-1.0, 1.0)];
            if x * x + y * y <= 1.0 {
                return [x, y];
            }
        }
    }

    /// A vector of length 1.
    fn direction(&mut self) -> [f64; 2] {
        loop {
            let [x, y] = self.in_disc();
            let length = (x * x + y * y).sqrt();
            if length > 0.1 {
                return [x / length, y / length];
            }
        }
    }
}

#[cfg(test)]
mod tests;
