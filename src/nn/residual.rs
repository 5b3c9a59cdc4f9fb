//! Residual blocks, of plain convolutions or of transposed ones.
//!
//! A block begins by activating what it is given, so that each block here hands on what is already activated:
//!
//! ```text
//! a = act(x)     y = t norm(conv(act(norm(conv(a))))) + skip(a)     skip(a) = a, or norm(conv1x1(a)) where the size changes
//! ```

use super::{BatchNorm, Bias, Conv, ConvTranspose, Features};
use crate::autograd::{Builder, Var};
use crate::ops::{Activation, Conv2d, ConvTranspose2d, Product};

/// A residual block: from activated images to activated images.
#[derive(Clone, Copy, Debug)]
pub struct Residual<C> {
    pub(super) branch: [(C, BatchNorm); 2],
    /// Where the size changes.
    pub(super) skip: Option<(C, BatchNorm)>,
    /// The weight of the branch beside the skip.
    pub(super) times: f32,
    pub(super) activation: Activation,
}

/// What a block does to the size of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Keeps it.
    Same,
    /// Halves height and width, by plain convolutions, or doubles them, by transposed ones.
    Changed,
}

/// A convolution that residual blocks can be made of.
pub trait BlockConvolution: Sized {
    /// 3 x 3 pixels, without bias, of this stride, to as many pixels as there were or, by the stride, fewer or more.
    fn of_branch(builder: &mut Builder<'_>, channels: [usize; 2], stride: usize) -> Self;

    /// The skip of a block that changes sizes: 1 x 1 pixels, every second pixel of the larger image. Going up, the zeros
    /// between the pixels are left to [`BatchNorm::residual`].
    fn of_skip(builder: &mut Builder<'_>, channels: [usize; 2]) -> Self;

    /// Of images x.
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t>;

    /// Of activation(norm(x)), without holding that.
    fn forward_normalized<'t>(&self, norm: &BatchNorm, x: Var<'t>, activation: Activation) -> Var<'t>;
}

impl BlockConvolution for Conv {
    fn of_branch(builder: &mut Builder<'_>, [inputs, outputs]: [usize; 2], stride: usize) -> Self {
        Conv::strided(builder, inputs, outputs, 3, Conv2d { stride, padding: 1 }, Bias::Without)
    }

    fn of_skip(builder: &mut Builder<'_>, [inputs, outputs]: [usize; 2]) -> Self {
        Conv::strided(builder, inputs, outputs, 1, Conv2d { stride: 2, padding: 0 }, Bias::Without)
    }

    #[track_caller]
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        Conv::forward(self, x)
    }

    #[track_caller]
    fn forward_normalized<'t>(&self, norm: &BatchNorm, x: Var<'t>, activation: Activation) -> Var<'t> {
        if self.bias.is_some() {
            return Conv::forward(self, norm.forward(x, activation));
        }
        norm.product(x, activation, x.tape().param(self.weight), Product::Plain(self.settings))
    }
}

impl BlockConvolution for ConvTranspose {
    fn of_branch(builder: &mut Builder<'_>, [inputs, outputs]: [usize; 2], stride: usize) -> Self {
        let settings = ConvTranspose2d { stride, padding: 1, output_padding: stride - 1 };
        ConvTranspose::new(builder, inputs, outputs, 3, settings)
    }

    fn of_skip(builder: &mut Builder<'_>, [inputs, outputs]: [usize; 2]) -> Self {
        let settings = ConvTranspose2d { stride: 1, padding: 0, output_padding: 0 };
        ConvTranspose::new(builder, inputs, outputs, 1, settings)
    }

    #[track_caller]
    fn forward<'t>(&self, x: Var<'t>) -> Var<'t> {
        ConvTranspose::forward(self, x)
    }

    #[track_caller]
    fn forward_normalized<'t>(&self, norm: &BatchNorm, x: Var<'t>, activation: Activation) -> Var<'t> {
        norm.product(x, activation, x.tape().param(self.weight), Product::Transposed(self.settings))
    }
}

impl<C: BlockConvolution> Residual<C> {
    /// A block from `inputs` to `outputs` channels, under the published names.
    pub fn new(
        builder: &mut Builder<'_>,
        size: Size,
        [inputs, outputs]: [usize; 2],
        times: f32,
        activation: Activation,
    ) -> Self {
        let stride = if size == Size::Changed { 2 } else { 1 };
        let conv1 = C::of_branch(&mut builder.scope("conv1"), [inputs, outputs], stride);
        let conv2 = C::of_branch(&mut builder.scope("conv2"), [outputs; 2], 1);
        let skip = (size == Size::Changed)
            .then(|| C::of_skip(&mut builder.scope("conv_residual"), [inputs, outputs]));
        let mut norm = |name: &str| BatchNorm::new(&mut builder.scope(name), outputs, Features::Plain);
        let branch = [(conv1, norm("bn1")), (conv2, norm("bn2"))];
        Residual { branch, skip: skip.map(|conv| (conv, norm("bn_residual"))), times, activation }
    }

    /// a (batch, height, width, inputs) to as many images of the block's size with its outputs.
    #[track_caller]
    pub fn forward<'t>(&self, a: Var<'t>) -> Var<'t> {
        let [(conv1, norm1), (conv2, norm2)] = &self.branch;
        let h = conv2.forward_normalized(norm1, conv1.forward(a), self.activation);
        let (r, norm_of_r) = match &self.skip {
            None => (a, None),
            Some((conv, norm)) => (conv.forward(a), Some(norm)),
        };
        norm2.residual(h, r, norm_of_r, self.times, self.activation)
    }
}
