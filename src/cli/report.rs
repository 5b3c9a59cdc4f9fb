//! `diva report`

use super::saved_run::load_weights;
use super::say;
use crate::config::Config;
use crate::data::Split;
use crate::error::{Error, Result};
use crate::report::reconstructions;
use crate::report::run_report::{RunReport, page};
use crate::store::durable;
use crate::store::run_folder::RunFolder;
use crate::train::{dataset, evaluate, run};
use clap::Args;
use std::path::{Path, PathBuf};

/// One page about a run, or about several and how they compare.
///
/// The page is a single HTML file that needs no server and no network. A run that is not finished is shown as such.
#[derive(Args, Debug)]
pub(super) struct Report {
    /// The folders of the runs.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The file to write; report.html in the folder of the first run by default.
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
}

impl Report {
    pub(super) fn run(&self) -> Result<()> {
        let reports = self.runs.iter().map(|folder| gather(folder)).collect::<Result<Vec<_>>>()?;
        let default = || self.runs[0].join("report.html");
        let out = self.out.clone().unwrap_or_else(default);
        durable::write(&out, page(&reports).as_bytes())?;
        say(&format!("the report is in {}", out.display()))
    }
}

/// All that a report says of the run in a folder.
fn gather(folder: &Path) -> Result<RunReport> {
    let files = RunFolder::new(folder);
    if !files.config().is_file() {
        return Err(Error::request(format!(
            "cannot report {}: it is not the folder of a run (it has no config.toml)",
            folder.display()
        )));
    }
    let config = run::read_config(&files.config(), &[])?;
    let metrics = if files.metrics().exists() { run::read_metrics(&files.metrics())? } else { Vec::new() };
    let result = if files.result().exists() { Some(run::read_result(&files.result())?) } else { None };
    let mut report = RunReport {
        name: folder.display().to_string(),
        domains: config.data.training_domains().into_iter().map(ToString::to_string).collect(),
        metrics,
        result,
        confusion: None,
        pictures: Vec::new(),
        config,
    };
    if files.best().exists() {
        let split = dataset::load(&report.config)?;
        ask_model(&mut report, &files, &split)?;
    }
    Ok(report)
}

/// What the selected model answers.
fn ask_model(report: &mut RunReport, files: &RunFolder, split: &Split) -> Result<()> {
    let config: &Config = &report.config;
    let (model, params) = load_weights(config, &files.best(), |classes| Some(vec![1; classes]))?;
    let predicted = evaluate::predict(&model.class_predictor(&params), &split.test);
    let mut counts = vec![vec![0; split.classes]; split.classes];
    for (&class, &prediction) in split.test.classes.iter().zip(&predicted) {
        counts[class as usize][prediction as usize] += 1;
    }
    report.confusion = Some(counts);
    if let Some(png) = reconstructions(&model, &params, split) {
        report.pictures.push(("Images and their reconstructions".into(), png));
    }
    Ok(())
}
