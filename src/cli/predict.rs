//! `diva predict`

use super::saved_run::SavedRun;
use super::{percent, say, say_json};
use crate::autograd::{Engine, Params, Tape};
use crate::data::image;
use crate::error::Result;
use crate::models::diva::{LabelPredictor, SIDE, argmax};
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
    /// The training domain that q(d | mean of q(zd|x)) finds likeliest.
    domain: String,
    /// By training domain.
    domain_probabilities: Vec<f32>,
}

#[derive(Serialize)]
struct Predictions {
    domains: Vec<String>,
    predictions: Vec<Prediction>,
}

impl Predict {
    pub(super) fn run(&self) -> Result<()> {
        let saved = SavedRun::load(&self.run)?;
        let domains = saved.domain_names();
        let mut files = Vec::new();
        for path in &self.images {
            files.extend(image::png_files(path)?);
        }
        // All are read before the first answer: a wrong one is named before anything is printed.
        let images =
            files.iter().map(|file| image::read_grey(file, SIDE, SIDE)).collect::<Result<Vec<_>>>()?;
        let of_class = LabelPredictor::of_classes(&saved.diva, &saved.params);
        let of_domain = LabelPredictor::of_domains(&saved.diva, &saved.params);
        let mut predictions = Vec::new();
        for (files, images) in files.chunks(BATCH).zip(images.chunks(BATCH)) {
            let pixels: Vec<f32> = images.iter().flatten().map(|&level| f32::from(level) / 255.0).collect();
            let (classes, nearest) = (answers(&of_class, &pixels), answers(&of_domain, &pixels));
            for ((file, class), domain) in files.iter().zip(classes).zip(nearest) {
                let name = domains.get(domain.label as usize).cloned();
                predictions.push(Prediction {
                    file: file.display().to_string(),
                    class: class.label,
                    probability: class.probabilities[class.label as usize],
                    class_probabilities: class.probabilities,
                    domain: name.unwrap_or_else(|| domain.label.to_string()),
                    domain_probabilities: domain.probabilities,
                });
            }
        }
        if self.json {
            return say_json(&Predictions { domains, predictions });
        }
        for p in &predictions {
            let share = percent(f64::from(p.probability));
            say(&format!("{}: class {} ({share}), most like training domain {}", p.file, p.class, p.domain))?;
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
