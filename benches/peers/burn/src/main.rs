//! burn's time for a training step of the rotated-MNIST decoder: forward, 256-way cross-entropy of every pixel,
//! backward, Adam.
//!
//! The layers are those of `Decoder` in `scripts/torch_reference.py`, from latents and grey levels drawn at random.
//! `burn-peer BATCH STEPS` prints one JSON object; RAYON_NUM_THREADS sets the threads.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig};
use burn::nn::interpolate::{Interpolate2d, Interpolate2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Int, Tensor};
use std::time::Instant;

const LATENTS: usize = 192;
const LEVELS: usize = 256;
const SIDE: usize = 28;

/// `MnistDecoder` of the published model.
#[derive(Module, Debug)]
struct Decoder {
    fc1: Linear,
    norm: BatchNorm,
    up1: Interpolate2d,
    de1: ConvTranspose2d,
    norm1: BatchNorm,
    up2: Interpolate2d,
    de2: ConvTranspose2d,
    norm2: BatchNorm,
    de3: Conv2d,
}

impl Decoder {
    fn new(device: &Device) -> Decoder {
        let convolution = |inputs, outputs| {
            ConvTranspose2dConfig::new([inputs, outputs], [5, 5]).with_bias(false).init(device)
        };
        let up = |side| Interpolate2dConfig::new().with_output_size(Some([side, side])).init();
        let norm = |features| BatchNormConfig::new(features).init(device);
        Decoder {
            fc1: LinearConfig::new(LATENTS, 1024).with_bias(false).init(device),
            norm: norm(1024),
            up1: up(8),
            de1: convolution(64, 128),
            norm1: norm(128),
            up2: up(24),
            de2: convolution(128, 256),
            norm2: norm(256),
            de3: Conv2dConfig::new([256, LEVELS], [1, 1]).init(device),
        }
    }

    /// (batch, latents) to logits (batch, levels, side, side).
    fn forward(&self, z: Tensor<2>) -> Tensor<4> {
        let [batch, _] = z.dims();
        let h = relu(self.norm.forward(self.fc1.forward(z)));
        let h = self.up1.forward(h.reshape([batch, 64, 4, 4]));
        let h = self.up2.forward(relu(self.norm1.forward(self.de1.forward(h))));
        self.de3.forward(relu(self.norm2.forward(self.de2.forward(h))))
    }
}

fn main() {
    let [batch, steps] = arguments();
    let device = Device::flex().autodiff();
    let mut decoder = Decoder::new(&device);
    let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
    let cross_entropy = CrossEntropyLossConfig::new().init(&device);
    let z: Tensor<2> = Tensor::random([batch, LATENTS], Distribution::Normal(0.0, 1.0), &device);
    let pixels = batch * SIDE * SIDE;
    let levels: Tensor<1> = Tensor::random([pixels], Distribution::Uniform(0.0, LEVELS as f64), &device);
    let levels: Tensor<1, Int> = levels.int();

    let mut seconds = Vec::new();
    let mut loss = f32::NAN;
    for step in 0..=steps {
        let start = Instant::now();
        let logits = decoder.forward(z.clone()).permute([0, 2, 3, 1]).reshape([pixels, LEVELS]);
        let mean = cross_entropy.forward(logits, levels.clone());
        let gradients = GradientsParams::from_grads(mean.backward(), &decoder);
        decoder = adam.step(1e-3, decoder, gradients);
        loss = mean.into_scalar();
        if step > 0 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    report(seconds, loss, decoder.num_params());
}

fn arguments() -> [usize; 2] {
    let numbers: Vec<usize> = std::env::args().skip(1).map_while(|argument| argument.parse().ok()).collect();
    match numbers[..] {
        [batch, steps] if batch >= 2 && steps >= 1 => [batch, steps],
        _ => panic!("expected BATCH (2 or more) and STEPS (1 or more)"),
    }
}

/// Prints the object: seconds of a step, nats a pixel before the last step, numbers in the state of the model.
fn report(mut seconds: Vec<f64>, loss: f32, numbers: usize) {
    seconds.sort_by(f64::total_cmp);
    let (median, fastest) = (seconds[seconds.len() / 2], seconds[0]);
    let peak = peak_rss_mib();
    println!(
        r#"{{"median_s": {median}, "min_s": {fastest}, "peak_rss_mib": {peak}, "loss": {loss}, "numbers": {numbers}}}"#
    );
}

/// VmHWM of /proc/self/status: the high-water mark of resident memory.
fn peak_rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells of every process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a high-water mark");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("VmHWM: N kB");
    kib / 1024.0
}
