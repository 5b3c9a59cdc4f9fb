//! `diva bench`: how long a training step or a prediction takes, on random images, at full width; and the matrix product.

mod gemm;
mod machine;
mod peak;
mod profile;

use super::{say, say_json};
use crate::autograd::{Builder, Engine, Gradients, Params, Tape};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::models::diva::Noise;
use crate::models::{Batch, Diva, Weights, argmax};
use crate::optim::Adam;
use crate::parallel;
use crate::rng::Stream;
use crate::simd::Isa;
use crate::tensor::Tensor;
use crate::train::dataset;
use clap::{Args, Subcommand};
use machine::Machine;
use profile::{Profile, Profiler};
use serde::Serialize;
use std::hint::black_box;
use std::time::Instant;

/// The largest train.batch.
const MOST_IMAGES: usize = 65_536;
/// Days of steps.
const MOST_STEPS: usize = 1_000_000;

/// How long things take here; needs no data.
#[derive(Debug, Subcommand)]
pub(super) enum Bench {
    /// The complete training step: forward, backward, Adam. The first one is not counted.
    Step {
        #[command(flatten)]
        arguments: Arguments,
        /// The step on images without a class.
        #[arg(long)]
        unlabelled: bool,
        /// Say op by op where the time goes, how much is computed, and what the machine can do at most.
        #[arg(long)]
        profile: bool,
    },
    /// Class prediction: the encoder of zy and the classifier.
    Infer {
        #[command(flatten)]
        arguments: Arguments,
    },
    Gemm(gemm::Gemm),
}

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The model, at full width.
    #[arg(long, value_name = "NAME", default_value = "rotated-mnist")]
    model: String,
    /// Images a step.
    #[arg(long, value_name = "N", default_value_t = 100)]
    batch: usize,
    /// Steps to be timed.
    #[arg(long, value_name = "N", default_value_t = 7)]
    steps: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'static str,
    model: &'a str,
    unlabelled: bool,
    batch: usize,
    steps: usize,
    threads: usize,
    isa: &'static str,
    median_s: f64,
    min_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    images_per_s: Option<f64>,
    /// The most memory that the process has held, in MiB; `null` where the system does not tell. A profile's
    /// measurement of the bandwidth holds 256.
    peak_rss_mib: Option<f64>,
    /// Tensor buffers allocated after the first step.
    allocations_after_first_step: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
}

impl Bench {
    pub(super) fn run(&self) -> Result<()> {
        let (command, arguments, unlabelled) = match self {
            Bench::Step { arguments, unlabelled, .. } => ("step", arguments, *unlabelled),
            Bench::Infer { arguments } => ("infer", arguments, false),
            Bench::Gemm(gemm) => return gemm.run(),
        };
        let bench = Subject::new(arguments, unlabelled)?;
        let mut profile = None;
        let (mut seconds, allocations) = match self {
            Bench::Step { profile: true, .. } => {
                let machine = Machine::measure();
                let (profiler, engine) = Profiler::new();
                let (seconds, allocations) = bench.steps(&engine, arguments.steps, || profiler.forget());
                profile = Some(profiler.finish(machine, &seconds));
                (seconds, allocations)
            }
            Bench::Step { .. } => bench.steps(&Engine::new(), arguments.steps, || {}),
            _ => bench.predictions(arguments.steps),
        };
        let median_s = median(&mut seconds);
        let images_per_s = arguments.batch as f64 / median_s;
        let report = Report {
            command,
            model: &arguments.model,
            unlabelled,
            batch: arguments.batch,
            steps: arguments.steps,
            threads: parallel::threads(),
            isa: Isa::current().name(),
            median_s,
            min_s: seconds[0],
            images_per_s: (command == "infer").then_some(images_per_s),
            peak_rss_mib: peak_rss_mib(),
            allocations_after_first_step: allocations,
            profile,
        };
        if arguments.json {
            return say_json(&report);
        }
        let memory = report.peak_rss_mib.map_or("unknown".into(), |mib| format!("{mib:.0} MiB"));
        say(&format!(
            "{} {command}, batch {}, {} threads, {}: median {median_s:.4} s, fastest {:.4} s, {images_per_s:.0} images/s, \
             peak memory {memory}",
            report.model, report.batch, report.threads, report.isa, report.min_s
        ))?;
        report.profile.iter().try_for_each(Profile::say)
    }
}

