//! When a training is beyond recovery, and what its user can try: both follow from the term of the loss that shows it.

use crate::config::{Config, ModelKind};
use crate::data::Split;
use crate::models::{Batch, StepImages, Weights};
use crate::simd::{Isa, Kernel, LANES, Simd, math};

/// A loss of so many times what guessing costs is no loss that training comes back from.
const HOPELESS: f32 = 1000.0;

/// ln 256, what guessing a value of a pixel costs, in nats.
const OF_A_VALUE: f32 = 5.545_177;

/// What a training cannot go on with.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Divergence {
    /// The term of the loss that shows it, or "loss"; nothing where it is a gradient or a parameter.
    pub(super) term: Option<&'static str>,
    /// In words.
    pub(super) what: String,
}

impl Divergence {
    /// Something that is not a finite number and no term of the loss.
    pub(super) fn of_numbers(what: String) -> Self {
        Divergence { term: None, what }
    }
}

/// Says so if the loss has exploded, though all of its terms are finite, and which term it is.
///
/// `terms` are sums over the images that have them, in nats. Guessing costs ln 256 a value of an image and ln n for one of n
/// classes or domains. A model that explains images has all of that in its loss, the labels times their weights; the
/// divergences of its first steps are of the same order, and sum_y q [log q - log p(y)] is at most - ln of the least p(y).
/// The loss of the others is cross-entropies alone, each measured by itself.
pub(super) fn exploded(
    terms: &[(&'static str, f32)],
    images: &StepImages,
    weights: &Weights,
    kind: ModelKind,
    split: &Split,
) -> Option<Divergence> {
    // Of a single label there is nothing to guess, and nothing to be wrong about by rounding.
    let [domains, classes] = [split.domain_names.len(), split.classes].map(|labels| ln(labels.max(2) as f32));
    if !explains_images(kind) {
        let labelled = images.labelled.as_ref().map_or(0, Batch::len);
        let times = |&(term, sum): &(&'static str, f32)| {
            let (images, labels, what, guess) = match term {
                "ce_d" => (images.len(), split.domain_names.len(), "domains", domains),
                "ce_y" => (labelled, split.classes, "classes", classes),
                _ => return None,
            };
            let each = sum / images as f32;
            if each <= HOPELESS * guess {
                return None;
            }
            let what = format!(
                "{term} is {each:.1e} nats an image, where guessing one of {labels} {what} costs {guess:.1}"
            );
            Some((each / guess, Divergence { term: Some(term), what }))
        };
        let worst = terms.iter().filter_map(times).max_by(|(one, _), (other, _)| one.total_cmp(other));
        return worst.map(|(_, divergence)| divergence);
    }
    let alpha_d = if kind == ModelKind::DivaNoZd { 0.0 } else { weights.alpha_d };
    let guess = OF_A_VALUE * split.train.values() as f32 + alpha_d * domains + weights.alpha_y * classes;
    let (_, loss) = terms.iter().find(|(name, _)| *name == "loss")?;
    let loss = loss / images.len() as f32;
    if loss <= HOPELESS * guess {
        return None;
    }
    let share = |&(term, sum): &(&'static str, f32)| match term {
        "loss" => None,
        "kl" | "kl_d" | "kl_x" | "kl_y" => Some((weights.beta * sum, term)),
        "ce_d" => Some((weights.alpha_d * sum, term)),
        "ce_y" => Some((weights.alpha_y * sum, term)),
        _ => Some((sum, term)),
    };
    let (_, term) = terms.iter().filter_map(share).max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    let what = format!(
        "the loss is {loss:.1e} nats an image, where guessing costs about {guess:.1e}, and most of it is {term}"
    );
    Some(Divergence { term: Some(term), what })
}

/// What to try after so many steps, in words that end a sentence.
pub(super) fn advice(divergence: &Divergence, config: &Config, steps: u64) -> String {
    let settings = &config.train;
    let rate = format!("try a lower train.learning_rate (now {})", settings.learning_rate);
    match divergence.term {
        Some("loss") if explains_images(config.model.kind) => format!(
            "its terms are finite, so that it is their weights: try a lower train.alpha_d (now {}) and train.alpha_y (now {})",
            settings.alpha_d, settings.alpha_y
        ),
        _ if steps == 0 => String::from(
            "no step has been taken yet, so that it is not train.learning_rate: look at the settings of the model and, with \
             `diva data info`, at the images",
        ),
        Some("kl" | "kl_d" | "kl_x" | "kl_y") => {
            format!("{rate} or a longer train.warmup (now {})", settings.warmup)
        }
        // The trunk is made to raise it.
        Some("ce_d") if config.model.kind == ModelKind::Dann => {
            format!("{rate} or a lower train.reversal (now {})", settings.reversal)
        }
        _ => rate,
    }
}

/// Whether the model explains images by latents: its cross-entropies then have weights, train.alpha_d and train.alpha_y.
fn explains_images(kind: ModelKind) -> bool {
    !matches!(kind, ModelKind::Classifier | ModelKind::Dann)
}

/// ln x, the same on every instruction set.
fn ln(x: f32) -> f32 {
    Isa::current().run(Ln(x))
}

struct Ln(f32);

impl Kernel for Ln {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let mut lanes = [0.0; LANES];
        s.store(math::ln(s, s.splat(self.0)), &mut lanes);
        lanes[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::data::Dataset;
    use crate::tensor::Tensor;

    const WEIGHTS: Weights = Weights { beta: 1.0, alpha_d: 2000.0, alpha_y: 3500.0 };
    const NONE: Weights = Weights { beta: 0.0, alpha_d: 0.0, alpha_y: 0.0 };

    /// 784 pixels, so many domains and classes.
    fn split(domains: usize, classes: usize) -> Split {
        let data = Dataset::new([28, 28, 1], vec![0; 784], vec![0], vec![0]);
        let names = |count: usize| (0..count).map(|name| name.to_string()).collect::<Vec<_>>();
        Split {
            validation: None,
            unlabelled: None,
            test: data.clone(),
            disjoint_test: None,
            test_origins: None,
            domain_names: names(domains),
            test_domain: "unseen".into(),
            classes,
            class_names: names(classes),
            train: data,
        }
    }

    fn images(labelled: usize, unlabelled: usize) -> StepImages {
        let batch = |count: usize| Batch {
            images: Tensor::zeros([count, 1, 1, 1]),
            levels: vec![0; count].into(),
            domains: vec![0; count].into(),
            classes: None,
        };
        let some = |count: usize| (count > 0).then(|| batch(count));
        StepImages { labelled: some(labelled), unlabelled: some(unlabelled) }
    }

    fn config(settings: &[&str]) -> Config {
        let settings: Vec<String> = settings.iter().map(|&setting| setting.to_owned()).collect();
        Config::resolve(None, Some("quick"), &settings, None).unwrap()
    }

    #[test]
    fn logarithms_are_those_of_f64() {
        for n in 2..200_u16 {
            let expected = f64::from(n).ln();
            assert!((f64::from(ln(f32::from(n))) - expected).abs() < 1e-6 * expected, "{n}");
        }
        assert!((f64::from(OF_A_VALUE) - 256.0_f64.ln()).abs() < 1e-6);
    }

    /// Each cross-entropy just below a thousand times what guessing costs, and just above.
    #[test]
    fn cross_entropies_alone_are_measured_against_the_logarithm_of_their_labels() {
        // 40 images, of which 10 have a class.
        for (term, images_of_term, labels, words) in [
            ("ce_d", 40.0, 5.0_f64, "where guessing one of 5 domains costs 1.6"),
            ("ce_y", 10.0, 3.0, "where guessing one of 3 classes costs 1.1"),
        ] {
            for kind in [ModelKind::Dann, ModelKind::Classifier] {
                let look = |times: f64| {
                    let each = times * labels.ln();
                    let terms = [(term, (each * images_of_term) as f32), ("loss", 1e30)];
                    (exploded(&terms, &images(10, 30), &NONE, kind, &split(5, 3)), each)
                };
                assert_eq!(look(999.0).0, None, "{term} of {kind:?}");
                let (found, each) = look(1001.0);
                let what = format!("{term} is {each:.1e} nats an image, {words}");
                assert_eq!(found, Some(Divergence { term: Some(term), what }));
            }
        }
        // The worse of two, relative to its labels.
        let both = |ce_d, ce_y| {
            let terms = [("ce_d", ce_d), ("ce_y", ce_y)];
            exploded(&terms, &images(10, 0), &WEIGHTS, ModelKind::Dann, &split(2, 1000)).unwrap().term
        };
        assert_eq!((both(5e6, 6e6), both(6e5, 7e7)), (Some("ce_d"), Some("ce_y")));
    }

    #[test]
    fn of_a_single_label_rounding_is_no_explosion() {
        for kind in [ModelKind::Classifier, ModelKind::Dann, ModelKind::Diva] {
            let terms = [("ce_d", 1e-5), ("ce_y", 1e-5), ("loss", 1e-5)];
            assert_eq!(exploded(&terms, &images(1, 0), &NONE, kind, &split(1, 1)), None);
        }
    }

    /// The loss is measured as a whole, and the term with the largest share is named.
    #[test]
    fn the_loss_of_a_model_of_images_is_measured_against_all_that_it_explains() {
        let of_labels = |domains: f64, classes: f64| 2000.0 * domains.ln() + 3500.0 * classes.ln();
        let pixels = 784.0 * 256.0_f64.ln();
        for (kind, domains, classes, guess, shown) in [
            (ModelKind::Diva, 5, 10, pixels + of_labels(5.0, 10.0), "1.6e4"),
            (ModelKind::Vae, 9, 2, pixels + of_labels(9.0, 2.0), "1.1e4"),
            (ModelKind::DivaNoZd, 5, 10, pixels + of_labels(1.0, 10.0), "1.2e4"),
        ] {
            for (term, weight) in [
                ("reconstruction", 1.0),
                ("kl", 0.5),
                ("kl_d", 0.5),
                ("kl_x", 0.5),
                ("kl_y", 0.5),
                ("ce_d", 2000.0),
                ("ce_y", 3500.0),
            ] {
                let look = |times: f64| {
                    let all = times * guess * 4.0;
                    // Two fifths, and three times a fifth.
                    let more = [("reconstruction", 1.0), ("kl_x", 0.5), ("ce_y", 3500.0), ("entropy_y", 1.0)];
                    let others = more.into_iter().filter(|(other, _)| *other != term).take(3);
                    let mut terms = vec![(term, (0.4 * all / weight) as f32)];
                    terms.extend(others.map(|(other, weight)| (other, (0.2 * all / weight) as f32)));
                    terms.push(("loss", all as f32));
                    let weights = Weights { beta: 0.5, ..WEIGHTS };
                    exploded(&terms, &images(4, 0), &weights, kind, &split(domains, classes))
                };
                assert_eq!(look(999.0), None, "{term} of {kind:?}");
                let what = format!(
                    "the loss is {:.1e} nats an image, where guessing costs about {shown}, and most of it is {term}",
                    1001.0 * guess
                );
                assert_eq!(look(1001.0), Some(Divergence { term: Some(term), what }));
            }
        }
    }

    #[test]
    fn advice_follows_from_the_term() {
        let rate = "try a lower train.learning_rate (now 0.001)";
        let warmup = format!("{rate} or a longer train.warmup (now 5)");
        let reversal = format!("{rate} or a lower train.reversal (now 0.5)");
        let weights = "its terms are finite, so that it is their weights: try a lower train.alpha_d (now 2000) and \
                       train.alpha_y (now 3500)";
        let first = "no step has been taken yet, so that it is not train.learning_rate: look at the settings of the model \
                     and, with `diva data info`, at the images";
        let (diva, dann) = (config(&[]), config(&["model.kind=dann", "train.reversal=0.5"]));
        let rows = [
            (Some("reconstruction"), &diva, 3, rate),
            (Some("kl"), &diva, 3, &warmup),
            (Some("kl_d"), &diva, 3, &warmup),
            (Some("kl_x"), &diva, 3, &warmup),
            (Some("kl_y"), &diva, 3, &warmup),
            (Some("ce_d"), &diva, 3, rate),
            (Some("ce_d"), &dann, 3, &reversal),
            (Some("ce_y"), &diva, 3, rate),
            (Some("ce_y"), &dann, 3, rate),
            (Some("entropy_y"), &diva, 3, rate),
            (Some("loss"), &diva, 3, weights),
            (Some("loss"), &diva, 0, weights),
            (Some("loss"), &dann, 3, rate),
            // A gradient, a parameter.
            (None, &diva, 3, rate),
            (None, &diva, 0, first),
            (Some("entropy_y"), &diva, 0, first),
        ];
        for (term, config, steps, expected) in rows {
            let found = Divergence { term, what: String::new() };
            assert_eq!(advice(&found, config, steps), expected, "{term:?} after {steps} steps");
        }
    }
}
