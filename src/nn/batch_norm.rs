//! Batch normalisation with running statistics.

use super::Features;
use crate::autograd::{Builder, Init, Layout, Param, Params, Tape, Var};
use crate::ops::{Activation, Conv2d, EPSILON, Product, Statistics};
use std::sync::Arc;

/// How much of a new batch enters the running statistics: PyTorch's default, used by the published models.
const MOMENTUM: f32 = 0.1;

/// Normalises every channel: in training by the statistics of the batch, otherwise by their running averages.
///
/// The batch is normalised with its biased variance, and the unbiased one is averaged (PyTorch's rule).
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm {
    gamma: Param,
    beta: Param,
    mean: Param,
    variance: Param,
}

impl BatchNorm {
    /// A layer over `channels`; of a flattened image if the layer before it is one ([`Features::ToImage`]).
    pub fn new(builder: &mut Builder<'_>, channels: usize, features: Features) -> Self {
        let shape = vec![channels];
        let layout = match features {
            Features::ToImage { channels: of_pixel } => {
                Layout { view: vec![of_pixel, channels / of_pixel], order: vec![1, 0], shape }
            }
            Features::Plain | Features::FromImage { .. } => Layout::same([channels].into()),
        };
        BatchNorm {
            gamma: builder.weight("weight", [channels], layout.clone(), Init::Constant(1.0)),
            beta: builder.weight("bias", [channels], layout.clone(), Init::Constant(0.0)),
            mean: builder.statistic("running_mean", [channels], layout.clone(), 0.0),
            variance: builder.statistic("running_var", [channels], layout, 1.0),
        }
    }

    /// x (..., channels) to the same shape.
    #[track_caller]
    pub fn forward<'t>(&self, x: Var<'t>, activation: Activation) -> Var<'t> {
        self.forward_repeated(x, activation, 1)
    }

    /// As `forward` on a batch in which every row of x stands `repeats` times: the same mean and biased variance,
    /// but an unbiased variance of more rows. A single row, p(zy|y) of a single class, has the variance 0, as in PyTorch.
    #[track_caller]
    pub fn forward_repeated<'t>(&self, x: Var<'t>, activation: Activation, repeats: usize) -> Var<'t> {
        let (weights, statistics) = (self.weights(x.tape()), self.statistics(x.tape()));
        if matches!(statistics, Statistics::OfBatch) && x.shape().rows() == 1 && repeats > 1 {
            // The op wants two rows. That they are two and not `repeats` leaves no trace: the variance is 0.
            let two = self.forward(x.gather_rows(Arc::from([0, 0])), activation);
            return two.gather_rows(Arc::from([0]));
        }
        let y = x.batch_norm(weights, statistics, activation);
        self.observe(y, x.shape().rows() * repeats);
        y
    }

    /// The largest of every 2x2 block of the normalised and rectified x: (batch, height, width, channels) to (batch,
    /// height / 2, width / 2, channels); in training without holding the normalised image.
    #[track_caller]
    pub fn rectified_max_pool<'t>(&self, x: Var<'t>) -> Var<'t> {
        let (weights, statistics) = (self.weights(x.tape()), self.statistics(x.tape()));
        let y = x.batch_norm_max_pool(weights, statistics);
        self.observe(y, x.shape().rows());
        y
    }

    /// The sum over the rows of x (rows, channels) of the cross-entropy, in nats, between labels and the logits h w + b
    /// of the normalised and rectified rows h, with w (channels, classes) and b (classes): in training without holding
    /// h or the logits.
    #[track_caller]
    pub fn rectified_cross_entropy<'t>(
        &self,
        x: Var<'t>,
        weight_and_bias: [Var<'t>; 2],
        labels: &Arc<[u32]>,
    ) -> Var<'t> {
        let (weights, statistics) = (self.weights(x.tape()), self.statistics(x.tape()));
        let y = x.batch_norm_linear_cross_entropy(weights, statistics, weight_and_bias, labels.clone());
        self.observe(y, x.shape().rows());
        y
    }

    /// The end of a residual block: activation(times norm(h) + r), without holding norm(h) or the sum. Of a block that
    /// changes sizes r is normalised too, and one of half the height and width is taken for an image as large as h that has
    /// zeros behind each of its pixels.
    #[track_caller]
    pub fn residual<'t>(
        &self,
        h: Var<'t>,
        r: Var<'t>,
        norm_of_r: Option<&BatchNorm>,
        times: f32,
        activation: Activation,
    ) -> Var<'t> {
        let (tape, rows) = (h.tape(), h.shape().rows());
        let of_r = norm_of_r.map(|norm| (norm.weights(tape), norm.statistics(tape)));
        let y = h.batch_norm_residual(self.weights(tape), self.statistics(tape), r, of_r, times, activation);
        self.observe(y, rows);
        if let Some(norm) = norm_of_r {
            norm.observe_at(y, 1, rows);
        }
        y
    }

    /// activation(norm(x * weight)), without holding the convolution: for a first layer of images of few channels.
    #[track_caller]
    pub(super) fn of_conv2d<'t>(
        &self,
        x: Var<'t>,
        weight: Var<'t>,
        settings: Conv2d,
        activation: Activation,
    ) -> Var<'t> {
        let (weights, statistics) = (self.weights(x.tape()), self.statistics(x.tape()));
        let y = x.conv2d_batch_norm(weight, settings, weights, statistics, activation);
        self.observe(y, y.shape().rows());
        y
    }

    /// The product of activation(norm(x)), without holding that, with weights.
    #[track_caller]
    pub(super) fn product<'t>(
        &self,
        x: Var<'t>,
        activation: Activation,
        weight: Var<'t>,
        product: Product,
    ) -> Var<'t> {
        let (weights, statistics) = (self.weights(x.tape()), self.statistics(x.tape()));
        let y = x.batch_norm_conv2d(weights, statistics, activation, weight, product);
        self.observe(y, x.shape().rows());
        y
    }

    /// gamma and beta.
    fn weights<'t>(&self, tape: &'t Tape<'t>) -> [Var<'t>; 2] {
        [self.gamma, self.beta].map(|p| tape.param(p))
    }

    /// What an op with this layer inside normalises by.
    fn statistics(&self, tape: &Tape<'_>) -> Statistics {
        if tape.is_training() {
            return Statistics::OfBatch;
        }
        let [mean, variance] = [self.mean, self.variance].map(|p| tape.statistic(p));
        Statistics::Given { mean, variance }
    }

    /// In training, averages the statistics that y saved, the means and the biased variances of so many rows.
    fn observe(&self, y: Var<'_>, rows: usize) {
        self.observe_at(y, 0, rows);
    }

    /// The same of the statistics behind so many others.
    fn observe_at(&self, y: Var<'_>, others: usize, rows: usize) {
        let tape = y.tape();
        if !tape.is_training() {
            return;
        }
        let channels = tape.param(self.mean).shape().len();
        let unbiased = (rows as f64 / (rows as f64 - 1.0)) as f32;
        y.read_saved(|saved| {
            let saved = &saved[2 * others * channels..][..2 * channels];
            let (mean, variance) = saved.split_at(channels);
            tape.observe(self.mean, |old, new| average(old, mean, 1.0, new));
            tape.observe(self.variance, |old, new| average(old, variance, unbiased, new));
        });
    }
}

