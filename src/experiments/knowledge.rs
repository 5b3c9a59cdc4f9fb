//! What each latent knows: how well a linear classifier reads the class, and the domain, off its posterior means.
//!
//! Every fifth digit of each class is held out of the training of the probes, in all its rotations: no probe is tested
//! on a digit that it has seen. That the encoders have seen it is what is asked about: what training put where.

use super::latents::Latent;
use super::probe::Probe;
use crate::config::Protocol;
use crate::data::{Dataset, Split};
use crate::tensor::Tensor;
use serde::Serialize;
use std::collections::BTreeMap;

/// Of the digits of each class every so many-th is held out.
const HELD_OUT: usize = 5;

/// Right answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Score {
    /// How many answers were right.
    pub right: usize,
    /// How many images were asked about.
    pub images: usize,
}

impl Score {
    fn of(answers: &[u32], labels: &[u32]) -> Self {
        let right = answers.iter().zip(labels).filter(|(answer, label)| answer == label).count();
        Score { right, images: labels.len() }
    }

    /// The share of right answers, 0..1; nothing if there was no image.
    pub fn share(&self) -> Option<f64> {
        (self.images > 0).then(|| self.right as f64 / self.images as f64)
    }
}

/// What one latent knows: a row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Knowledge {
    /// zd, zx, zy or z.
    pub latent: &'static str,
    /// Classes of digits of the training domains that the probe has not seen.
    pub class: Score,
    /// Domains of the same images.
    pub domain: Score,
    /// Classes in the domain that nothing was trained on.
    pub unseen_class: Score,
}

/// Trains a probe for the class and one for the domain on each latent, and tests them.
///
/// `train` and `test` are the latents of `split.train` and `split.test`. Under the published protocol the unseen domain
/// shows the training digits, and there too only those held out are asked about.
///
/// # Panics
/// If the latents are not those of the split's images.
#[track_caller]
pub fn probe(train: &[Latent], test: &[Latent], split: &Split, protocol: Protocol) -> Vec<Knowledge> {
    let (held_out, known): (Vec<usize>, Vec<usize>) = {
        let is_held_out = held_out(&split.train);
        (0..split.train.len()).partition(|&i| is_held_out[i])
    };
    let asked: Vec<usize> = match protocol {
        Protocol::Published => {
            let is_held_out = self::held_out(&split.test);
            (0..split.test.len()).filter(|&i| is_held_out[i]).collect()
        }
        Protocol::DisjointTest => (0..split.test.len()).collect(),
    };
    let labels = |all: &[u32], indices: &[usize]| -> Vec<u32> { indices.iter().map(|&i| all[i]).collect() };
    assert_eq!(train.len(), test.len(), "latents of the training images, and of those of the unseen domain");
    let rows = |latents: &[Latent], data: &Dataset| {
        for Latent { name, means } in latents {
            assert_eq!(means.shape().rows(), data.len(), "values of {name}, for as many images");
        }
    };
    rows(train, &split.train);
    rows(test, &split.test);
    let know = |(train, test): (&Latent, &Latent)| {
        let [seen, fresh] = [&known, &held_out].map(|indices| gather(&train.means, indices));
        let score = |all: &[u32]| {
            let probe = Probe::fit(&seen, &labels(all, &known));
            (Score::of(&probe.predict(&fresh), &labels(all, &held_out)), probe)
        };
        let (class, of_class) = score(&split.train.classes);
        let (domain, _) = score(&split.train.domains);
        let answers = of_class.predict(&gather(&test.means, &asked));
        let unseen_class = Score::of(&answers, &labels(&split.test.classes, &asked));
        Knowledge { latent: train.name, class, domain, unseen_class }
    };
    train.iter().zip(test).map(know).collect()
}

/// Whether each image shows a held-out digit: each domain has the same digits in the same order, and of each class every
/// fifth is taken.
fn held_out(data: &Dataset) -> Vec<bool> {
    let mut counts = BTreeMap::new();
    let labels = data.domains.iter().zip(&data.classes);
    labels
        .map(|label| {
            let count = counts.entry(label).or_insert(0);
            *count += 1;
            *count % HELD_OUT == 0
        })
        .collect()
}

