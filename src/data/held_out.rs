//! Leave one domain out: train on some patients, test on another.
//!
//! The images of the test domain are tested on, all of them, and on nothing else of them is looked at. Of the labelled
//! images of every other domain a share, a fifth as published, chooses the epoch and the others are trained on. It is drawn
//! within each domain and class, so that every one has its say: the images are ranked by a hash of the seed and of what
//! their files hold, and the first are held back. So a patient's training images stay the same whichever other patient is
//! held out or loses its labels, whatever files are called, and nearly all of them where some are added or removed. Still
//! the draw serves only once: a run keeps its own [`Division`](super::division::Division).

use super::collection::{Collection, UNLABELLED};
use super::division::Role;
use super::{Dataset, Split};
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};

/// Which images are held out, and which are held back.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldOut {
    /// The domain that is never seen in training, by name.
    pub test_domain: String,
    /// Domains whose images are trained on without their classes, by name.
    pub unlabelled_domains: Vec<String>,
    /// Whether there are to be unlabelled images at all; without, their domains still count.
    pub with_unlabelled: bool,
    /// The share of the labelled images of each class of a training domain that chooses the epoch, in 0..1; with 0 there are none.
    pub validation: f64,
    /// What the images that choose the epoch are drawn by.
    pub seed: u64,
}

/// The role of each image.
///
/// Images without a class in a domain with labels are trained on too; those of the test domain have no use. The share
/// that is held back of a class in a domain is rounded to the nearest number, and one image at least is left to be trained
/// on: of a class with one or two images a fifth is none. Files of the same content rank as they stand.
///
/// # Errors
/// If there is no domain of a name, the test domain is to be trained on or has no image with a class, no domain with
/// labels is left, or all classes are too small to give a fifth.
pub fn draw(collection: &Collection, options: &HeldOut) -> Result<Vec<Role>> {
    let Collection { images, origins, domain_names, .. } = collection;
    let test = place_of(domain_names, &options.test_domain, "the test domain")?;
    let mut is_unlabelled: Vec<bool> =
        collection.counts().iter().map(|counts| counts.all() == counts.unlabelled).collect();
    if is_unlabelled[test] {
        let name = &options.test_domain;
        return Err(Error::request(format!(
            "cannot test on the domain {name}: none of its images has a class"
        )));
    }
    for name in &options.unlabelled_domains {
        let place = place_of(domain_names, name, "the unlabelled domain")?;
        if place == test {
            return Err(Error::request(format!(
                "cannot train on the domain {name} without labels: it is the test domain"
            )));
        }
        is_unlabelled[place] = true;
    }
    if (0..domain_names.len()).all(|domain| domain == test || is_unlabelled[domain]) {
        let name = &options.test_domain;
        return Err(Error::request(format!(
            "cannot leave the domain {name} out: no other domain with labels is left"
        )));
    }
    let without_class = if options.with_unlabelled { Role::Unlabelled } else { Role::LeftOut };
    let mut roles: Vec<Role> = (images.domains.iter().zip(&images.classes))
        .map(|(&domain, &class)| match (domain as usize == test, class == UNLABELLED) {
            (true, false) => Role::Test,
            (true, true) => Role::LeftOut,
            (false, without) if without || is_unlabelled[domain as usize] => without_class,
            (false, _) => Role::Training,
        })
        .collect();
    let mut ranked: Vec<(u32, u32, [u8; 32], usize)> = (0..images.len())
        .filter(|&image| roles[image] == Role::Training)
        .map(|image| {
            let rank = rank(options.seed, &origins[image].sha256);
            (images.domains[image], images.classes[image], rank, image)
        })
        .collect();
    ranked.sort_unstable();
    for group in ranked.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let share = (options.validation * group.len() as f64).round() as usize;
        let held_back = share.min(group.len() - 1);
        group[..held_back].iter().for_each(|&(.., image)| roles[image] = Role::Validation);
    }
    if options.validation > 0.0 && !roles.contains(&Role::Validation) {
        return Err(Error::request(
            "cannot choose an epoch: no class of a training domain has the 3 labelled images of which one can be left for \
             that",
        ));
    }
    Ok(roles)
}

