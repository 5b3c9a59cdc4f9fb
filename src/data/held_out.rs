//! Leave one domain out: train on some patients, test on another.
//!
//! The images of the test domain are tested on, all of them, and on nothing else of them is looked at. Of the labelled
//! images of every other domain a share, a fifth as published, chooses the epoch and the others are trained on, drawn within each domain, so
//! that every domain has its say. Which images these are is a function of the seed, the domain's name and how many
//! labelled images it has: a patient's training images stay the same whichever other patient is held out or loses its
//! labels, so that such runs can be compared.

use super::collection::{Collection, UNLABELLED};
use super::{Dataset, Split};
use crate::error::{Error, Result};
use crate::rng::Stream;

/// What [`leave_one_out`] is to make.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// The domain that is never seen in training, by name.
    pub test_domain: String,
    /// Domains whose images are trained on without their classes, by name.
    pub unlabelled_domains: Vec<String>,
    /// Whether there are to be unlabelled images at all; without, their domains still count.
    pub with_unlabelled: bool,
    /// The share of the labelled images of each training domain that chooses the epoch, in 0..1; with 0 there are none.
    pub validation: f64,
    /// What the images that choose the epoch are drawn by.
    pub seed: u64,
}

/// Where an image goes, in the order of the parts in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Train,
    Validation,
    Unlabelled,
    Test,
    Nowhere,
}

/// Divides the images; in each part they keep their order.
///
/// The domains are numbered anew: those with labelled training images in order, from 0, then the unlabelled ones
/// (those named, in the order in which they are named, and others without any class), then the test domain. Images without a class in a domain with labels are
/// trained on too, under its number; those of the test domain have no use. A fifth is rounded to the nearest number, a
/// domain with one or two labelled images gives none.
///
/// Memory: the images of all parts but the training one are moved to memory of their own; there is no other copy.
///
/// # Errors
/// If there is no domain of a name, the test domain is to be trained on or has no image with a class, no domain with
/// labels is left, or they are too small to give a fifth.
pub fn leave_one_out(collection: Collection, options: &HeldOut) -> Result<Split> {
    let counts = collection.counts();
    let Collection { mut images, domain_names, class_names } = collection;
    let test = place_of(&domain_names, &options.test_domain, "the test domain")?;
    let mut is_unlabelled: Vec<bool> =
        counts.iter().map(|counts| counts.all() == counts.unlabelled).collect();
    if is_unlabelled[test] {
        let name = &options.test_domain;
        return Err(Error::request(format!(
            "cannot test on the domain {name}: none of its images has a class"
        )));
    }
    for name in &options.unlabelled_domains {
        let place = place_of(&domain_names, name, "the unlabelled domain")?;
        if place == test {
            return Err(Error::request(format!(
                "cannot train on the domain {name} without labels: it is the test domain"
            )));
        }
        is_unlabelled[place] = true;
    }
    let others = |unlabelled: bool| {
        let is_unlabelled = &is_unlabelled;
        (0..domain_names.len()).filter(move |&domain| domain != test && is_unlabelled[domain] == unlabelled)
    };
    if others(false).next().is_none() {
        let name = &options.test_domain;
        return Err(Error::request(format!(
            "cannot leave the domain {name} out: no other domain with labels is left"
        )));
    }
    let named: Vec<usize> = options
        .unlabelled_domains
        .iter()
        .filter_map(|name| domain_names.iter().position(|other| other == name))
        .collect();
    let unnamed = others(true).filter(|domain| !named.contains(domain));
    let order: Vec<usize> = others(false).chain(named.iter().copied()).chain(unnamed).chain([test]).collect();
    let names = order[..order.len() - 1].iter().map(|&domain| domain_names[domain].clone()).collect();

    let mut parts = vec![Part::Nowhere; images.len()];
    let mut numbers = vec![0; images.len()];
    for (number, &domain) in (0..).zip(&order) {
        let mine = |image: &usize| images.domains[*image] as usize == domain;
        let mine: Vec<usize> = (0..images.len()).filter(mine).collect();
        let (without, labelled): (Vec<usize>, Vec<usize>) = if is_unlabelled[domain] {
            (mine, vec![])
        } else {
            mine.into_iter().partition(|&image| images.classes[image] == UNLABELLED)
        };
        for &image in without.iter().filter(|_| options.with_unlabelled && domain != test) {
            parts[image] = Part::Unlabelled;
        }
        if domain == test {
            labelled.iter().for_each(|&image| parts[image] = Part::Test);
        } else {
            let chosen = (options.validation * labelled.len() as f64).round() as usize;
            let purpose = format!("validation images of {}", domain_names[domain]);
            let drawn = Stream::new(options.seed, &purpose, &[]).permutation(labelled.len());
            for (rank, place) in drawn.into_iter().enumerate() {
                parts[labelled[place]] = if rank < chosen { Part::Validation } else { Part::Train };
            }
        }
        for image in without.into_iter().chain(labelled) {
            numbers[image] = number;
        }
    }
    images.domains = numbers;
    let [train, validation, unlabelled, test_images] = divided(images, &parts);
    if validation.is_empty() && options.validation > 0.0 {
        return Err(Error::request(
            "cannot choose an epoch: no training domain has the 3 labelled images of which one can be left for that",
        ));
    }
    Ok(Split {
        train,
        validation: Some(validation).filter(|data| !data.is_empty()),
        unlabelled: Some(unlabelled).filter(|data| !data.is_empty()),
        test: test_images,
        disjoint_test: None,
        domain_names: names,
        test_domain: options.test_domain.clone(),
        classes: class_names.len(),
        class_names,
    })
}

