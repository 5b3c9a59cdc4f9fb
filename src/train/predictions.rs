//! What a model says of images one by one: what `diva predict` prints, and a run keeps of its unseen domain.
//!
//! A finished run on pictures has a line for each image of the test domain in `predictions.csv`, so that anyone can score them again:
//! `file`, as `division.csv` has it, `truth`, the name of its class, and then the columns of `diva predict --csv`. Digits and made-up
//! cells are no files that anyone could look up: runs on them have none.

use super::unlike::UnlikeTraining;
use crate::autograd::Params;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::models::{LabelPredictor, LatentVariableModel, Model, argmax, elbos};
use crate::scores::log_odds::{first_not_finite, log_odds, probability};
use crate::tables::csv_line;
use serde::Serialize;
use std::collections::BTreeMap;

/// Images that go through the networks together.
const BATCH: usize = 100;

/// What is said of an image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// What the image is called.
    pub file: String,
    /// The likeliest class.
    pub class: u32,
    /// Its name.
    pub class_name: String,
    /// Its probability.
    pub probability: f64,
    /// q(y | mean of q(zy|x)), by class.
    pub class_probabilities: Vec<f64>,
    /// ln p / (1 - p) of these, by class.
    pub class_log_odds: Vec<f64>,
    /// The training domain that q(d | mean of q(zd|x)) finds likeliest, if the model can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// By training domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_probabilities: Option<Vec<f64>>,
    /// A lower bound of the logarithm of the image's density, in nats, where the run says between which an image is
    /// like the training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elbo: Option<f64>,
    /// Whether it is outside the limits of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlike_training: Option<bool>,
    /// By latent (zd, zx, zy or z), the means of its posterior, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latents: Option<BTreeMap<&'static str, Vec<f32>>>,
    /// The label of that domain.
    #[serde(skip)]
    pub domain_label: Option<u32>,
}

/// What a model says of `images`, which are called `files`; its classes and training domains have these names.
///
/// # Errors
/// If a logit is not finite.
///
/// # Panics
/// If the names or the images are not as many, or as large, as the model takes.
#[track_caller]
pub fn predict(
    (model, params): (&Model, &Params),
    (classes, domains): (&[String], &[String]),
    files: &[String],
    images: &[&[u8]],
) -> Result<Vec<Prediction>> {
    assert_eq!(files.len(), images.len(), "a name for each image");
    let (of_class, of_domain) = (model.class_predictor(params), model.domain_predictor(params));
    let mut predictions = Vec::with_capacity(files.len());
    for (files, images) in files.chunks(BATCH).zip(images.chunks(BATCH)) {
        let pixels: Vec<f32> =
            images.iter().copied().flatten().map(|&level| f32::from(level) / 255.0).collect();
        let ask = |predictor, what, names: &[String]| answers(predictor, &pixels, what, names, files);
        let of_domain = of_domain.as_ref().map(|of_domain| ask(of_domain, "training domain", domains));
        let mut nearest = of_domain.transpose()?.map(Vec::into_iter);
        for (file, class) in files.iter().zip(ask(&of_class, "class", classes)?) {
            let domain = nearest.as_mut().and_then(Iterator::next);
            predictions.push(Prediction {
                file: file.clone(),
                class: class.label,
                class_name: classes[class.label as usize].clone(),
                probability: class.probabilities[class.label as usize],
                class_probabilities: class.probabilities,
                class_log_odds: class.log_odds,
                domain_label: domain.as_ref().map(|domain| domain.label),
                domain: domain.as_ref().map(|domain| domains[domain.label as usize].clone()),
                domain_probabilities: domain.map(|domain| domain.probabilities),
                elbo: None,
                unlike_training: None,
                latents: None,
            });
        }
    }
    Ok(predictions)
}

/// Says of each prediction whether its image is unlike the training images.
///
/// # Panics
/// If p(y) is of another number of classes, the limits of another number of domains, or an image of another size, than the model
/// takes.
#[track_caller]
pub fn mark_unlike(
    predictions: &mut [Prediction],
    unlike: &UnlikeTraining,
    (model, params): (&dyn LatentVariableModel, &Params),
    images: &[&[u8]],
) {
    let elbos = elbos(model, params, &unlike.prior_y, images);
    for (prediction, elbo) in predictions.iter_mut().zip(elbos) {
        prediction.elbo = Some(elbo);
        prediction.unlike_training = Some(unlike.marks(prediction.domain_label, elbo));
    }
}

