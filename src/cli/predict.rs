//! `diva predict`

use super::saved_run::{Elsewhere, SavedRun};
use super::{percent, say, say_json};
use crate::autograd::{Engine, Params, Tape};
use crate::data::image;
use crate::error::Result;
use crate::models::{LabelPredictor, SIDE, argmax};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Images that go through the networks together.
const BATCH: usize = 100;

/// The class, and the most similar training domain, of PNG images.
#[derive(Args, Debug)]
pub(super) struct Predict {
    /// The run's folder.
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// PNG images of 28 x 28 pixels, or folders of them.
    #[arg(value_name = "IMAGE_OR_FOLDER", required = true)]
    images: Vec<PathBuf>,
    /// Print one JSON object instead of a line per image.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Prediction {
    file: String,
    class: u32,
    probability: f32,
    /// q(y | mean of q(zy|x)), by class.
    class_probabilities: Vec<f32>,
    /// The training domain that q(d | mean of q(zd|x)) finds likeliest, if the model can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    /// By training domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    domain_probabilities: Option<Vec<f32>>,
}

#[derive(Serialize)]
struct Predictions {
    domains: Vec<String>,
    predictions: Vec<Prediction>,
}

impl Predict {
    pub(super) fn run(&self) -> Result<()> {
        let saved = SavedRun::load(&self.run, &Elsewhere::default())?;
        let domains = saved.domain_names();
        let mut files = Vec::new();
        for path in &self.images {
            files.extend(image::png_files(path)?);
        }
        // All are read before the first answer: a wrong one is named before anything is printed.
        let images =
            files.iter().map(|file| image::read_grey(file, SIDE, SIDE)).collect::<Result<Vec<_>>>()?;
        let of_class = saved.model.class_predictor(&saved.params);
        let of_domain = saved.model.domain_predictor(&saved.params);
        let mut predictions = Vec::new();
        for (files, images) in files.chunks(BATCH).zip(images.chunks(BATCH)) {
            let pixels: Vec<f32> = images.iter().flatten().map(|&level| f32::from(level) / 255.0).collect();
            let mut nearest = of_domain.as_ref().map(|of_domain| answers(of_domain, &pixels).into_iter());
            for (file, class) in files.iter().zip(answers(&of_class, &pixels)) {
                let domain = nearest.as_mut().and_then(Iterator::next);
                let name = |label: u32| domains.get(label as usize).map_or(label.to_string(), String::clone);
                predictions.push(Prediction {
                    file: file.display().to_string(),
                    class: class.label,
                    probability: class.probabilities[class.label as usize],
                    class_probabilities: class.probabilities,
                    domain: domain.as_ref().map(|domain| name(domain.label)),
                    domain_probabilities: domain.map(|domain| domain.probabilities),
                });
            }
        }
        if self.json {
            return say_json(&Predictions { domains, predictions });
        }
        for p in &predictions {
            let share = percent(f64::from(p.probability));
            let domain =
                p.domain.as_ref().map_or(String::new(), |name| format!(", most like training domain {name}"));
            say(&format!("{}: class {} ({share}){domain}", p.file, p.class))?;
        }
        Ok(())
    }
}

/// The likeliest label of an image, and the probabilities of all.
struct Answer {
    label: u32,
    probabilities: Vec<f32>,
}

fn answers(predictor: &LabelPredictor, images: &[f32]) -> Vec<Answer> {
    let labels = predictor.labels();
    let count = images.len() / (SIDE * SIDE);
    let mut logits = vec![0.0; count * labels];
    predictor.logits(images, &mut logits);
    let (engine, params) = (Engine::new(), Params::new());
    let tape = Tape::inference(&engine, &params);
    let rows = tape.constant([count, labels], |numbers| numbers.copy_from_slice(&logits));
    rows.log_softmax().exp().read(|probabilities| {
        let likeliest = argmax(&logits, labels);
        let rows = likeliest.zip(probabilities.chunks_exact(labels));
        rows.map(|(label, row)| Answer { label, probabilities: row.to_vec() }).collect()
    })
}
