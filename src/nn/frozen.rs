//! Layers whose parameters no longer change, run one after the other without a tape.
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

use super::{BatchNorm, Conv, Linear};
use crate::autograd::Params;
use crate::kernels::conv::Windows;
use crate::kernels::conv::direct::{PooledConvolution, pack, packed_len};
use crate::kernels::gemm::{Matrix, Start, gemm};
use crate::ops::Conv2d;
use crate::parallel;
use crate::tensor::Buffer;

/// Images that one thread takes through all layers together. Fewer would pack the weights of linear layers too often,
/// more would leave the cache and give too few pieces to deal out.
const IMAGES: usize = 10;

/// A sequence of layers with the values that their parameters had when it was made.
#[derive(Clone, Debug)]
pub struct Frozen {
    /// (height, width, channels) of what goes in.
    input: [usize; 3],
    /// The same of what comes out; a vector of features is an image of one pixel.
    output: [usize; 3],
    layers: Vec<Layer>,
    /// The most numbers that an image becomes on its way.
    widest: usize,
}

#[derive(Clone, Debug)]
enum Layer {
    /// Convolution, rectifier, 2x2 maximum.
    Convolution { windows: Windows, panels: Buffer, bias: Buffer },
    /// A matrix (inputs, outputs) and a bias.
    Linear { weight: Buffer, bias: Buffer },
    /// max(x, 0), in place.
    Rectifier,
}

impl Frozen {
    /// No layers yet, for images of (height, width, channels).
    pub fn new(input: [usize; 3]) -> Self {
        Frozen { input, output: input, layers: Vec::new(), widest: input.iter().product() }
    }

    /// Adds a convolution with its batch normalisation, a rectifier and 2x2 max pooling.
    ///
    /// # Panics
    /// If the kernel does not fit into the image, or the layer has stride or padding.
    #[track_caller]
    pub fn convolution(self, conv: &Conv, norm: &BatchNorm, params: &Params) -> Self {
        let [kernel, _, channels, outputs] =
            params.entry(conv.weight).shape.image().expect("the weights of a convolution have rank 4");
        let [height, width, found] = self.output;
        assert_eq!(channels, found, "the channels of an image and the inputs of a convolution");
        let (weight, bias) = folded(conv, norm, params);
        let Conv2d { stride, padding } = conv.settings;
        let windows = Windows { height, width, channels, kernel, stride, padding };
        let mut panels = Buffer::zeros(packed_len(windows.len(), outputs));
        pack(&weight, outputs, &mut panels);
        let (rows, columns) = PooledConvolution { windows, panels: &panels, bias: &bias }.output();
        self.push(Layer::Convolution { windows, panels, bias }, [rows, columns, outputs])
    }

    /// Adds a linear layer on all numbers of an image.
    ///
    /// # Panics
    /// If it has another number of inputs.
    #[track_caller]
    pub fn linear(self, linear: &Linear, params: &Params) -> Self {
        let shape = params.entry(linear.weight()).shape;
        let inputs: usize = self.output.iter().product();
        assert_eq!(shape.rows(), inputs, "the numbers of an image and the inputs of a linear layer");
        let mut bias = Buffer::zeros(shape.columns());
        if let Some(given) = linear.bias {
            bias.copy_from_slice(params.get(given));
        }
        let weight = Buffer::from(params.get(linear.weight()));
        self.push(Layer::Linear { weight, bias }, [1, 1, shape.columns()])
    }

    /// Adds a linear layer with its batch normalisation.
    ///
    /// # Panics
    /// If it has another number of inputs.
    #[track_caller]
    pub fn normalized_linear(mut self, linear: &Linear, norm: &BatchNorm, params: &Params) -> Self {
        self = self.linear(linear, params);
        if let Some(Layer::Linear { weight, bias }) = self.layers.last_mut() {
            fold(norm, params, weight, bias);
        }
        self
    }

    /// Adds a rectifier.
    pub fn relu(self) -> Self {
        let output = self.output;
        self.push(Layer::Rectifier, output)
    }

