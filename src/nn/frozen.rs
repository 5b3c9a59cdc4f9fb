//! Stages whose parameters no longer change, run one after the other without a tape.
//!
//! Batch normalisation by running statistics is an affine map of each channel, so it is folded into the convolution
//! before it:
//!
//! ```text
//! norm(conv(x)) = (x * w + b - mean) scale + beta = x * (w scale) + (b - mean) scale + beta
//! scale = gamma / sqrt(variance + eps)
//! ```
//!
//! A few images at a time go through all layers on one thread, so that what is between two layers stays in that core's
//! cache and nothing is allocated but scratch memory, once a thread. An image's outputs are the same bits whatever
//! images stand beside it.

use super::{BatchNorm, Conv, Linear, Residual, Stage};
use crate::autograd::Params;
use crate::kernels::conv::direct::{PooledConvolution, pack, packed_len};
use crate::kernels::conv::{Prepared, Windows, prepare, prepared_len};
use crate::kernels::gemm::{Matrix, Start, gemm};
use crate::kernels::residual::activate_of;
use crate::ops::{Activation, Conv2d};
use crate::parallel::{self, with_scratch};
use crate::tensor::Buffer;

/// Images that one thread takes through all layers together. Fewer would pack the weights of linear layers too often,
/// more would leave the cache and give too few pieces to deal out.
const IMAGES: usize = 10;

/// Up to the last layer that makes more numbers of an image, images go through one by one: not even two of them would
/// stay in the cache.
const WIDE: usize = 1 << 14;

/// A sequence of layers with the values that their parameters had when it was made.
#[derive(Clone, Debug)]
pub struct Frozen {
    /// (height, width, channels) of what goes in.
    input: [usize; 3],
    /// The same of what comes out; a vector of features is an image of one pixel.
    output: [usize; 3],
    layers: Vec<Layer>,
    /// How many layers take one image at a time.
    wide: usize,
}

#[derive(Clone, Debug)]
struct Layer {
    kind: Kind,
    /// How many numbers come out for an image.
    outputs: usize,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Convolution, rectifier, 2x2 maximum.
    Pooled {
        windows: Windows,
        panels: Buffer,
        bias: Buffer,
    },
    /// Convolution and activation.
    Convolution(Folded, Activation),
    Residual(Box<Block>),
    /// A matrix (inputs, outputs) and a bias.
    Linear {
        weight: Buffer,
        bias: Buffer,
    },
    /// Of every number.
    Activation(Activation),
}

/// A convolution with its batch normalisation folded in.
#[derive(Clone, Debug)]
struct Folded {
    windows: Windows,
    weights: Buffer,
    bias: Buffer,
}

impl Folded {
    /// The layer on images of this size, times a number.
    #[track_caller]
    fn new(input: [usize; 3], conv: &Conv, norm: &BatchNorm, times: f64, params: &Params) -> Self {
        let windows = windows(input, conv, params);
        let (weight, bias) = folded(conv, norm, times, params);
        let mut weights = Buffer::zeros(prepared_len(&windows, bias.len()));
        prepare(&windows, &weight, bias.len(), &mut weights);
        Folded { windows, weights, bias }
    }

    /// (height, width, channels) of what comes out.
    #[track_caller]
    fn output(&self) -> [usize; 3] {
        let (rows, columns) = self.windows.output().expect("the kernel is larger than the padded image");
        [rows, columns, self.bias.len()]
    }

    /// How many numbers become of so many images.
    fn outputs(&self, count: usize) -> usize {
        count * self.windows.count() * self.bias.len()
    }

    fn forward(&self, x: &[f32], y: &mut [f32]) {
        Prepared { windows: self.windows, weights: &self.weights, bias: &self.bias }.forward(x, y);
    }
}

/// act(second(act(first(x))) + skip(x)), where a skip that is absent leaves x as it is.
#[derive(Clone, Debug)]
struct Block {
    first: Folded,
    second: Folded,
    skip: Option<Folded>,
    activation: Activation,
}

