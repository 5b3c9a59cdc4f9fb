//! Rotated MNIST: each angle is a domain.
//!
//! The same digits, turned by each of the angles; all angles but one are trained on, the last one is the
//! domain that is never seen. Under the published protocol the test images are the training digits themselves
//! at the unseen angle. That measures how well a network forgets the angle, but it has seen these very
//! digits; the stricter protocol takes digits of the MNIST test set, by other writers, at the unseen angle.

use super::idx::{CLASSES, Digits};
use super::rotate::rotate;
use super::subset;
use super::{Dataset, Split};
use crate::error::{Error, Result};

/// Which digits are tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The training digits at the test angle.
    Published,
    /// Digits of the MNIST test set at the test angle.
    DisjointTest,
}

/// What [`build`] is to make.
#[derive(Clone, Debug, PartialEq)]
pub struct RotatedDigits {
    /// The rotations in degrees, counter-clockwise: every domain, the test domain among them.
    pub angles: Vec<f64>,
    /// The rotation of the test domain, one of `angles`.
    pub test_angle: f64,
    /// How many digits of each class are drawn: for training unless `subset` names them, and for the disjoint
    /// test.
    pub per_class: usize,
    /// The training digits, as indices into the training set, instead of drawn ones.
    pub subset: Option<Vec<usize>>,
    /// Angles, some of `angles`, whose digits are trained on without their class.
    pub unlabelled_angles: Vec<f64>,
    /// Whether there are to be unlabelled images at all; without, their angles still count as domains.
    pub with_unlabelled: bool,
    /// How many further subsets of digits are trained on without their class, in the other training domains.
    pub unlabelled_subsets: usize,
    /// Which digits are tested on.
    pub protocol: Protocol,
    /// Under the published protocol: whether to fill [`Split::disjoint_test`] too.
    pub with_disjoint_test: bool,
}

/// Turns digits into domains.
///
/// The training domains are the angles less the test angle, in their order, those without labels last, labelled
/// from 0; the training images stand domain by domain, each with the same digits in the same order. The unlabelled
/// subsets of seed s are those that the seeds (s + 1), (s + 2), ... mod 10 train on: other draws from the same digits,
/// which may have some in common; a list of indices for the labelled digits changes nothing about them. A disjoint test has
/// `per_class` digits of each class of `test`, or all where there are fewer, drawn by `seed` as the training digits are: the
/// MNIST test set has its easy half first, so that its first digits would flatter.
///
/// # Errors
/// If an angle is not finite or given twice (360 degrees apart counts as twice), there are fewer than two, or
/// the test angle is none of them; if an unlabelled angle is none of the training angles, or all of them are; if a
/// digit of `subset` does not exist, or a class has too few digits to draw from; if a disjoint test is asked for
/// without `test`.
pub fn build(options: &RotatedDigits, train: &Digits, test: Option<&Digits>, seed: u64) -> Result<Split> {
    let held_out = check_angles(&options.angles, options.test_angle)?;
    let chosen = match &options.subset {
        None => subset::draw(&train.labels, options.per_class, seed)?,
        Some(chosen) => check_subset(chosen, train.len())?.to_vec(),
    };
    let mut angles = options.angles.clone();
    let test_angle = angles.remove(held_out);
    let unlabelled_angles = take_out(&mut angles, &options.unlabelled_angles)?;
    let labelled = angles.len() as u32;
    let unseen = labelled + unlabelled_angles.len() as u32;

    let mut unlabelled = turned(train, &chosen, &unlabelled_angles, labelled);
    for offset in 1..=options.unlabelled_subsets as u64 {
        let further = further_subset(&train.labels, options.per_class, (seed + offset) % SUBSETS)?;
        unlabelled.append(turned(train, &further, &angles, 0));
    }

    let disjoint = |test: Option<&Digits>| {
        let test = test.ok_or_else(|| {
            Error::request(
                "cannot test on other digits than those trained on: there is no MNIST test set in the data",
            )
        })?;
        let digits = subset::draw_at_most(&test.labels, options.per_class, seed, "disjoint test");
        Ok(turned(test, &digits, &[test_angle], unseen))
    };
    let (test_images, disjoint_test) = match options.protocol {
        Protocol::DisjointTest => (disjoint(test)?, None),
        Protocol::Published => (
            turned(train, &chosen, &[test_angle], unseen),
            options.with_disjoint_test.then(|| disjoint(test)).transpose()?,
        ),
    };
    Ok(Split {
        train: turned(train, &chosen, &angles, 0),
        validation: None,
        unlabelled: Some(unlabelled).filter(|data| options.with_unlabelled && !data.is_empty()),
        test: test_images,
        disjoint_test,
        test_origins: None,
        domain_names: angles.iter().chain(&unlabelled_angles).map(f64::to_string).collect(),
        test_domain: test_angle.to_string(),
        classes: CLASSES,
        class_names: (0..CLASSES).map(|class| class.to_string()).collect(),
    })
}

