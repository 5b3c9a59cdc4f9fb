//! Matrices side by side.
//!
//! ```text
//! y[r] = (x1[r], x2[r], ...)
//! ```
//!
//! The gradient of each input is its part of dy.

use crate::autograd::{Mismatch, Op, Plan, Point, Var, View, require};
use crate::tensor::Shape;

#[derive(Clone, Copy, Debug)]
struct Concat;

impl Op for Concat {
    fn name(&self) -> &'static str {
        "concat"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        require!(!inputs.is_empty(), "nothing to put side by side");
        let rows = inputs[0].rows();
        require!(
            inputs.iter().all(|x| x.rank() == 2 && x.rows() == rows),
            "the matrices need equal numbers of rows"
        );
        Ok(Plan::output([rows, inputs.iter().map(Shape::columns).sum()]))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        let columns: usize = inputs.iter().map(|x| x.shape.columns()).sum();
        for (r, y) in output.chunks_exact_mut(columns).enumerate() {
            let mut rest = y;
            for x in inputs {
                let width = x.shape.columns();
                let (part, behind) = rest.split_at_mut(width);
                part.copy_from_slice(&x.data[r * width..(r + 1) * width]);
                rest = behind;
            }
        }
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let columns = at.output.shape.columns();
        let mut start = 0;
        for (x, slot) in at.inputs.iter().zip(gradients) {
            let width = x.shape.columns();
            if let Some(dx) = slot {
                for (dx, dy) in dx.chunks_exact_mut(width).zip(at.grad.chunks_exact(columns)) {
                    dx.copy_from_slice(&dy[start..start + width]);
                }
            }
            start += width;
        }
    }
}

impl<'t> Var<'t> {
    /// (rows, c1), (rows, c2), ... side by side: (rows, c1 + c2 + ...).
    ///
    /// # Panics
    /// If there is none, or they differ in their number of rows.
    #[track_caller]
    pub fn concat(parts: &[Var<'t>]) -> Var<'t> {
        let first = parts.first().expect("nothing to put side by side");
        first.tape().apply(Concat, parts)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, Sizes};

    fn case(rows: usize, widths: &[usize]) -> Case {
        let shapes: Vec<Shape> = widths.iter().map(|&w| [rows, w].into()).collect();
        let widths = widths.to_vec();
        Case::new(Concat, shapes, move |x| {
            Array64::build([rows, widths.iter().sum()], |[r, mut c, ..]| {
                let mut which = 0;
                while c >= widths[which] {
                    c -= widths[which];
                    which += 1;
                }
                x[which].at([r, c])
            })
        })
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        vec![case(1, &[1]), case(5, &[16, 15, 17]), case(31, &[33, 1]), case(4, &[3, 3, 3, 3])]
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(sizes.next(1, 20), &[sizes.next(1, 40), sizes.next(1, 40), sizes.next(1, 40)])
    }
}