    fn push(mut self, layer: Layer, output: [usize; 3]) -> Self {
        self.layers.push(layer);
        self.output = output;
        self.widest = self.widest.max(output.iter().product());
        self
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
        parallel::for_each_chunk(outputs, IMAGES * after, |i, outputs| {
            let count = outputs.len() / after;
            let room = count * self.widest;
            parallel::with_scratch(2 * room, |scratch| {
                let (mut from, mut to) = scratch.split_at_mut(room);
                from[..count * before].copy_from_slice(&images[i * IMAGES * before..][..count * before]);
                let mut each = before;
                for layer in &self.layers {
                    match layer {
                        Layer::Convolution { windows, panels, bias } => {
                            let convolution = PooledConvolution { windows: *windows, panels, bias };
                            let (rows, columns) = convolution.output();
                            let next = rows * columns * bias.len();
                            let pooled = to.chunks_exact_mut(next);
                            for (x, y) in from[..count * each].chunks_exact(each).zip(pooled) {
                                convolution.forward(x, y);
                            }
                            each = next;
                            std::mem::swap(&mut from, &mut to);
                        }
                        Layer::Linear { weight, bias } => {
                            let x = Matrix::new(&from[..count * each], count, each);
                            let weight = Matrix::new(weight, each, bias.len());
                            each = bias.len();
                            gemm(x, weight, &mut to[..count * each], Start::Row(bias));
                            std::mem::swap(&mut from, &mut to);
                        }
                        Layer::Rectifier => {
                            for x in &mut from[..count * each] {
                                *x = if *x > 0.0 { *x } else { 0.0 };
                            }
                        }
                    }
                }
                outputs.copy_from_slice(&from[..count * each]);
            });
        });
    }
}

/// The weights and the bias of a convolution followed by batch normalisation.
fn folded(conv: &Conv, norm: &BatchNorm, params: &Params) -> (Buffer, Buffer) {
    let mut weight = Buffer::from(params.get(conv.weight));
    let mut bias = conv.bias.map_or_else(
        || Buffer::zeros(params.entry(conv.weight).shape.columns()),
        |bias| Buffer::from(params.get(bias)),
    );
    fold(norm, params, &mut weight, &mut bias);
    (weight, bias)
}

/// Takes batch normalisation into weights, a row for each input, and bias: in f64, rounded once.
fn fold(norm: &BatchNorm, params: &Params, weight: &mut [f32], bias: &mut [f32]) {
    let affine = norm.scale_and_shift(params);
    for row in weight.chunks_exact_mut(affine.len()) {
        for (w, (scale, _)) in row.iter_mut().zip(&affine) {
            *w = (f64::from(*w) * scale) as f32;
        }
    }
    for (b, (scale, shift)) in bias.iter_mut().zip(&affine) {
        *b = (f64::from(*b) * scale + shift) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{Builder, Engine, Role, Tape};
    use crate::nn::{Bias, Features};
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

        let frozen = Frozen::new([8, 13, 1])
            .convolution(&conv1, &norm1, &params)
            .convolution(&conv2, &norm2, &params)
            .normalized_linear(&linear1, &norm3, &params)
            .relu()
            .linear(&linear2, &params);
        assert_eq!((frozen.inputs(), frozen.outputs()), (104, 4));
        let mut outputs = vec![f32::NAN; 23 * 4];
        frozen.forward(images.data(), &mut outputs);

        let engine = Engine::new();
        let tape = Tape::inference(&engine, &params);
        let h = norm1.forward(conv1.forward(tape.input(&images)), Activation::Relu).max_pool();
        let h = norm2.forward(conv2.forward(h), Activation::Relu).max_pool().reshape([23, 36]);
        let expected = linear2.forward(norm3.forward(linear1.forward(h), Activation::Relu));
        expected.read(|expected| {
            let largest = expected.iter().fold(0.0, |l: f32, x| l.max(x.abs()));
            assert!(largest > 0.1, "nothing comes out");
            for (i, (y, e)) in outputs.iter().zip(expected).enumerate() {
                assert!((y - e).abs() < 1e-5 * largest, "output {i}: {y}, expected {e}");
            }
        });
    }

    #[test]
    #[should_panic(expected = "2 outputs for each of 3 images")]
    fn outputs_of_other_images_are_refused() {
        let mut params = Params::new();
        let linear = Linear::new(&mut Builder::new(&mut params, 0), 4, 2, Bias::With, Features::Plain);
        Frozen::new([2, 2, 1]).linear(&linear, &params).forward(&[0.0; 12], &mut [0.0; 4]);
    }
}
