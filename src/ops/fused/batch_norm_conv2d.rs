//! Batch normalisation, an activation and a convolution, plain or transposed, as one op.
//!
//! ```text
//! z = gamma u + beta with u as in batch_norm.rs,   y = act(z) * w
//!
//! g = (dL/dy * w transposed) as act passes it back;   dw correlates act(z) with dL/dy
//! ```
//!
//! and from g on as in `batch_norm.rs`. Between two convolutions the normalised image is as large as what it is made
//! from. Here it is never held: each thread makes the part that it is about to multiply, in its cache, forward and again
//! for dw; and the sign of z, which is all that g needs, is found from x.

use crate::autograd::{Mismatch, MultiplyAdds, Op, Pass, Plan, Point, Var, View, arity};
use crate::kernels::conv::{self, Images};
use crate::kernels::norm::{self, Activation};
use crate::ops::statistics::{Normalization, Statistics};
use crate::ops::{Conv2d, ConvTranspose2d};
use crate::parallel::with_scratch;
use crate::tensor::Shape;

/// What the op equals.
#[cfg(test)]
fn definition<'t>(
    x: Var<'t>,
    weights: [Var<'t>; 2],
    statistics: Statistics,
    activation: Activation,
    w: Var<'t>,
    product: Product,
) -> Var<'t> {
    let z = x.batch_norm(weights, statistics, activation);
    match product {
        Product::Plain(settings) => z.conv2d(w, None, settings),
        Product::Transposed(settings) => z.conv_transpose2d(w, settings),
    }
}

/// What an image is multiplied by its weights in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// A convolution, with weights (kernel, kernel, inputs, outputs).
    Plain(Conv2d),
    /// A transposed convolution, with weights (kernel, kernel, outputs, inputs).
    Transposed(ConvTranspose2d),
}

impl Product {
    fn as_op(&self) -> &dyn Op {
        match self {
            Product::Plain(op) => op,
            Product::Transposed(op) => op,
        }
    }

    /// y
    fn forward(self, [x, w]: [Shape; 2], images: Images<'_>, weights: &[f32], y: &mut [f32]) {
        match self {
            Product::Plain(op) => conv::forward(&op.planned(x, w), images, weights, None, y),
            Product::Transposed(op) => conv::input_gradient(&op.planned(x, w), weights, images, y),
        }
    }

    /// The gradient of the images.
    fn input_gradient(self, [x, w]: [Shape; 2], weights: &[f32], dy: &[f32], dx: &mut [f32]) {
        match self {
            Product::Plain(op) => conv::input_gradient(&op.planned(x, w), weights, dy, dx),
            Product::Transposed(op) => conv::forward(&op.planned(x, w), dy, weights, None, dx),
        }
    }

    /// The gradient of the weights.
    fn weight_gradient(self, [x, w]: [Shape; 2], images: Images<'_>, dy: &[f32], dw: &mut [f32]) {
        match self {
            Product::Plain(op) => conv::weight_gradient(&op.planned(x, w), images, dy, dw),
            Product::Transposed(op) => conv::weight_gradient(&op.planned(x, w), dy, images, dw),
        }
    }
}

#[derive(Clone, Debug)]
struct BatchNormConv2d {
    statistics: Statistics,
    activation: Activation,
    product: Product,
}

/// The shapes of x and w, among x, gamma, beta, w.
fn shapes(inputs: &[View<'_>]) -> [Shape; 2] {
    [inputs[0].shape, inputs[3].shape]
}

impl Op for BatchNormConv2d {
    fn name(&self) -> &'static str {
        match self.product {
            Product::Plain(_) => "batch_norm_conv2d",
            Product::Transposed(_) => "batch_norm_conv_transpose2d",
        }
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x, gamma, beta, w] = arity(inputs)?;
        self.statistics.check(x, [gamma, beta])?;
        let plan = self.product.as_op().plan(&[x, w])?;
        Ok(Plan { saved: 2 * x.columns(), ..plan })
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let [x, gamma, beta, w] = [0, 1, 2, 3].map(|i| inputs[i].data);
        self.statistics.write(x, saved);
        with_scratch(2 * gamma.len(), |memory| {
            let norm = Normalization { statistics: &self.statistics, saved, gamma, beta, times: 1.0 };
            let images = Images::normalized(x, norm.affine(memory), self.activation);
            self.product.forward(shapes(inputs), images, w, output);
        });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let [x, gamma, beta, w] = [0, 1, 2, 3].map(|i| at.inputs[i].data);
        let (shapes, columns) = (shapes(at.inputs), gamma.len());
        let norm = Normalization { statistics: &self.statistics, saved: at.saved, gamma, beta, times: 1.0 };
        let [dx, dgamma, dbeta, dw] = gradients else {
            panic!("{} gradients of four inputs", gradients.len())
        };
        with_scratch(7 * columns, |scratch| {
            let (memory, rest) = scratch.split_at_mut(2 * columns);
            let (sums, memory_of_coefficients) = rest.split_at_mut(2 * columns);
            let affine = norm.affine(memory);
            if let Some(dw) = dw {
                let images = Images::normalized(x, affine, self.activation);
                self.product.weight_gradient(shapes, images, at.grad, dw);
            }
            if dx.is_none() && dgamma.is_none() && dbeta.is_none() {
                return;
            }
            let mut of_normalization = |g: &mut [f32], wanted: bool| {
                self.product.input_gradient(shapes, w, at.grad, g);
                norm::pass_back(x, affine, self.activation, g, sums);
                norm.parameter_gradients(sums, dgamma, dbeta);
                if wanted {
                    let coefficients = norm.coefficients(sums, x.len() / columns, memory_of_coefficients);
                    norm::finish_input_gradient(x, coefficients, g);
                }
            };
            match dx {
                Some(dx) => of_normalization(dx, true),
                None => with_scratch(x.len(), |g| of_normalization(g, false)),
            }
        });
    }

    fn multiply_adds(&self, inputs: &[Shape], output: Shape, pass: Pass<'_>) -> MultiplyAdds {
        let of_product: Vec<bool> = match pass {
            Pass::Forward => Vec::new(),
            Pass::Backward { wanted } => vec![wanted[0] || wanted[1] || wanted[2], wanted[3]],
        };
        let pass = match pass {
            Pass::Forward => Pass::Forward,
            Pass::Backward { .. } => Pass::Backward { wanted: &of_product },
        };
        self.product.as_op().multiply_adds(&[inputs[0], inputs[3]], output, pass)
    }
}