impl Block {
    #[track_caller]
    fn new(input: [usize; 3], block: &Residual<Conv>, params: &Params) -> Self {
        let Residual { branch: [(conv1, norm1), (conv2, norm2)], skip, times, activation } = block;
        let first = Folded::new(input, conv1, norm1, 1.0, params);
        let second = Folded::new(first.output(), conv2, norm2, f64::from(*times), params);
        let skip = skip.as_ref().map(|(conv, norm)| Folded::new(input, conv, norm, 1.0, params));
        let skipped = skip.as_ref().map_or(input, Folded::output);
        assert_eq!(second.output(), skipped, "the two sides of a residual block");
        Block { first, second, skip, activation: *activation }
    }

    fn forward(&self, x: &[f32], count: usize, y: &mut [f32]) {
        with_scratch(self.first.outputs(count), |h| {
            self.first.forward(x, h);
            activate_of(self.activation, None, h);
            self.second.forward(h, y);
        });
        match &self.skip {
            None => activate_of(self.activation, Some(x), y),
            Some(skip) => with_scratch(y.len(), |skipped| {
                skip.forward(x, skipped);
                activate_of(self.activation, Some(skipped), y);
            }),
        }
    }
}

/// The windows of a convolution of images of this size.
#[track_caller]
fn windows([height, width, found]: [usize; 3], conv: &Conv, params: &Params) -> Windows {
    let [kernel, _, channels, _] =
        params.entry(conv.weight).shape.image().expect("the weights of a convolution have rank 4");
    assert_eq!(channels, found, "the channels of an image and the inputs of a convolution");
    let Conv2d { stride, padding } = conv.settings;
    Windows { height, width, channels, kernel, stride, padding }
}

impl Frozen {
    /// The stages with the present parameters, for images of (height, width, channels).
    ///
    /// # Panics
    /// If a stage cannot follow the one before it: a kernel does not fit into the image, the channels or features are others,
    /// or a convolution before pooling has stride or padding.
    #[track_caller]
    pub fn new(input: [usize; 3], stages: &[Stage], params: &Params) -> Self {
        let mut network = Frozen { input, output: input, layers: Vec::new(), wide: 0 };
        for stage in stages {
            network.add(stage, params);
        }
        network
    }

    #[track_caller]
    fn add(&mut self, stage: &Stage, params: &Params) {
        match stage {
            Stage::ConvNormPool(conv, norm) => {
                let windows = windows(self.output, conv, params);
                let (weight, bias) = folded(conv, norm, 1.0, params);
                let outputs = bias.len();
                let mut panels = Buffer::zeros(packed_len(windows.len(), outputs));
                pack(&weight, outputs, &mut panels);
                let (rows, columns) = PooledConvolution { windows, panels: &panels, bias: &bias }.output();
                self.push(Kind::Pooled { windows, panels, bias }, [rows, columns, outputs]);
            }
            Stage::ConvNormActivate(conv, norm, activation) => {
                let folded = Folded::new(self.output, conv, norm, 1.0, params);
                let output = folded.output();
                self.push(Kind::Convolution(folded, *activation), output);
            }
            Stage::Residual(block) => {
                let block = Block::new(self.output, block, params);
                let (output, inner) = (block.second.output(), block.first.outputs(1));
                self.push(Kind::Residual(Box::new(block)), output);
                if inner > WIDE {
                    self.wide = self.layers.len();
                }
            }
            Stage::Linear(linear) => self.add_linear(linear, None, params),
            Stage::LinearNormActivate(linear, norm, activation) => {
                self.add_linear(linear, Some(norm), params);
                self.push(Kind::Activation(*activation), self.output);
            }
            Stage::Activate(activation) => self.push(Kind::Activation(*activation), self.output),
        }
    }