fn place_of(names: &[String], name: &str, what: &str) -> Result<usize> {
    names.iter().position(|other| other == name).ok_or_else(|| {
        let most = 12;
        let mut known = names.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(", ");
        if names.len() > most {
            known.push_str(", ...");
        }
        Error::request(format!("cannot find {what} {name:?}: the data have {known}"))
    })
}

/// The images of each part but [`Part::Nowhere`].
fn divided(mut images: Dataset, parts: &[Part]) -> [Dataset; 4] {
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.sort_by_key(|&image| parts[image]); // stable
    rearrange(&mut images, &order);
    let end = |last: Part| parts.iter().filter(|&&part| part <= last).count();
    images.split_off(end(Part::Test));
    let test = images.split_off(end(Part::Unlabelled));
    let unlabelled = images.split_off(end(Part::Validation));
    let validation = images.split_off(end(Part::Train));
    [images, validation, unlabelled, test]
}

/// Puts image `order[i]` in place i, for all i, along the cycles of the permutation.
fn rearrange(images: &mut Dataset, order: &[usize]) {
    let values = images.values();
    let mut done = vec![false; order.len()];
    let mut kept = vec![0; values];
    for start in 0..order.len() {
        if done[start] || order[start] == start {
            continue;
        }
        kept.copy_from_slice(images.image(start));
        let mut place = start;
        loop {
            done[place] = true;
            let from = order[place];
            if from == start {
                images.pixels[place * values..][..values].copy_from_slice(&kept);
                break;
            }
            images.pixels.copy_within(from * values..(from + 1) * values, place * values);
            place = from;
        }
    }
    images.classes = order.iter().map(|&image| images.classes[image]).collect();
    images.domains = order.iter().map(|&image| images.domains[image]).collect();
}

