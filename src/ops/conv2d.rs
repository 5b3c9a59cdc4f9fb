//! Two-dimensional cross-correlation of NHWC images.
//!
//! ```text
//! y[n, i, j, o] = b[o] + sum over (u, v, c) of x[n, s i + u - p, s j + v - p, c] w[u, v, c, o]
//! ```
//!
//! dL/dx correlates dL/dy with w transposed, dL/dw correlates x with dL/dy, dL/db sums dL/dy over places.

use crate::autograd::{Mismatch, MultiplyAdds, Op, Pass, Plan, Point, Var, View, require};
use crate::kernels::conv::{self, Windows};
use crate::kernels::norm::column_sums;
use crate::tensor::Shape;

/// The settings of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// s, the steps between windows.
    pub stride: usize,
    /// p, the rows and columns of zeros around the image.
    pub padding: usize,
}

impl Conv2d {
    fn windows(self, x: Shape, w: Shape) -> Result<Windows, Mismatch> {
        let Some([_, height, width, channels]) = x.image() else {
            return Err(Mismatch("x must be (batch, height, width, channels)".into()));
        };
        let Some([kernel, across, inputs, _]) = w.image() else {
            return Err(Mismatch("w must be (kernel, kernel, inputs, outputs)".into()));
        };
        require!(kernel == across, "the kernel must be square, not {kernel} x {across}");
        require!(channels == inputs, "x has {channels} channels, w has {inputs} inputs");
        require!(self.stride > 0, "the stride must be positive");
        Ok(Windows { height, width, channels, kernel, stride: self.stride, padding: self.padding })
    }

    /// The windows of shapes that `plan` has accepted.
    pub(super) fn planned(self, x: Shape, w: Shape) -> Windows {
        self.windows(x, w).expect("the plan was made for these shapes")
    }
}

impl Op for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        require!(matches!(inputs.len(), 2 | 3), "it takes x, w and perhaps b, not {} inputs", inputs.len());
        let windows = self.windows(inputs[0], inputs[1])?;
        let Some((rows, columns)) = windows.output() else {
            return Err(Mismatch(format!("a {0} x {0} kernel is larger than the image", windows.kernel)));
        };
        let outputs = inputs[1].columns();
        require!(inputs.get(2).is_none_or(|b| b.sizes() == [outputs]), "b must have {outputs} numbers");
        Ok(Plan::output([inputs[0].sizes()[0], rows, columns, outputs]))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        let windows = self.planned(inputs[0].shape, inputs[1].shape);
        conv::forward(&windows, inputs[0].data, inputs[1].data, inputs.get(2).map(|b| b.data), output);
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let windows = self.planned(at.inputs[0].shape, at.inputs[1].shape);
        if let Some(dx) = &mut gradients[0] {
            conv::input_gradient(&windows, at.inputs[1].data, at.grad, dx);
        }
        if let Some(dw) = &mut gradients[1] {
            conv::weight_gradient(&windows, at.inputs[0].data, at.grad, dw);
        }
        if let Some(Some(db)) = gradients.get_mut(2) {
            column_sums(at.grad, db);
        }
    }

    fn multiply_adds(&self, inputs: &[Shape], output: Shape, pass: Pass<'_>) -> MultiplyAdds {
        let windows = self.planned(inputs[0], inputs[1]);
        let images = inputs[0].sizes()[0] * pass.products();
        let computed = images * conv::multiply_adds(&windows, output.columns());
        MultiplyAdds { computed, naive: output.len() * inputs[1].rows() * pass.products() }
    }
}

impl<'t> Var<'t> {
    /// Cross-correlation: x (batch, height, width, inputs), w (kernel, kernel, inputs, outputs), bias (outputs).
    #[track_caller]
    pub fn conv2d(self, weight: Var<'t>, bias: Option<Var<'t>>, settings: Conv2d) -> Var<'t> {
        match bias {
            Some(bias) => self.tape().apply(settings, &[self, weight, bias]),
            None => self.tape().apply(settings, &[self, weight]),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, Sizes};

