//! Images with a class and a domain: reading them, turning digits into rotated domains, making up cells, holding a domain
//! out, cutting batches.
//!
//! A [`Dataset`] is plain bytes, one a value, as the files hold them; pixels become f32 in [0, 1] only batch
//! by batch ([`batches`]), so that 5,000 rotated digits weigh 4 MB and not 16. A [`Split`] is what an
//! experiment trains and tests on. Everything here is a function of files, configuration and seed: no clock,
//! no order of a hash.

pub mod augment;
pub mod batches;
pub mod collection;
pub mod division;
pub mod embedded;
pub mod held_out;
pub mod idx;
pub mod image;
pub mod npy;
pub mod pictures;
pub mod rotate;
pub mod rotated;
pub mod subset;
pub mod synthetic_cells;
pub mod warnings;

use crate::parallel;
use crate::store::digest::sha256_hex;
use collection::Origin;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Images of one size, each with its class and its domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Values of a pixel: 1 (grey) or 3 (red, green, blue).
    pub channels: usize,
    /// The images one after the other, each row by row, channels last, one byte a value.
    pub pixels: Vec<u8>,
    /// The class of each image, from 0, or [`collection::UNLABELLED`].
    pub classes: Vec<u32>,
    /// The domain of each image, from 0.
    pub domains: Vec<u32>,
}

impl Dataset {
    /// Images of `[height, width, channels]` with their labels.
    ///
    /// # Panics
    /// If a size is 0, or the number of pixels, classes and domains do not fit each other.
    #[track_caller]
    pub fn new(size: [usize; 3], pixels: Vec<u8>, classes: Vec<u32>, domains: Vec<u32>) -> Self {
        let [height, width, channels] = size;
        let values = height * width * channels;
        assert!(values > 0, "images of {height}x{width}x{channels} have no pixels");
        assert_eq!(
            pixels.len(),
            classes.len() * values,
            "pixels of {} images of {height}x{width}x{channels}",
            classes.len()
        );
        assert_eq!(domains.len(), classes.len(), "a domain for each class label");
        Dataset { height, width, channels, pixels, classes, domains }
    }

    /// Puts the images of `more` behind these.
    ///
    /// # Panics
    /// If they have another size.
    #[track_caller]
    pub fn append(&mut self, more: Dataset) {
        let size = |data: &Dataset| [data.height, data.width, data.channels];
        assert_eq!(size(self), size(&more), "images to be put together");
        self.pixels.extend(more.pixels);
        self.classes.extend(more.classes);
        self.domains.extend(more.domains);
    }

    /// Puts image `order[i]` in place i, for all i, along the cycles of the permutation.
    pub(crate) fn rearrange(&mut self, order: &[usize]) {
        let values = self.values();
        let mut done = vec![false; order.len()];
        let mut kept = vec![0; values];
        for start in 0..order.len() {
            if done[start] || order[start] == start {
                continue;
            }
            kept.copy_from_slice(self.image(start));
            let mut place = start;
            loop {
                done[place] = true;
                let from = order[place];
                if from == start {
                    self.pixels[place * values..][..values].copy_from_slice(&kept);
                    break;
                }
                self.pixels.copy_within(from * values..(from + 1) * values, place * values);
                place = from;
            }
        }
        self.classes = order.iter().map(|&image| self.classes[image]).collect();
        self.domains = order.iter().map(|&image| self.domains[image]).collect();
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// A copy of the first images, so many or all there are.
    pub fn first(&self, images: usize) -> Dataset {
        let images = images.min(self.len());
        let pixels = self.pixels[..images * self.values()].to_vec();
        let (classes, domains) = (self.classes[..images].to_vec(), self.domains[..images].to_vec());
        Dataset::new([self.height, self.width, self.channels], pixels, classes, domains)
    }

    /// The number of bytes of one image: height x width x channels.
    pub fn values(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// Image `index`, row by row, channels last.
    ///
    /// # Panics
    /// If there is no such image.
    #[track_caller]
    pub fn image(&self, index: usize) -> &[u8] {
        assert!(index < self.len(), "image {index} of {} was asked for", self.len());
        &self.pixels[index * self.values()..][..self.values()]
    }
}

/// What one run trains and tests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The training images; their `domains` are indices into `domain_names`.
    pub train: Dataset,
    /// Images of the training domains by which the epoch is chosen, where these are others than `train`.
    pub validation: Option<Dataset>,
    /// The images whose classes training must not look at; their `domains` are indices into `domain_names` too.
    /// They may share digits with `train`. Their classes may be known or [`collection::UNLABELLED`].
    pub unlabelled: Option<Dataset>,
    /// The images of the domain that is never seen in training; their domain is `domain_names.len()`.
    pub test: Dataset,
    /// Images of the test domain that share no digit with the training images, where these were asked for
    /// beside `test`.
    pub disjoint_test: Option<Dataset>,
    /// What each image of `test` is known by, in the order of the images; none where they are not files.
    pub test_origins: Option<Vec<Origin>>,
    /// The training domains: those with labelled images in order, then those without.
    pub domain_names: Vec<String>,
    /// The test domain.
    pub test_domain: String,
    /// The number of classes.
    pub classes: usize,
    /// What the classes are called, in order.
    pub class_names: Vec<String>,
}

impl Split {
    /// The images that are trained on, with what they are called: "training" and, if there are any, "unlabelled".
    pub fn trained_on(&self) -> impl Iterator<Item = (&'static str, &Dataset)> {
        let unlabelled = self.unlabelled.as_ref().map(|data| ("unlabelled", data));
        std::iter::once(("training", &self.train)).chain(unlabelled)
    }

