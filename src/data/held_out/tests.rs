use super::*;
use crate::data::division::Division;
use crate::rng::Stream;

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
    let (validation, unlabelled) = (split.validation.as_ref().unwrap(), split.unlabelled.as_ref().unwrap());
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
    let of =
        |data: &Dataset| (0..5).map(|d| data.domains.iter().filter(|&&e| e == d).count()).collect::<Vec<_>>();
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
fn what_the_test_images_are_known_by_stays_with_them() {
    let mut all = collection(&FIVE);
    let of = |all: &Collection| leave_one_out(all.clone(), &options("P3", &["P1"])).unwrap().test_origins;
    assert_eq!(of(&all), None, "no file holds them");
    for (image, origin) in all.origins.iter_mut().enumerate() {
        (origin.file, origin.group) = (format!("{image}.png"), format!("patient {}", image % 7));
    }
    let mine = (0..181).filter(|&image| all.images.domains[image] == 2);
    assert_eq!(of(&all), Some(mine.map(|image| all.origins[image].clone()).collect()));
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
        (collection(&FIVE), options("P6", &[]), "the test domain \"P6\": the data have P1, P2, P3, P4, P5"),
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

/// Images of these domains, classes and groups, each of a content of its own; the domains are A, B and so on, the classes x, y
/// and so on.
fn grouped(images: &[(u32, u32, String)]) -> Collection {
    let letters =
        |first: u8, count: u32| (0..count as u8).map(|i| char::from(first + i).to_string()).collect();
    let (domains, classes): (Vec<u32>, Vec<u32>) =
        images.iter().map(|&(domain, class, _)| (domain, class)).unzip();
    let pixels = (0..images.len() as u32).flat_map(u32::to_le_bytes).collect();
    let domain_names = letters(b'A', domains.iter().max().unwrap() + 1);
    let mut all =
        Collection::new(Dataset::new([2, 2, 1], pixels, classes, domains), domain_names, letters(b'x', 3));
    for (origin, (.., group)) in all.origins.iter_mut().zip(images) {
        origin.group.clone_from(group);
    }
    all
}

/// Images of three domains and up to three classes, in so many groups of each domain, or in none; without a class some.
fn random(seed: u64, groups: u64, most_images: u64) -> Vec<(u32, u32, String)> {
    let (draws, mut drawn) = (Stream::new(seed, "grouped", &[]), 0);
    let mut below = |end: u64| {
        drawn += 1;
        draws.below(drawn, end)
    };
    let mut images = Vec::new();
    for domain in 0..3 {
        for group in 0..=below(groups) {
            let of_one_class = below(2) == 0;
            let only = below(3) as u32;
            for _ in 0..=below(most_images) {
                let class = if of_one_class { only } else { below(3) as u32 };
                let class = if below(10) == 0 { UNLABELLED } else { class };
                let group = if below(8) == 0 { String::new() } else { format!("P{group}") };
                images.push((domain, class, group));
            }
        }
        images.push((domain, 0, String::new()));
    }
    images
}

/// What is trained on, and what chooses the epoch: the images' domains and groups, those of no group left out.
fn sides<'a>(all: &'a Collection, roles: &[Role]) -> [BTreeSet<(u32, &'a str)>; 2] {
    [&[Role::Training, Role::Unlabelled][..], &[Role::Validation]].map(|wanted| {
        (0..roles.len())
            .filter(|&image| wanted.contains(&roles[image]) && !all.origins[image].group.is_empty())
            .map(|image| (all.images.domains[image], all.origins[image].group.as_str()))
            .collect()
    })
}

#[test]
fn a_group_is_on_one_side() {
    let mut held_back = 0;
    for seed in 0..1_000 {
        let all = grouped(&random(seed, 12, [1, 2, 6, 40][seed as usize % 4]));
        let validation = [0.2, 0.2, 0.5, 0.1, 0.9][seed as usize % 5];
        let options = HeldOut { validation, seed, ..options("C", &[]) };
        let Ok(roles) = draw(&all, &options) else { continue };
        let [trained_on, chosen_by] = sides(&all, &roles);
        assert!(trained_on.is_disjoint(&chosen_by), "{trained_on:?} {chosen_by:?}");
        held_back += chosen_by.len();
        let labels = |role: Role| -> BTreeSet<(u32, u32)> {
            let mine = (0..roles.len()).filter(|&image| roles[image] == role);
            mine.map(|image| (all.images.domains[image], all.images.classes[image])).collect()
        };
        assert!(
            labels(Role::Validation).is_subset(&labels(Role::Training)),
            "a class that is not trained on"
        );
        for (image, &role) in roles.iter().enumerate() {
            let (domain, class) = (all.images.domains[image], all.images.classes[image]);
            let allowed = match (domain, class) {
                (2, UNLABELLED) => [Role::LeftOut, Role::LeftOut],
                (2, _) => [Role::Test, Role::Test],
                (_, UNLABELLED) => [Role::Unlabelled, Role::LeftOut],
                _ => [Role::Training, Role::Validation],
            };
            assert!(allowed.contains(&role), "{role:?} of {domain} {class}");
        }
    }
    assert!(held_back > 1_000, "{held_back} groups held back are no test");
}

/// The rule of the versions that knew no groups, by which their runs were divided.
#[test]
fn without_groups_the_roles_are_those_of_before() {
    for seed in 0..200 {
        let mut images = random(seed, 9, 9);
        images.iter_mut().for_each(|(.., group)| group.clear());
        let mut all = grouped(&images);
        if seed % 2 == 0 {
            all.origins.iter_mut().for_each(|origin| origin.sha256 = [origin.sha256[0] % 16; 32]); // many are the same
        }
        let options = HeldOut { validation: [0.2, 0.4, 0.9][seed as usize % 3], seed, ..options("C", &[]) };
        let Ok(roles) = draw(&all, &options) else { continue };
        for (domain, class) in (0..2).flat_map(|domain| (0..3).map(move |class| (domain, class))) {
            let mut ranked: Vec<([u8; 32], usize)> = (0..images.len())
                .filter(|&image| (images[image].0, images[image].1) == (domain, class))
                .map(|image| (rank(seed, &all.origins[image].sha256), image))
                .collect();
            ranked.sort_unstable();
            let share = (options.validation * ranked.len() as f64).round() as usize;
            let held_back = share.min(ranked.len().saturating_sub(1));
            for (place, &(_, image)) in ranked.iter().enumerate() {
                let expected = if place < held_back { Role::Validation } else { Role::Training };
                assert_eq!(roles[image], expected, "image {image}, seed {seed}");
            }
        }
    }
}

/// Not even where the first image of two groups is the same.
#[test]
fn neither_names_of_groups_nor_the_order_decide() {
    for seed in 0..100 {
        let mut all = grouped(&random(seed, 9, 6));
        all.origins
            .iter_mut()
            .filter(|origin| origin.sha256[0] < 40)
            .for_each(|origin| origin.sha256 = [7; 32]);
        let options = HeldOut { validation: 0.4, seed, ..options("C", &[]) };
        let Ok(roles) = draw(&all, &options) else { continue };
        let held_back = |all: &Collection, roles: &[Role]| {
            let mut mine: Vec<(u32, u32, [u8; 32])> = (0..roles.len())
                .filter(|&image| roles[image] == Role::Validation)
                .map(|i| (all.images.domains[i], all.images.classes[i], all.origins[i].sha256))
                .collect();
            mine.sort_unstable();
            mine
        };
        let first = held_back(&all, &roles);
        let count = all.images.len();
        all.rearrange(&Stream::new(seed, "mixed", &[]).permutation(count));
        for origin in all.origins.iter_mut().filter(|origin| !origin.group.is_empty()) {
            origin.group = format!("{:?}", rank(seed, &[origin.group.as_bytes()[1]; 32]));
        }
        assert_eq!(held_back(&all, &draw(&all, &options).unwrap()), first, "seed {seed}");
    }
}

/// Five patients of four images and one of no class each in one domain, of two classes each; P7 of another domain is another.
fn patients() -> Vec<(u32, u32, String)> {
    let of =
        |domain: u32, group: &str| [0, 0, 1, 1, UNLABELLED].map(|class| (domain, class, group.to_owned()));
    [of(0, "P1"), of(0, "P2"), of(0, "P7"), of(0, "P8"), of(0, "P9"), of(1, "P7"), of(2, "P7")].concat()
}

#[test]
fn images_without_a_class_are_left_out_with_their_group() {
    let all = grouped(&patients());
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let options = HeldOut { seed, ..options("C", &[]) };
        let roles = draw(&all, &options).unwrap();
        let place = roles.iter().position(|&role| role == Role::Validation).unwrap() / 5;
        seen.insert(place);
        let mut expected = [[Role::Training; 4].as_slice(), &[Role::Unlabelled]].concat().repeat(6);
        expected[5 * place..5 * place + 4].fill(Role::Validation);
        expected[5 * place + 4] = Role::LeftOut;
        assert_eq!(roles[..30], expected);
        let division = Division::new(&all, &roles);
        assert_eq!(division.left_out_with_their_groups(), 1);
        // Whether they are there decides nothing else, and nothing is said of those that are not wanted.
        let without = draw(&all, &HeldOut { with_unlabelled: false, ..options.clone() }).unwrap();
        assert!(roles.iter().zip(&without).all(|(a, b)| a == b || *a == Role::Unlabelled));
    }
    assert_eq!(seen, (0..5).collect(), "B has a single patient, of whom nothing is held back");
}

#[test]
fn groups_of_which_none_can_be_held_back_are_named_as_the_reason() {
    let mut images = patients();
    images.drain(10..25); // two patients of A are left, one of B and one of C
    let all = grouped(&images);
    let message = draw(&all, &options("C", &[])).unwrap_err().to_string();
    assert!(message.starts_with("cannot choose an epoch: images are held back by whole groups"), "{message}");
    assert!(message.contains("data.validation = 0.2 "), "{message}");
    for (validation, expected) in [(0.0, 0), (0.5, 4)] {
        let roles = draw(&all, &HeldOut { validation, ..options("C", &[]) }).unwrap();
        assert_eq!(roles.iter().filter(|&&role| role == Role::Validation).count(), expected);
    }
}