    pub(in crate::ops) fn reference(op: Conv2d, x: &Array64, w: &Array64, b: Option<&Array64>) -> Array64 {
        let ([n, height, width, channels], [k, _, _, o]) =
            (x.shape.image().unwrap(), w.shape.image().unwrap());
        let along = |size: usize| (size + 2 * op.padding - k) / op.stride + 1;
        Array64::build([n, along(height), along(width), o], |[n, i, j, o]| {
            let mut sum = b.map_or(0.0, |b| b.at([o]));
            for u in 0..k {
                for v in 0..k {
                    let (row, column) = (op.stride * i + u, op.stride * j + v);
                    let inside = |at: usize, size: usize| at >= op.padding && at < size + op.padding;
                    if inside(row, height) && inside(column, width) {
                        for c in 0..channels {
                            sum += x.at([n, row - op.padding, column - op.padding, c]) * w.at([u, v, c, o]);
                        }
                    }
                }
            }
            sum
        })
    }

    fn case(x: [usize; 4], kernel: usize, outputs: usize, op: Conv2d, bias: bool) -> Case {
        let mut shapes: Vec<Shape> = vec![x.into(), [kernel, kernel, x[3], outputs].into()];
        shapes.extend(bias.then(|| Shape::from([outputs])));
        Case::new(op, shapes, move |x| reference(op, &x[0], &x[1], x.get(2)))
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let op = |stride, padding| Conv2d { stride, padding };
        vec![
            case([2, 8, 8, 1], 5, 32, op(1, 0), false),
            // Windows that are read where they lie: the first layer of an encoder, then odd sizes and several groups
            // of images, of which the last is smaller.
            case([3, 28, 28, 1], 5, 32, op(1, 0), false),
            case([33, 10, 12, 2], 3, 17, op(1, 0), true),
            case([2, 9, 15, 31], 2, 5, op(1, 0), true),
            case([3, 6, 7, 4], 5, 3, op(1, 0), true),
            case([2, 5, 6, 3], 3, 17, op(1, 1), false),
            case([9, 5, 4, 15], 3, 2, op(2, 1), true),
            case([2, 7, 9, 16], 1, 33, op(1, 0), true),
            case([1, 6, 6, 31], 1, 1, op(2, 0), false),
            case([1, 1, 1, 1], 1, 1, op(1, 0), true),
            case([17, 3, 3, 2], 3, 4, op(1, 2), true),
            // Winograd's way: whole tiles, parts of tiles, several groups and partial sums, the second layer of an encoder.
            case([1, 6, 6, 16], 5, 32, op(1, 0), false),
            case([3, 7, 9, 16], 5, 32, op(1, 0), false),
            case([26, 5, 6, 16], 5, 32, op(1, 0), false),
            case([5, 12, 12, 32], 5, 64, op(1, 0), false),
            case([2, 6, 8, 48], 5, 96, op(1, 0), true),
            case([2, 4, 6, 32], 5, 20, op(1, 1), true),
            // The same of 3 x 3 windows: whole tiles and parts, several products of one image, outputs of a part of a
            // vector or a panel, several groups and partial sums.
            case([2, 8, 8, 32], 3, 32, op(1, 1), false),
            case([1, 7, 11, 32], 3, 37, op(1, 1), true),
            case([1, 30, 33, 32], 3, 32, op(1, 1), false),
            case([33, 4, 4, 32], 3, 36, op(1, 1), true),
            case([50, 3, 3, 32], 3, 33, op(1, 1), false),
            case([3, 7, 6, 48], 3, 33, op(1, 0), true),
        ]
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        let kernel = sizes.next(1, 5);
        if kernel == 5 {
            let x = [sizes.next(1, 3), sizes.next(5, 9), sizes.next(5, 9), 16 * sizes.next(1, 2)];
            return case(x, 5, 32, Conv2d { stride: 1, padding: 0 }, false);
        }
        if kernel == 3 && sizes.next(0, 1) == 1 {
            let x = [sizes.next(1, 3), sizes.next(3, 9), sizes.next(3, 9), 16 * sizes.next(2, 3)];
            let op = Conv2d { stride: 1, padding: sizes.next(0, 2) };
            return case(x, 3, sizes.next(32, 40), op, op.padding == 1);
        }
        let (stride, padding) = (sizes.next(1, 2), sizes.next(0, 2));
        let x = [sizes.next(1, 3), sizes.next(kernel, 7), sizes.next(kernel, 7), sizes.next(1, 6)];
        case(x, kernel, sizes.next(1, 18), Conv2d { stride, padding }, padding == 1)
    }
}
