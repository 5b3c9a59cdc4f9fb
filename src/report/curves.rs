//! How a training went: what was recognised, and what the loss was made of, epoch by epoch.

use super::Chart;
use super::palette::{Colour, GREY, INK, label, series};
use super::text::degrees;
use crate::config::TrainConfig;
use crate::train::metrics::{EpochMetrics, selected};

/// What stands for all training domains together.
pub const TOGETHER: Colour = INK;

/// What stands for digits of the unseen domain that training has seen at no angle.
pub const OTHER_DIGITS: Colour = GREY;

/// A PNG file of the accuracies after each epoch: on the training domains, of which there are `domains`, on the unseen one
/// and, if the run has them, on digits of the unseen domain that training has seen at no angle, or on images held back from
/// training. A dot on each line marks the selected epoch.
pub fn accuracy(metrics: &[EpochMetrics], domains: usize, test_domain: &str) -> Vec<u8> {
    accuracy_chart(metrics, domains, test_domain).to_png()
}

/// A PNG file of the loss of each epoch, in nats an image, and of its terms with the weights they have in it.
pub fn loss(metrics: &[EpochMetrics], weights: &TrainConfig) -> Vec<u8> {
    loss_chart(metrics, weights).to_png()
}

/// One of the accuracies of an epoch, 0..1.
type Share = fn(&EpochMetrics) -> f64;

fn accuracy_chart(metrics: &[EpochMetrics], domains: usize, test_domain: &str) -> Chart {
    let domain = degrees(test_domain);
    // A figure that a run does not have is NaN, which is not drawn.
    let lines: [(String, Colour, Share); 4] = [
        ("training domains".into(), TOGETHER, |epoch| epoch.train_accuracy),
        (format!("{domain}, unseen"), label(domains), |epoch| epoch.test_accuracy),
        (format!("{domain}, other digits"), OTHER_DIGITS, |epoch| {
            epoch.disjoint_test_accuracy.unwrap_or(f64::NAN)
        }),
        (HELD_BACK.into(), OTHER_DIGITS, |epoch| epoch.validation_accuracy.unwrap_or(f64::NAN)),
    ];
    let selected = selected(metrics);
    let above = selected.map_or("recognised (%)".into(), |epoch| {
        format!("recognised (%), with a dot at the selected epoch {}", epoch.epoch)
    });
    let mut chart = Chart::new("Images whose class is recognised").axes("epoch", above);
    let point = |epoch: &EpochMetrics, share: f64| [epoch.epoch as f64, 100.0 * share];
    for (name, colour, share) in lines {
        if metrics.iter().all(|epoch| share(epoch).is_nan()) {
            continue;
        }
        let points = metrics.iter().map(|epoch| point(epoch, share(epoch))).collect();
        let dot = selected.map(|epoch| point(epoch, share(epoch)));
        chart = chart.series(name, colour, points).marked(dot);
    }
    chart
}

fn loss_chart(metrics: &[EpochMetrics], weights: &TrainConfig) -> Chart {
    let mut chart = Chart::new("The loss in training and its terms, as weighted in it")
        .axes("epoch", "nats an image")
        .series("loss", LOSS, metrics.iter().map(|epoch| [epoch.epoch as f64, epoch.loss]).collect());
    for (number, (name, colour)) in TERMS.into_iter().enumerate() {
        let term = |epoch: &EpochMetrics| Some([epoch.epoch as f64, terms(epoch, weights)[number]?]);
        let points: Vec<_> = metrics.iter().filter_map(term).collect();
        if !points.is_empty() {
            chart = chart.series(name, colour, points);
        }
    }
    chart
}

/// What images of the training domains are called by which epochs are selected.
pub const HELD_BACK: &str = "held back from training";

/// What stands for the loss.
pub const LOSS: Colour = INK;

/// The terms of the loss and what stands for them. No model has both the last one and the three before it.
pub const TERMS: [(&str, Colour); 7] = [
    ("reconstruction", series(0)),
    ("class", series(1)),
    ("domain", series(2)),
    ("KL of zd", series(3)),
    ("KL of zx", series(4)),
    ("KL of zy", series(5)),
    ("KL of z", series(3)),
];

