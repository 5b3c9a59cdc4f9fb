//! The largest of every 2x2 block of pixels.
//!
//! ```text
//! y[n, i, j, c] = max over u, v in {0, 1} of x[n, 2 i + u, 2 j + v, c]
//! ```
//!
//! The gradient goes to the first largest element; NaN is larger than every number. An odd last row or column is left out.

use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity, require};
use crate::kernels::pool;
use crate::tensor::Shape;

#[derive(Clone, Copy, Debug)]
struct MaxPool;

/// Height, width and channels of the images x.
pub(super) fn image(x: Shape) -> [usize; 3] {
    let [_, height, width, channels] = x.image().expect("the plan was made for an image");
    [height, width, channels]
}

impl Op for MaxPool {
    fn name(&self) -> &'static str {
        "max_pool"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x] = arity(inputs)?;
        let Some([batch, height, width, channels]) = x.image() else {
            return Err(Mismatch("x must be (batch, height, width, channels)".into()));
        };
        require!(height >= 2 && width >= 2, "an image of {height} x {width} has no 2 x 2 block");
        Ok(Plan::output([batch, height / 2, width / 2, channels]))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        pool::max_pool(inputs[0].data, image(inputs[0].shape), output);
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        if let Some(dx) = &mut gradients[0] {
            pool::max_pool_gradient(at.inputs[0].data, image(at.inputs[0].shape), at.grad, dx);
        }
    }
}

impl<'t> Var<'t> {
    /// The largest of every 2x2 block: (batch, height, width, channels) to (batch, height / 2, width / 2, channels).
    #[track_caller]
    pub fn max_pool(self) -> Var<'t> {
        self.tape().apply(MaxPool, &[self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, Sizes, maximum};

    fn case(x: [usize; 4]) -> Case {
        Case::new(MaxPool, [x.into()], move |inputs| {
            Array64::build([x[0], x[1] / 2, x[2] / 2, x[3]], |[n, i, j, c]| {
                let corners = [(0, 0), (0, 1), (1, 0), (1, 1)];
                let values = corners.map(|(u, v)| inputs[0].at([n, 2 * i + u, 2 * j + v, c]));
                values.into_iter().fold(f64::NEG_INFINITY, maximum)
            })
        })
        .distinct(0)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        [[1, 2, 2, 1], [3, 4, 6, 16], [2, 5, 7, 15], [2, 8, 4, 33], [1, 3, 2, 17]].map(case).into()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case([sizes.next(1, 3), sizes.next(2, 9), sizes.next(2, 9), sizes.next(1, 40)])
    }

    #[test]
    fn of_equal_elements_the_first_gets_the_gradient() {
        let mut dx = [f32::NAN; 4];
        pool::max_pool_gradient(&[1.0, 2.0, 2.0, 2.0], [2, 2, 1], &[5.0], &mut dx);
        assert_eq!(dx, [0.0, 5.0, 0.0, 0.0]);
    }

    #[test]
    fn a_nan_at_any_of_the_four_pixels_is_the_largest_and_gets_the_gradient() {
        for at in 0..4 {
            let mut x = [3.0, f32::INFINITY, -1.0, 2.0];
            x[at] = f32::NAN;
            // PyTorch: torch.nn.functional.max_pool2d and its gradient.
            let mut expected = [0.0; 4];
            expected[at] = 5.0;
            let (mut y, mut dx) = ([0.0], [f32::NAN; 4]);
            for number in [f32::INFINITY, 7.0] {
                x.iter_mut().filter(|x| x.is_infinite()).for_each(|x| *x = number);
                pool::max_pool(&x, [2, 2, 1], &mut y);
                assert!(y[0].is_nan(), "{x:?}: {y:?}");
            }
            pool::max_pool_gradient(&x, [2, 2, 1], &[5.0], &mut dx);
            assert_eq!(dx, expected, "{x:?}");
        }
    }
}