    /// Adds a linear layer on all numbers of an image, with its batch normalisation if there is one.
    #[track_caller]
    fn add_linear(&mut self, linear: &Linear, norm: Option<&BatchNorm>, params: &Params) {
        let shape = params.entry(linear.weight()).shape;
        let inputs: usize = self.output.iter().product();
        assert_eq!(shape.rows(), inputs, "the numbers of an image and the inputs of a linear layer");
        let mut weight = Buffer::from(params.get(linear.weight()));
        let mut bias = Buffer::zeros(shape.columns());
        if let Some(given) = linear.bias {
            bias.copy_from_slice(params.get(given));
        }
        if let Some(norm) = norm {
            fold(norm, 1.0, params, &mut weight, &mut bias);
        }
        self.push(Kind::Linear { weight, bias }, [1, 1, shape.columns()]);
    }

    fn push(&mut self, kind: Kind, output: [usize; 3]) {
        let outputs = output.iter().product();
        self.layers.push(Layer { kind, outputs });
        self.output = output;
        if outputs > WIDE {
            self.wide = self.layers.len();
        }
    }

    /// How many numbers an image is.
    pub fn inputs(&self) -> usize {
        self.input.iter().product()
    }

    /// How many numbers come out for an image.
    pub fn outputs(&self) -> usize {
        self.output.iter().product()
    }

    /// Overwrites `outputs` (images, [`Frozen::outputs`]) with what the layers make of `images` (images, height,
    /// width, channels).
    ///
    /// # Panics
    /// If the two are not of the same number of whole images.
    #[track_caller]
    pub fn forward(&self, images: &[f32], outputs: &mut [f32]) {
        let (before, after) = (self.inputs(), self.outputs());
        let count = images.len() / before;
        assert_eq!(images.len(), count * before, "images of {before} numbers");
        assert_eq!(outputs.len(), count * after, "{after} outputs for each of {count} images");
        let (wide, others) = self.layers.split_at(self.wide);
        parallel::for_each_chunk(outputs, IMAGES * after, |i, outputs| {
            let count = outputs.len() / after;
            let images = &images[i * IMAGES * before..][..count * before];
            let Some(last) = wide.last() else {
                return run(others, images, count, outputs);
            };
            with_scratch(count * last.outputs, |between| {
                let results = between.chunks_exact_mut(last.outputs);
                for (image, result) in images.chunks_exact(before).zip(results) {
                    run(wide, image, 1, result);
                }
                run(others, between, count, outputs);
            });
        });
    }
}

/// Takes `count` images through layers on the calling thread.
fn run(layers: &[Layer], images: &[f32], count: usize, outputs: &mut [f32]) {
    let room = layers.iter().fold(images.len(), |most, layer| most.max(count * layer.outputs));
    with_scratch(2 * room, |scratch| {
        let (mut from, mut to) = scratch.split_at_mut(room);
        let mut len = images.len();
        from[..len].copy_from_slice(images);
        for layer in layers {
            let next = count * layer.outputs;
            layer.forward(&from[..len], count, &mut to[..next]);
            std::mem::swap(&mut from, &mut to);
            len = next;
        }
        outputs.copy_from_slice(&from[..len]);
    });
}

impl Layer {
    /// What becomes of `count` images.
    fn forward(&self, x: &[f32], count: usize, y: &mut [f32]) {
        let each = x.len() / count;
        match &self.kind {
            Kind::Pooled { windows, panels, bias } => {
                let convolution = PooledConvolution { windows: *windows, panels, bias };
                for (x, y) in x.chunks_exact(each).zip(y.chunks_exact_mut(self.outputs)) {
                    convolution.forward(x, y);
                }
            }
            Kind::Convolution(conv, activation) => {
                conv.forward(x, y);
                activate_of(*activation, None, y);
            }
            Kind::Residual(block) => block.forward(x, count, y),
            Kind::Linear { weight, bias } => {
                let (x, weight) = (Matrix::new(x, count, each), Matrix::new(weight, each, bias.len()));
                gemm(x, weight, y, Start::Row(bias));
            }
            Kind::Activation(activation) => {
                y.copy_from_slice(x);
                activate_of(*activation, None, y);
            }
        }
    }
}