/// The weighted terms of an epoch's loss, in the order of [`TERMS`], as far as the model has them.
fn terms(epoch: &EpochMetrics, weights: &TrainConfig) -> [Option<f64>; 7] {
    if epoch.reconstruction.is_none() {
        // Means over batches without weights; a step of DANN has one of domains for each of its batches, with classes
        // and without, so that the mean over all images is not what is added.
        let domain = epoch.ce_d.map(|_| epoch.loss - epoch.ce_y);
        return [None, Some(epoch.ce_y), domain, None, None, None, None];
    }
    let unlabelled = epoch.unlabelled_share.unwrap_or(0.0);
    let class =
        (1.0 - unlabelled) * weights.alpha_y * epoch.ce_y + unlabelled * epoch.entropy_y.unwrap_or(0.0);
    let divergence = |kl: Option<f64>| kl.map(|kl| epoch.beta * kl);
    [
        epoch.reconstruction,
        Some(class),
        epoch.ce_d.map(|ce_d| weights.alpha_d * ce_d),
        divergence(epoch.kl_d),
        divergence(epoch.kl_x),
        divergence(epoch.kl_y),
        divergence(epoch.kl),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::report::canvas::tests::find;
    use crate::report::palette::WHITE;
    use crate::train::dataset;
    use crate::train::trainer::Trainer;

    /// A narrow model after one epoch of 20 images.
    fn trained(kind: &str, unlabelled: &str) -> (EpochMetrics, Config) {
        let kind = format!("model.kind={kind}");
        let narrow = [
            "data.domains=[0, 15, 75]",
            unlabelled,
            &kind,
            "data.per_class=1",
            "train.batch=5",
            "train.warmup=4",
            "model.encoder_width=0.1",
            "model.decoder_width=0.05",
            "model.latent=4",
        ];
        let config = Config::resolve(None, Some("quick"), &narrow.map(str::to_owned), None).unwrap();
        let mut trainer = Trainer::new(config.clone(), dataset::load(&config).unwrap()).unwrap();
        let order = trainer.order().unwrap();
        for _ in 0..order.len() {
            trainer.step(&order).unwrap();
        }
        (trainer.end_epoch().unwrap().0, config)
    }

    #[test]
    fn the_weighted_terms_add_up_to_the_loss() {
        for (kind, unlabelled, count) in [
            ("diva", "data.unlabelled.domains=[]", 6),
            ("diva", "data.unlabelled.domains=[0]", 6),
            ("diva-no-zx", "data.unlabelled.domains=[]", 5),
            ("vae", "data.unlabelled.domains=[0]", 4),
            ("classifier", "data.unlabelled.domains=[]", 1),
            ("dann", "data.unlabelled.domains=[]", 2),
        ] {
            let (epoch, config) = trained(kind, unlabelled);
            let terms: Vec<f64> = terms(&epoch, &config.train).into_iter().flatten().collect();
            assert!(terms.len() == count && terms.iter().all(|&term| term != 0.0), "{kind}: {terms:?}");
            let sum: f64 = terms.into_iter().sum();
            assert!((sum - epoch.loss).abs() < 1e-6 * epoch.loss, "{kind}: {sum} and {}", epoch.loss);
            // Without unlabelled images DANN's loss is the plain sum of both means, which its chart has to show.
            if kind == "dann" {
                assert!((epoch.ce_y + epoch.ce_d.unwrap() - epoch.loss).abs() < 1e-6 * epoch.loss);
            }
        }
    }

    /// Three epochs, of which the second is selected.
    fn three_epochs() -> Vec<EpochMetrics> {
        let (epoch, _) = trained("diva", "data.unlabelled.domains=[]");
        let of = |number: usize, train_accuracy: f64, test_accuracy: f64| EpochMetrics {
            epoch: number,
            train_accuracy,
            test_accuracy,
            validation_accuracy: None,
            disjoint_test_accuracy: None,
            ..epoch.clone()
        };
        vec![of(1, 0.25, 0.0), of(2, 1.0, 0.5), of(3, 1.0, 0.25)]
    }

    /// The corner of a chart with numbers of 3 digits: a margin of 16, the numbers, 12 for marks; downwards a margin, and a title of 29
    /// and a label of 22 with gaps of 10 and 20. The chart is 640 x 360, the legend begins 59 to its right.
    const CORNER: [usize; 2] = [16 + 33 + 12, 16 + 39 + 42];

    #[test]
    fn accuracies_stand_at_their_epochs() {
        let drawn = accuracy_chart(&three_epochs(), 2, "75").render();
        let at = |x: usize, y: usize| drawn.colour(CORNER[1] + y, CORNER[0] + x);
        // 0 to 100 %, epochs 1 to 3
        assert_eq!([at(0, 270), at(320, 0), at(640, 0)], [TOGETHER; 3]);
        assert_eq!([at(0, 360), at(320, 180), at(640, 270), at(160, 270)], [label(2); 4]);
        // the dots of the selected epoch reach further than the lines, and are at no other
        assert_eq!([at(322, 182), at(322, 2)], [label(2), TOGETHER]);
        assert_eq!(at(638, 3), WHITE);
        let legend = CORNER[0] + 640 + 59;
        assert_eq!(find(&drawn, "training domains", INK), [[legend, CORNER[1]]]);
        assert_eq!(find(&drawn, "75°, unseen", INK), [[legend, CORNER[1] + 27]]);
        assert!(find(&drawn, "digits", INK).is_empty());
        assert_eq!(find(&drawn, "dot at the selected epoch 2", GREY).len(), 1);
    }

    #[test]
    fn digits_seen_at_no_angle_have_a_line_of_their_own() {
        let mut metrics = three_epochs();
        for epoch in &mut metrics {
            epoch.disjoint_test_accuracy = Some(0.75);
        }
        let drawn = accuracy_chart(&metrics, 2, "patient C").render();
        for x in [1, 100, 250, 400, 639] {
            assert_eq!(drawn.colour(CORNER[1] + 90, CORNER[0] + x), OTHER_DIGITS, "{x}");
        }
        let legend = CORNER[0] + 640 + 59;
        assert_eq!(find(&drawn, "patient C, other digits", INK), [[legend, CORNER[1] + 54]]);
        assert_eq!(find(&drawn, "patient C, unseen", INK), [[legend, CORNER[1] + 27]]);
    }

    #[test]
    fn every_term_of_the_loss_has_a_name_and_a_colour() {
        let (epoch, config) = trained("diva", "data.unlabelled.domains=[]");
        let drawn = loss_chart(&[epoch], &config.train).render();
        let place = |name| find(&drawn, name, INK)[..].to_vec();
        let first = place("reconstruction");
        assert_eq!(first.len(), 1);
        for (number, (name, colour)) in TERMS[..6].iter().enumerate() {
            let [left, top] = [first[0][0], first[0][1] + number * 27];
            assert_eq!(place(name), [[left, top]], "{name}");
            // the piece of line before the name
            assert_eq!(drawn.colour(top + 12, left - 20), *colour, "{name}");
        }
    }

    #[test]
    fn a_run_without_epochs_has_empty_axes() {
        assert_eq!(
            accuracy_chart(&[], 5, "75").render(),
            Chart::new("Images whose class is recognised").axes("epoch", "recognised (%)").render()
        );
    }
}
