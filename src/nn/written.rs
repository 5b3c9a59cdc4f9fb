//! Networks written out, for a program that has nothing of this one: a list of layers with all sizes and numbers.
//!
//! Every layer with weights is a convolution, plain or transposed. A linear layer is one of images of a single pixel:
//!
//! ```text
//! plain:       y[r, c, o] = sum over (u, v, i) of x[s r + u - p, s c + v - p, i] w[u, v, i, o]
//! transposed:  y[s r + u - p, s c + v - p, o] = sum over (u, v, i, r, c) of x[r, c, i] w[u, v, i, o]
//! then:        z = scale[o] y[..., o] + shift[o], or slope times that where it is below 0
//! ```
//!
//! Scale and shift are the batch normalisation by running statistics, or a bias. The weights are left as they are trained, so
//! that rounding these is rounding those.

use super::{BatchNorm, Conv, ConvTranspose, Linear, PointwiseConv, Residual, Stage, UpsampledConvTranspose};
use crate::autograd::{Param, Params};
use crate::kernels::norm::LEAK;
use crate::ops::Activation;

/// A layer of a network that is written out, from an image to an image.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// A convolution and what follows it.
    Convolution(WrittenConvolution),
    /// times second(first(x)) + skip(x), where a skip that is absent leaves x as it is.
    Residual {
        /// The first and the second convolution.
        branch: Box<[WrittenConvolution; 2]>,
        /// Where the size changes.
        skip: Option<Box<WrittenConvolution>>,
        /// The weight of the branch.
        times: f32,
        /// What a sum below 0 is multiplied by.
        slope: f32,
    },
    /// Multiplies every number below 0.
    Rectify {
        /// By this.
        slope: f32,
    },
}

/// A convolution with its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenConvolution {
    /// Rows, columns and channels of x.
    pub input: [usize; 3],
    /// The same of y.
    pub output: [usize; 3],
    /// Rows and columns of the weights.
    pub kernel: usize,
    /// s
    pub stride: usize,
    /// p
    pub padding: usize,
    /// Whether x is the smaller image, spread over y.
    pub is_transposed: bool,
    /// Whether x is first enlarged to twice its size, each pixel repeated: then with stride 1. The two are one transposed
    /// convolution of stride 2, whose weights are the sums of these over every 2 x 2 places.
    pub is_upsampled: bool,
    /// w (kernel, kernel, inputs, outputs)
    pub weight: Vec<f32>,
    /// For each output; absent for 1.
    pub scale: Option<Vec<f32>>,
    /// For each output.
    pub shift: Vec<f32>,
    /// What a number below 0 is multiplied by in the end: 1, or less after a rectifier.
    pub slope: f32,
    /// Whether of every 2 x 2 pixels the largest number of each channel is kept.
    pub is_pooled: bool,
}

/// Writes layers one after the other, each for images as the one before leaves them.
#[derive(Debug)]
pub struct Writer<'a> {
    params: &'a Params,
    image: [usize; 3],
    layers: Vec<Written>,
}

/// What follows a convolution.
type Then<'a> = (&'a BatchNorm, Activation);

impl<'a> Writer<'a> {
    /// Begins with an image of (height, width, channels).
    pub fn new(image: [usize; 3], params: &'a Params) -> Self {
        Writer { params, image, layers: Vec::new() }
    }

    /// The layers that were written.
    pub fn finish(self) -> Vec<Written> {
        self.layers
    }

    /// Takes the numbers of what was written last as an image of other sizes.
    ///
    /// # Panics
    /// If it has another number of them.
    #[track_caller]
    pub fn reshape(&mut self, image: [usize; 3]) {
        let numbers = |image: [usize; 3]| image.iter().product::<usize>();
        assert_eq!(numbers(image), numbers(self.image), "numbers of an image");
        self.image = image;
    }

    /// A stage of a network.
    #[track_caller]
    pub fn stage(&mut self, stage: &Stage) {
        match stage {
            Stage::ConvNormPool(conv, norm) => {
                let mut written = self.plain(self.image, conv, Some((norm, Activation::Relu)));
                written.is_pooled = true;
                let [rows, columns, channels] = written.output;
                self.push(Written::Convolution(written), [rows / 2, columns / 2, channels]);
            }
            Stage::ConvNormActivate(conv, norm, activation) => {
                let written = self.plain(self.image, conv, Some((norm, *activation)));
                self.convolution(written);
            }
            Stage::Residual(block) => self.block(block, |of, image, conv, then| of.plain(image, conv, then)),
            Stage::Linear(linear) => self.linear(linear, None),
            Stage::LinearNormActivate(linear, norm, activation) => {
                self.linear(linear, Some((norm, *activation)));
            }
            Stage::Activate(activation) => {
                self.push(Written::Rectify { slope: slope(*activation) }, self.image);
            }
        }
    }

    /// A convolution with a bias.
    #[track_caller]
    pub fn conv(&mut self, conv: &Conv) {
        let written = self.plain(self.image, conv, None);
        self.convolution(written);
    }

    /// A linear layer on every pixel.
    #[track_caller]
    pub fn pointwise(&mut self, conv: &PointwiseConv) {
        let [rows, columns, _] = self.image;
        let (weight, shift) = (self.params.get(conv.weight).to_vec(), self.params.get(conv.bias).to_vec());
        let output = [rows, columns, shift.len()];
        let written = WrittenConvolution { weight, shift, ..bare(self.image, output, 1) };
        self.convolution(written);
    }

