//! What a training run shows: a progress bar on a terminal, otherwise one plain line per epoch.

use super::percent;
use crate::error::Result;
use crate::report::run_pictures;
use crate::store::run_folder::RunFolder;
use crate::train::metrics::EpochMetrics;
use crate::train::run::Watcher;
use crate::train::trainer::{StepLoss, Trainer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// The clock, the signals and the reports of a run on a console.
pub(super) struct Console {
    start: Instant,
    signal: Arc<AtomicUsize>,
    bar: Option<ProgressBar>,
}

impl Console {
    /// Listens to Ctrl-C and SIGTERM from now on.
    pub(super) fn new() -> Self {
        let signal = Arc::new(AtomicUsize::new(0));
        for number in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // Without the handler the signal still ends the process, only less gently.
            let _ = signal_hook::flag::register_usize(number, signal.clone(), number as usize);
        }
        let bar = io::stdout().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            let style = "{prefix} [{wide_bar}] {msg}, {eta} left";
            bar.set_style(
                ProgressStyle::with_template(style).expect("a fixed template").progress_chars("=> "),
            );
            bar
        });
        Console { start: Instant::now(), signal, bar }
    }

    /// A line for the user, above the bar if there is one.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => {
                let mut out = io::stdout().lock();
                // Nobody reading is no reason to stop training.
                let _ = writeln!(out, "{line}").and_then(|()| out.flush());
            }
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Watcher for Console {
    fn seconds(&mut self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    fn signal(&mut self) -> Option<i32> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            number => i32::try_from(number).ok(),
        }
    }

    fn started(&mut self, trainer: &Trainer, folder: &RunFolder) {
        let (split, config) = (trainer.split(), trainer.config());
        self.say(&format!(
            "{}: {} images{} of {} domains ({}), {} held out, {} parameters",
            folder.path().display(),
            split.train.len(),
            split
                .unlabelled
                .as_ref()
                .map_or(String::new(), |data| format!(" and {} without class", data.len())),
            split.domain_names.len(),
            split.domain_names.join(", "),
            split.test_domain,
            trainer.state().params.trained()
        ));
        let done = trainer.state().progress.epochs;
        if done > 0 || trainer.state().progress.batches > 0 {
            self.say(&format!("goes on in epoch {} of {}", done + 1, config.train.epochs));
        }
        if let Some(bar) = &self.bar {
            let steps = trainer.order().map_or(0, |order| order.len());
            bar.set_length((config.train.epochs * steps) as u64);
            bar.set_position(trainer.state().progress.steps);
            bar.reset_eta();
        }
    }

    fn step(&mut self, trainer: &Trainer, loss: &StepLoss, _done: usize, _steps: usize) {
        if let Some(bar) = &self.bar {
            let total = loss.terms.iter().find(|(name, _)| *name == "loss").map_or(0.0, |(_, value)| *value);
            let best = trainer.state().progress.best.as_ref();
            let accuracy = best.map_or("-".into(), |best| percent(best.train_accuracy));
            bar.set_prefix(format!("epoch {}/{}", trainer.epoch(), trainer.config().train.epochs));
            bar.set_message(format!("loss {:.0} an image, accuracy {accuracy}", total / loss.images as f32));
            bar.inc(1);
        }
    }

    fn epoch(&mut self, trainer: &Trainer, metrics: &EpochMetrics, selected: bool) {
        self.say(&format!(
            "epoch {:3}/{}  loss {:8.1}  reconstruction {:7.1}  kl {:5.1}  accuracy {} (training domains), {} ({}){}",
            metrics.epoch,
            trainer.config().train.epochs,
            metrics.loss,
            metrics.reconstruction,
            metrics.kl_d + metrics.kl_x + metrics.kl_y,
            percent(metrics.train_accuracy),
            percent(metrics.test_accuracy),
            trainer.split().test_domain,
            if selected { "  selected" } else { "" }
        ));
    }

    fn trained(&mut self, trainer: &Trainer, folder: &RunFolder) -> Result<()> {
        run_pictures::draw(trainer, folder)
    }
}
