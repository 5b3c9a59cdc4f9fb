//! The sweeps in `experiments/` are the published protocols: numbers of runs, scaled weights, settings left alone.

use diva::config::{Config, ModelKind, Networks, PriorY, Source, UnlabelledImages};
use diva::experiments::sweep::Sweep;
use diva::train::metrics;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments")
}

fn sweep(name: &str) -> Sweep {
    Sweep::read(&folder().join(name)).unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// What a finished run has recorded is sealed, and is of a job of its sweep.
#[test]
fn every_finished_run_is_of_a_job() {
    for sweep_of in names(&folder().join("results")) {
        let ids: Vec<String> =
            sweep(&format!("{sweep_of}.toml")).jobs.into_iter().map(|job| job.id).collect();
        let runs = folder().join("results").join(sweep_of);
        for id in names(&runs).into_iter().filter(|name| name != "README.md") {
            assert!(ids.contains(&id), "{id} is of no job");
            let result = metrics::read_result(&runs.join(&id).join("result.json")).unwrap();
            let epochs = metrics::read_metrics(&runs.join(&id).join("metrics.jsonl")).unwrap();
            assert_eq!(result.epochs, epochs.len(), "{id}");
            assert_eq!(
                epochs.last().map(|epoch| &epoch.state_sha256),
                Some(&result.checkpoint_sha256),
                "{id}"
            );
        }
    }
}

#[test]
fn every_file_is_a_sweep_with_as_many_runs_as_its_protocol() {
    let expected = [
        ("logit-layout.toml", 2 * 2),
        ("malaria-reduced.toml", 5 * 2),
        ("malaria.toml", 3 * 10 * 5),
        ("models-reduced.toml", 6 * 2 * 2),
        ("published-table.toml", 3 * 3 * 2),
        ("rotated-mnist.toml", 6 * 6 * 10),
        ("semi-supervised.toml", 5 * 2 * 6 * 10),
        ("unlabelled-domain-reduced.toml", 2),
        ("unlabelled-domain.toml", 4 * 2 * 10),
        ("unlabelled-patient.toml", 3 * 2 * 5),
    ];
    let there: BTreeSet<_> = names(&folder()).into_iter().filter(|name| name != "results").collect();
    assert_eq!(there, expected.iter().map(|(name, _)| (*name).into()).collect());
    let mut folders = BTreeSet::new();
    for (name, runs) in expected {
        let sweep = sweep(name);
        assert_eq!(sweep.jobs.len(), runs, "{name}");
        assert!(folders.insert(sweep.folder), "{name} would share its folder with another sweep");
        for job in &sweep.jobs {
            let Config { data, model, train, .. } = &job.config;
            assert_eq!(
                (train.warmup, train.patience, train.batch, train.learning_rate, model.latent),
                (100, 100, 100, 1e-3, 64)
            );
            if data.source == Source::Malaria {
                assert_eq!((data.least_images, data.validation, data.augment), (400, 0.2, true));
                let prior_y = PriorY::Probabilities(vec![0.12, 0.88]);
                assert_eq!((&model.prior_y, model.networks), (&prior_y, Networks::Resnet));
                continue;
            }
            assert_eq!((data.source, model.networks, data.per_class), (Source::Idx, Networks::Lenet, 100));
            assert_eq!((train.alpha_d, model.encoder_width), (2000.0, 1.0));
        }
    }
}

#[test]
fn the_weight_of_the_class_follows_the_unlabelled_images() {
    for name in ["rotated-mnist.toml", "models-reduced.toml", "logit-layout.toml", "semi-supervised.toml"] {
        for job in sweep(name).jobs {
            let k = job.config.data.unlabelled.subsets;
            assert_eq!(job.config.train.alpha_y, 3500.0 * (1 + k) as f64, "{name}: {}", job.name);
        }
    }
    let subsets: BTreeSet<_> =
        sweep("semi-supervised.toml").jobs.iter().map(|job| job.config.data.unlabelled.subsets).collect();
    assert_eq!(subsets, BTreeSet::from([0, 1, 3, 5, 9]));
    for name in ["unlabelled-domain.toml", "unlabelled-domain-reduced.toml"] {
        let jobs = sweep(name).jobs;
        assert!(jobs.iter().all(|job| job.config.train.alpha_y == 4200.0), "{name}");
        // Each arm has its control: the same in all but whether the images are used.
        let arms = |images| -> Vec<String> {
            let of_images = jobs.iter().filter(|job| job.config.data.unlabelled.images == images);
            let without = |config: &Config| {
                let mut config = config.clone();
                config.data.unlabelled.images = UnlabelledImages::Used;
                config.to_toml()
            };
            of_images.map(|job| without(&job.config)).collect()
        };
        assert_eq!(arms(UnlabelledImages::Used), arms(UnlabelledImages::LeftOut), "{name}");
    }
}

/// The patients have 3838 training images with a class, and C59P20 has 575.
#[test]
fn the_weight_of_the_class_of_a_cell_follows_the_unlabelled_images() {
    for (name, published, decimals) in [
        ("malaria.toml", 75_000.0, 0.05),
        ("unlabelled-patient.toml", 75_000.0, 0.05),
        ("malaria-reduced.toml", 75_000.0 * 48.0 * 48.0 / (64.0 * 64.0 * 3.0), 0.05),
    ] {
        let mut with_unlabelled = 0;
        for Config { data, model, train, .. } in sweep(name).jobs.into_iter().map(|job| job.config) {
            let uses =
                !data.unlabelled.domains.is_empty() && data.unlabelled.images == UnlabelledImages::Used;
            with_unlabelled += usize::from(uses);
            let labelled = 3838.0;
            let share = if uses { (labelled + 575.0) / labelled } else { 1.0 };
            assert!((train.alpha_y - published * share).abs() < decimals, "{name}: {}", train.alpha_y);
            assert_eq!(train.alpha_d, published * 4.0 / 3.0, "{name}");
            if model.kind == ModelKind::Dann {
                assert_eq!(train.reversal, if uses { 0.01 } else { 0.001 }, "{name}");
            }
        }
        assert_eq!(with_unlabelled > 0, name != "malaria.toml", "{name}");
    }
}

#[test]
fn only_the_reduced_ones_are_narrower_or_shorter_than_published() {
    for name in ["rotated-mnist.toml", "semi-supervised.toml", "unlabelled-domain.toml"] {
        for job in sweep(name).jobs {
            assert_eq!((job.config.model.decoder_width, job.config.train.epochs), (1.0, 500), "{name}");
        }
    }
    for name in ["malaria.toml", "unlabelled-patient.toml"] {
        for Config { model, train, .. } in sweep(name).jobs.iter().map(|job| &job.config) {
            let widths = (model.encoder_width, model.decoder_width);
            assert_eq!((widths, train.epochs, train.alpha_d), ((1.0, 1.0), 500, 100_000.0), "{name}");
            assert_eq!((model.image_size, model.channels), (64, 3), "{name}");
        }
    }
}