    /// The group of each image of the test domain, a patient for example, by any number; none if no image is of a group. One that
    /// is of none is alone.
    pub fn test_groups(&self) -> Option<Vec<u32>> {
        let origins = self.test_origins.as_ref()?;
        if origins.iter().all(|origin| origin.group.is_empty()) {
            return None;
        }
        let mut named: BTreeMap<&str, u32> = BTreeMap::new();
        let groups = (0..).zip(origins).map(|(image, origin)| match origin.group.as_str() {
            "" => image,
            name => *named.entry(name).or_insert(image),
        });
        Some(groups.collect())
    }

    /// Which images of the test domain are of classes that no labelled training image is of, in a sentence; nothing if there
    /// are none.
    pub fn untrained_classes(&self) -> Option<String> {
        let images =
            |data: &Dataset, class: u32| data.classes.iter().filter(|&&other| other == class).count();
        let untrained: Vec<(usize, &String)> = (0..)
            .zip(&self.class_names)
            .filter(|&(class, _)| images(&self.train, class) == 0)
            .map(|(class, name)| (images(&self.test, class), name))
            .filter(|&(tested, _)| tested > 0)
            .collect();
        let all: usize = untrained.iter().map(|(tested, _)| tested).sum();
        let each: Vec<String> = untrained.iter().map(|(tested, name)| format!("{name} ({tested})")).collect();
        let kind = if each.len() == 1 { "a class" } else { "classes" };
        (all > 0).then(|| {
            format!(
                "{all} of {} images of the test domain {} are of {kind} that no labelled training image is of, so that none of \
                 them can be recognised: {}",
                self.test.len(),
                self.test_domain,
                each.join(", ")
            )
        })
    }

    /// The SHA-256 of all images with their sizes, classes, domains and parts, in hexadecimal digits.
    pub fn sha256(&self) -> String {
        let parts = [
            Some(&self.train),
            self.validation.as_ref(),
            self.unlabelled.as_ref(),
            Some(&self.test),
            self.disjoint_test.as_ref(),
        ];
        let mut all = Vec::new();
        for data in parts {
            let Some(data) = data else {
                all.extend(0_u64.to_le_bytes());
                continue;
            };
            let sizes = [data.len(), data.height, data.width, data.channels];
            all.extend(sizes.iter().flat_map(|&size| (size as u64).to_le_bytes()));
            all.extend(data.classes.iter().chain(&data.domains).flat_map(|label| label.to_le_bytes()));
            all.extend(parallel::map(data.len(), |image| Sha256::digest(data.image(image))).iter().flatten());
        }
        sha256_hex(&all)
    }
}

/// Whether classes are called by their number.
pub fn are_numbered(class_names: &[String]) -> bool {
    class_names.iter().enumerate().all(|(number, name)| *name == number.to_string())
}

/// A class in words: its name, and if that is a number what it is the number of.
///
/// # Panics
/// If there is no such class.
pub fn class_in_words(class_names: &[String], class: u32) -> String {
    let name = &class_names[class as usize];
    if are_numbered(class_names) { format!("class {name}") } else { name.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_its_bytes() {
        let data = Dataset::new([1, 2, 3], (0..12).collect(), vec![4, 5], vec![0, 1]);
        assert_eq!((data.len(), data.values(), data.is_empty()), (2, 6, false));
        assert_eq!(data.image(1), [6, 7, 8, 9, 10, 11]);
        assert!(Dataset::new([1, 2, 3], vec![], vec![], vec![]).is_empty());
    }

    #[test]
    fn classes_are_called_by_their_number_or_by_their_name() {
        let names = |names: [&str; 2]| names.map(str::to_owned);
        assert!(are_numbered(&names(["0", "1"])) && are_numbered(&[]));
        assert!(!are_numbered(&names(["1", "0"])) && !are_numbered(&names(["0", "blue"])));
        assert_eq!(class_in_words(&names(["0", "1"]), 1), "class 1");
        assert_eq!(class_in_words(&names(["0", "blue"]), 0), "0");
        assert_eq!(class_in_words(&names(["red", "blue"]), 1), "blue");
    }

    #[test]
    fn an_image_of_no_group_is_one() {
        let data = Dataset::new([1, 1, 1], vec![0; 5], vec![0; 5], vec![0; 5]);
        let groups = |names: Option<[&str; 5]>| {
            let origin = |group: &str| Origin { group: group.into(), ..Origin::default() };
            let split = Split {
                train: data.clone(),
                validation: None,
                unlabelled: None,
                test: data.clone(),
                disjoint_test: None,
                test_origins: names.map(|names| names.map(origin).to_vec()),
                domain_names: Vec::new(),
                test_domain: "A".into(),
                classes: 1,
                class_names: vec!["0".into()],
            };
            split.test_groups()
        };
        assert_eq!(groups(Some(["P1", "", "P2", "", "P1"])), Some(vec![0, 1, 2, 3, 0]));
        assert_eq!((groups(Some([""; 5])), groups(None)), (None, None));
    }

    #[test]
    #[should_panic(expected = "pixels of 2 images of 1x2x3")]
    fn missing_pixels_are_a_bug() {
        Dataset::new([1, 2, 3], vec![0; 11], vec![0, 0], vec![0, 0]);
    }

    #[test]
    #[should_panic(expected = "a domain for each class label")]
    fn missing_domains_are_a_bug() {
        Dataset::new([1, 2, 3], vec![0; 12], vec![0, 0], vec![0]);
    }

    #[test]
    #[should_panic(expected = "image 2 of 2 was asked for")]
    fn an_image_past_the_end_is_a_bug() {
        Dataset::new([1, 2, 3], vec![0; 12], vec![0, 0], vec![0, 0]).image(2);
    }
}
