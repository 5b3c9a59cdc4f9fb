//! What would make the answer of a run on somebody's pictures worth little, found before it begins.

use super::Split;
use super::collection::{Collection, DomainCounts, UNLABELLED};
use crate::names::printable_name;

/// With so many images a domain says little.
const FEW: usize = 10;

/// A mean level below this is nearly black, and one as far from 255 nearly white.
const DARK: f64 = 8.0;

/// Sentences for whoever is about to train on these images with this domain held out, if it is known.
pub fn of(collection: &Collection, test_domain: Option<&str>) -> Vec<String> {
    let counts = collection.counts();
    [
        only_class(collection),
        missing_classes(collection, &counts),
        single_classes(collection, &counts),
        few_images(collection, &counts),
        in_two_domains(collection, test_domain),
        without_contrast(collection),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How many images of these domains are of other classes than these, in a sentence; nothing if none is.
pub fn of_other_classes(collection: &Collection, domains: &[String], classes: &[String]) -> Option<String> {
    let is_wanted: Vec<bool> = collection.domain_names.iter().map(|name| domains.contains(name)).collect();
    let mut images = vec![0_usize; collection.class_names.len()];
    for (&domain, &class) in collection.images.domains.iter().zip(&collection.images.classes) {
        if class != UNLABELLED && is_wanted[domain as usize] {
            images[class as usize] += 1;
        }
    }
    let others: Vec<(&String, usize)> = (collection.class_names.iter().zip(images))
        .filter(|(name, images)| *images > 0 && !classes.contains(name))
        .collect();
    let all: usize = others.iter().map(|(_, images)| images).sum();
    let each: Vec<String> =
        others.iter().map(|(name, images)| format!("{} ({images})", printable_name(name))).collect();
    (all > 0).then(|| {
        format!("{all} images of classes that data.classes does not name are left out: {}", each.join(", "))
    })
}

/// In which training domains with labels no image is held back to choose the epoch, in a sentence; nothing if there is none.
pub fn not_held_back(split: &Split) -> Option<String> {
    let held_back = split.validation.as_ref().map_or(&[][..], |data| &data.domains);
    let is_named =
        |&(domain, _): &(u32, &String)| split.train.domains.contains(&domain) && !held_back.contains(&domain);
    let found: Vec<String> = (0..)
        .zip(&split.domain_names)
        .filter(is_named)
        .map(|(_, name)| format!("\"{}\"", printable_name(name)))
        .collect();
    let domains = split.domain_names.len();
    (!found.is_empty()).then(|| {
        format!(
            "in {} of {domains} training domains no image is held back to choose the epoch ({}): no part of theirs is near the share \
             data.validation, as where two groups (patients, for example) are of one size",
            found.len(),
            listed(&found)
        )
    })
}

/// The first of several, and how many more there are.
fn listed(all: &[String]) -> String {
    match all {
        [only] => only.clone(),
        [first, others @ ..] => format!("{first}, and {} more", others.len()),
        [] => String::new(),
    }
}

fn named(collection: &Collection, domain: usize) -> String {
    format!("\"{}\"", printable_name(&collection.domain_names[domain]))
}

fn only_class(collection: &Collection) -> Option<String> {
    let [only] = &collection.class_names[..] else { return None };
    Some(format!("all images are of one class, {}: there is nothing to recognise", printable_name(only)))
}

/// What sees only one class in a domain cannot tell the class from the domain.
fn single_classes(collection: &Collection, counts: &[DomainCounts]) -> Option<String> {
    let single = |(domain, counts): (usize, &DomainCounts)| {
        let mut there = (0..)
            .zip(&counts.of_class)
            .filter(|&(_, &images)| images > 0)
            .map(|(class, _): (usize, _)| class);
        match (there.next(), there.next()) {
            (Some(only), None) if counts.of_class.len() > 1 => Some(format!(
                "{} has only {}",
                named(collection, domain),
                printable_name(&collection.class_names[only])
            )),
            _ => None,
        }
    };
    let found: Vec<String> = counts.iter().enumerate().filter_map(single).collect();
    (!found.is_empty()).then(|| {
        format!(
            "in {} of {} domains all images are of one class ({}): what tells the domain tells the class there, and no test can tell them \
             apart",
            found.len(),
            counts.len(),
            listed(&found)
        )
    })
}

fn missing_classes(collection: &Collection, counts: &[DomainCounts]) -> Option<String> {
    let of_domain = |(domain, counts): (usize, &DomainCounts)| -> Vec<String> {
        let is_labelled = counts.of_class.iter().any(|&images| images > 0);
        let missing = (0..counts.of_class.len()).filter(|&class| is_labelled && counts.of_class[class] == 0);
        missing
            .map(|class| {
                format!("{} in {}", printable_name(&collection.class_names[class]), named(collection, domain))
            })
            .collect()
    };
    let found: Vec<String> = counts.iter().enumerate().flat_map(of_domain).collect();
    (!found.is_empty()).then(|| format!("classes are missing in domains: {}", listed(&found)))
}

fn few_images(collection: &Collection, counts: &[DomainCounts]) -> Option<String> {
    let is_few = |(domain, counts): (usize, &DomainCounts)| {
        (counts.all() <= FEW).then(|| format!("{} has {}", named(collection, domain), counts.all()))
    };
    let found: Vec<String> = counts.iter().enumerate().filter_map(is_few).collect();
    (!found.is_empty()).then(|| format!("domains with {FEW} images or fewer say little: {}", listed(&found)))
}

/// A file that lies in two domains was seen in training, if one of them is the test domain.
fn in_two_domains(collection: &Collection, test_domain: Option<&str>) -> Option<String> {
    let domains = &collection.images.domains;
    let mut by_content: Vec<usize> = (0..collection.origins.len()).collect();
    by_content.sort_by_key(|&image| (collection.origins[image].sha256, image));
    let same = |&a: &usize, &b: &usize| collection.origins[a].sha256 == collection.origins[b].sha256;
    let in_several = |group: &&[usize]| group.iter().any(|&image| domains[image] != domains[group[0]]);
    let groups: Vec<&[usize]> = by_content.chunk_by(same).filter(in_several).collect();
    let first = groups.iter().min_by_key(|group| group[0])?;
    let other = first.iter().find(|&&image| domains[image] != domains[first[0]])?;
    let tested = test_domain.map_or(String::new(), |test_domain| {
        let is_test = |&image: &usize| collection.domain_names[domains[image] as usize] == test_domain;
        let tested = groups.iter().filter(|group| group.iter().any(is_test)).count();
        format!(", {tested} of them in the test domain, so that it is not unseen")
    });
    let name = |image: usize| printable_name(&collection.origins[image].file);
    Some(format!(
        "{} pictures lie in more than one domain{tested}: {} is {}",
        groups.len(),
        name(first[0]),
        name(*other)
    ))
}

fn without_contrast(collection: &Collection) -> Option<String> {
    let images = &collection.images;
    let mean = |image: usize| {
        let pixels = images.image(image);
        pixels.iter().map(|&level| u64::from(level)).sum::<u64>() as f64 / pixels.len() as f64
    };
    let is_flat = |&image: &usize| !(DARK..=255.0 - DARK).contains(&mean(image));
    let found: Vec<String> = (0..images.len())
        .filter(is_flat)
        .map(|image| printable_name(&collection.origins[image].file))
        .collect();
    (!found.is_empty()).then(|| {
        format!(
            "{} of {} images are nearly black or nearly white: {}",
            found.len(),
            images.len(),
            listed(&found)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;
    use crate::data::collection::Origin;

    /// Images of one pixel: domain, class, level, content.
    fn collection(images: &[(u32, u32, u8, u8)]) -> Collection {
        let pixels = images.iter().map(|image| image.2).collect();
        let classes = images.iter().map(|image| image.1).collect();
        let domains = images.iter().map(|image| image.0).collect();
        let origins = (0..)
            .zip(images)
            .map(|(number, image): (usize, _)| Origin {
                file: format!("{number}.png"),
                sha256: [image.3; 32],
                ..Origin::default()
            })
            .collect();
        let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        Collection::of_files(
            Dataset::new([1, 1, 1], pixels, classes, domains),
            origins,
            names(["A", "B"]),
            names(["x", "y"]),
        )
    }

    /// Eleven images of each class in each domain, all in order.
    fn good() -> Vec<(u32, u32, u8, u8)> {
        (0..44).map(|i| (u32::from(i % 2), u32::from(i / 2 % 2), 100, i)).collect()
    }

    #[test]
    fn what_is_in_order_needs_no_words() {
        assert_eq!(of(&collection(&good()), Some("B")), [""; 0]);
    }

    #[test]
    fn each_danger_has_its_sentence() {
        let mut leak = good();
        leak[3].3 = leak[0].3;
        let message = "1 pictures lie in more than one domain, 1 of them in the test domain, so that it is not unseen: 0.png is 3.png";
        assert_eq!(of(&collection(&leak), Some("B")), [message]);
        assert_eq!(of(&collection(&leak), None), ["1 pictures lie in more than one domain: 0.png is 3.png"]);
        let mut dark = good();
        (dark[5].2, dark[7].2, dark[9].2) = (7, 248, 8);
        let message = "2 of 44 images are nearly black or nearly white: 5.png, and 1 more";
        assert_eq!(of(&collection(&dark), Some("B")), [message]);
        let few: Vec<_> = good().into_iter().filter(|image| image.0 == 0 || image.3 < 21).collect();
        assert_eq!(
            of(&collection(&few), Some("B")),
            ["domains with 10 images or fewer say little: \"B\" has 10"]
        );
        let single: Vec<_> = good().into_iter().filter(|image| image.0 == 1 || image.1 == 0).collect();
        assert_eq!(
            of(&collection(&single), Some("B")),
            [
                "classes are missing in domains: y in \"A\"",
                "in 1 of 2 domains all images are of one class (\"A\" has only x): what tells the domain tells the class there, and no test \
                 can tell them apart"
            ]
        );
        let mut one = collection(&good());
        one.class_names.truncate(1);
        one.images.classes.fill(0);
        assert_eq!(of(&one, Some("B")), ["all images are of one class, x: there is nothing to recognise"]);
        // A domain without any class lacks none.
        let unlabelled: Vec<_> =
            good().into_iter().map(|i| if i.0 == 0 { (0, UNLABELLED, 100, i.3) } else { i }).collect();
        assert_eq!(of(&collection(&unlabelled), Some("B")), [""; 0]);
    }

    #[test]
    fn images_of_other_classes_are_counted_where_they_are_wanted() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let all = collection(&good());
        let said =
            |domains: &[&str], classes: &[&str]| of_other_classes(&all, &names(domains), &names(classes));
        assert_eq!(said(&["A", "B"], &["y", "x"]), None);
        let message = |images| {
            Some(format!(
                "{images} images of classes that data.classes does not name are left out: y ({images})"
            ))
        };
        assert_eq!(said(&["A", "B"], &["x"]), message(22));
        assert_eq!(said(&["B"], &["x"]), message(11));
    }

    #[test]
    fn domains_of_which_nothing_is_held_back_are_named() {
        let data = |domains: Vec<u32>| {
            Dataset::new([1, 1, 1], vec![0; domains.len()], vec![0; domains.len()], domains)
        };
        let mut split = Split {
            train: data(vec![0, 1, 2]),
            validation: Some(data(vec![0, 2])),
            unlabelled: Some(data(vec![3])),
            test: data(vec![4]),
            disjoint_test: None,
            test_origins: None,
            domain_names: ["A", "B", "C", "D"].map(str::to_owned).to_vec(),
            test_domain: "E".into(),
            classes: 1,
            class_names: vec!["x".into()],
        };
        let said = not_held_back(&split).unwrap();
        assert!(
            said.starts_with(
                "in 1 of 4 training domains no image is held back to choose the epoch (\"B\"): "
            ),
            "{said}"
        );
        split.validation = Some(data(vec![0, 1, 2]));
        assert_eq!(not_held_back(&split), None);
    }
}
