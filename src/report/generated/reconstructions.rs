//! What a model makes of its input: images beside their reconstructions, domain by domain.
//!
//! A reconstruction is what the decoder gives for the means of all latents. Where the digits of the test domain are those
//! trained on, a column shows one digit at every angle.

use super::{Generator, SCALE, is_beside_the_mode, picture};
use crate::models::networks::PixelValue;
use crate::report::{Grid, Picture};
use crate::train::dataset;

/// The first image of each class, as it is and reconstructed, for each training domain and the unseen one. A class that
/// a domain does not have leaves its cells blank. Below the unseen one, once, the likeliest levels.
pub(super) fn grid(generator: &Generator<'_>) -> Grid {
    let classes = generator.split.classes;
    let is_beside_the_mode = is_beside_the_mode(generator.pixel, generator.model.settings().networks);
    let mut grid = Grid::new("Images and their reconstructions")
        .columns(generator.split.class_names.iter().cloned())
        .scale(SCALE)
        .note(format!(
            "The first image of each class, decoded from its posterior means of {}. {}{}",
            generator.names_of_latents(),
            generator.of_pixels(),
            if is_beside_the_mode { " In the last row it is the likeliest level instead." } else { "" },
        ));
    for domain in generator.trained_domains().into_iter().chain([generator.unseen_domain()]) {
        let (data, found) = (domain.data, domain.first_of_each_class(classes));
        let indices: Vec<usize> = found.iter().copied().flatten().collect();
        let originals = indices.iter().map(|&i| picture(data, data.image(i).to_vec()));
        grid = grid.row(format!("original, {}", domain.full_name()), in_columns(&found, originals));
        // The unseen domain is the last one.
        let is_unseen = domain.label as usize == generator.split.domain_names.len();
        let mode = (is_beside_the_mode && is_unseen).then_some(("likeliest levels", PixelValue::Mode));
        for (name, pixel) in [("reconstruction", generator.pixel)].into_iter().chain(mode) {
            let decoded = match indices.as_slice() {
                [] => Vec::new(),
                indices => {
                    let tape = generator.tape();
                    let images = tape.input(&dataset::images(data, indices));
                    generator.decode_as(pixel, &generator.model.posterior_means(images))
                }
            };
            grid = grid.row(name, in_columns(&found, decoded));
        }
    }
    grid
}

