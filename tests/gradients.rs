//! Losses, gradients and statistics against PyTorch's, for both branches of the loss.

use diva::autograd::{Builder, Params};
use diva::models::{Diva, Kl, LogitLayout, ModelKind, Settings, Weights};
use diva::store::tensors::TensorFile;
use diva::train::gradients::{BatchFile, published};
use diva::train::weights;
use std::path::{Path, PathBuf};

/// One comparison: a folder of weights and batch, and the file with PyTorch's answer.
struct Comparison {
    weights: PathBuf,
    batch: PathBuf,
    expected: PathBuf,
    settings: Settings,
    unlabelled: bool,
}

const QUARTER: Settings = Settings {
    kind: ModelKind::Diva,
    encoder_width: 0.25,
    decoder_width: 0.25,
    latent: 64,
    domains: 5,
    classes: 10,
    logits: LogitLayout::PerPixel,
    kl: Kl::Sampled,
    prior_y: Vec::new(),
};

fn uniform(settings: &Settings) -> Settings {
    Settings { prior_y: vec![1.0 / settings.classes as f64; settings.classes], ..settings.clone() }
}

fn compare(comparison: &Comparison) {
    let Comparison { weights: weights_path, batch, expected, settings, unlabelled } = comparison;
    let mut params = Params::new();
    let diva = Diva::new(&mut Builder::new(&mut params, 0), settings.clone());
    let file = TensorFile::read(weights_path).unwrap();
    weights::import(&mut params, &file, weights_path).unwrap();
    let BatchFile { mut batch, noise } = BatchFile::read(batch, &diva).unwrap();
    if *unlabelled {
        batch.classes = None;
    }
    let alphas = Weights { beta: 1.0, alpha_d: 2000.0, alpha_y: 3500.0 };
    let ours = published(&diva, &params, &batch, &noise, alphas);
    let theirs = TensorFile::read(expected).unwrap();
    let names: Vec<&str> = theirs.names().collect();
    assert!(names.len() > 80, "{} has only {} tensors", expected.display(), names.len());
    assert_eq!(ours.names().count(), names.len());
    for name in names {
        let ((our_shape, a), (their_shape, b)) = (ours.f32s(name).unwrap(), theirs.f32s(name).unwrap());
        assert_eq!(our_shape, their_shape, "{name}");
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let difference = norm(&mut a.iter().zip(&b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
        let relative = difference / norm(&mut b.iter().map(|&b| f64::from(b))).max(1e-20);
        let bound = if name.starts_with("grad.") { 2e-4 } else { 2e-5 };
        assert!(relative < bound, "{}: {name} is {relative:.2e} off", expected.display());
    }
}

/// The smallest networks with every layer in place, in every variant of the objective.
#[test]
fn every_variant_equals_pytorch_on_tiny_networks() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny");
    let tiny =
        uniform(&Settings { encoder_width: 1.0 / 16.0, decoder_width: 1.0 / 32.0, latent: 7, ..QUARTER });
    for (answer, logits, kl) in [
        ("supervised", LogitLayout::PerPixel, Kl::Sampled),
        ("unlabelled", LogitLayout::PerPixel, Kl::Sampled),
        ("supervised-published", LogitLayout::Published, Kl::Sampled),
        ("supervised-closed-form", LogitLayout::PerPixel, Kl::ClosedForm),
        ("unlabelled-closed-form", LogitLayout::PerPixel, Kl::ClosedForm),
    ] {
        compare(&Comparison {
            weights: fixtures.join("weights.safetensors"),
            batch: fixtures.join("batch.safetensors"),
            expected: fixtures.join(format!("{answer}.safetensors")),
            settings: Settings { logits, kl, ..tiny.clone() },
            unlabelled: answer.starts_with("unlabelled"),
        });
    }
}

/// The larger fixtures, where they exist: beside the repository.
#[test]
fn both_branches_equal_pytorch_at_a_quarter_of_the_width() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    if !fixtures.exists() {
        println!("skipped: there is no ../shared/fixtures");
        return;
    }
    let per_pixel = uniform(&QUARTER);
    let as_published = Settings { logits: LogitLayout::Published, ..per_pixel.clone() };
    for (folder, answer, settings, unlabelled) in [
        ("mnist-quarter", "supervised", &per_pixel, false),
        ("mnist-quarter", "unlabelled", &per_pixel, true),
        ("mnist-quarter-published", "supervised", &as_published, false),
    ] {
        compare(&Comparison {
            weights: fixtures.join("mnist-quarter/weights.safetensors"),
            batch: fixtures.join("mnist-quarter/batch.safetensors"),
            expected: fixtures.join(folder).join(format!("{answer}.safetensors")),
            settings: settings.clone(),
            unlabelled,
        });
    }
}
