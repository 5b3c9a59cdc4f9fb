//! Losses, gradients and statistics against PyTorch's, for both branches of the loss.

use diva::autograd::{Builder, Engine, Gradients, Params, Tape};
use diva::models::diva::Noise;
use diva::models::{
    Batch, Classifier, Dann, Diva, Kl, LogitLayout, Loss, ModelKind, SIDE, Settings, Vae, Weights,
};
use diva::store::tensors::TensorFile;
use diva::tensor::Tensor;
use diva::train::gradients::{BatchFile, insert_gradients, published};
use diva::train::weights;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// Asserts that terms, gradients and statistics are those of the answer.
fn assert_equal(ours: &TensorFile, theirs: &TensorFile, which: &str) {
    let names: Vec<&str> = theirs.names().collect();
    assert_eq!(ours.names().collect::<Vec<_>>(), names, "{which}");
    for name in names {
        let ((our_shape, a), (their_shape, b)) = (ours.f32s(name).unwrap(), theirs.f32s(name).unwrap());
        assert_eq!(our_shape, their_shape, "{which}: {name}");
        let norm = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
        let difference = norm(&mut a.iter().zip(&b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
        let relative = difference / norm(&mut b.iter().map(|&b| f64::from(b))).max(1e-20);
        let bound = if name.starts_with("grad.") { 2e-4 } else { 2e-5 };
        assert!(relative < bound, "{which}: {name} is {relative:.2e} off");
    }
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
    assert!(theirs.names().count() > 80, "{} is too small", expected.display());
    assert_equal(&ours, &theirs, &expected.display().to_string());
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

/// The ablations and the baselines: `scripts/torch_baselines.py` is the other side.
#[test]
fn every_other_model_equals_pytorch_on_tiny_networks() {
    const HIDDEN: usize = 20;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/baselines");
    let weights_of_terms = Weights { beta: 0.25, alpha_d: 20.0, alpha_y: 35.0 };
    for (name, kind, answer) in [
        ("diva-no-zd", ModelKind::DivaNoZd, "answer"),
        ("diva-no-zd", ModelKind::DivaNoZd, "unlabelled"),
        ("diva-no-zx", ModelKind::DivaNoZx, "answer"),
        ("diva-no-zx", ModelKind::DivaNoZx, "unlabelled"),
        ("vae", ModelKind::Vae, "answer"),
        ("vae", ModelKind::Vae, "unlabelled"),
        ("classifier", ModelKind::Classifier, "answer"),
        ("dann", ModelKind::Dann, "answer"),
    ] {
        let settings = uniform(&Settings {
            kind,
            encoder_width: 1.0 / 16.0,
            decoder_width: 1.0 / 32.0,
            latent: 7,
            ..QUARTER
        });
        let read = |file: &str| TensorFile::read(&fixtures.join(name).join(file)).unwrap();
        let (start, file) = (read("weights.safetensors"), read("batch.safetensors"));
        let matrix = |name: &str| {
            let (shape, values) = file.f32s(name).unwrap();
            Tensor::new([shape[0], shape[1]], &values)
        };
        let labels =
            |name: &str| -> Arc<[u32]> { file.i64s(name).unwrap().1.iter().map(|&l| l as u32).collect() };
        let batch = |x: &str, d: &str, y: Option<&str>| {
            let (shape, values) = file.f32s(x).unwrap();
            Batch {
                images: Tensor::new([shape[0], SIDE, SIDE, 1], &values),
                levels: values.iter().map(|x| (x * 255.0).round() as u32).collect(),
                domains: labels(d),
                classes: y.map(labels),
            }
        };
        let whole = batch("x", "d", (answer == "answer").then_some("y"));

        let mut params = Params::new();
        let mut builder = Builder::new(&mut params, 0);
        type Objective = Box<dyn for<'t> Fn(&'t Tape<'t>) -> Loss<'t>>;
        let loss: Objective = match kind {
            ModelKind::Vae => {
                let (vae, noise) = (Vae::new(&mut builder, settings), matrix("eps"));
                Box::new(move |tape| vae.loss(tape, &whole, &noise, weights_of_terms))
            }
            ModelKind::Classifier => {
                let classifier = Classifier::new(&mut builder, &settings, HIDDEN);
                Box::new(move |tape| classifier.loss(tape, &whole))
            }
            ModelKind::Dann => {
                let dann = Dann::new(&mut builder, &settings, HIDDEN);
                let unlabelled = batch("unlabelled_x", "unlabelled_d", None);
                let keep = ["keep_y", "keep_d", "keep_unlabelled"].map(matrix);
                Box::new(move |tape| {
                    let keep = |which: u64, _: &Batch| keep[which as usize].clone();
                    dann.loss(tape, &whole, Some(&unlabelled), keep, 0.6)
                })
            }
            _ => {
                let diva = Diva::new(&mut builder, settings);
                let [domain, residual, class] = ["eps_d", "eps_x", "eps_y"].map(matrix);
                let noise = Noise { domain, residual, class };
                Box::new(move |tape| diva.loss(tape, &whole, &noise, weights_of_terms))
            }
        };
        weights::import(&mut params, &start, &fixtures).unwrap();
        let (engine, mut gradients) = (Engine::new(), Gradients::new(&params));
        let mut ours = TensorFile::new();
        {
            let tape = Tape::train(&engine, &params);
            let loss = loss(&tape);
            ours.insert("loss", &[1], &[loss.total.item()]);
            for &(name, value) in &loss.terms {
                ours.insert(name, &[1], &[value]);
            }
            loss.total.backward(&mut gradients);
        }
        insert_gradients(&mut ours, &params, &gradients);
        assert_equal(&ours, &read(&format!("{answer}.safetensors")), &format!("{name}, {answer}"));
    }
}