/// What an image is ranked by: SHA-256 of the seed, eight bytes with the least first, and the SHA-256 of the content.
fn rank(seed: u64, content: &[u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(seed.to_le_bytes()).chain_update(content).finalize().into()
}

/// Puts each image where its role says; in each part they keep their order.
///
/// The domains are numbered anew: those of `labelled` in order, from 0, then the unlabelled ones (those named in the options,
/// in the order in which they are named, and others), then the test domain. `labelled` says of each domain of the collection
/// whether images of it are, or were when the division was made, trained on with their classes.
///
/// Memory: the images of all parts but the training one are moved to memory of their own; there is no other copy.
///
/// # Errors
/// If there is no test domain of that name.
///
/// # Panics
/// If there is not a role for each image and a mark for each domain.
#[track_caller]
pub fn divide(collection: Collection, roles: &[Role], labelled: &[bool], options: &HeldOut) -> Result<Split> {
    let Collection { mut images, domain_names, class_names, .. } = collection;
    assert_eq!((roles.len(), labelled.len()), (images.len(), domain_names.len()), "roles and domains");
    let test = place_of(&domain_names, &options.test_domain, "the test domain")?;
    let others = |with_labels: bool| {
        (0..domain_names.len()).filter(move |&domain| domain != test && labelled[domain] == with_labels)
    };
    let named: Vec<usize> = options
        .unlabelled_domains
        .iter()
        .filter_map(|name| domain_names.iter().position(|other| other == name))
        .collect();
    let unnamed = others(false).filter(|domain| !named.contains(domain));
    let order: Vec<usize> = others(true).chain(named.iter().copied()).chain(unnamed).chain([test]).collect();
    let names = order[..order.len() - 1].iter().map(|&domain| domain_names[domain].clone()).collect();
    let mut numbers = vec![0; domain_names.len()];
    for (number, &domain) in (0..).zip(&order) {
        numbers[domain] = number;
    }
    images.domains.iter_mut().for_each(|domain| *domain = numbers[*domain as usize]);
    let [train, validation, unlabelled, test_images] = divided(images, roles);
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

/// The images of each role but the last.
fn divided(mut images: Dataset, roles: &[Role]) -> [Dataset; 4] {
    let mut order: Vec<usize> = (0..images.len()).collect();
    order.sort_by_key(|&image| roles[image]); // stable
    images.rearrange(&order);
    let end = |last: Role| roles.iter().filter(|&&role| role <= last).count();
    images.split_off(end(Role::Test));
    let test = images.split_off(end(Role::Unlabelled));
    let unlabelled = images.split_off(end(Role::Validation));
    let validation = images.split_off(end(Role::Training));
    [images, validation, unlabelled, test]
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
    use crate::data::division::Division;
    use crate::rng::Stream;
    use std::collections::{BTreeMap, BTreeSet};

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

    fn leave_one_out(collection: Collection, options: &HeldOut) -> Result<Split> {
        let roles = draw(&collection, options)?;
        let labelled = Division::new(&collection, &roles).labelled(&collection.domain_names);
        divide(collection, &roles, &labelled, options)
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
        let counts = all.counts();
        let fifths =
            |domain: usize| counts[domain].of_class.iter().map(|&n| (n as f64 / 5.0).round() as usize).sum();
        let held_back: [usize; 5] = [fifths(1), fifths(3), fifths(4), 0, 0];
        assert_eq!(of(validation), held_back);
        assert_eq!(of(&split.train), [1 - held_back[0], 7 - held_back[1], 30 - held_back[2], 0, 0]);
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
        assert!((23..=25).contains(&first.len()), "a fifth of each of two classes, {}", first.len());
        for (test, unlabelled, with) in
            [("P1", &[][..], true), ("P3", &["P1", "P4"], true), ("P3", &["P1"], false)]
        {
            assert_eq!(of(test, unlabelled, with, 3), first);
        }
        assert_ne!(of("P3", &[], true, 4), first);
    }

    /// The first fifth of each class by Python's hashlib; a later version must do the same.
    #[test]
    fn the_fifth_is_that_of_another_implementation() {
        let mut data = collection(&[("P07", 12), ("P08", 12)]);
        data.images.domains = [[0; 12], [1; 12]].concat();
        let split = leave_one_out(data, &options("P08", &[])).unwrap();
        assert_eq!(numbers(&split.validation.unwrap()), [6, 8, 10]);
    }

    #[test]
    fn one_image_at_least_of_a_class_is_trained_on() {
        for (images, share, expected) in
            [(2, 0.9, 1), (1, 0.9, 0), (10, 0.9, 9), (10, 0.2, 2), (2, 0.2, 0), (3, 0.2, 1)]
        {
            let pixels = (0..images + 30).flat_map(|i| [i as u8; 4]).collect();
            let classes = [vec![1; images], vec![0; 30]].concat();
            let domains = [vec![0; images], vec![0; 20], vec![1; 10]].concat();
            let data = Dataset::new([2, 2, 1], pixels, classes, domains);
            let data = Collection::new(data, names(&["A", "B"]), names(&["many", "few"]));
            let options = HeldOut { validation: share, ..options("B", &[]) };
            let roles = draw(&data, &options).unwrap();
            let held_back = roles[..images].iter().filter(|&&role| role == Role::Validation).count();
            assert_eq!(held_back, expected, "{share} of {images}");
        }
    }

    /// The order and the names of files change nothing; one more or one less moves at most one image of its class across.
    #[test]
    fn the_draw_is_of_contents() {
        let all = collection(&[("P1", 200), ("P2", 5)]);
        let roles = draw(&all, &options("P2", &[])).unwrap();
        let held_back = |data: &Collection, roles: &[Role]| {
            let mine = (0..roles.len()).filter(|&i| roles[i] == Role::Validation);
            mine.map(|i| data.origins[i].sha256).collect::<BTreeSet<_>>()
        };
        let first = held_back(&all, &roles);
        let mut mixed = all.clone();
        mixed.rearrange(&Stream::new(7, "mixed", &[]).permutation(205));
        mixed.origins.iter_mut().enumerate().for_each(|(i, origin)| origin.file = format!("{i}.png"));
        assert_eq!(held_back(&mixed, &draw(&mixed, &options("P2", &[])).unwrap()), first);
        for image in 0..205 {
            let mut order: Vec<usize> = (0..205).collect();
            order.swap(image, 204);
            let mut fewer = all.clone();
            fewer.rearrange(&order);
            fewer.images.split_off(204);
            fewer.origins.pop();
            let now = held_back(&fewer, &draw(&fewer, &options("P2", &[])).unwrap());
            assert!(now.symmetric_difference(&first).count() <= 2, "without image {image}");
        }
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
