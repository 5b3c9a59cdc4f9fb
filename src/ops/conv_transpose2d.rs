//! Two-dimensional transposed convolution of NHWC images.
//!
//! ```text
//! y[n, s i + u - p, s j + v - p, o] = sum over (i, j, u, v, c) of x[n, i, j, c] w[u, v, o, c]
//! ```
//!
//! with (h - 1) s - 2 p + k + q rows, where q more rows and columns than the kernel settles on are asked for at the far
//! side; what no tap reaches is 0. It is the gradient of a convolution of y's shape with respect to its image, so all
//! three passes are passes of that convolution: its output x, its image y, its weights w (kernel, kernel, outputs,
//! inputs) as they are here.

use crate::autograd::{Mismatch, MultiplyAdds, Op, Pass, Plan, Point, Var, View, arity, require};
use crate::kernels::conv::{self, Windows};
use crate::tensor::Shape;

/// The settings of a transposed convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvTranspose2d {
    /// s, the steps in y between the places of neighbouring pixels of x.
    pub stride: usize,
    /// p, the rows and columns that are cut off on every side.
    pub padding: usize,
    /// q, the rows and columns that are added at the far sides; fewer than the stride.
    pub output_padding: usize,
}

impl ConvTranspose2d {
    /// The convolution whose image is y.
    fn windows(self, x: Shape, w: Shape) -> Result<Windows, Mismatch> {
        let ConvTranspose2d { stride, padding, output_padding } = self;
        let Some([_, height, width, channels]) = x.image() else {
            return Err(Mismatch("x must be (batch, height, width, channels)".into()));
        };
        let Some([kernel, across, outputs, inputs]) = w.image() else {
            return Err(Mismatch("w must be (kernel, kernel, outputs, inputs)".into()));
        };
        require!(kernel == across, "the kernel must be square, not {kernel} x {across}");
        require!(channels == inputs, "x has {channels} channels, w has {inputs} inputs");
        require!(
            output_padding < stride,
            "the output padding, {output_padding}, must be less than the stride, {stride}"
        );
        let along = |size: usize| {
            let whole = size.checked_sub(1).map(|steps| steps * stride + kernel + output_padding);
            whole.and_then(|whole| whole.checked_sub(2 * padding)).filter(|&size| size > 0)
        };
        let (Some(height), Some(width)) = (along(height), along(width)) else {
            return Err(Mismatch(format!("a padding of {padding} leaves nothing of {height} x {width}")));
        };
        Ok(Windows { height, width, channels: outputs, kernel, stride, padding })
    }

    /// The convolution for shapes that `plan` has accepted.
    pub(super) fn planned(self, x: Shape, w: Shape) -> Windows {
        self.windows(x, w).expect("the plan was made for these shapes")
    }
}

impl Op for ConvTranspose2d {
    fn name(&self) -> &'static str {
        "conv_transpose2d"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x, w] = arity(inputs)?;
        let Windows { height, width, channels, .. } = self.windows(x, w)?;
        Ok(Plan::output([x.sizes()[0], height, width, channels]))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        let windows = self.planned(inputs[0].shape, inputs[1].shape);
        conv::input_gradient(&windows, inputs[1].data, inputs[0].data, output);
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let windows = self.planned(at.inputs[0].shape, at.inputs[1].shape);
        if let Some(dx) = &mut gradients[0] {
            conv::forward(&windows, at.grad, at.inputs[1].data, None, dx);
        }
        if let Some(dw) = &mut gradients[1] {
            conv::weight_gradient(&windows, at.grad, at.inputs[0].data, dw);
        }
    }

    fn multiply_adds(&self, inputs: &[Shape], _output: Shape, pass: Pass<'_>) -> MultiplyAdds {
        let windows = self.planned(inputs[0], inputs[1]);
        let images = inputs[0].sizes()[0] * pass.products();
        let computed = images * conv::multiply_adds(&windows, inputs[0].columns());
        // Every pixel of x goes to kernel x kernel places.
        MultiplyAdds { computed, naive: inputs[0].rows() * inputs[1].len() * pass.products() }
    }
}