/// A table: its head, then a row for each image. File, class, its name, its probability, the probabilities of all classes, the
/// log-odds of the positive one of two classes or of all of more, the likeliest domain and the probabilities of all, the ELBO and
/// whether it is unlike those of the training images, the means of the latents.
pub fn table(classes: &[String], domains: &[String], predictions: &[Prediction]) -> Vec<Vec<String>> {
    let named =
        |what: &str, names: &[String]| names.iter().map(|name| format!("{what} {name}")).collect::<Vec<_>>();
    let mut head = ["file", "class", "class_name", "probability"].map(str::to_owned).to_vec();
    head.extend(named("class", classes));
    // Of two classes the other's are these with the other sign.
    let with_log_odds = if let [_, _] = classes { 1..2 } else { 0..classes.len() };
    match classes {
        [_, _] => head.push("log_odds".into()),
        more => head.extend(named("log_odds", more)),
    }
    if predictions.iter().any(|p| p.domain.is_some()) {
        head.push("domain".into());
        head.extend(named("domain", domains));
    }
    if predictions.iter().any(|p| p.elbo.is_some()) {
        head.extend(["elbo", "unlike_training"].map(str::to_owned));
    }
    if let Some(latents) = predictions.first().and_then(|p| p.latents.as_ref()) {
        let columns = |(name, means): (&&str, &Vec<f32>)| -> Vec<String> {
            (0..means.len()).map(|i| format!("{name} {i}")).collect()
        };
        head.extend(latents.iter().flat_map(columns));
    }
    let row = |p: &Prediction| {
        let mut row =
            vec![p.file.clone(), p.class.to_string(), p.class_name.clone(), p.probability.to_string()];
        row.extend(p.class_probabilities.iter().map(f64::to_string));
        row.extend(p.class_log_odds[with_log_odds.clone()].iter().map(f64::to_string));
        if let (Some(domain), Some(probabilities)) = (&p.domain, &p.domain_probabilities) {
            row.push(domain.clone());
            row.extend(probabilities.iter().map(f64::to_string));
        }
        if let (Some(elbo), Some(unlike)) = (p.elbo, p.unlike_training) {
            row.extend([elbo.to_string(), unlike.to_string()]);
        }
        row.extend(p.latents.iter().flatten().flat_map(|(_, means)| means).map(f32::to_string));
        row
    };
    std::iter::once(head).chain(predictions.iter().map(row)).collect()
}

/// What a model says of each image of the test domain, with marks where it is known what is `unlike` the training images. An image
/// that is no file has its number for a name.
///
/// # Errors
/// If a logit is not finite.
///
/// # Panics
/// If the model is not for such images.
#[track_caller]
pub fn of_test_domain(
    (model, params): (&Model, &Params),
    split: &Split,
    unlike: Option<&UnlikeTraining>,
) -> Result<Vec<Prediction>> {
    let files: Vec<String> = match &split.test_origins {
        Some(origins) => origins.iter().map(|origin| origin.file.clone()).collect(),
        None => (0..split.test.len()).map(|number| number.to_string()).collect(),
    };
    let images: Vec<&[u8]> = (0..split.test.len()).map(|index| split.test.image(index)).collect();
    let names = (&split.class_names[..], &split.domain_names[..]);
    let mut predictions = predict((model, params), names, &files, &images)?;
    if let Some((unlike, model)) = unlike.zip(model.latent_variables()) {
        mark_unlike(&mut predictions, unlike, (model, params), &images);
    }
    Ok(predictions)
}

/// The text of `predictions.csv`: what is said of each image of the test domain, beside its class.
pub fn with_truth(split: &Split, predictions: &[Prediction]) -> String {
    let truth = split.test.classes.iter().map(|&class| split.class_names[class as usize].clone());
    let mut text = String::new();
    let second = std::iter::once("truth".to_owned()).chain(truth);
    for (mut row, cell) in table(&split.class_names, &split.domain_names, predictions).into_iter().zip(second)
    {
        row.insert(1, cell);
        text += &csv_line(&row);
        text.push('\n');
    }
    text
}

/// The likeliest label of an image, and the probabilities and log-odds of all.
struct Answer {
    label: u32,
    probabilities: Vec<f64>,
    log_odds: Vec<f64>,
}

/// What a predictor says of the images of `files`; its labels are `what` and have `names`.
///
/// # Errors
/// If a logit is not finite.
fn answers(
    predictor: &LabelPredictor,
    images: &[f32],
    what: &str,
    names: &[String],
    files: &[String],
) -> Result<Vec<Answer>> {
    let labels = predictor.labels();
    let mut logits = vec![0.0; files.len() * labels];
    predictor.logits(images, &mut logits);
    if let Some((image, label, logit)) = first_not_finite(&logits, labels) {
        let (file, name) = (&files[image], &names[label]);
        return Err(Error::work(format!(
            "cannot predict {file}: the logit of {what} {name} is {logit}, expected a finite number: with these weights the \
             image leads to numbers that f32 does not hold"
        )));
    }
    let all = log_odds(&logits, labels);
    let rows = argmax(&logits, labels).zip(all.chunks_exact(labels));
    let answer = |(label, log_odds): (u32, &[f64])| Answer {
        label,
        probabilities: log_odds.iter().copied().map(probability).collect(),
        log_odds: log_odds.to_vec(),
    };
    Ok(rows.map(answer).collect())
}
