//! `diva report`

use super::console::bar;
use super::elsewhere::Elsewhere;
use super::outputs::refuse_taken;
use super::{note, say};
use crate::error::Result;
use crate::models::networks::PixelValue;
use crate::names::shown;
use crate::report::compare::page;
use crate::report::gather::{STEPS, gather};
use crate::report::run_report::RunReport;
use crate::store::durable;
use crate::store::run_folder::RunFolder;
use clap::Args;
use indicatif::ProgressBar;
use std::path::PathBuf;

/// One page about a run, or about several and how they compare.
///
/// The page is a single HTML file that needs no server and no network. A run that is not finished is shown as such.
/// The page of one run holds its decoder: its reader picks an image, changes its domain and class and moves its latents, and the
/// page decodes them. The page says how large it is.
#[derive(Args, Debug)]
pub(super) struct Report {
    /// The folders of the runs.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The file to write; report.html in the folder of the first run by default.
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Leave out what a reader can try; the page of several runs has nothing of it.
    #[arg(long)]
    no_live: bool,
    /// What the pictures show of each pixel, of which the decoder gives a distribution: by default the median of grey levels, the
    /// mean of mixtures, which are drawn as mean or sample alone.
    #[arg(long, value_name = "VALUE")]
    pixel: Option<PixelValue>,
    #[command(flatten)]
    elsewhere: Elsewhere,
}

impl Report {
    pub(super) fn run(&self) -> Result<()> {
        let default = || self.runs[0].join("report.html");
        let out = self.out.clone().unwrap_or_else(default);
        refuse_taken(&out)?;
        let bar = bar("{prefix} [{bar:20}] {wide_msg}");
        let report = |(number, folder): (usize, &PathBuf)| {
            let files = RunFolder::new(folder);
            let live = self.runs.len() == 1 && !self.no_live;
            let config = self.elsewhere.config("report", &files)?;
            let mut step = number * STEPS;
            if let Some(bar) = &bar {
                bar.set_length((self.runs.len() * STEPS) as u64);
                bar.set_prefix(shown(folder));
            }
            let mut progress = |what: &str| {
                if let Some(bar) = &bar {
                    bar.set_position(step as u64);
                    bar.set_message(what.to_owned());
                }
                step += 1;
            };
            let report = gather(&files, config, live, self.pixel, &mut progress);
            bar.iter().for_each(ProgressBar::finish_and_clear);
            let report = report?;
            report.not_asked.iter().for_each(|why| note(why));
            Ok(report)
        };
        let reports: Vec<RunReport> = self.runs.iter().enumerate().map(report).collect::<Result<_>>()?;
        if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            durable::create_folder(folder)?;
        }
        durable::clear_temporaries_of(&out);
        let write = if self.out.is_some() { durable::write } else { durable::write_own };
        write(&out, page(&reports).as_bytes())?;
        say(&format!("the report is in {}", out.display()))
    }
}