impl<'t> Var<'t> {
    /// Transposed convolution: x (batch, height, width, inputs), w (kernel, kernel, outputs, inputs).
    #[track_caller]
    pub fn conv_transpose2d(self, weight: Var<'t>, settings: ConvTranspose2d) -> Var<'t> {
        self.tape().apply(settings, &[self, weight])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, Sizes};

    /// Scatters every pixel times the kernel, then cuts and extends: the definition.
    pub(in crate::ops) fn reference(op: ConvTranspose2d, x: &Array64, w: &Array64) -> Array64 {
        let ([n, height, width, inputs], [k, _, outputs, _]) =
            (x.shape.image().unwrap(), w.shape.image().unwrap());
        let along = |size: usize| (size - 1) * op.stride + k + op.output_padding - 2 * op.padding;
        let (rows, columns) = (along(height), along(width));
        let mut y = Array64::build([n, rows, columns, outputs], |_| 0.0);
        let mut scatter = |[n, i, j]: [usize; 3], [u, v]: [usize; 2]| {
            let (row, column) = (op.stride * i + u, op.stride * j + v);
            let inside = |at: usize, size: usize| at >= op.padding && at - op.padding < size;
            if inside(row, rows) && inside(column, columns) {
                let at = (n * rows + row - op.padding) * columns + column - op.padding;
                for o in 0..outputs {
                    let products = (0..inputs).map(|c| x.at([n, i, j, c]) * w.at([u, v, o, c]));
                    y.data[at * outputs + o] += products.sum::<f64>();
                }
            }
        };
        for place in 0..n * height * width {
            for tap in 0..k * k {
                scatter(
                    [place / (height * width), place / width % height, place % width],
                    [tap / k, tap % k],
                );
            }
        }
        y
    }

    fn case(x: [usize; 4], kernel: usize, outputs: usize, op: ConvTranspose2d) -> Case {
        let shapes = [x.into(), [kernel, kernel, outputs, x[3]].into()];
        Case::new(op, shapes, move |x| reference(op, &x[0], &x[1]))
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let op = |stride, padding, output_padding| ConvTranspose2d { stride, padding, output_padding };
        vec![
            // To twice the size, of kernel 3 and, with three quarters of zeros, 1.
            case([2, 4, 4, 16], 3, 32, op(2, 1, 1)),
            case([3, 1, 5, 3], 3, 17, op(2, 1, 1)),
            case([2, 4, 3, 15], 1, 33, op(2, 0, 1)),
            case([17, 2, 2, 1], 1, 1, op(2, 0, 1)),
            // To the same size.
            case([2, 5, 6, 31], 3, 5, op(1, 1, 0)),
            case([9, 3, 2, 4], 3, 16, op(1, 1, 0)),
            case([1, 1, 1, 2], 3, 3, op(1, 1, 0)),
            case([2, 9, 6, 36], 3, 32, op(1, 1, 0)),
            case([33, 4, 4, 32], 3, 32, op(1, 1, 0)),
            // Others: a pixel that no tap reaches, a larger kernel, every pixel cut but the middle.
            case([2, 3, 4, 5], 2, 3, op(3, 0, 2)),
            case([2, 3, 3, 2], 5, 4, op(2, 2, 0)),
            case([2, 3, 3, 2], 3, 1, op(1, 2, 0)),
        ]
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        let (kernel, stride) = (sizes.next(1, 4), sizes.next(1, 3));
        let op = ConvTranspose2d {
            stride,
            padding: sizes.next(0, (kernel - 1) / 2),
            output_padding: sizes.next(0, stride - 1),
        };
        let x = [sizes.next(1, 3), sizes.next(1, 5), sizes.next(1, 5), sizes.next(1, 18)];
        case(x, kernel, sizes.next(1, 18), op)
    }

    #[test]
    fn settings_that_fit_nothing_are_refused() {
        let plan = |x: [usize; 4], w: [usize; 4], stride, padding, output_padding| {
            let op = ConvTranspose2d { stride, padding, output_padding };
            op.plan(&[x.into(), w.into()]).map(|plan| plan.output).map_err(|mismatch| mismatch.0)
        };
        let found = plan([1, 4, 4, 2], [3, 3, 5, 2], 2, 1, 1);
        assert_eq!(found, Ok([1, 8, 8, 5].into()));
        let refused = plan([1, 4, 4, 2], [3, 3, 5, 2], 2, 1, 2).unwrap_err();
        assert_eq!(refused, "the output padding, 2, must be less than the stride, 2");
        let refused = plan([1, 1, 4, 2], [3, 3, 5, 2], 1, 2, 0).unwrap_err();
        assert_eq!(refused, "a padding of 2 leaves nothing of 1 x 4");
        let refused = plan([1, 4, 4, 2], [3, 3, 2, 5], 1, 1, 0).unwrap_err();
        assert_eq!(refused, "x has 2 channels, w has 5 inputs");
    }
}