    /// Up-sampling and a transposed convolution.
    #[track_caller]
    pub fn upsampled(&mut self, conv: &UpsampledConvTranspose, norm: &BatchNorm, activation: Activation) {
        let [kernel, _, _, outputs] = self.image_of(conv.weight);
        let [rows, columns, _] = self.image;
        let output = [2 * rows + kernel - 1, 2 * columns + kernel - 1, outputs];
        let mut written = bare(self.image, output, kernel);
        (written.is_transposed, written.is_upsampled) = (true, true);
        written.weight = self.params.get(conv.weight).to_vec();
        self.then(&mut written, Some((norm, activation)), None);
        self.convolution(written);
    }

    /// A residual block that keeps or doubles height and width.
    #[track_caller]
    pub fn transposed_block(&mut self, block: &Residual<ConvTranspose>) {
        self.block(block, |of, image, conv, then| of.transposed(image, conv, then));
        // The skip of a block that doubles reaches every second pixel; the others are 0 before they are normalised.
        if let Some(Written::Residual { branch, skip: Some(skip), .. }) = self.layers.last_mut() {
            (skip.output, skip.stride) = (branch[1].output, branch[0].stride);
        }
    }

    #[track_caller]
    fn block<C>(
        &mut self,
        block: &Residual<C>,
        write: impl Fn(&Self, [usize; 3], &C, Option<Then<'_>>) -> WrittenConvolution,
    ) {
        let Residual { branch: [(conv1, norm1), (conv2, norm2)], skip, times, activation } = block;
        let first = write(self, self.image, conv1, Some((norm1, *activation)));
        let second = write(self, first.output, conv2, Some((norm2, Activation::Identity)));
        let skip = skip
            .as_ref()
            .map(|(conv, norm)| Box::new(write(self, self.image, conv, Some((norm, Activation::Identity)))));
        let output = second.output;
        let branch = Box::new([first, second]);
        self.push(Written::Residual { branch, skip, times: *times, slope: slope(*activation) }, output);
    }

    fn linear(&mut self, linear: &Linear, then: Option<Then<'_>>) {
        let shape = self.params.entry(linear.weight()).shape;
        self.reshape([1, 1, shape.rows()]);
        let mut written = bare(self.image, [1, 1, shape.columns()], 1);
        written.weight = self.params.get(linear.weight()).to_vec();
        self.then(&mut written, then, linear.bias);
        self.convolution(written);
    }

    fn plain(&self, input: [usize; 3], conv: &Conv, then: Option<Then<'_>>) -> WrittenConvolution {
        let [kernel, _, _, outputs] = self.image_of(conv.weight);
        let (stride, padding) = (conv.settings.stride, conv.settings.padding);
        let along = |size: usize| (size + 2 * padding - kernel) / stride + 1;
        let mut written = bare(input, [along(input[0]), along(input[1]), outputs], kernel);
        (written.stride, written.padding) = (stride, padding);
        written.weight = self.params.get(conv.weight).to_vec();
        self.then(&mut written, then, conv.bias);
        written
    }

    fn transposed(
        &self,
        input: [usize; 3],
        conv: &ConvTranspose,
        then: Option<Then<'_>>,
    ) -> WrittenConvolution {
        let [kernel, _, outputs, inputs] = self.image_of(conv.weight);
        let settings = conv.settings;
        let along = |size: usize| {
            (size - 1) * settings.stride + kernel + settings.output_padding - 2 * settings.padding
        };
        let mut written = bare(input, [along(input[0]), along(input[1]), outputs], kernel);
        (written.stride, written.padding, written.is_transposed) = (settings.stride, settings.padding, true);
        // (kernel, kernel, outputs, inputs)
        let ours = self.params.get(conv.weight).chunks_exact(outputs * inputs);
        written.weight = ours
            .flat_map(|tap| (0..inputs).flat_map(move |i| (0..outputs).map(move |o| tap[o * inputs + i])))
            .collect();
        self.then(&mut written, then, None);
        written
    }

    /// What follows a convolution: normalisation, or a bias.
    fn then(&self, written: &mut WrittenConvolution, then: Option<Then<'_>>, bias: Option<Param>) {
        let given = bias.map(|bias| self.params.get(bias));
        match then {
            None => written.shift = given.map_or_else(|| vec![0.0; written.output[2]], <[f32]>::to_vec),
            Some((norm, activation)) => {
                let affine = norm.scale_and_shift(self.params);
                let bias = |channel: usize| given.map_or(0.0, |bias| f64::from(bias[channel]));
                let shift = |(channel, (scale, shift)): (usize, &(f64, f64))| bias(channel) * scale + shift;
                written.scale = Some(affine.iter().map(|(scale, _)| *scale as f32).collect());
                written.shift = affine.iter().enumerate().map(|all| shift(all) as f32).collect();
                written.slope = slope(activation);
            }
        }
    }

    /// The sizes of the weights of a convolution.
    fn image_of(&self, weight: Param) -> [usize; 4] {
        self.params.entry(weight).shape.image().expect("the weights of a convolution have rank 4")
    }

    fn convolution(&mut self, written: WrittenConvolution) {
        let output = written.output;
        self.push(Written::Convolution(written), output);
    }

    fn push(&mut self, layer: Written, output: [usize; 3]) {
        self.layers.push(layer);
        self.image = output;
    }
}

/// What an activation multiplies numbers below 0 by.
fn slope(activation: Activation) -> f32 {
    match activation {
        Activation::Identity => 1.0,
        Activation::Relu => 0.0,
        Activation::LeakyRelu => LEAK,
    }
}

/// A plain convolution without numbers.
fn bare(input: [usize; 3], output: [usize; 3], kernel: usize) -> WrittenConvolution {
    WrittenConvolution {
        input,
        output,
        kernel,
        stride: 1,
        padding: 0,
        is_transposed: false,
        is_upsampled: false,
        weight: Vec::new(),
        scale: None,
        shift: Vec::new(),
        slope: 1.0,
        is_pooled: false,
    }
}
