//! Nearest up-sampling to twice the size, then a transposed convolution, as one op.
//!
//! ```text
//! y[n, p, q, o] = sum over (r, s, c) of X[n, p - r, q - s, c] w[r, s, c, o],   X[n, r, s, c] = x[n, r / 2, s / 2, c]
//! ```
//!
//! with zero outside of X. `kernels/conv/upsampled/` says how the larger image X is avoided.

use crate::autograd::{Mismatch, MultiplyAdds, Op, Pass, Plan, Point, Var, View, arity, require};
use crate::kernels::conv::upsampled::Upsampled;
#[cfg(test)]
use crate::ops::ConvTranspose2d;
use crate::tensor::Shape;

/// What the op equals. A pixel becomes four by a transposed convolution of 2 x 2 pixels, every channel by itself; the weights
/// have inputs and outputs the other way round.
#[cfg(test)]
fn definition<'t>(x: Var<'t>, w: Var<'t>) -> Var<'t> {
    let [kernel, _, inputs, outputs] = w.shape().image().expect("the weights of a convolution");
    let four = x.tape().constant([2, 2, inputs, inputs], |weights| {
        weights.fill(0.0);
        for tap in weights.chunks_exact_mut(inputs * inputs) {
            tap.iter_mut().step_by(inputs + 1).for_each(|weight| *weight = 1.0);
        }
    });
    let upsampled = x.conv_transpose2d(four, ConvTranspose2d { stride: 2, padding: 0, output_padding: 0 });
    let w = w.reshape([kernel * kernel, inputs, 1, outputs]).to_channels_first();
    let w = w.reshape([kernel, kernel, outputs, inputs]);
    upsampled.conv_transpose2d(w, ConvTranspose2d { stride: 1, padding: 0, output_padding: 0 })
}

#[derive(Clone, Copy, Debug)]
struct UpsampledConvTranspose2d;

fn sizes(x: Shape, w: Shape) -> Result<Upsampled, Mismatch> {
    let Some([_, height, width, channels]) = x.image() else {
        return Err(Mismatch("x must be (batch, height, width, channels)".into()));
    };
    let Some([kernel, across, inputs, outputs]) = w.image() else {
        return Err(Mismatch("w must be (kernel, kernel, inputs, outputs)".into()));
    };
    require!(
        kernel == across && kernel % 2 == 1,
        "the kernel must be square and odd, not {kernel} x {across}"
    );
    require!(channels == inputs, "x has {channels} channels, w has {inputs} inputs");
    Ok(Upsampled { height, width, inputs, kernel, outputs })
}

impl Op for UpsampledConvTranspose2d {
    fn name(&self) -> &'static str {
        "upsampled_conv_transpose2d"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x, w] = arity(inputs)?;
        let layer = sizes(x, w)?;
        let (rows, columns) = layer.output();
        Ok(Plan::output([x.sizes()[0], rows, columns, layer.outputs]))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        let layer = sizes(inputs[0].shape, inputs[1].shape).expect("the plan was made for these shapes");
        layer.forward(inputs[0].data, inputs[1].data, output);
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let layer =
            sizes(at.inputs[0].shape, at.inputs[1].shape).expect("the plan was made for these shapes");
        let (x, w) = (at.inputs[0].data, at.inputs[1].data);
        if let Some(dx) = &mut gradients[0] {
            layer.input_gradient(w, at.grad, dx);
        }
        if let Some(dw) = &mut gradients[1] {
            layer.weight_gradient(x, at.grad, dw);
        }
    }

    fn multiply_adds(&self, inputs: &[Shape], _output: Shape, pass: Pass<'_>) -> MultiplyAdds {
        let layer = sizes(inputs[0], inputs[1]).expect("the plan was made for these shapes");
        // Every pixel of the up-sampled image goes to kernel x kernel places.
        let naive = 4 * layer.height * layer.width * inputs[1].len();
        let images = inputs[0].sizes()[0] * pass.products();
        MultiplyAdds { computed: images * layer.multiply_adds(), naive: images * naive }
    }
}

impl<'t> Var<'t> {
    /// Doubles the image by nearest up-sampling, then convolves it transposed, stride 1, no padding:
    /// x (batch, h, w, inputs) and weight (kernel, kernel, inputs, outputs), odd kernel, to
    /// (batch, 2 h + kernel - 1, 2 w + kernel - 1, outputs).
    #[track_caller]
    pub fn upsampled_conv_transpose2d(self, weight: Var<'t>) -> Var<'t> {
        self.tape().apply(UpsampledConvTranspose2d, &[self, weight])
    }
}

#[cfg(test)]
pub(in crate::ops) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, Sizes};

    /// Up-samples, then scatters every input pixel times the kernel: the definition of a transposed convolution.
    fn reference(x: &Array64, w: &Array64) -> Array64 {
        let ([n, height, width, inputs], [k, _, _, outputs]) =
            (x.shape.image().unwrap(), w.shape.image().unwrap());
        let (rows, columns) = (2 * height + k - 1, 2 * width + k - 1);
        let mut y = Array64::build([n, rows, columns, outputs], |_| 0.0);
        for n in 0..n {
            for i in 0..2 * height {
                for j in 0..2 * width {
                    for r in 0..k {
                        for s in 0..k {
                            for o in 0..outputs {
                                let products =
                                    (0..inputs).map(|c| x.at([n, i / 2, j / 2, c]) * w.at([r, s, c, o]));
                                y.data[((n * rows + i + r) * columns + j + s) * outputs + o] +=
                                    products.sum::<f64>();
                            }
                        }
                    }
                }
            }
        }
        y
    }

    fn case(x: [usize; 4], kernel: usize, outputs: usize) -> Case {
        let shapes = [x.into(), [kernel, kernel, x[3], outputs].into()];
        Case::new(UpsampledConvTranspose2d, shapes, |x| reference(&x[0], &x[1]))
            .defined_by(|x| definition(x[0], x[1]))
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        vec![
            case([2, 4, 4, 3], 5, 17),
            case([9, 2, 3, 16], 5, 1),
            case([1, 3, 2, 2], 3, 15),
            case([2, 1, 1, 5], 7, 4),
            case([3, 2, 2, 1], 1, 33),
            // Winograd's way: whole tiles, parts of tiles, several groups of images, the model's second layer.
            case([1, 4, 4, 64], 5, 32),
            case([3, 5, 6, 64], 5, 32),
            case([26, 1, 2, 64], 5, 32),
            case([5, 9, 12, 64], 5, 32),
            case([2, 3, 8, 80], 5, 64),
            // The folded products of many channels.
            case([2, 3, 5, 48], 5, 33),
        ]
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        let kernel = 2 * sizes.next(0, 3) + 1;
        let [images, height, width] = [3, 5, 5].map(|most| sizes.next(1, most));
        if kernel == 5 {
            return case([images, height, width, 16 * sizes.next(3, 4)], 5, 32);
        }
        case([images, height, width, sizes.next(1, 5)], kernel, sizes.next(1, 9))
    }
}
