//! Which images the page shows: some of each domain and class, whatever order they lie in.

use crate::data::{Dataset, Split};
use crate::store::digest::sha256_hex;
use std::collections::BTreeMap;

/// At most so many: enough to see clouds in a view, and few enough for a page.
const MOST: usize = 240;

/// The images with the smallest SHA-256 of their pixels among those of their domain and class, as many of each as there is room
/// for; domain by domain, class by class. They are of the unseen domain, of the unlabelled ones, and of the training domains
/// those that choose the epoch where these are others than the training images.
pub(super) fn chosen(split: &Split) -> Dataset {
    let of_training = split.validation.as_ref().unwrap_or(&split.train);
    let parts = [Some(of_training), split.unlabelled.as_ref(), Some(&split.test)];
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for data in parts.into_iter().flatten() {
        for index in 0..data.len() {
            let group = groups.entry((data.domains[index], data.classes[index])).or_default();
            group.push((sha256_hex(data.image(index)), data.image(index)));
        }
    }
    let mut ranked = Vec::new();
    for (labels, mut images) in groups {
        images.sort();
        let images = images.into_iter().take(MOST).enumerate();
        ranked.extend(images.map(|(rank, (digest, image))| (rank, digest, labels, image)));
    }
    ranked.sort();
    ranked.truncate(MOST);
    ranked.sort_by(|(rank, _, labels, _), (others, _, of_other, _)| (labels, rank).cmp(&(of_other, others)));
    let Dataset { height, width, channels, .. } = split.test;
    let pixels = ranked.iter().flat_map(|(.., image)| *image).copied().collect();
    let (domains, classes) = ranked.iter().map(|(_, _, labels, _)| *labels).unzip();
    Dataset::new([height, width, channels], pixels, classes, domains)
}

/// Images side by side in rows of so many, the last one filled up with black: rows and columns of pixels, and the pixels.
pub(super) fn sheet(data: &Dataset, columns: usize) -> (usize, usize, Vec<u8>) {
    // A row of an image is as many bytes as of a grey one that is `channels` times as wide.
    let (rows, height, row_bytes) = (data.len().div_ceil(columns), data.height, data.width * data.channels);
    let mut sheet = vec![0; rows * height * columns * row_bytes];
    for place in 0..data.len() {
        let (top, left) = (place / columns * height, place % columns * row_bytes);
        for (row, pixels) in data.image(place).chunks(row_bytes).enumerate() {
            sheet[(top + row) * columns * row_bytes + left..][..row_bytes].copy_from_slice(pixels);
        }
    }
    (rows * height, columns * data.width, sheet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(images: impl IntoIterator<Item = (u8, u32, u32)>) -> Dataset {
        let all: Vec<_> = images.into_iter().collect();
        let pixels = all.iter().flat_map(|&(pixel, ..)| [pixel; 2]).collect();
        let labels = |of: fn(&(u8, u32, u32)) -> u32| all.iter().map(of).collect();
        Dataset::new([1, 2, 1], pixels, labels(|image| image.1), labels(|image| image.2))
    }

    fn split(train: Dataset, test: Dataset) -> Split {
        Split {
            train,
            validation: None,
            unlabelled: None,
            test,
            disjoint_test: None,
            test_origins: None,
            domain_names: vec!["a".into()],
            test_domain: "b".into(),
            classes: 3,
            class_names: ["x", "y", "z"].map(String::from).to_vec(),
        }
    }

    #[test]
    fn every_group_has_its_share_and_the_order_of_the_images_is_nothing() {
        // Of class 0 there are 250 training images, of class 1 of the unseen domain 3, of class 2 one.
        let train: Vec<_> = (0..250).map(|i| (i, 0, 0)).collect();
        let test = [(7, 1, 1), (8, 1, 1), (9, 1, 1), (1, 2, 1)];
        let found = chosen(&split(data(train.clone()), data(test)));
        assert_eq!(found.len(), MOST);
        let count = |labels| found.classes.iter().zip(&found.domains).filter(|&pair| pair == labels).count();
        assert_eq!([count((&0, &0)), count((&1, &1)), count((&2, &1))], [MOST - 4, 3, 1]);
        assert!(found.domains.is_sorted());
        let turned = chosen(&split(data(train.into_iter().rev()), data(test.into_iter().rev())));
        assert_eq!(
            (turned.pixels, turned.classes, turned.domains),
            (found.pixels, found.classes, found.domains)
        );
    }

    #[test]
    fn images_that_choose_the_epoch_stand_for_those_that_train() {
        let mut split = split(data([(1, 0, 0)]), data([(2, 0, 1)]));
        split.validation = Some(data([(3, 0, 0)]));
        split.unlabelled = Some(data([(4, u32::MAX, 0)]));
        assert_eq!(chosen(&split).pixels, [3, 3, 4, 4, 2, 2]);
    }

    #[test]
    fn a_sheet_is_filled_row_by_row() {
        let (rows, columns, pixels) = sheet(&data([(1, 0, 0), (2, 0, 0), (3, 0, 0)]), 2);
        assert_eq!((rows, columns, pixels), (2, 4, vec![1, 1, 2, 2, 3, 3, 0, 0]));
    }
}
