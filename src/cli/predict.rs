//! `diva predict`

use super::saved_run::SavedRun;
use super::{percent, say, say_json};
use crate::autograd::{Engine, Tape, Var};
use crate::data::image;
use crate::error::Result;
use crate::models::diva::{SIDE, argmax_rows};
use crate::tensor::Tensor;
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
        let engine = Engine::new();
        let mut predictions = Vec::new();
        for (files, images) in files.chunks(BATCH).zip(images.chunks(BATCH)) {
            let pixels: Vec<f32> = images.iter().flatten().map(|&level| f32::from(level) / 255.0).collect();
            let tape = Tape::inference(&engine, &saved.params);
            let x = tape.input(&Tensor::new([images.len(), SIDE, SIDE, 1], &pixels));
            let (of_class, of_domain) = (saved.diva.class_logits(x), saved.diva.domain_logits(x));
            let (classes, nearest) = (argmax_rows(of_class), argmax_rows(of_domain));
            let (class_rows, domain_rows) = (probabilities(of_class), probabilities(of_domain));
            for (i, file) in files.iter().enumerate() {
                let (class, domain) = (classes[i], nearest[i] as usize);
                predictions.push(Prediction {
                    file: file.display().to_string(),
                    class,
                    probability: class_rows[i][class as usize],
                    class_probabilities: class_rows[i].clone(),
                    domain: domains.get(domain).cloned().unwrap_or_else(|| domain.to_string()),
                    domain_probabilities: domain_rows[i].clone(),
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

/// The softmax of every row.
fn probabilities(logits: Var<'_>) -> Vec<Vec<f32>> {
    let columns = logits.shape().columns();
    logits.log_softmax().exp().read(|numbers| numbers.chunks_exact(columns).map(<[f32]>::to_vec).collect())
}
