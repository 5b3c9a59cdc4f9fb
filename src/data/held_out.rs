//! Leave one domain out: train on some patients, test on another.
//!
//! The images of the test domain are tested on, all of them, and on nothing else of them is looked at. Of the labelled
//! images of every other domain a share, a fifth as published, chooses the epoch and the others are trained on. It is drawn
//! within each domain and class, so that every one has its say: the images are ranked by a hash of the seed and of what
//! their files hold, and the first are held back. So a patient's training images stay the same whichever other patient is
//! held out or loses its labels, whatever files are called, and nearly all of them where some are added or removed. Still
//! the draw serves only once: a run keeps its own [`Division`](super::division::Division).
//!
//! Images of one group, such as a patient, are alike: held back beside others that were trained on, they would choose an epoch
//! that has learnt them by heart. So groups are held back whole, ranked by their first image, and chosen so that of each class
//! nearly the share is (`groups.rs`). An image without a class whose group is held back is not trained on either.

use super::collection::{Collection, UNLABELLED};
use super::division::Role;
use super::{Dataset, Split};
use crate::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

mod groups;

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
/// on: of a class with one or two images a fifth is none. Files of the same content rank as they stand. All images of a group in a
/// domain are on one side, and the number held back comes as near as groups allow; of a class that a single group has there is
/// none.
///
/// # Errors
/// If there is no domain of a name, the test domain is to be trained on or has no image with a class, no domain with
/// labels is left, or all classes are too small, or of too few groups, to give a fifth.
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
    hold_back(collection, options, &mut roles);
    if options.validation > 0.0 && !roles.contains(&Role::Validation) {
        let has_groups = (origins.iter().zip(&roles))
            .any(|(origin, &role)| role == Role::Training && !origin.group.is_empty());
        return Err(Error::request(match has_groups {
            false => "cannot choose an epoch: no class of a training domain has the 3 labelled images of which one can be left \
                      for that"
                .to_owned(),
            true => format!(
                "cannot choose an epoch: images are held back by whole groups, such as patients, and in no class of a training \
                 domain do any come nearer to data.validation = {} of its images than none; it takes more groups in a domain, or \
                 another share",
                options.validation
            ),
        }));
    }
    Ok(roles)
}

/// Images that are held back together, or not at all, in the order in which they are held back.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    domain: u32,
    /// The ranks of the images and their classes, the first first.
    ranked: Vec<([u8; 32], u32)>,
    images: Vec<usize>,
}

/// Gives the share of the training images that chooses the epoch its role, and leaves out images without a class of the same groups.
fn hold_back(collection: &Collection, options: &HeldOut, roles: &mut [Role]) {
    let Collection { images, origins, .. } = collection;
    let mut groups: Vec<Group> = Vec::new();
    let mut named: BTreeMap<(u32, &str), usize> = BTreeMap::new();
    for image in (0..images.len()).filter(|&image| roles[image] == Role::Training) {
        let (domain, name) = (images.domains[image], origins[image].group.as_str());
        let new = groups.len();
        let place = if name.is_empty() { new } else { *named.entry((domain, name)).or_insert(new) };
        if place == new {
            groups.push(Group { domain, ..Group::default() });
        }
        groups[place].ranked.push((rank(options.seed, &origins[image].sha256), images.classes[image]));
        groups[place].images.push(image);
    }
    groups.iter_mut().for_each(|group| group.ranked.sort_unstable());
    groups.sort_unstable();
    let mut held_back: BTreeSet<(u32, &str)> = BTreeSet::new();
    for of_domain in groups.chunk_by(|a, b| a.domain == b.domain) {
        let counts: Vec<Vec<(usize, usize)>> = of_domain.iter().map(Group::counts).collect();
        let choice = groups::choose(&counts, options.validation);
        for (group, _) in of_domain.iter().zip(choice).filter(|&(_, is_held_back)| is_held_back) {
            group.images.iter().for_each(|&image| roles[image] = Role::Validation);
            held_back.insert((group.domain, origins[group.images[0]].group.as_str()));
        }
    }
    for (image, role) in roles.iter_mut().enumerate().filter(|(_, role)| **role == Role::Unlabelled) {
        let group = origins[image].group.as_str();
        if !group.is_empty() && held_back.contains(&(images.domains[image], group)) {
            *role = Role::LeftOut;
        }
    }
}

impl Group {
    /// The images of each class, as (class, images).
    fn counts(&self) -> Vec<(usize, usize)> {
        let mut classes: Vec<u32> = self.ranked.iter().map(|&(_, class)| class).collect();
        classes.sort_unstable();
        classes.chunk_by(|a, b| a == b).map(|same| (same[0] as usize, same.len())).collect()
    }
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
    let Collection { mut images, origins, domain_names, class_names } = collection;
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
    let are_files = origins.iter().all(|origin| !origin.file.is_empty());
    let of_test = origins.into_iter().zip(roles).filter(|&(_, role)| *role == Role::Test);
    let test_origins = are_files.then(|| of_test.map(|(origin, _)| origin).collect());
    let [train, validation, unlabelled, test_images] = divided(images, roles);
    Ok(Split {
        train,
        validation: Some(validation).filter(|data| !data.is_empty()),
        unlabelled: Some(unlabelled).filter(|data| !data.is_empty()),
        test: test_images,
        disjoint_test: None,
        test_origins,
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
mod tests;
