//! Where the time of a training step goes: a row for each op, size and pass, beside what the machine can do.
//!
//! The engine hands every run of an op to the profiler, which takes the time; what the run costs follows from its
//! shapes. Times are means over the timed steps, so that the rows and what is left (`other`: Adam, the tape, the sums of
//! gradients) add up to the step.

use super::machine::Machine;
use crate::autograd::{Engine, MultiplyAdds, Pass};
use crate::cli::{percent, say};
use crate::error::Result;
use crate::tensor::Shape;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;

/// Receives the runs of the ops of one engine.
pub(super) struct Profiler {
    runs: Receiver<(SizedOp, Sums)>,
}

/// What is one row: runs of an op on the same sizes.
#[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct SizedOp {
    op: &'static str,
    pass: &'static str,
    /// The shape of the first input.
    input: Vec<usize>,
    output: Vec<usize>,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    calls: usize,
    seconds: f64,
    work: MultiplyAdds,
    bytes: usize,
}

impl std::ops::AddAssign for Sums {
    fn add_assign(&mut self, other: Sums) {
        self.calls += other.calls;
        self.seconds += other.seconds;
        self.work.computed += other.work.computed;
        self.work.naive += other.work.naive;
        self.bytes += other.bytes;
    }
}

impl Profiler {
    /// A profiler, and the engine that it listens to.
    pub(super) fn new() -> (Self, Engine) {
        let (sender, runs) = mpsc::channel();
        let engine = Engine::observed(Box::new(move |run, go| {
            let start = Instant::now();
            go();
            let seconds = start.elapsed().as_secs_f64();
            let sizes = |shape: Shape| shape.sizes().to_vec();
            let kind = SizedOp {
                op: run.op.name(),
                pass: if run.pass == Pass::Forward { "forward" } else { "backward" },
                input: run.inputs.first().copied().map(sizes).unwrap_or_default(),
                output: sizes(run.output),
            };
            let sums = Sums { calls: 1, seconds, work: run.multiply_adds(), bytes: run.bytes() };
            // A profiler that is gone wants no more.
            let _ = sender.send((kind, sums));
        }));
        (Profiler { runs }, engine)
    }

    /// Forgets the runs so far.
    pub(super) fn forget(&self) {
        self.runs.try_iter().for_each(drop);
    }

    /// The profile of the runs since then, which were those of steps that took these seconds.
    pub(super) fn finish(self, machine: Machine, steps: &[f64]) -> Profile {
        let mut kinds: BTreeMap<SizedOp, Sums> = BTreeMap::new();
        let mut total = Sums { seconds: steps.iter().sum(), ..Sums::default() };
        let mut inside = 0.0;
        for (kind, sums) in self.runs.try_iter() {
            inside += sums.seconds;
            total += Sums { seconds: 0.0, ..sums };
            *kinds.entry(kind).or_default() += sums;
        }
        let scale = Scale { steps: steps.len(), step: total.seconds, machine };
        let other = Sums { seconds: total.seconds - inside, ..Sums::default() };
        let mut rows: Vec<Row> =
            kinds.into_iter().map(|(kind, sums)| Row { kind, figures: scale.figures(sums) }).collect();
        rows.sort_by(|a, b| b.figures.ms.total_cmp(&a.figures.ms));
        Profile { machine, rows, other: scale.figures(other), total: scale.figures(total) }
    }
}

/// What sums over all steps are measured by.
struct Scale {
    steps: usize,
    /// The seconds of all steps together.
    step: f64,
    machine: Machine,
}

impl Scale {
    fn figures(&self, sums: Sums) -> Figures {
        let rate = |amount: usize| amount as f64 / sums.seconds.max(f64::MIN_POSITIVE) / 1e9;
        let gflop_per_s = rate(2 * sums.work.computed);
        let gb_per_s = rate(sums.bytes);
        Figures {
            calls: sums.calls / self.steps,
            ms: 1e3 * sums.seconds / self.steps as f64,
            share: sums.seconds / self.step,
            multiply_adds: sums.work.computed / self.steps,
            naive_multiply_adds: sums.work.naive / self.steps,
            bytes: sums.bytes / self.steps,
            gflop_per_s,
            naive_gflop_per_s: rate(2 * sums.work.naive),
            gb_per_s,
            peak_share: gflop_per_s / self.machine.fma_gflop_per_s,
            copy_share: gb_per_s / self.machine.copy_gb_per_s,
        }
    }
}

/// The profile of a step.
#[derive(Serialize)]
pub(super) struct Profile {
    machine: Machine,
    /// The slowest first.
    rows: Vec<Row>,
    /// The step without the ops.
    other: Figures,
    /// The step.
    total: Figures,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    kind: SizedOp,
    #[serde(flatten)]
    figures: Figures,
}

/// Per step, in the mean.
#[derive(Serialize)]
struct Figures {
    calls: usize,
    ms: f64,
    share: f64,
    multiply_adds: usize,
    naive_multiply_adds: usize,
    bytes: usize,
    gflop_per_s: f64,
    naive_gflop_per_s: f64,
    gb_per_s: f64,
    /// Of the machine's multiply-adds.
    peak_share: f64,
    /// Of the machine's bandwidth; more than 1 where data come from a cache.
    copy_share: f64,
}

impl Profile {
    /// Prints the table.
    pub(super) fn say(&self) -> Result<()> {
        let Machine { fma_gflop_per_s, copy_gb_per_s } = self.machine;
        say(&format!(
            "means over the steps; peak {fma_gflop_per_s:.0} GFLOP/s (multiply-adds on registers alone), copying \
             {copy_gb_per_s:.1} GB/s (read and written)"
        ))?;
        say(&format!(
            "{:<8}{:>6}{:>10}{:>9}{:>9}{:>9}{:>9}{:>8}{:>9}  op",
            "pass", "calls", "ms", "share", "GFLOP/s", "naive", "of peak", "GB/s", "of copy"
        ))?;
        for Row { kind, figures } in &self.rows {
            let (input, output) = (by(&kind.input), by(&kind.output));
            let sizes = if input == output { input } else { format!("{input} -> {output}") };
            figures.say(kind.pass, &format!("{} {sizes}", kind.op))?;
        }
        self.other.say("", "other")?;
        self.total.say("", "total")
    }
}

impl Figures {
    fn say(&self, pass: &str, what: &str) -> Result<()> {
        let some = |there: bool, text: String| if there { text } else { "-".to_owned() };
        let (products, memory) = (self.multiply_adds > 0, self.bytes > 0);
        say(&format!(
            "{pass:<8}{:>6}{:>10.3}{:>9}{:>9}{:>9}{:>9}{:>8}{:>9}  {what}",
            some(self.calls > 0, self.calls.to_string()),
            self.ms,
            percent(self.share),
            some(products, format!("{:.1}", self.gflop_per_s)),
            some(products, format!("{:.1}", self.naive_gflop_per_s)),
            some(products, percent(self.peak_share)),
            some(memory, format!("{:.1}", self.gb_per_s)),
            some(memory, percent(self.copy_share)),
        ))
    }
}

/// 100x28x28x256; 1 for a single number.
fn by(sizes: &[usize]) -> String {
    if sizes.is_empty() {
        "1".into()
    } else {
        sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("x")
    }
}