impl Dataset {
    /// Takes the images from `first` on out of these.
    fn split_off(&mut self, first: usize) -> Dataset {
        let pixels = self.pixels.split_off(first * self.values());
        self.pixels.shrink_to_fit();
        let (classes, domains) = (self.classes.split_off(first), self.domains.split_off(first));
        Dataset::new([self.height, self.width, self.channels], pixels, classes, domains)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    /// Domains of so many images, mixed; every image is its own number, so that it can be told. The class is 1 in every
    /// third image.
    fn collection(domains: &[(&str, usize)]) -> Collection {
        let all: usize = domains.iter().map(|(_, images)| images).sum();
        let mut labels: Vec<u32> =
            (0..).zip(domains).flat_map(|(domain, &(_, images))| vec![domain; images]).collect();
        let mixed = Stream::new(5, "mixed", &[]).permutation(all);
        labels = mixed.into_iter().map(|place| labels[place]).collect();
        let pixels = (0..all as u32).flat_map(u32::to_le_bytes).collect();
        let classes = (0..all as u32).map(|image| u32::from(image % 3 == 0)).collect();
        let domain_names = domains.iter().map(|(name, _)| (*name).to_owned()).collect();
        Collection::new(Dataset::new([2, 2, 1], pixels, classes, labels), domain_names, names(&["no", "yes"]))
    }

    fn numbers(data: &Dataset) -> Vec<u32> {
        data.pixels.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect()
    }

    fn options(test: &str, unlabelled: &[&str]) -> HeldOut {
        HeldOut {
            test_domain: test.into(),
            unlabelled_domains: names(unlabelled),
            with_unlabelled: true,
            validation: 0.2,
            seed: 3,
        }
    }

    const FIVE: [(&str, usize); 5] = [("P1", 40), ("P2", 1), ("P3", 103), ("P4", 7), ("P5", 30)];

    #[test]
    fn every_image_has_one_place_and_its_labels() {
        let all = collection(&FIVE);
        let split = leave_one_out(all.clone(), &options("P3", &["P1"])).unwrap();
        assert_eq!(split.domain_names, ["P2", "P4", "P5", "P1"]);
        assert_eq!((split.test_domain.as_str(), split.classes), ("P3", 2));
        assert_eq!(split.class_names, ["no", "yes"]);
        let (validation, unlabelled) =
            (split.validation.as_ref().unwrap(), split.unlabelled.as_ref().unwrap());
        let parts = [&split.train, validation, unlabelled, &split.test];
        let mut seen: Vec<u32> = parts.iter().flat_map(|data| numbers(data)).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..181).collect::<Vec<_>>());
        let all_names: Vec<&String> = split.domain_names.iter().chain([&split.test_domain]).collect();
        for data in parts {
            let mine = numbers(data);
            assert!(mine.is_sorted(), "an order that was kept");
            for (place, image) in mine.into_iter().enumerate() {
                let image = image as usize;
                assert_eq!(data.classes[place], all.images.classes[image]);
                let name = &all.domain_names[all.images.domains[image] as usize];
                assert_eq!(all_names[data.domains[place] as usize], name);
            }
        }
        let of = |data: &Dataset| {
            (0..5).map(|d| data.domains.iter().filter(|&&e| e == d).count()).collect::<Vec<_>>()
        };
        assert_eq!(of(&split.train), [1, 6, 24, 0, 0]);
        assert_eq!(of(validation), [0, 1, 6, 0, 0]);
        assert_eq!(of(unlabelled), [0, 0, 0, 40, 0]);
        assert_eq!(of(&split.test), [0, 0, 0, 0, 103]);
    }

    #[test]
    fn a_domains_training_images_do_not_hang_on_the_others() {
        let of = |test: &str, unlabelled: &[&str], with_unlabelled, seed| {
            let options = HeldOut { with_unlabelled, seed, ..options(test, unlabelled) };
            let split = leave_one_out(collection(&FIVE), &options).unwrap();
            let domain = split.domain_names.iter().position(|name| name == "P5").unwrap() as u32;
            let data = &split.train;
            let all = numbers(data).into_iter().zip(&data.domains);
            all.filter(|&(_, &d)| d == domain).map(|(image, _)| image).collect::<Vec<_>>()
        };
        let first = of("P3", &[], true, 3);
        assert_eq!(first.len(), 24);
        for (test, unlabelled, with) in
            [("P1", &[][..], true), ("P3", &["P1", "P4"], true), ("P3", &["P1"], false)]
        {
            assert_eq!(of(test, unlabelled, with, 3), first);
        }
        assert_ne!(of("P3", &[], true, 4), first);
    }

    /// The first fifth of an order by another implementation of Philox and Fisher-Yates, in Python; a later version must
    /// do the same.
    #[test]
    fn the_fifth_is_that_of_another_implementation() {
        let mut data = collection(&[("P07", 12), ("P08", 12)]);
        data.images.domains = [[0; 12], [1; 12]].concat();
        let split = leave_one_out(data, &options("P08", &[])).unwrap();
        assert_eq!(numbers(&split.validation.unwrap()), [5, 10]);
    }

    #[test]
    fn unlabelled_images_keep_their_domain_and_are_not_tested_on() {
        let mut data = collection(&[("P1", 20), ("P2", 20), ("P3", 20)]);
        let mut expected: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for image in 0..60 {
            let domain = data.images.domains[image];
            if domain == 0 || image % 4 == 0 {
                data.images.classes[image] = UNLABELLED;
                expected.entry(domain).or_default().push(image as u32);
            }
        }
        let split = leave_one_out(data.clone(), &options("P3", &[])).unwrap();
        assert_eq!(split.domain_names, ["P2", "P1"]);
        let unlabelled = split.unlabelled.unwrap();
        for (domain, before) in [(0, 1), (1, 0)] {
            let all = numbers(&unlabelled).into_iter().zip(&unlabelled.domains);
            let mine: Vec<u32> = all.filter(|&(_, &d)| d == domain).map(|(image, _)| image).collect();
            assert_eq!(mine, expected[&before]);
        }
        let known =
            [&split.train, &split.validation.unwrap(), &split.test].map(|data| data.classes.clone()).concat();
        assert_eq!(known.len(), 40 - expected[&1].len() - expected[&2].len());
        assert!(known.iter().all(|&class| class < 2));
        let without = leave_one_out(data, &HeldOut { with_unlabelled: false, ..options("P3", &[]) }).unwrap();
        assert_eq!((without.unlabelled, without.domain_names), (None, names(&["P2", "P1"])));
    }

    #[test]
    fn impossible_wishes_are_refused() {
        let mut bare = collection(&[("P1", 5), ("P2", 5)]);
        bare.images.classes.iter_mut().zip(&bare.images.domains).for_each(|(class, &domain)| {
            if domain == 0 {
                *class = UNLABELLED;
            }
        });
        let cases = [
            (
                collection(&FIVE),
                options("P6", &[]),
                "the test domain \"P6\": the data have P1, P2, P3, P4, P5",
            ),
            (collection(&FIVE), options("P1", &["x"]), "the unlabelled domain \"x\""),
            (collection(&FIVE), options("P1", &["P1"]), "it is the test domain"),
            (collection(&FIVE[..1]), options("P1", &[]), "no other domain with labels is left"),
            (collection(&FIVE[..2]), options("P1", &["P2"]), "no other domain with labels is left"),
            (collection(&FIVE[..2]), options("P1", &[]), "cannot choose an epoch"),
            (bare.clone(), options("P1", &[]), "none of its images has a class"),
            (bare, options("P2", &[]), "no other domain with labels is left"),
        ];
        for (data, options, expected) in cases {
            let error = leave_one_out(data, &options).unwrap_err();
            assert!(error.to_string().contains(expected) && error.exit_code() == 2, "{error} {expected}");
        }
    }
}
