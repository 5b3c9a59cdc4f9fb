//! Rows of a table, picked by index: the product of one-hot labels with a matrix, without the zeros.
//!
//! ```text
//! y[r] = table[index[r]],   dL/dtable[k] = sum over the r with index[r] = k of dL/dy[r]
//! ```

use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, arity, require};
use crate::simd::slice;
use crate::tensor::Shape;
use std::sync::Arc;

#[derive(Clone, Debug)]
struct GatherRows(Arc<[u32]>);

impl Op for GatherRows {
    fn name(&self) -> &'static str {
        "gather_rows"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [table] = arity(inputs)?;
        require!(table.rank() == 2, "the table must be a matrix");
        let largest = self.0.iter().max().copied().unwrap_or(0) as usize;
        require!(largest < table.rows(), "row {largest} of a table of {} rows", table.rows());
        Ok(Plan::output([self.0.len(), table.columns()]))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        let columns = inputs[0].shape.columns();
        for (y, &row) in output.chunks_exact_mut(columns).zip(&*self.0) {
            y.copy_from_slice(&inputs[0].data[row as usize * columns..][..columns]);
        }
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let Some(dtable) = &mut gradients[0] else { return };
        let columns = at.inputs[0].shape.columns();
        dtable.fill(0.0);
        for (dy, &row) in at.grad.chunks_exact(columns).zip(&*self.0) {
            slice::accumulate(&mut dtable[row as usize * columns..][..columns], dy);
        }
    }
}

impl<'t> Var<'t> {
    /// The rows of this table (rows, columns) that `index` names, in its order: (index length, columns).
    #[track_caller]
    pub fn gather_rows(self, index: impl Into<Arc<[u32]>>) -> Var<'t> {
        self.tape().apply(GatherRows(index.into()), &[self])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, Sizes, labels};

    fn case(rows: usize, columns: usize, picked: usize) -> Case {
        let index = labels(5, picked, rows);
        Case::new(GatherRows(index.clone()), [[rows, columns].into()], move |x| {
            Array64::build([picked, columns], |[r, c, ..]| x[0].at([index[r] as usize, c]))
        })
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        vec![case(1, 1, 1), case(5, 64, 100), case(10, 17, 3), case(7, 33, 31)]
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(sizes.next(1, 12), sizes.next(1, 40), sizes.next(1, 30))
    }
}
