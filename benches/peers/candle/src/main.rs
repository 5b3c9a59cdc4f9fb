//! candle's time for a training step of the rotated-MNIST decoder: forward, 256-way cross-entropy of every pixel,
//! backward, Adam.
//!
//! The layers are those of `Decoder` in `scripts/torch_reference.py`, from latents and grey levels drawn at random.
//! `candle-peer BATCH STEPS` prints one JSON object; RAYON_NUM_THREADS sets the threads.

use candle_core::{DType, Device, Module, Result, Tensor};
use candle_nn::{
    AdamW, BatchNorm, Conv2d, ConvTranspose2d, Linear, Optimizer, ParamsAdamW, VarBuilder, VarMap,
};
use std::time::Instant;

const LATENTS: usize = 192;
const LEVELS: usize = 256;
const SIDE: usize = 28;

/// `MnistDecoder` of the published model.
struct Decoder {
    fc1: (Linear, BatchNorm),
    de1: (ConvTranspose2d, BatchNorm),
    de2: (ConvTranspose2d, BatchNorm),
    de3: Conv2d,
}

impl Decoder {
    fn new(builder: VarBuilder) -> Result<Decoder> {
        let [fc1, de1, de2] =
            ["fc1", "de1", "de2"].map(|name| (builder.pp(name).pp("0"), builder.pp(name).pp("1")));
        let convolution = |inputs, outputs, (layer, norm): (VarBuilder, VarBuilder)| {
            let convolution =
                candle_nn::conv_transpose2d_no_bias(inputs, outputs, 5, Default::default(), layer)?;
            Result::Ok((convolution, candle_nn::batch_norm(outputs, 1e-5, norm)?))
        };
        Ok(Decoder {
            fc1: (
                candle_nn::linear_no_bias(LATENTS, 1024, fc1.0)?,
                candle_nn::batch_norm(1024, 1e-5, fc1.1)?,
            ),
            de1: convolution(64, 128, de1)?,
            de2: convolution(128, 256, de2)?,
            de3: candle_nn::conv2d(256, LEVELS, 1, Default::default(), builder.pp("de3").pp("0"))?,
        })
    }

    /// (batch, latents) to logits (batch, levels, side, side).
    fn forward(&self, z: &Tensor) -> Result<Tensor> {
        let h = self.fc1.1.forward_train(&self.fc1.0.forward(z)?)?.relu()?;
        let h = h.reshape(((), 64, 4, 4))?.upsample_nearest2d(8, 8)?;
        let h = self.de1.1.forward_train(&self.de1.0.forward(&h)?)?.relu()?;
        let h = h.upsample_nearest2d(24, 24)?;
        let h = self.de2.1.forward_train(&self.de2.0.forward(&h)?)?.relu()?;
        self.de3.forward(&h)
    }
}

fn main() -> Result<()> {
    let [batch, steps] = arguments();
    let device = Device::Cpu;
    let variables = VarMap::new();
    let decoder = Decoder::new(VarBuilder::from_varmap(&variables, DType::F32, &device))?;
    // AdamW without its decay is Adam.
    let settings = ParamsAdamW { lr: 1e-3, weight_decay: 0.0, ..Default::default() };
    let mut adam = AdamW::new(variables.all_vars(), settings)?;
    let z = Tensor::randn(0f32, 1f32, (batch, LATENTS), &device)?;
    let levels = Tensor::rand(0f32, LEVELS as f32, batch * SIDE * SIDE, &device)?.to_dtype(DType::U32)?;

    let mut seconds = Vec::new();
    let mut loss = f32::NAN;
    for step in 0..=steps {
        let start = Instant::now();
        let logits = decoder.forward(&z)?.permute((0, 2, 3, 1))?.reshape(((), LEVELS))?;
        let mean = candle_nn::loss::cross_entropy(&logits, &levels)?;
        adam.backward_step(&mean)?;
        loss = mean.to_scalar()?;
        if step > 0 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    let numbers: usize = variables.all_vars().iter().map(|variable| variable.elem_count()).sum();
    report(seconds, loss, numbers);
    Ok(())
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
