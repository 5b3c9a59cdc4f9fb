//! What the benchmarks share: numbers to work on, and the whole steps that are timed.

use diva::autograd::{Builder, Engine, Gradients, Init, Layout, Param, Params, Tape, Var};
use diva::config::Config;
use diva::models::diva::Noise;
use diva::models::networks::lenet::{Decoder, LEVELS};
use diva::models::{Batch, Diva, LogitLayout, SIDE, Weights};
use diva::optim::Adam;
use diva::rng::Stream;
use diva::simd::Isa;
use diva::tensor::{Shape, Tensor};
use diva::train::dataset;
use std::sync::Arc;

/// The decoder's inputs: three latents of 64.
const LATENTS: usize = 192;

/// The published learning rate.
const LEARNING_RATE: f64 = 1e-3;

/// Uses the instruction set that DIVA_ISA names, as the program does.
pub fn use_isa_of_environment() {
    if let Ok(name) = std::env::var("DIVA_ISA") {
        Isa::named(&name).unwrap_or_else(|error| panic!("{error}")).choose();
    }
}

/// `len` numbers between -0.5 and 0.5.
pub fn numbers(purpose: &str, len: usize) -> Vec<f32> {
    let mut numbers = vec![0.0; len];
    Stream::new(0, purpose, &[]).fill_uniform(-0.5, 0.5, &mut numbers);
    numbers
}

/// `len` labels below `bound`.
pub fn labels(purpose: &str, len: usize, bound: usize) -> Arc<[u32]> {
    let stream = Stream::new(0, purpose, &[]);
    (0..len as u64).map(|i| stream.below(i, bound as u64) as u32).collect()
}

/// Something computed from variables.
pub type Work = for<'t> fn(&[Var<'t>]) -> Var<'t>;

/// Variables that all need a gradient, and what is computed from them: forward alone, or forward and backward.
pub struct Graph {
    work: Work,
    params: Params,
    inputs: Vec<Param>,
    engine: Engine,
    gradients: Gradients,
}

impl Graph {
    /// `work` on variables of these shapes, filled with numbers between 0.5 and 1.5, which suit a standard deviation.
    pub fn new(shapes: &[Shape], work: Work) -> Graph {
        let mut params = Params::new();
        let mut builder = Builder::new(&mut params, 0);
        let inputs: Vec<Param> = (shapes.iter().enumerate())
            .map(|(i, &shape)| {
                builder.weight(&i.to_string(), shape, Layout::same(shape), Init::Constant(0.0))
            })
            .collect();
        for (i, &input) in inputs.iter().enumerate() {
            Stream::new(i as u64, "graph", &[]).fill_uniform(0.5, 1.5, params.get_mut(input));
        }
        let gradients = Gradients::new(&params);
        Graph { work, params, inputs, engine: Engine::new(), gradients }
    }

    /// Computes it on a new tape.
    pub fn forward(&self) {
        let tape = Tape::train(&self.engine, &self.params);
        let inputs: Vec<Var<'_>> = self.inputs.iter().map(|&input| tape.param(input)).collect();
        (self.work)(&inputs).read(|numbers| {
            std::hint::black_box(numbers.first());
        });
    }

    /// Computes it on a new tape, and the gradients of the sum of all that it gives.
    pub fn forward_and_backward(&mut self) {
        let tape = Tape::train(&self.engine, &self.params);
        let inputs: Vec<Var<'_>> = self.inputs.iter().map(|&input| tape.param(input)).collect();
        (self.work)(&inputs).sum().backward(&mut self.gradients);
    }
}

/// The rotated-MNIST decoder at full width with 256-way cross-entropy and Adam.
pub struct DecoderTraining {
    decoder: Decoder,
    params: Params,
    adam: Adam,
    engine: Engine,
    gradients: Gradients,
    z: Tensor,
    levels: Arc<[u32]>,
}

impl DecoderTraining {
    /// Before the first step; latents and grey levels are drawn at random.
    pub fn new(batch: usize) -> DecoderTraining {
        let mut params = Params::new();
        let decoder = Decoder::new(&mut Builder::new(&mut params, 0), 1.0, LATENTS);
        let mut z = Tensor::zeros([batch, LATENTS]);
        Stream::new(0, "latents", &[]).fill_normal(0, z.data_mut());
        DecoderTraining {
            decoder,
            adam: Adam::new(&params, LEARNING_RATE),
            engine: Engine::new(),
            gradients: Gradients::new(&params),
            z,
            levels: labels("levels", batch * SIDE * SIDE, LEVELS),
            params,
        }
    }

    /// One step. Returns the mean loss of a pixel before it, in nats.
    pub fn step(&mut self) -> f32 {
        let mean = {
            let tape = Tape::train(&self.engine, &self.params);
            let z = tape.input(&self.z);
            let loss = self.decoder.negative_log_likelihood(z, &self.levels, LogitLayout::PerPixel);
            let mean = loss.scale(1.0 / self.levels.len() as f32);
            let value = mean.read(|numbers| numbers[0]);
            mean.backward(&mut self.gradients);
            value
        };
        self.adam.step(&mut self.params, &self.gradients);
        self.params.take_statistics(&self.gradients);
        mean
    }

    /// How many numbers the model's state has: weights and running statistics.
    pub fn numbers(&self) -> usize {
        self.params.entries().iter().map(|entry| entry.shape.len()).sum()
    }
}

/// The whole model of a preset on random images: what `diva bench step` times.
pub struct DivaTraining {
    diva: Diva,
    params: Params,
    adam: Adam,
    engine: Engine,
    gradients: Gradients,
    batch: Batch,
    noise: Noise,
    weights: Weights,
}

impl DivaTraining {
    /// Before the first step, with or without the classes of the images.
    pub fn new(preset: &str, batch: usize, labelled: bool) -> DivaTraining {
        let (domains, classes) = (5, 10);
        let usable = "the presets of the program are usable";
        let config = Config::resolve(None, Some(preset), &[], None).expect(usable);
        let settings = dataset::settings(&config.model, domains, classes, Some(&[1; 10])).expect(usable);
        let noise = Noise::of_step(0, 0, batch, settings.latent);
        let mut params = Params::new();
        let diva = Diva::new(&mut Builder::new(&mut params, 0), settings);
        let levels = labels("levels", batch * SIDE * SIDE, LEVELS);
        let grey: Vec<f32> = levels.iter().map(|&level| level as f32 / 255.0).collect();
        DivaTraining {
            diva,
            adam: Adam::new(&params, LEARNING_RATE),
            engine: Engine::new(),
            gradients: Gradients::new(&params),
            batch: Batch {
                images: Tensor::new([batch, SIDE, SIDE, 1], &grey),
                levels,
                domains: labels("domains", batch, domains),
                classes: labelled.then(|| labels("classes", batch, classes)),
            },
            noise,
            weights: Weights {
                beta: 1.0,
                alpha_d: config.train.alpha_d as f32,
                alpha_y: config.train.alpha_y as f32,
            },
            params,
        }
    }

    /// One step.
    pub fn step(&mut self) {
        {
            let tape = Tape::train(&self.engine, &self.params);
            let loss = self.diva.loss(&tape, &self.batch, &self.noise, self.weights);
            loss.total.backward(&mut self.gradients);
        }
        self.adam.step(&mut self.params, &self.gradients);
        self.params.take_statistics(&self.gradients);
    }
}