impl<'t> Var<'t> {
    /// The convolution of act(x normalised with gamma and beta), where x is this variable (batch, height, width,
    /// channels), without holding that. What it saved ([`Var::read_saved`]) are the means of x, then the biased
    /// variances.
    #[track_caller]
    pub fn batch_norm_conv2d(
        self,
        [gamma, beta]: [Var<'t>; 2],
        statistics: Statistics,
        activation: Activation,
        weight: Var<'t>,
        product: Product,
    ) -> Var<'t> {
        self.tape().apply(BatchNormConv2d { statistics, activation, product }, &[self, gamma, beta, weight])
    }
}

#[cfg(test)]
pub(in crate::ops) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Case, Sizes};
    use crate::ops::statistics::tests::{given, normalized};
    use crate::ops::{conv_transpose2d, conv2d};

    fn case(
        x: [usize; 4],
        kernel: usize,
        outputs: usize,
        product: Product,
        statistics: Statistics,
        activation: Activation,
    ) -> Case {
        let op = BatchNormConv2d { statistics: statistics.clone(), activation, product };
        let (columns, by) = (Shape::from([x[3]]), statistics.clone());
        let w = match product {
            Product::Plain(_) => [kernel, kernel, x[3], outputs],
            Product::Transposed(_) => [kernel, kernel, outputs, x[3]],
        };
        Case::new(op, [x.into(), columns, columns, w.into()], move |x| {
            let z = normalized(&by, activation, &x[0], &x[1], &x[2]);
            match product {
                Product::Plain(op) => conv2d::tests::reference(op, &z, &x[3], None),
                Product::Transposed(op) => conv_transpose2d::tests::reference(op, &z, &x[3]),
            }
        })
        .between(1, 0.5, 1.5)
        .between(2, -0.5, 0.5)
        .defined_by(move |x| definition(x[0], [x[1], x[2]], statistics.clone(), activation, x[3], product))
    }

    fn plain(stride: usize, padding: usize) -> Product {
        Product::Plain(Conv2d { stride, padding })
    }

    fn transposed(stride: usize, padding: usize, output_padding: usize) -> Product {
        Product::Transposed(ConvTranspose2d { stride, padding, output_padding })
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        use Activation::{Identity, LeakyRelu, Relu};
        let batch = || Statistics::OfBatch;
        vec![
            // Six points, both ways; partial tiles, outputs of parts of vectors.
            case([2, 8, 8, 16], 3, 16, plain(1, 1), batch(), LeakyRelu),
            case([3, 7, 6, 32], 3, 20, plain(1, 1), batch(), LeakyRelu),
            case([2, 7, 8, 17], 3, 16, transposed(1, 1, 0), batch(), LeakyRelu),
            // Gathered.
            case([2, 5, 6, 3], 3, 17, plain(2, 1), batch(), LeakyRelu),
            case([9, 2, 3, 5], 3, 4, transposed(2, 1, 1), batch(), Identity),
            case([2, 3, 3, 16], 1, 5, plain(1, 0), batch(), Relu),
            // Where windows would be read as they lie, were they not normalised first.
            case([2, 10, 12, 2], 3, 6, plain(1, 0), batch(), LeakyRelu),
            case([2, 4, 5, 18], 3, 7, plain(1, 1), given(18), LeakyRelu),
            case([2, 4, 5, 3], 3, 7, plain(1, 1), given(3), Relu),
        ]
    }

    /// Without the rectifier, whose kink a random input would sometimes hit.
    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        let product = match sizes.next(0, 3) {
            0 => plain(2, 1),
            1 => plain(1, 1),
            2 => transposed(2, 1, 1),
            _ => transposed(1, 1, 0),
        };
        let x = [sizes.next(2, 3), sizes.next(2, 6), sizes.next(2, 6), sizes.next(1, 33)];
        case(x, 3, sizes.next(1, 33), product, Statistics::OfBatch, Activation::Identity)
    }
}
