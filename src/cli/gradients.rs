//! `diva gradients`

use super::outputs::{is_same, refuse_taken};
use super::{ConfigArguments, say};
use crate::error::{Error, Result};
use crate::models::{Model, Weights};
use crate::train::gradients::{BatchFile, published};
use crate::train::saved_run::load_weights;
use clap::Args;
use std::path::PathBuf;

/// One training-mode pass over a given batch, with all beta = 1: loss, terms, gradients and statistics.
///
/// Reads PyTorch-named weights and a batch (x, d, y, eps_d, eps_x, eps_y) and writes loss, terms, grad.NAME and
/// after.NAME, all as safetensors: for comparison with another implementation. Needs no data.
#[derive(Args, Debug)]
pub(super) struct Gradients {
    /// The configuration; of its sections, model and train are used.
    #[arg(long, value_name = "CONFIG.toml")]
    config: PathBuf,
    /// The weights, under their published names.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// The batch.
    #[arg(long, value_name = "FILE")]
    batch: PathBuf,
    /// Leave the classes out: the loss of unlabelled images.
    #[arg(long)]
    unlabelled: bool,
    /// Where to write the answer.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

impl Gradients {
    pub(super) fn run(&self) -> Result<()> {
        refuse_taken(&self.out)?;
        if [&self.weights, &self.batch].into_iter().any(|input| is_same(input, &self.out)) {
            let out = self.out.display();
            return Err(Error::request(format!("cannot write {out}: it is read here; give another --out")));
        }
        let arguments = ConfigArguments {
            config: Some(self.config.clone()),
            preset: None,
            overrides: Vec::new(),
            seed: None,
        };
        let config = arguments.resolve()?.effective_without_data()?;
        // p(y) is met by the loss of unlabelled images only; for labelled ones any will do.
        let class_counts = |classes| (!self.unlabelled).then(|| vec![1; classes]);
        let (model, params) = load_weights(&config, &self.weights, class_counts)?;
        let Model::Diva(diva) = model else {
            return Err(Error::request(
                "gradients are compared for model.kind = \"diva\" and its ablations only",
            ));
        };
        let BatchFile { mut batch, noise } = BatchFile::read(&self.batch, &diva)?;
        if self.unlabelled {
            batch.classes = None;
        }
        let weights =
            Weights { beta: 1.0, alpha_d: config.train.alpha_d as f32, alpha_y: config.train.alpha_y as f32 };
        published(&diva, &params, &batch, &noise, weights).write(&self.out)?;
        say(&format!(
            "{} images: loss, terms, gradients and statistics are in {}",
            batch.domains.len(),
            self.out.display()
        ))
    }
}
