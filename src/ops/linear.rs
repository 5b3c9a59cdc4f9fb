//! A fully connected layer.
//!
//! ```text
//! y = x w + b,   dx = dy w^T,   dw = x^T dy,   db = the sum of the rows of dy
//! ```

use crate::autograd::{Mismatch, MultiplyAdds, Op, Pass, Plan, Point, Var, View, require};
use crate::kernels::gemm::{Matrix, Start, gemm_parallel};
use crate::kernels::norm::column_sums;
use crate::tensor::Shape;

#[derive(Clone, Copy, Debug)]
struct Linear;

impl Op for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        require!(matches!(inputs.len(), 2 | 3), "it takes x, w and perhaps b, not {} inputs", inputs.len());
        let (x, w) = (inputs[0], inputs[1]);
        require!(x.rank() == 2 && w.rank() == 2, "x and w must be matrices");
        require!(x.columns() == w.rows(), "x has {} columns, w has {} rows", x.columns(), w.rows());
        require!(
            inputs.get(2).is_none_or(|b| b.sizes() == [w.columns()]),
            "b must have {} numbers",
            w.columns()
        );
        Ok(Plan::output([x.rows(), w.columns()]))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _saved: &mut [f32]) {
        let [x, w] = [0, 1].map(|i| matrix(inputs[i]));
        gemm_parallel(x, w, output, inputs.get(2).map_or(Start::Zero, |b| Start::Row(b.data)));
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let [x, w] = [0, 1].map(|i| matrix(at.inputs[i]));
        let dy = Matrix::new(at.grad, at.output.shape.rows(), at.output.shape.columns());
        if let Some(dx) = &mut gradients[0] {
            gemm_parallel(dy, w.transposed(), dx, Start::Zero);
        }
        if let Some(dw) = &mut gradients[1] {
            gemm_parallel(x.transposed(), dy, dw, Start::Zero);
        }
        if let Some(Some(db)) = gradients.get_mut(2) {
            column_sums(at.grad, db);
        }
    }

    fn multiply_adds(&self, inputs: &[Shape], output: Shape, pass: Pass<'_>) -> MultiplyAdds {
        let all = inputs[0].len() * output.columns() * pass.products();
        MultiplyAdds { computed: all, naive: all }
    }
}

fn matrix(x: View<'_>) -> Matrix<'_> {
    Matrix::new(x.data, x.shape.rows(), x.shape.columns())
}

impl<'t> Var<'t> {
    /// x w + b: x (rows, inputs), w (inputs, outputs), b (outputs), to (rows, outputs).
    #[track_caller]
    pub fn linear(self, weight: Var<'t>, bias: Option<Var<'t>>) -> Var<'t> {
        match bias {
            Some(bias) => self.tape().apply(Linear, &[self, weight, bias]),
            None => self.tape().apply(Linear, &[self, weight]),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::autograd::gradcheck::{Array64, Case, EDGE_SIZES, Sizes};

    fn case(rows: usize, inputs: usize, outputs: usize, bias: bool) -> Case {
        let mut shapes: Vec<Shape> = vec![[rows, inputs].into(), [inputs, outputs].into()];
        shapes.extend(bias.then(|| Shape::from([outputs])));
        Case::new(Linear, shapes, move |x| {
            Array64::build([rows, outputs], |[r, o, ..]| {
                let product: f64 = (0..inputs).map(|i| x[0].at([r, i]) * x[1].at([i, o])).sum();
                product + x.get(2).map_or(0.0, |b| b.at([o]))
            })
        })
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let edges = EDGE_SIZES
            .into_iter()
            .flat_map(|n| [case(3, n, 5, true), case(n, 4, 2, false), case(2, 3, n, true)]);
        edges.chain([case(100, 64, 10, true), case(70, 300, 33, false)]).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(sizes.next(1, 40), sizes.next(1, 40), sizes.next(1, 40), sizes.next(0, 1) == 1)
    }
}