/// The published number of subsets: one for each of ten seeds.
const SUBSETS: u64 = 10;

/// The digits that `seed` trains on, to be used without their labels.
fn further_subset(labels: &[u8], per_class: usize, seed: u64) -> Result<Vec<usize>> {
    let fewest = (0..CLASSES as u8).map(|class| labels.iter().filter(|&&label| label == class).count()).min();
    if fewest.is_some_and(|digits| digits <= per_class) {
        return Err(Error::request(format!(
            "cannot draw unlabelled digits beside the {per_class} labelled ones of each class: the data hold no others"
        )));
    }
    subset::draw(labels, per_class, seed)
}

/// Takes those of `unlabelled` out of the training angles.
fn take_out(angles: &mut Vec<f64>, unlabelled: &[f64]) -> Result<Vec<f64>> {
    let refuse =
        |what: String| Err(Error::request(format!("cannot leave out the labels of a domain: {what}")));
    let mut taken = Vec::new();
    for &angle in unlabelled {
        let Some(place) = angles.iter().position(|&other| is_same(other, angle)) else {
            return refuse(format!("the angle {angle} is none of the training angles {angles:?}"));
        };
        taken.push(angles.remove(place));
    }
    if angles.is_empty() {
        return refuse("no training domain with labels is left".into());
    }
    Ok(taken)
}

/// Whether two angles are one rotation.
fn is_same(a: f64, b: f64) -> bool {
    a.rem_euclid(360.0) == b.rem_euclid(360.0)
}

/// The digits `chosen`, turned counter-clockwise by each of the angles (degrees) in turn: the domains `first_domain`,
/// `first_domain` + 1, ..., each with the same digits in the same order.
///
/// # Panics
/// If a digit does not exist or an angle is not finite.
#[track_caller]
pub fn turned(digits: &Digits, chosen: &[usize], angles: &[f64], first_domain: u32) -> Dataset {
    let (height, width) = (digits.rows, digits.columns);
    let images = chosen.len() * angles.len();
    let mut pixels = Vec::with_capacity(images * height * width);
    let (mut classes, mut domains) = (Vec::with_capacity(images), Vec::with_capacity(images));
    for (&angle, domain) in angles.iter().zip(first_domain..) {
        for &digit in chosen {
            pixels.extend(rotate(digits.image(digit), height, width, angle));
            classes.push(u32::from(digits.labels[digit]));
            domains.push(domain);
        }
    }
    Dataset::new([height, width, 1], pixels, classes, domains)
}

/// The place of the test angle among the angles, once these make sense.
fn check_angles(angles: &[f64], test_angle: f64) -> Result<usize> {
    let refuse = |what: String| Err(Error::request(format!("cannot make rotated domains: {what}")));
    if let Some(angle) = angles.iter().chain([&test_angle]).find(|angle| !angle.is_finite()) {
        return refuse(format!("the angle {angle} is not finite"));
    }
    for (place, &angle) in angles.iter().enumerate() {
        if let Some(&other) = angles[..place].iter().find(|&&other| is_same(angle, other)) {
            return refuse(format!(
                "the angles {other} and {angle} are the same rotation, expected different ones"
            ));
        }
    }
    let Some(held_out) = angles.iter().position(|&angle| is_same(angle, test_angle)) else {
        return refuse(format!("the test angle {test_angle} is none of the angles {angles:?}"));
    };
    if angles.len() < 2 {
        return refuse(format!("the only angle {test_angle} is held out, expected at least one to train on"));
    }
    Ok(held_out)
}

