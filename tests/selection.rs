//! Selection never sees the test domain: with noise in the place of its images every bit of a training stays the same,
//! but for the figures about that domain.

use diva::config::Config;
use diva::data::Dataset;
use diva::error::Result;
use diva::rng::Stream;
use diva::store::digest::sha256_hex;
use diva::train::metrics::{EpochMetrics, SelectedEpoch};
use diva::train::trainer::Trainer;
use diva::train::{dataset, weights};

fn configuration(kind: &str, seed: u64) -> Config {
    let unlabelled = usize::from(kind != "classifier");
    let overrides = [
        format!("model.kind={kind}"),
        format!("data.unlabelled.subsets={unlabelled}"),
        "data.domains=[0,30,75]".into(),
        "data.per_class=4".into(),
        "model.width=0.0625".into(),
        "train.batch=20".into(),
        "train.epochs=4".into(),
        "train.patience=2".into(),
    ];
    Config::resolve(None, Some("quick"), &overrides, Some(seed)).unwrap()
}

/// What of an epoch may depend on training images alone; and the test figures.
struct Seen {
    metrics: EpochMetrics,
    improved: bool,
    state: String,
    weights: String,
    test: [Option<f64>; 2],
}

fn without_test(best: &mut SelectedEpoch) {
    best.test_accuracy = 0.0;
    best.disjoint_test_accuracy = None;
}

/// Every epoch until the training ends by itself.
fn train(config: &Config, change: impl Fn(&mut Dataset)) -> Result<Vec<Seen>> {
    let mut split = dataset::load(config)?;
    change(&mut split.test);
    split.disjoint_test.iter_mut().for_each(change);
    let mut trainer = Trainer::new(config.clone(), split)?;
    let mut epochs = Vec::new();
    while trainer.epoch() <= config.train.epochs && !trainer.state().progress.out_of_patience {
        let order = trainer.order()?;
        for _ in 0..order.len() {
            trainer.step(&order)?;
        }
        let (mut metrics, best) = trainer.end_epoch()?;
        let test = [Some(metrics.test_accuracy), metrics.disjoint_test_accuracy];
        (metrics.test_accuracy, metrics.disjoint_test_accuracy) = (0.0, None);
        let mut state = trainer.state().clone();
        state.progress.best.iter_mut().for_each(without_test);
        state.images_sha256 = None; // it covers the test images
        let weights = weights::export(&state.params, state.progress.steps);
        epochs.push(Seen {
            metrics,
            improved: best.is_some(),
            state: sha256_hex(&state.to_checkpoint(&config.identity())),
            weights: sha256_hex(&weights.to_bytes()),
            test,
        });
    }
    Ok(epochs)
}

fn noise(data: &mut Dataset) {
    let noise = Stream::new(99, "noise", &[]);
    data.pixels.iter_mut().zip(0..).for_each(|(pixel, index)| *pixel = noise.below(index, 256) as u8);
}

#[test]
fn noise_in_the_test_domain_changes_the_test_figures_alone() {
    for kind in ["diva", "diva-no-zd", "diva-no-zx", "vae", "classifier", "dann"] {
        let config = configuration(kind, 3);
        let (images, noise) = (train(&config, |_| ()).unwrap(), train(&config, noise).unwrap());
        assert_eq!(images.len(), noise.len(), "{kind}: training ended at another epoch");
        for (one, other) in images.iter().zip(&noise) {
            assert_eq!(one.metrics, other.metrics, "{kind}");
            assert_eq!(one.improved, other.improved, "{kind}: another epoch was selected");
            assert_eq!(one.state, other.state, "{kind}");
            assert_eq!(one.weights, other.weights, "{kind}");
        }
        assert!(images.iter().any(|epoch| epoch.improved));
        // Noise was noticed: the test looks at what it says.
        let figures = |epochs: &[Seen]| epochs.iter().map(|epoch| epoch.test).collect::<Vec<_>>();
        assert_ne!(figures(&images), figures(&noise), "{kind}");
    }
}