/// The median of some times, which are sorted for it.
fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// A model with random images.
struct Subject {
    diva: Diva,
    params: Params,
    adam: Adam,
    batch: Batch,
    noise: Noise,
    weights: Weights,
}

impl Subject {
    fn new(arguments: &Arguments, unlabelled: bool) -> Result<Self> {
        // As many labels as in the published experiments.
        let (domains, classes) = match arguments.model.as_str() {
            "rotated-mnist" => (5, 10),
            "malaria" => (9, 2),
            other => {
                let message = format!("--model {other} is not usable; it takes rotated-mnist or malaria");
                return Err(Error::request(message));
            }
        };
        for (flag, found, least, most) in
            [("--batch", arguments.batch, 2, MOST_IMAGES), ("--steps", arguments.steps, 1, MOST_STEPS)]
        {
            if !(least..=most).contains(&found) {
                return Err(Error::request(format!(
                    "{flag} {found} is not usable; it takes {least} to {most}"
                )));
            }
        }
        let config = Config::resolve(None, Some(&arguments.model), &[], None)?;
        let settings = dataset::settings(&config.model, domains, classes, Some(&vec![1; classes]))?;
        let [height, width, channels] = settings.image;
        let noise = Noise::of_step(0, 0, arguments.batch, settings.latent);
        let mut params = Params::new();
        let diva = Diva::new(&mut Builder::new(&mut params, config.seed), settings);
        let adam = Adam::new(&params, config.train.learning_rate);
        let stream = Stream::new(0, "bench", &[]);
        let images = arguments.batch as u64;
        let labels = |purpose: u64, count: usize| {
            (0..images).map(move |i| stream.bits(purpose * images + i) % count as u32)
        };
        let levels: Vec<u32> = (0..images * (height * width * channels) as u64)
            .map(|i| stream.bits((1 << 32) + i) % 256)
            .collect();
        let pixels: Vec<f32> = levels.iter().map(|&level| level as f32 / 255.0).collect();
        let batch = Batch {
            images: Tensor::new([arguments.batch, height, width, channels], &pixels),
            levels: levels.into(),
            domains: labels(0, domains).collect(),
            classes: (!unlabelled).then(|| labels(1, classes).collect()),
        };
        let weights =
            Weights { beta: 1.0, alpha_d: config.train.alpha_d as f32, alpha_y: config.train.alpha_y as f32 };
        Ok(Subject { diva, params, adam, batch, noise, weights })
    }

    /// The seconds of each step after the first, and the buffers allocated in them; `after_first` comes between.
    fn steps(mut self, engine: &Engine, count: usize, after_first: impl Fn()) -> (Vec<f64>, usize) {
        let mut gradients = Gradients::new(&self.params);
        let mut first = 0;
        let mut seconds = Vec::new();
        for step in 0..=count {
            let start = Instant::now();
            {
                let tape = Tape::train(engine, &self.params);
                self.diva.loss(&tape, &self.batch, &self.noise, self.weights).total.backward(&mut gradients);
            }
            self.adam.step(&mut self.params, &gradients);
            self.params.take_statistics(&gradients);
            if step == 0 {
                first = engine.misses();
                after_first();
            } else {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
        (seconds, engine.misses() - first)
    }

    /// The same for predictions.
    fn predictions(self, count: usize) -> (Vec<f64>, usize) {
        let predictor = self.diva.class_predictor(&self.params);
        let labels = predictor.labels();
        let mut logits = vec![0.0; self.batch.domains.len() * labels];
        let mut predicted = vec![0; self.batch.domains.len()];
        let mut first = 0;
        let mut seconds = Vec::new();
        for step in 0..=count {
            let start = Instant::now();
            predictor.logits(self.batch.images.data(), &mut logits);
            predicted.iter_mut().zip(argmax(&logits, labels)).for_each(|(to, label)| *to = label);
            black_box(&predicted);
            if step == 0 {
                first = parallel::scratch_allocations();
            } else {
                seconds.push(start.elapsed().as_secs_f64());
            }
        }
        (seconds, parallel::scratch_allocations() - first)
    }
}

/// VmHWM of /proc/self/status: the high-water mark of resident memory.
fn peak_rss_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