impl BatchNorm {
    /// What it does to each channel by the running statistics, in f64: y = scale x + shift.
    pub(super) fn scale_and_shift(&self, params: &Params) -> Vec<(f64, f64)> {
        let [gamma, beta, mean, variance] =
            [self.gamma, self.beta, self.mean, self.variance].map(|param| params.get(param));
        let of_channel = |c: usize| {
            let scale = f64::from(gamma[c]) / (f64::from(variance[c]) + f64::from(EPSILON)).sqrt();
            (scale, f64::from(beta[c]) - f64::from(mean[c]) * scale)
        };
        (0..gamma.len()).map(of_channel).collect()
    }
}

/// new = (1 - momentum) old + momentum (factor x)
fn average(old: &[f32], x: &[f32], factor: f32, new: &mut [f32]) {
    for ((new, old), x) in new.iter_mut().zip(old).zip(x) {
        *new = (1.0 - MOMENTUM) * old + MOMENTUM * (factor * x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{Engine, Gradients, Role};
    use crate::nn::{Bias, BlockConvolution, Conv, ConvTranspose};
    use crate::ops::Activation::{Identity, LeakyRelu};
    use crate::ops::ConvTranspose2d;
    use crate::rng::Stream;
    use crate::tensor::{Shape, Tensor};

    /// A first layer and a block of either kind: convolutions, the transposed convolution to twice the size.
    struct Layers {
        first: (Conv, BatchNorm),
        same: [(Conv, BatchNorm); 2],
        up: [(ConvTranspose, BatchNorm); 2],
        skip: (ConvTranspose, BatchNorm),
        /// The skip of `up` as published: 1 x 1, stride 2, output padding 1.
        spread: ConvTranspose2d,
    }

    const CHANNELS: usize = 16;
    const TIMES: f32 = 0.1;

    impl Layers {
        fn new(root: &mut Builder<'_>) -> Self {
            let norm = |root: &mut Builder<'_>, name: &str| {
                BatchNorm::new(&mut root.scope(name), CHANNELS, Features::Plain)
            };
            let mut conv = |name: &str, inputs: usize| {
                let settings = Conv2d { stride: 1, padding: 1 };
                let conv = Conv::strided(&mut root.scope(name), inputs, CHANNELS, 3, settings, Bias::Without);
                (conv, norm(root, &format!("norm of {name}")))
            };
            let (first, same) = (conv("first", 3), ["same1", "same2"].map(|name| conv(name, CHANNELS)));
            let mut transposed = |name: &str, kernel: usize, stride: usize| {
                let padding = kernel / 2;
                let settings = ConvTranspose2d { stride, padding, output_padding: stride - 1 };
                let conv = ConvTranspose::new(&mut root.scope(name), CHANNELS, CHANNELS, kernel, settings);
                (conv, norm(root, &format!("norm of {name}")))
            };
            let up = [transposed("up1", 3, 2), transposed("up2", 3, 1)];
            let skip = transposed("skip", 1, 1);
            let spread = ConvTranspose2d { stride: 2, padding: 0, output_padding: 1 };
            Layers { first, same, up, skip, spread }
        }

        fn forward<'t>(&self, x: Var<'t>, fused: bool) -> Var<'t> {
            if fused { self.fused(x) } else { self.one_by_one(x) }
        }

        fn fused<'t>(&self, x: Var<'t>) -> Var<'t> {
            let x = self.first.0.forward_then(&self.first.1, x, LeakyRelu);
            let [(conv1, norm1), (conv2, norm2)] = &self.same;
            let h = conv2.forward_normalized(norm1, conv1.forward(x), LeakyRelu);
            let x = norm2.residual(h, x, None, TIMES, LeakyRelu);
            let [(conv1, norm1), (conv2, norm2)] = &self.up;
            let h = conv2.forward_normalized(norm1, conv1.forward(x), LeakyRelu);
            norm2.residual(h, self.skip.0.forward(x), Some(&self.skip.1), TIMES, Identity)
        }

        fn one_by_one<'t>(&self, x: Var<'t>) -> Var<'t> {
            let x = self.first.1.forward(self.first.0.forward(x), LeakyRelu);
            let [(conv1, norm1), (conv2, norm2)] = &self.same;
            let h = conv2.forward(norm1.forward(conv1.forward(x), LeakyRelu));
            let x = (norm2.forward(h, Identity).scale(TIMES) + x).activate(LeakyRelu);
            let [(conv1, norm1), (conv2, norm2)] = &self.up;
            let h = conv2.forward(norm1.forward(conv1.forward(x), LeakyRelu));
            let skip = x.conv_transpose2d(x.tape().param(self.skip.0.weight), self.spread);
            norm2.forward(h, Identity).scale(TIMES) + self.skip.1.forward(skip, Identity)
        }
    }

    #[test]
    fn residual_blocks_equal_their_steps_one_by_one() {
        let mut params = Params::new();
        let layers = Layers::new(&mut Builder::new(&mut params, 0));
        for (i, param) in params.handles().enumerate() {
            let (from, to) = match params.entry(param).role {
                Role::Statistic => (0.2, 0.9),
                Role::Weight => (-0.8, 0.9),
            };
            Stream::new(1, "blocks", &[i as u64]).fill_uniform(from, to, params.get_mut(param));
        }
        let mut x = Tensor::zeros([3, 6, 8, 3]);
        Stream::new(2, "blocks", &[]).fill_uniform(-1.0, 1.0, x.data_mut());
        let mut weights = Tensor::zeros([3, 12, 16, CHANNELS]);
        Stream::new(3, "blocks", &[]).fill_uniform(-1.0, 1.0, weights.data_mut());
        let engine = Engine::new();

        let trained = |fused: bool| {
            let mut gradients = Gradients::new(&params);
            let tape = Tape::train(&engine, &params);
            let y = layers.forward(tape.input(&x), fused);
            let output = y.read(<[f32]>::to_vec);
            (y * tape.input(&weights)).sum().backward(&mut gradients);
            let of_params = params
                .handles()
                .map(|param| (params.entry(param).name.clone(), gradients.get(&params, param).to_vec()));
            std::iter::once(("y".to_string(), output)).chain(of_params).collect::<Vec<_>>()
        };
        let predicted = |fused: bool| {
            let tape = Tape::inference(&engine, &params);
            vec![(
                "y of the running averages".to_string(),
                layers.forward(tape.input(&x), fused).read(<[f32]>::to_vec),
            )]
        };
        for (found, expected) in [(trained(true), trained(false)), (predicted(true), predicted(false))] {
            for ((name, found), (_, expected)) in found.iter().zip(&expected) {
                let largest = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
                assert!(largest > 1e-3, "{name} is nothing");
                for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                    let error = (found - expected).abs();
                    assert!(
                        error < 3e-5 * largest,
                        "{name} at {i}: {found}, expected {expected} of {largest}"
                    );
                }
            }
        }
    }

    /// One row for each of many equal ones, against the whole batch in f64: value, gradients and running averages. A single
    /// row is p(zy|y) of a single class.
    #[test]
    fn repeated_rows_equal_the_whole_batch() {
        const COLUMNS: usize = 3;
        for (rows, repeats) in [(1, 2), (1, 100), (2, 1), (2, 50), (7, 3)] {
            let mut params = Params::new();
            let mut root = Builder::new(&mut params, 0);
            let shape = Shape::from([rows, COLUMNS]);
            let x = root.weight("x", shape, Layout::same(shape), Init::Constant(0.0));
            let norm = BatchNorm::new(&mut root.scope("norm"), COLUMNS, Features::Plain);
            for (i, param) in params.handles().enumerate() {
                Stream::new(4, "repeated", &[i as u64]).fill_uniform(0.2, 0.9, params.get_mut(param));
            }
            let mut weights = Tensor::zeros([rows * repeats, COLUMNS]);
            Stream::new(5, "repeated", &[]).fill_uniform(-1.0, 1.0, weights.data_mut());

            // (x - mean) / sd gamma + beta over all rows, activated; and the statistics.
            let whole = |[x, gamma, beta]: &[Vec<f64>; 3]| {
                let count = (rows * repeats) as f64;
                let (mut y, mut statistics) = (vec![0.0; rows * repeats * COLUMNS], Vec::new());
                for c in 0..COLUMNS {
                    let column = || (0..rows * repeats).map(|r| x[r % rows * COLUMNS + c]);
                    let mean = column().sum::<f64>() / count;
                    let squares = column().map(|x| (x - mean).powi(2)).sum::<f64>();
                    for (r, x) in column().enumerate() {
                        let u = (x - mean) / (squares / count + f64::from(EPSILON)).sqrt();
                        let z = gamma[c] * u + beta[c];
                        y[r * COLUMNS + c] = if z > 0.0 { z } else { 0.01 * z };
                    }
                    statistics.push([mean, squares / (count - 1.0)]);
                }
                (y, statistics)
            };
            let inputs = [x, norm.gamma, norm.beta];
            let wide = |param| params.get(param).iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
            let at = inputs.map(wide);
            let loss = |at: &[Vec<f64>; 3]| -> f64 {
                whole(at).0.iter().zip(weights.data()).map(|(y, &w)| y * f64::from(w)).sum()
            };
            let slope = |which: usize, i: usize| {
                let moved = |by: f64| {
                    let mut at = at.clone();
                    at[which][i] += by;
                    loss(&at)
                };
                (moved(1e-6) - moved(-1e-6)) / 2e-6
            };

            let (engine, mut gradients) = (Engine::new(), Gradients::new(&params));
            let tape = Tape::train(&engine, &params);
            let y = norm.forward_repeated(tape.param(x), LeakyRelu, repeats);
            let every: Arc<[u32]> = (0..rows * repeats).map(|r| (r % rows) as u32).collect();
            let y = y.gather_rows(every);
            let found = y.read(<[f32]>::to_vec);
            (y * tape.input(&weights)).sum().backward(&mut gradients);
            drop(tape);

            let near = |what: &str, found: &[f32], expected: &[f64], unit: f64| {
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(expected) {
                    let error = (f64::from(*found) - expected).abs();
                    let case = format!("{what} of {rows} rows {repeats} times");
                    assert!(error < 1e-5 * unit, "{case}: {found}, expected {expected}");
                }
            };
            let (y, statistics) = whole(&at);
            near("y", &found, &y, 1.0);
            // The gradient of beta is the largest: of a single row, and nearly of two, the others are 0.
            let of_beta: Vec<f64> = (0..COLUMNS).map(|c| slope(2, c)).collect();
            let unit = of_beta.iter().fold(1e-3_f64, |largest, slope| largest.max(slope.abs()));
            for (which, param) in inputs.into_iter().enumerate() {
                let expected: Vec<f64> = (0..at[which].len()).map(|i| slope(which, i)).collect();
                near("a gradient", gradients.get(&params, param), &expected, unit);
            }
            for (which, param) in [norm.mean, norm.variance].into_iter().enumerate() {
                let averages = wide(param).into_iter().zip(&statistics);
                let expected: Vec<f64> = averages.map(|(old, new)| 0.9 * old + 0.1 * new[which]).collect();
                near("a running average", gradients.get(&params, param), &expected, 1.0);
            }
        }
    }
}
