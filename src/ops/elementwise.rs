//! Ops that work element by element: `y[i] = f(x1[i], ..., xN[i])`.
//!
//! Such an op says what f and its partial derivatives are, for sixteen elements at a time; loops, threads and tails
//! are here.

use crate::autograd::{Mismatch, Op, Plan, Point, View, arity, require};
use crate::parallel::{self, GRAIN};
use crate::simd::{self, Kernel, LANES, Simd};
use crate::tensor::Shape;
use std::fmt::Debug;

/// A function of N numbers, and its partial derivatives.
pub trait ElementWise<const N: usize>: Copy + Debug + Send + Sync + 'static {
    /// The name in messages and profiles.
    const NAME: &'static str;

    /// f(x)
    fn value<S: Simd>(self, s: S, x: [S::V; N]) -> S::V;

    /// df/dx, given x and y = f(x)
    fn slopes<S: Simd>(self, s: S, x: [S::V; N], y: S::V) -> [S::V; N];

    /// dy df/dx
    #[inline(always)]
    fn gradients<S: Simd>(self, s: S, x: [S::V; N], y: S::V, dy: S::V) -> [S::V; N] {
        self.slopes(s, x, y).map(
            #[inline(always)]
            |slope| s.mul(slope, dy),
        )
    }
}

/// The op of an element-wise function.
#[derive(Clone, Copy, Debug)]
pub struct Each<F, const N: usize>(pub F);

impl<F: ElementWise<N>, const N: usize> Op for Each<F, N> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let inputs: [Shape; N] = arity(inputs)?;
        require!(inputs.iter().all(|&x| x == inputs[0]), "the shapes differ");
        Ok(Plan::output(inputs[0]))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        parallel::for_each_chunk(output, GRAIN, |i, y| {
            let x = std::array::from_fn(|k| &inputs[k].data[i * GRAIN..][..y.len()]);
            simd::run(Forward { f: self.0, x, y });
        });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        for (which, slot) in gradients.iter_mut().enumerate() {
            let Some(dx) = slot else { continue };
            parallel::for_each_chunk(dx, GRAIN, |i, dx| {
                let range = i * GRAIN..i * GRAIN + dx.len();
                let x = std::array::from_fn(|k| &at.inputs[k].data[range.clone()]);
                let (y, dy) = (&at.output.data[range.clone()], &at.grad[range]);
                simd::run(Backward { f: self.0, which, x, y, dy, dx });
            });
        }
    }
}

struct Forward<'a, F, const N: usize> {
    f: F,
    x: [&'a [f32]; N],
    y: &'a mut [f32],
}

impl<F: ElementWise<N>, const N: usize> Kernel for Forward<'_, F, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (start, y) in (0..).step_by(LANES).zip(self.y.chunks_mut(LANES)) {
            let x = load_all(s, self.x, start, y.len());
            s.store_head(self.f.value(s, x), y);
        }
    }
}

struct Backward<'a, F, const N: usize> {
    f: F,
    which: usize,
    x: [&'a [f32]; N],
    y: &'a [f32],
    dy: &'a [f32],
    dx: &'a mut [f32],
}

impl<F: ElementWise<N>, const N: usize> Kernel for Backward<'_, F, N> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (start, dx) in (0..).step_by(LANES).zip(self.dx.chunks_mut(LANES)) {
            let x = load_all(s, self.x, start, dx.len());
            let [y, dy] = load_all(s, [self.y, self.dy], start, dx.len());
            s.store_head(self.f.gradients(s, x, y, dy)[self.which], dx);
        }
    }
}

/// Up to sixteen elements of each slice.
#[inline(always)]
fn load_all<S: Simd, const N: usize>(s: S, x: [&[f32]; N], start: usize, len: usize) -> [S::V; N] {
    x.map(
        #[inline(always)]
        |x| s.load_head(&x[start..start + len]),
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::{Each, ElementWise};
    use crate::autograd::gradcheck::{Array64, Case, EDGE_SIZES, Sizes};
    use crate::tensor::Shape;

    /// A case of shape `shape`, its reference given as a function of N numbers.
    pub(in crate::ops) fn case<F: ElementWise<N>, const N: usize>(
        f: F,
        shape: impl Into<Shape>,
        reference: fn(F, [f64; N]) -> f64,
    ) -> Case {
        let shape = shape.into();
        Case::new(Each(f), [shape; N], move |x| {
            let element = |i: usize| reference(f, std::array::from_fn(|k| x[k].data[i]));
            Array64::new(shape, (0..shape.len()).map(element).collect())
        })
    }

    /// Shapes around the width of a vector, and one that is cut into tasks.
    pub(in crate::ops) fn shapes() -> Vec<Shape> {
        let mut shapes: Vec<Shape> = EDGE_SIZES.iter().map(|&n| [n].into()).collect();
        shapes.extend([Shape::from([3, 5]), Shape::from([2, 3, 5, 7]), Shape::from([130, 257])]);
        shapes
    }

    /// Any small matrix.
    pub(in crate::ops) fn shape(sizes: &mut Sizes) -> Shape {
        [sizes.next(1, 40), sizes.next(1, 70)].into()
    }
}