/// The weights and the bias of a convolution followed by batch normalisation, times a number.
fn folded(conv: &Conv, norm: &BatchNorm, times: f64, params: &Params) -> (Buffer, Buffer) {
    let mut weight = Buffer::from(params.get(conv.weight));
    let mut bias = conv.bias.map_or_else(
        || Buffer::zeros(params.entry(conv.weight).shape.columns()),
        |bias| Buffer::from(params.get(bias)),
    );
    fold(norm, times, params, &mut weight, &mut bias);
    (weight, bias)
}

/// Takes batch normalisation and a factor on it into weights, a row for each input, and bias: in f64, rounded once.
fn fold(norm: &BatchNorm, times: f64, params: &Params, weight: &mut [f32], bias: &mut [f32]) {
    let affine = norm.scale_and_shift(params);
    for row in weight.chunks_exact_mut(affine.len()) {
        for (w, (scale, _)) in row.iter_mut().zip(&affine) {
            *w = (f64::from(*w) * scale * times) as f32;
        }
    }
    for (b, (scale, shift)) in bias.iter_mut().zip(&affine) {
        *b = ((f64::from(*b) * scale + shift) * times) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{Builder, Engine, Role, Tape, Var};
    use crate::nn::{Bias, Features, forward};
    use crate::ops::Activation;
    use crate::rng::Stream;
    use crate::tensor::Tensor;

    /// Two convolutions, one of them with a bias, and two linear layers, every parameter away from where it starts.
    #[test]
    fn the_layers_equal_those_of_the_tape() {
        let mut params = Params::new();
        let mut root = Builder::new(&mut params, 0);
        let conv1 = Conv::new(&mut root.scope("conv1"), 1, 7, 3, Bias::With);
        let norm1 = BatchNorm::new(&mut root.scope("norm1"), 7, Features::Plain);
        let conv2 = Conv::new(&mut root.scope("conv2"), 7, 18, 2, Bias::Without);
        let norm2 = BatchNorm::new(&mut root.scope("norm2"), 18, Features::Plain);
        let linear1 = Linear::new(&mut root.scope("linear1"), 2 * 18, 9, Bias::With, Features::Plain);
        let norm3 = BatchNorm::new(&mut root.scope("norm3"), 9, Features::Plain);
        let linear2 = Linear::new(&mut root.scope("linear2"), 9, 4, Bias::Without, Features::Plain);
        for (i, param) in params.handles().enumerate() {
            // Variances must be positive; weights of either sign keep the rectifiers from being idle.
            let (from, to) = match params.entry(param).role {
                Role::Statistic => (0.2, 0.9),
                Role::Weight => (-0.8, 0.9),
            };
            Stream::new(1, "frozen", &[i as u64]).fill_uniform(from, to, params.get_mut(param));
        }
        let mut images = Tensor::zeros([23, 8, 13, 1]); // two whole blocks and a rest
        Stream::new(2, "frozen", &[]).fill_uniform(0.0, 1.0, images.data_mut());

        let stages = [
            Stage::ConvNormPool(conv1, norm1),
            Stage::ConvNormPool(conv2, norm2),
            Stage::LinearNormActivate(linear1, norm3, Activation::Relu),
            Stage::Activate(Activation::LeakyRelu),
            Stage::Linear(linear2),
        ];
        let frozen = Frozen::new([8, 13, 1], &stages, &params);
        assert_eq!((frozen.inputs(), frozen.outputs()), (104, 4));
        let mut outputs = vec![f32::NAN; 23 * 4];
        frozen.forward(images.data(), &mut outputs);

        let engine = Engine::new();
        let tape = Tape::inference(&engine, &params);
        let h = norm1.forward(conv1.forward(tape.input(&images)), Activation::Relu).max_pool();
        let h = norm2.forward(conv2.forward(h), Activation::Relu).max_pool().reshape([23, 36]);
        let h = norm3.forward(linear1.forward(h), Activation::Relu).activate(Activation::LeakyRelu);
        equal(&outputs, linear2.forward(h), 1e-5);
        equal(&outputs, forward(&stages, tape.input(&images)), 1e-5);
    }

    /// What comes out without a tape is within a share of the largest number of what comes out of one.
    fn equal(outputs: &[f32], expected: Var<'_>, share: f32) {
        expected.read(|expected| {
            let largest = expected.iter().fold(0.0, |l: f32, x| l.max(x.abs()));
            assert!(largest > 0.1, "nothing comes out");
            assert_eq!(outputs.len(), expected.len());
            for (i, (y, e)) in outputs.iter().zip(expected).enumerate() {
                assert!((y - e).abs() < share * largest, "output {i}: {y}, expected {e}");
            }
        });
    }

    /// A convolution, a block of each kind and a linear layer, with images that go through the first ones alone.
    #[test]
    fn residual_blocks_equal_those_of_the_tape() {
        const LEAKY: Activation = Activation::LeakyRelu;
        let mut params = Params::new();
        let mut root = Builder::new(&mut params, 0);
        let mut conv = |name: &str, inputs: usize, outputs: usize, kernel: usize, stride: usize| {
            let settings = Conv2d { stride, padding: kernel / 2 };
            let scope = &mut root.scope(name);
            let conv = Conv::strided(scope, inputs, outputs, kernel, settings, Bias::Without);
            (conv, BatchNorm::new(&mut root.scope(&format!("norm of {name}")), outputs, Features::Plain))
        };
        let (first, a, b) = (conv("0", 3, 32, 3, 1), conv("1", 32, 32, 3, 1), conv("2", 32, 32, 3, 1));
        let (c, d, skip) = (conv("3", 32, 18, 3, 2), conv("4", 18, 18, 3, 1), conv("5", 32, 18, 1, 2));
        let linear = Linear::new(&mut root.scope("6"), 13 * 11 * 18, 4, Bias::With, Features::Plain);
        for (i, param) in params.handles().enumerate() {
            let (from, to) = match params.entry(param).role {
                Role::Statistic => (0.2, 0.9),
                Role::Weight => (-0.3, 0.35),
            };
            Stream::new(1, "frozen", &[i as u64]).fill_uniform(from, to, params.get_mut(param));
        }
        let mut images = Tensor::zeros([13, 26, 21, 3]); // a whole group and a rest
        Stream::new(2, "frozen", &[]).fill_uniform(0.0, 1.0, images.data_mut());

        let residual =
            |branch, skip| Stage::Residual(Residual { branch, skip, times: 0.1, activation: LEAKY });
        let stages = [
            Stage::ConvNormActivate(first.0, first.1, LEAKY),
            residual([a, b], None),
            residual([c, d], Some(skip)),
            Stage::Linear(linear),
        ];
        let frozen = Frozen::new([26, 21, 3], &stages, &params);
        assert_eq!(frozen.wide, 2, "26 x 21 x 32 numbers are many, 13 x 11 x 18 are not");
        let mut outputs = vec![f32::NAN; 13 * 4];
        frozen.forward(images.data(), &mut outputs);

        let engine = Engine::new();
        let tape = Tape::inference(&engine, &params);
        let x = first.1.forward(first.0.forward(tape.input(&images)), LEAKY);
        let h = b.1.forward(b.0.forward(a.1.forward(a.0.forward(x), LEAKY)), Activation::Identity);
        let x = (h.scale(0.1) + x).activate(LEAKY);
        let h = d.1.forward(d.0.forward(c.1.forward(c.0.forward(x), LEAKY)), Activation::Identity);
        let skipped = skip.1.forward(skip.0.forward(x), Activation::Identity);
        let x = (h.scale(0.1) + skipped).activate(LEAKY);
        equal(&outputs, linear.forward(x.reshape([13, 13 * 11 * 18])), 2e-5);
        equal(&outputs, forward(&stages, tape.input(&images)), 2e-5);
    }

    #[test]
    #[should_panic(expected = "2 outputs for each of 3 images")]
    fn outputs_of_other_images_are_refused() {
        let mut params = Params::new();
        let linear = Linear::new(&mut Builder::new(&mut params, 0), 4, 2, Bias::With, Features::Plain);
        Frozen::new([2, 2, 1], &[Stage::Linear(linear)], &params).forward(&[0.0; 12], &mut [0.0; 4]);
    }
}