/// The rows `indices`.
fn gather(rows: &Tensor, indices: &[usize]) -> Tensor {
    let columns = rows.shape().columns();
    let mut gathered = Tensor::zeros([indices.len(), columns]);
    for (out, &i) in gathered.data_mut().chunks_exact_mut(columns).zip(indices) {
        out.copy_from_slice(&rows.data()[i * columns..][..columns]);
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn normal(purpose: &str, [rows, columns]: [usize; 2]) -> Tensor {
        let mut numbers = Tensor::zeros([rows, columns]);
        Stream::new(11, purpose, &[]).fill_normal(0, numbers.data_mut());
        numbers
    }

    /// Digits of four classes in three training domains and an unseen one; of 1 x 1 pixels.
    fn split(digits: usize) -> Split {
        let images = |domains: std::ops::Range<u32>| {
            let labels: Vec<(u32, u32)> =
                domains.flat_map(|domain| (0..digits as u32).map(move |i| (domain, i * 7 % 4))).collect();
            let (domains, classes): (Vec<u32>, Vec<u32>) = labels.into_iter().unzip();
            Dataset::new([1, 1, 1], vec![0; domains.len()], classes, domains)
        };
        Split {
            train: images(0..3),
            validation: None,
            unlabelled: None,
            test: images(3..4),
            disjoint_test: None,
            test_origins: None,
            domain_names: ["0", "15", "30"].map(str::to_owned).to_vec(),
            test_domain: "75".into(),
            classes: 4,
            class_names: ["0", "1", "2", "3"].map(str::to_owned).to_vec(),
        }
    }

    /// Noise with 20 added in the column of the label.
    fn telling(labels: &[u32], purpose: &str) -> Tensor {
        let mut rows = normal(purpose, [labels.len(), 6]);
        for (row, &label) in rows.data_mut().chunks_exact_mut(6).zip(labels) {
            row[label as usize] += 20.0;
        }
        rows
    }

    #[test]
    fn a_latent_knows_what_was_put_into_it_and_nothing_else() {
        let split = split(500);
        let latents = |data: &Dataset, purpose: &str| {
            let made = |kind: &str| format!("{kind} {purpose}");
            [
                ("zd", telling(&data.domains, &made("zd"))),
                ("zx", normal(&made("zx"), [data.len(), 6])),
                ("zy", telling(&data.classes, &made("zy"))),
            ]
            .map(|(name, means)| Latent { name, means })
        };
        let known =
            probe(&latents(&split.train, "a"), &latents(&split.test, "b"), &split, Protocol::Published);
        assert_eq!(known.iter().map(|row| row.latent).collect::<Vec<_>>(), ["zd", "zx", "zy"]);
        let all = |images| Score { right: images, images };
        // 500 digits, 125 a class, of which 25 are held out
        let chance = |score: Score, share: f64, images: usize| {
            assert_eq!(score.images, images);
            let off = (score.share().unwrap() - share).abs();
            assert!(off < 4.5 * (share * (1.0 - share) / images as f64).sqrt(), "{score:?}, chance {share}");
        };
        assert_eq!((known[0].domain, known[2].class, known[2].unseen_class), (all(300), all(300), all(100)));
        chance(known[0].class, 0.25, 300);
        chance(known[0].unseen_class, 0.25, 100);
        chance(known[1].class, 0.25, 300);
        chance(known[1].domain, 1.0 / 3.0, 300);
        chance(known[1].unseen_class, 0.25, 100);
        chance(known[2].domain, 1.0 / 3.0, 300);
    }

    /// Every digit has numbers of its own, the same in all domains: a probe can learn them by heart, which must not help
    /// with the digits it is tested on.
    #[test]
    fn no_probe_is_tested_on_a_digit_that_it_has_seen() {
        let split = split(80);
        let of_digits = normal("digits", [80, 100]);
        let latents = |domains| {
            let means = Tensor::new([domains * 80, 100], &of_digits.data().repeat(domains));
            [Latent { name: "z", means }]
        };
        let known = |protocol| probe(&latents(3), &latents(1), &split, protocol).remove(0);
        // 16 digits are held out, 3 of 4 guesses are wrong: more than 11 right are once in 30,000 draws.
        let published = known(Protocol::Published);
        assert_eq!((published.class.images, published.domain.images), (48, 48));
        assert!(published.class.right <= 33, "{published:?}");
        let unseen = published.unseen_class;
        assert_eq!(unseen.images, 16);
        assert!(unseen.right <= 11, "{published:?}");
        // The unseen domain shows other digits now, as far as anybody knows; 64 of them are those learned by heart.
        let disjoint = known(Protocol::DisjointTest);
        assert_eq!(disjoint.unseen_class, Score { right: 64 + unseen.right, images: 80 });
        assert_eq!((disjoint.class, disjoint.domain), (published.class, published.domain));
    }

    #[test]
    fn too_few_digits_to_hold_any_out_leave_the_figures_out() {
        let split = split(8);
        let latents = |rows| [Latent { name: "z", means: normal("few", [rows, 3]) }];
        let known = probe(&latents(24), &latents(8), &split, Protocol::Published);
        for score in [known[0].class, known[0].domain, known[0].unseen_class] {
            assert_eq!((score, score.share()), (Score { right: 0, images: 0 }, None));
        }
    }
}
