//! What a training run shows: a progress bar on a terminal that can draw one, otherwise one plain line per epoch.

use super::{note, percent};
use crate::autograd::Params;
use crate::error::Result;
use crate::names::{printable, printable_name};
use crate::report::run_pictures;
use crate::report::tensorboard::EventFile;
use crate::store::lock::Lock;
use crate::store::run_folder::{Claim, PREDICTIONS, RunFolder};
use crate::train::metrics::EpochMetrics;
use crate::train::run::Watcher;
use crate::train::trainer::{StepLoss, Trainer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use signal_hook::iterator::{Signals, SignalsInfo};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Instant, SystemTime};

/// The signals that ask to stop. SIGUSR1 and SIGXCPU are how batch systems say that the time is nearly over.
#[cfg(unix)]
const TO_STOP: [i32; 5] = {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXCPU};
    [SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGXCPU]
};
#[cfg(not(unix))]
const TO_STOP: [i32; 2] = [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];

/// The signals that ask to stop, and a clock.
pub(super) struct Ear {
    start: Instant,
    signal: Arc<AtomicUsize>,
    /// How many runs are being trained.
    training: AtomicUsize,
    /// Whether none is and no signal came while one was, so that there is nothing to save.
    ends_at_once: Arc<AtomicBool>,
}

/// The folder that a run has claimed, if it has one.
pub(super) type Claimed = Arc<Mutex<Option<Claim>>>;

/// Gives the claim up, if that has not been done: a run that came to nothing leaves no folder.
pub(super) fn give_up(claimed: &Claimed) {
    drop(claimed.lock().unwrap_or_else(PoisonError::into_inner).take());
}

impl Ear {
    /// Listens to Ctrl-C, SIGTERM and the like from now on. As long as nothing is trained they end the process at once, with
    /// the exit code that they have later, a sentence that ends in what is said of such a `moment`, and give up what is `claimed`.
    pub(super) fn new(claimed: Claimed, moment: &'static str) -> Self {
        let (signal, ends_at_once) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
        let listened = || TO_STOP.into_iter().filter(|&number| !stays_ignored(number));
        for number in listened() {
            // Without the handlers the signal still ends the process, only less gently.
            let _ = signal_hook::flag::register_usize(number, signal.clone(), number as usize);
        }
        // Not in the handler, which must not touch a disk.
        let is_to_end = ends_at_once.clone();
        let end = move |mut signals: SignalsInfo| {
            if let Some(number) = signals.forever().find(|_| is_to_end.load(Ordering::SeqCst)) {
                give_up(&claimed);
                note(&format!("stopped by signal {number} {moment}"));
                std::process::exit(128 + number);
            }
        };
        let waiting = Signals::new(listened()).and_then(|signals| Builder::new().spawn(move || end(signals)));
        if waiting.is_err() {
            for number in listened() {
                let ends_at_once = ends_at_once.clone();
                let _ = signal_hook::flag::register_conditional_shutdown(number, 128 + number, ends_at_once);
            }
        }
        Ear { start: Instant::now(), signal, training: AtomicUsize::new(0), ends_at_once }
    }

    /// One more run is being trained, or one less.
    pub(super) fn training(&self, begins: bool) {
        let before = match begins {
            true => self.training.fetch_add(1, Ordering::SeqCst),
            false => self.training.fetch_sub(1, Ordering::SeqCst),
        };
        // Whoever was being trained when a signal came has still to say so.
        let ends_at_once = !begins && before == 1 && self.signal().is_none();
        self.ends_at_once.store(ends_at_once, Ordering::SeqCst);
    }

    /// Seconds since it began to listen.
    pub(super) fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// The number of the last signal that came, if one did.
    pub(super) fn signal(&self) -> Option<i32> {
        match self.signal.load(Ordering::Relaxed) {
            0 => None,
            number => i32::try_from(number).ok(),
        }
    }
}