fn check_subset(chosen: &[usize], available: usize) -> Result<&[usize]> {
    if chosen.is_empty() {
        return Err(Error::request("cannot train on a subset of 0 digits, expected at least one"));
    }
    match chosen.iter().find(|&&digit| digit >= available) {
        Some(digit) => Err(Error::request(format!(
            "cannot take digit {digit} of the subset: the training set has {available} digits"
        ))),
        None => Ok(chosen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::embedded;

    fn published() -> RotatedDigits {
        RotatedDigits {
            angles: vec![0.0, 15.0, 30.0, 45.0, 60.0, 75.0],
            test_angle: 30.0,
            per_class: 20,
            subset: None,
            unlabelled_angles: vec![],
            with_unlabelled: true,
            unlabelled_subsets: 0,
            protocol: Protocol::Published,
            with_disjoint_test: false,
        }
    }

    #[test]
    fn domains_stand_one_after_the_other() {
        let digits = embedded::train();
        let split = build(&published(), &digits, None, 7).unwrap();
        assert_eq!(split.domain_names, ["0", "15", "45", "60", "75"]);
        assert_eq!((split.test_domain.as_str(), split.classes), ("30", 10));
        assert_eq!((split.train.len(), split.test.len()), (1000, 200));
        assert!(split.disjoint_test.is_none());
        let chosen = subset::draw(&digits.labels, 20, 7).unwrap();
        for (domain, angle) in [0.0, 15.0, 45.0, 60.0, 75.0].into_iter().enumerate() {
            for (place, &digit) in chosen.iter().enumerate() {
                let index = domain * 200 + place;
                assert_eq!(split.train.image(index), rotate(digits.image(digit), 28, 28, angle));
                assert_eq!(split.train.classes[index], u32::from(digits.labels[digit]));
                assert_eq!(split.train.domains[index], domain as u32);
            }
        }
        for (place, &digit) in chosen.iter().enumerate() {
            assert_eq!(split.test.image(place), rotate(digits.image(digit), 28, 28, 30.0));
            assert_eq!(split.test.classes[place], u32::from(digits.labels[digit]));
        }
        assert_eq!(split.test.domains, [5; 200]);
    }

    #[test]
    fn digits_are_turned_angle_by_angle() {
        let digits = embedded::train();
        let data = turned(&digits, &[950, 3], &[-20.0, 90.0], 4);
        let expected = [(950, -20.0), (3, -20.0), (950, 90.0), (3, 90.0)];
        for (place, (digit, angle)) in expected.into_iter().enumerate() {
            assert_eq!(data.image(place), rotate(digits.image(digit), 28, 28, angle));
        }
        let [last, first] = [950, 3].map(|digit| u32::from(digits.labels[digit]));
        assert_ne!(last, first);
        assert_eq!((data.classes, data.domains), (vec![last, first, last, first], vec![4, 4, 5, 5]));
    }

    #[test]
    fn the_published_setting_has_the_published_sizes() {
        let options = RotatedDigits { per_class: 100, test_angle: 75.0, ..published() };
        let split = build(&options, &embedded::train(), None, 0).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (5000, 1000));
    }

    #[test]
    fn a_disjoint_test_has_digits_of_the_test_set() {
        let (train, test) = (embedded::train(), embedded::test());
        let asked = RotatedDigits { with_disjoint_test: true, ..published() };
        let split = build(&asked, &train, Some(&test), 7).unwrap();
        let disjoint = split.disjoint_test.unwrap();
        let expected: Vec<Vec<u8>> = (0..test.len()).map(|i| rotate(test.image(i), 28, 28, 30.0)).collect();
        assert_eq!((disjoint.len(), &disjoint.domains), (200, &vec![5; 200]));
        for i in 0..disjoint.len() {
            let digit = expected.iter().position(|image| image == disjoint.image(i)).unwrap();
            assert_eq!(disjoint.classes[i], u32::from(test.labels[digit]));
        }
        for class in 0..10 {
            assert_eq!(disjoint.classes.iter().filter(|&&c| c == class).count(), 20);
        }
        let strict = RotatedDigits { protocol: Protocol::DisjointTest, ..asked };
        let strict = build(&strict, &train, Some(&test), 7).unwrap();
        assert_eq!((strict.test, strict.train, strict.disjoint_test), (disjoint, split.train, None));
    }

    #[test]
    fn a_disjoint_test_takes_what_there_is() {
        let test = embedded::test();
        let few =
            Digits { images: test.images[..30 * 784].to_vec(), labels: test.labels[..30].to_vec(), ..test };
        let options = RotatedDigits { protocol: Protocol::DisjointTest, ..published() };
        assert_eq!(build(&options, &embedded::train(), Some(&few), 1).unwrap().test.len(), 30);
    }

    #[test]
    fn an_unlabelled_domain_is_numbered_after_the_labelled_ones() {
        let digits = embedded::train();
        let plain = build(&published(), &digits, None, 7).unwrap();
        let options = RotatedDigits { unlabelled_angles: vec![15.0], ..published() };
        let split = build(&options, &digits, None, 7).unwrap();
        assert_eq!(split.domain_names, ["0", "45", "60", "75", "15"]);
        let unlabelled = split.unlabelled.unwrap();
        assert_eq!((split.train.len(), unlabelled.len()), (800, 200));
        assert_eq!(unlabelled.domains, [4; 200]);
        assert_eq!(unlabelled.image(3), plain.train.image(203));
        assert_eq!(split.train.image(203), plain.train.image(403));
        assert_eq!((split.train.domains[203], &split.test.domains), (1, &vec![5; 200]));
        assert_eq!((&plain.test.pixels, plain.unlabelled), (&split.test.pixels, None));

        let control = RotatedDigits { with_unlabelled: false, ..options };
        let control = build(&control, &digits, None, 7).unwrap();
        assert_eq!(
            control,
            Split { unlabelled: None, train: split.train, test: split.test, ..control.clone() }
        );
        assert_eq!(control.domain_names, split.domain_names);
    }

    #[test]
    fn unlabelled_subsets_are_those_of_the_next_seeds() {
        let digits = embedded::train();
        let options = RotatedDigits { unlabelled_subsets: 2, ..published() };
        let split = build(&options, &digits, None, 8).unwrap();
        let unlabelled = split.unlabelled.unwrap();
        assert_eq!((split.domain_names.len(), split.train.len(), unlabelled.len()), (5, 1000, 2000));
        let others = [9, 0].map(|seed| build(&published(), &digits, None, seed).unwrap().train);
        assert_eq!(unlabelled.pixels, [others[0].pixels.clone(), others[1].pixels.clone()].concat());
        assert_eq!(unlabelled.domains, [others[0].domains.clone(), others[1].domains.clone()].concat());
        assert_eq!(split.train, build(&published(), &digits, None, 8).unwrap().train);
    }

    #[test]
    fn a_subset_is_taken_as_it_stands() {
        let digits = embedded::train();
        let options = RotatedDigits { subset: Some(vec![9, 3, 500]), test_angle: -285.0, ..published() };
        let split = build(&options, &digits, None, 0).unwrap();
        assert_eq!((split.train.len(), split.test.len(), split.test_domain.as_str()), (15, 3, "75"));
        assert_eq!(split.train.image(2), digits.image(500));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let base = published;
        let cases = [
            (RotatedDigits { test_angle: 20.0, ..base() }, "the test angle 20 is none of"),
            (RotatedDigits { angles: vec![30.0], ..base() }, "the only angle 30 is held out"),
            (RotatedDigits { angles: vec![], ..base() }, "the test angle 30 is none of"),
            (RotatedDigits { angles: vec![30.0, 5.0, 390.0], ..base() }, "30 and 390 are the same rotation"),
            (
                RotatedDigits { angles: vec![30.0, -90.0, 270.0], ..base() },
                "-90 and 270 are the same rotation",
            ),
            (RotatedDigits { angles: vec![30.0, f64::NAN], ..base() }, "the angle NaN is not finite"),
            (RotatedDigits { test_angle: f64::INFINITY, ..base() }, "the angle inf is not finite"),
            (RotatedDigits { per_class: 101, ..base() }, "101 digits of class 0: the data hold 100"),
            (RotatedDigits { per_class: 0, ..base() }, "0 digits a class"),
            (RotatedDigits { subset: Some(vec![1, 1000]), ..base() }, "digit 1000 of the subset"),
            (RotatedDigits { subset: Some(vec![]), ..base() }, "a subset of 0 digits"),
            (RotatedDigits { unlabelled_angles: vec![20.0], ..base() }, "20 is none of the training angles"),
            (RotatedDigits { unlabelled_angles: vec![30.0], ..base() }, "30 is none of the training angles"),
            (
                RotatedDigits { angles: vec![30.0, 5.0], unlabelled_angles: vec![5.0], ..base() },
                "no training domain with labels is left",
            ),
            (
                RotatedDigits { per_class: 100, unlabelled_subsets: 1, ..base() },
                "beside the 100 labelled ones of each class",
            ),
            (RotatedDigits { protocol: Protocol::DisjointTest, ..base() }, "no MNIST test set"),
            (RotatedDigits { with_disjoint_test: true, ..base() }, "no MNIST test set"),
        ];
        for (options, expected) in cases {
            let error = build(&options, &embedded::train(), None, 0).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(expected), "{error} does not contain {expected:?}");
        }
    }
}