/// One picture for each column that has an image, in order.
fn in_columns(found: &[Option<usize>], pictures: impl IntoIterator<Item = Picture>) -> Vec<Option<Picture>> {
    let mut pictures = pictures.into_iter();
    found.iter().map(|index| index.and_then(|_| pictures.next())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Cells, digits, drawn, likeliest, wide};
    use super::super::{Dataset, Kind, Params, Split, Tape};
    use super::*;
    use crate::autograd::Engine;
    use crate::data::embedded;
    use crate::models::Model;
    use crate::report::canvas::tests::find;
    use crate::report::palette::{INK, WHITE};

    /// "reconstruction" is the longest label of a row.
    fn cells(all: &(Model, Params, Split)) -> Cells {
        Cells::new(drawn(Kind::Reconstructions, all), "reconstruction", 1, vec![56; 10])
    }

    #[test]
    fn every_digit_stands_above_its_reconstruction() {
        let all = digits(&[]);
        let cells = cells(&all);
        let (Cells { picture: drawn, corner, .. }, (trained, params, split)) = (&cells, &all);
        let model = trained.latent_variables().unwrap();
        // 6 rows of 56 with separators of 2, below them a gap of 10 and two lines of note
        let lattice = [10 * 58 + 2, 6 * 58 + 2];
        let expected = [corner[0] + lattice[0] + 16, corner[1] + lattice[1] + 10 + 2 * 22 + 16];
        assert_eq!([drawn.width, drawn.height], expected);

        for (row, label) in ["original, 0°", "original, 15°", "original, 75°"].into_iter().enumerate() {
            let left = corner[0] - 10 - wide(label);
            let lines = if row == 2 { 44 } else { 22 };
            let top = corner[1] + 2 + 2 * row * 58 + (56 - lines) / 2;
            assert_eq!(find(drawn, label, INK), [[left, top]]);
        }
        let [left, top] = [corner[0] - 10 - wide("unseen"), corner[1] + 2 + 4 * 58 + 6 + 22];
        assert_eq!(find(drawn, "unseen", INK), [[left, top]]);

        // drawn for seed 0 by another implementation of Philox and Fisher-Yates, in Python
        let drawn_digits = [163, 765, 823, 469, 422, 66, 233, 579, 723, 156];
        let (original, test) = (embedded::train(), &split.test);
        let engine = Engine::new();
        for (class, digit) in drawn_digits.into_iter().enumerate() {
            assert_eq!(cells.image(0, class), original.image(digit), "class {class} at 0 degrees");
            assert_eq!(cells.image(4, class), test.image(class), "class {class} at 75 degrees");
            let tape = Tape::inference(&engine, params);
            let means = model.posterior_means(tape.input(&dataset::images(test, &[class])));
            assert_eq!(
                cells.image(5, class),
                likeliest(trained, &means),
                "class {class} at 75 degrees, reconstructed"
            );
        }
    }

    #[test]
    fn the_likeliest_levels_are_drawn_once_beside_what_is_chosen() {
        let all = digits(&[]);
        let (model, params, split) = &all;
        let grid = |pixel| {
            let model = model.latent_variables().unwrap();
            Generator::new((model, params), split, pixel, 7).grid(Kind::Reconstructions).unwrap().render()
        };
        let cells = |pixel| Cells::new(grid(pixel), "reconstruction", 1, vec![56; 10]);
        let mode = cells(PixelValue::Mode);
        assert!(find(&mode.picture, "likeliest levels", INK).is_empty());
        for pixel in [PixelValue::Median, PixelValue::Mean, PixelValue::Sample] {
            let cells = cells(pixel);
            assert_eq!(find(&cells.picture, "likeliest levels", INK).len(), 1, "{}", pixel.name());
            assert_eq!(cells.image(6, 3), mode.image(5, 3), "{}", pixel.name());
            assert_ne!(cells.image(5, 3), mode.image(5, 3), "{}", pixel.name());
        }
    }

    /// A decoder that prefers level 200 for every pixel, whatever it is given.
    ///
    /// The published layout reads 256 neighbouring values of the 256 channels of 784 pixels as those of one pixel.
    /// Channel 200 fills the values from 200 * 784 = 612 * 256 + 128 on: it is in pixel 612 from level 128 on, in
    /// 613 and 614 and the beginning of 615 from level 0 on; elsewhere all levels are equal, and 0 is the lowest.
    #[test]
    fn both_layouts_of_the_logits_are_read() {
        for layout in ["per-pixel", "published"] {
            let (model, mut params, split) = digits(&[&format!("model.logit_layout={layout}")]);
            let weight = params.find("px.de3.0.weight").unwrap();
            params.get_mut(weight).fill(0.0);
            let bias = params.find("px.de3.0.bias").unwrap();
            params.get_mut(bias).fill(0.0);
            params.get_mut(bias)[200] = 1.0;
            let cells = cells(&(model, params, split));
            let expected: Vec<u8> = match layout {
                "per-pixel" => vec![200; 784],
                _ => (0..784).map(|pixel| if pixel == 612 { 128 } else { 0 }).collect(),
            };
            for (row, class) in [(1, 0), (3, 9), (5, 4)] {
                assert_eq!(cells.image(row, class), expected, "{layout}, row {row}, class {class}");
            }
        }
    }

    #[test]
    fn the_first_of_each_class_is_shown_and_a_missing_class_is_blank() {
        let (model, params, mut split) = digits(&[]);
        let flat = |levels: &[u8]| levels.iter().flat_map(|&level| [level; 784]).collect();
        // domain 1 has no class 4; the test domain has two images of class 1
        split.train = Dataset::new([28, 28, 1], flat(&[10, 20, 30]), vec![4, 0, 0], vec![0, 1, 0]);
        split.test = Dataset::new([28, 28, 1], flat(&[40, 50, 60]), vec![1, 1, 3], vec![2, 2, 2]);
        let cells = cells(&(model, params, split));
        for (row, column, level) in [(0, 4, 10), (2, 0, 20), (0, 0, 30), (4, 1, 40), (4, 3, 60)] {
            assert_eq!(cells.image(row, column), [level; 784], "row {row}, column {column}");
        }
        for (row, column) in [(2, 4), (3, 4), (0, 1), (4, 0), (5, 9)] {
            assert_eq!(cells.image(row, column), [WHITE[0]; 784], "row {row}, column {column}");
        }
    }
}