/// Whether a signal is to have no effect: SIGHUP where `nohup` said so. Where that cannot be asked it keeps the effect that it
/// has.
#[cfg(unix)]
fn stays_ignored(number: i32) -> bool {
    if number != signal_hook::consts::SIGHUP {
        return false;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_none_or(|mask| mask >> (number - 1) & 1 == 1)
}
#[cfg(not(unix))]
fn stays_ignored(_number: i32) -> bool {
    false
}

/// The clock, the signals and the reports of a run on a console.
pub(super) struct Console {
    ear: Ear,
    bar: Option<ProgressBar>,
    tensorboard: bool,
    /// The event file for TensorBoard once the run has started; what went wrong once it cannot be written.
    events: Option<Result<EventFile>>,
}

impl Console {
    /// Listens to Ctrl-C, SIGTERM and the like from now on. With `tensorboard`, the run gets an event file.
    pub(super) fn new(tensorboard: bool, claimed: Claimed) -> Self {
        Console {
            ear: Ear::new(claimed, "while the images were read; nothing was begun"),
            bar: bar("{prefix} [{wide_bar}] {msg}, {eta} left"),
            tensorboard,
            events: None,
        }
    }

    /// A line for the user, above the bar if there is one.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(printable(line)),
            None => print(line),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Keeps what became of the event file. The training is worth more than it, and goes on without.
    fn keep_events(&mut self, outcome: Result<EventFile>) {
        if let Err(cause) = &outcome {
            self.say(&format!("{cause}; training goes on, and will not count as finished"));
        }
        self.events = Some(outcome);
    }
}

/// A bar of this style on standard output, if that is a terminal on which one can be drawn. On others, whose TERM is missing, empty or dumb, it
/// would swallow every line that is to stand above it.
pub(super) fn bar(style: &str) -> Option<ProgressBar> {
    let is_nameless = std::env::var_os("TERM").is_some_and(|name| name.is_empty());
    if !io::stdout().is_terminal() || is_nameless {
        return None;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
    bar.set_style(ProgressStyle::with_template(style).expect("a fixed template").progress_chars("=> "));
    Some(bar).filter(|bar| !bar.is_hidden())
}

/// The time for TensorBoard, in seconds since 1970.
#[allow(
    clippy::disallowed_methods,
    reason = "an event file is for a clock's times, and nothing else reads it"
)]
pub(super) fn seconds_since_1970() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// A line on standard output, as [`say`](super::say) prints it. Nobody reading is no reason to stop training.
pub(super) fn print(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{}", printable(line)).and_then(|()| out.flush());
}

/// What is said of an epoch, of so many that there will be.
pub(super) fn about(metrics: &EpochMetrics, epochs: usize, test_domain: &str, selected: bool) -> String {
    let terms = match (metrics.reconstruction, metrics.divergences()) {
        (Some(reconstruction), Some(kl)) => {
            format!("loss {:8.1}  reconstruction {reconstruction:7.1}  kl {kl:5.1}", metrics.loss)
        }
        _ => format!("loss {:8.4}", metrics.loss),
    };
    format!(
        "epoch {:3}/{epochs}  {terms}  accuracy {} (training domains), {} ({}){}",
        metrics.epoch,
        percent(metrics.train_accuracy),
        percent(metrics.test_accuracy),
        printable_name(test_domain),
        if selected { "  selected" } else { "" }
    )
}

/// The names of the files that are written at last, but for those that only a process with the folder's lock writes.
pub(super) fn files_at_last() -> impl Iterator<Item = String> {
    run_pictures::files().chain([PREDICTIONS.to_owned()])
}

impl Watcher for Console {
    fn seconds(&mut self) -> f64 {
        self.ear.seconds()
    }

    fn signal(&mut self) -> Option<i32> {
        self.ear.signal()
    }

    fn images_read(&mut self) {
        self.ear.training(true);
    }

    fn files(&self) -> Vec<String> {
        files_at_last().collect()
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
            split.domain_names.iter().map(|name| printable_name(name)).collect::<Vec<_>>().join(", "),
            printable_name(&split.test_domain),
            trainer.state().params.trained()
        ));
        let done = trainer.state().progress.epochs;
        if trainer.is_done() {
            self.say(&format!("{done} epochs are done: what is missing of their result is made"));
        } else if done > 0 || trainer.state().progress.batches > 0 {
            self.say(&format!("goes on in epoch {} of {}", done + 1, config.train.epochs));
        }
        if self.tensorboard {
            self.keep_events(EventFile::begin(folder, seconds_since_1970()));
        }
        if let Some(bar) = &self.bar {
            bar.reset(); // it may be that of a run before
            let steps = trainer.order().map_or(0, |order| order.len());
            bar.set_length((config.train.epochs * steps) as u64);
            bar.set_position(trainer.state().progress.steps);
            bar.reset_eta();
        }
    }

    fn notice(&mut self, sentence: &str) {
        self.say(sentence);
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
        let (epochs, test_domain) = (trainer.config().train.epochs, &trainer.split().test_domain);
        self.say(&about(metrics, epochs, test_domain, selected));
        if let Some(Ok(events)) = &self.events
            && let Err(cause) = events.epoch(metrics, seconds_since_1970())
        {
            self.keep_events(Err(cause));
        }
    }

    fn trained(
        &mut self,
        trainer: &Trainer,
        folder: &RunFolder,
        lock: &Lock,
        selected: &Params,
    ) -> Result<()> {
        run_pictures::draw(trainer, folder, lock, selected)?;
        lock.still_held()?;
        match self.events.take() {
            None => Ok(()),
            Some(events) => events?.pictures(folder, trainer.state().progress.epochs, seconds_since_1970()),
        }
    }
}
