//! The sum over the innermost axis: one number a row.
//!
//! ```text
//! y[r] = sum over c of x[r, c],   dy[r]/dx[r, c] = 1
//! ```

use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity, require};
use crate::simd::{self, Kernel, Simd, slice};
use crate::tensor::Shape;

#[derive(Clone, Copy, Debug)]
struct SumColumns;

impl Op for SumColumns {
    fn name(&self) -> &'static str {
        "sum_columns"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x] = arity(inputs)?;
        require!(x.rank() >= 2, "it sums the innermost of at least two axes");
        Ok(Plan::output(Shape::new(&x.sizes()[..x.rank() - 1])))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        simd::run(RowSums { x: inputs[0].data, columns: inputs[0].shape.columns(), y: output });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        if let Some(dx) = &mut gradients[0] {
            for (dx, dy) in dx.chunks_exact_mut(at.inputs[0].shape.columns()).zip(at.grad) {
                dx.fill(*dy);
            }
        }
    }
}

struct RowSums<'a> {
    x: &'a [f32],
    columns: usize,
    y: &'a mut [f32],
}

impl Kernel for RowSums<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (x, y) in self.x.chunks_exact(self.columns).zip(self.y) {
            *y = slice::sum(s, x);
        }
    }
}

impl<'t> Var<'t> {
    /// The sum over the innermost axis: (..., columns) to (...).
    #[track_caller]
    pub fn sum_columns(self) -> Var<'t> {
        self.tape().apply(SumColumns, &[self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, EDGE_SIZES, Sizes};

    fn case(rows: usize, columns: usize) -> Case {
        Case::new(SumColumns, [[rows, columns].into()], move |x| {
            Array64::build([rows], |[r, ..]| (0..columns).map(|c| x[0].at([r, c])).sum())
        })
        .between(0, -1.0, 2.0)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        EDGE_SIZES.map(|n| case(3, n)).into_iter().chain([case(1, 1), case(100, 64)]).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(sizes.next(1, 20), sizes.next(1, 100))
    }
}
