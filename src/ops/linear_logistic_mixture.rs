//! A linear layer and -ln p of pixels under the mixtures of discretised logistic distributions that it gives the
//! parameters of, summed over the pixels, as one op.
//!
//! ```text
//! theta = x w + b,   y = sum over r of -ln p(levels[r] | theta[r])
//! dtheta[r] = dy d(-ln p)/dtheta[r],   dx = dtheta w^T,   dw = x^T dtheta,   db = the sum of the rows of dtheta
//! ```
//!
//! A 1x1 convolution is a linear layer on every pixel: this is the end of the decoder of cells and its likelihood. The
//! parameters are never held, and the forward pass computes the gradients up to the factor dy, a single number
//! (`kernels/linear_logistic_mixture.rs`).

use super::logistic_mixture::Levels;
use crate::autograd::{Mismatch, MultiplyAdds, Op, Pass, Plan, Point, Var, View, arity, require};
use crate::kernels::linear_logistic_mixture::{Gradients, Layer};
use crate::kernels::logistic_mixture::Mixture;
use crate::parallel::{self, with_scratch};
use crate::simd::slice;
use crate::tensor::Shape;
use std::sync::Arc;

#[derive(Clone, Debug)]
struct LinearLogisticMixture(Levels);

impl Op for LinearLogisticMixture {
    fn name(&self) -> &'static str {
        "linear_logistic_mixture"
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        let [x, w, b] = arity(inputs)?;
        require!(x.rank() == 2 && w.rank() == 2, "x and w must be matrices");
        require!(x.columns() == w.rows(), "x has {} columns, w has {} rows", x.columns(), w.rows());
        require!(b.sizes() == [w.columns()], "b must have {} numbers", w.columns());
        self.0.mixture(x.rows(), w.columns())?;
        // The draft of dx, then the gradients of w and b for dy = 1.
        Ok(Plan { draft: true, ..Plan::saving(Shape::SCALAR, x.len() + w.len() + b.len()) })
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        let [x, w, b] = [0, 1, 2].map(|i| inputs[i].data);
        let mixture = Mixture::new(b.len(), self.0.channels).expect("parameters that the plan has accepted");
        let (draft, saved) = saved.split_at_mut(x.len());
        let (of_w, of_b) = saved.split_at_mut(w.len());
        with_scratch(inputs[0].shape.rows(), |losses| {
            let mut gradients = Gradients { x: draft, w: of_w, b: of_b };
            let layer = Layer { w, b, mixture, levels: &self.0.levels };
            layer.losses_and_gradients(x, losses, &mut gradients);
            output[0] = slice::sum_f64(losses) as f32;
        });
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let dy = at.grad[0];
        let [dx, dw, db] = gradients else { panic!("{} gradients of three inputs", gradients.len()) };
        // Mostly dy is 1, and dx large: then it is not touched again.
        if let Some(dx) = dx
            && dy != 1.0
        {
            parallel::for_each_chunk(dx, parallel::GRAIN, |_, dx| dx.iter_mut().for_each(|dx| *dx *= dy));
        }
        let (of_w, of_b) = at.saved.split_at(at.inputs[1].data.len());
        for (slot, ready) in [(dw, of_w), (db, of_b)] {
            if let Some(slot) = slot {
                slot.iter_mut().zip(ready).for_each(|(to, from)| *to = dy * from);
            }
        }
    }

    fn multiply_adds(&self, inputs: &[Shape], _output: Shape, pass: Pass<'_>) -> MultiplyAdds {
        let product = inputs[0].len() * inputs[1].columns();
        match pass {
            // The parameters and both gradients, whoever will ask for them.
            Pass::Forward => MultiplyAdds { computed: 3 * product, naive: product },
            Pass::Backward { wanted } => {
                let gradients = usize::from(wanted[0]) + usize::from(wanted[1]);
                MultiplyAdds { computed: 0, naive: gradients * product }
            }
        }
    }
}

impl<'t> Var<'t> {
    /// The sum over the rows of -ln p, in nats, of the levels under the mixtures with the parameters x w + b: x (pixels,
    /// inputs); w (inputs, parameters); b (parameters); `levels` (pixels, channels) as for [`Var::logistic_mixture`].
    #[track_caller]
    pub fn linear_logistic_mixture(
        self,
        [weight, bias]: [Var<'t>; 2],
        levels: impl Into<Arc<[u32]>>,
        channels: usize,
    ) -> Var<'t> {
        let op = LinearLogisticMixture(Levels { levels: levels.into(), channels });
        self.tape().apply(op, &[self, weight, bias])
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::logistic_mixture::tests::{levels, losses};
    use super::*;
    use crate::autograd::gradcheck::{Case, EDGE_SIZES, Sizes};

    fn case(rows: usize, inputs: usize, components: usize, channels: usize) -> Case {
        let columns = components * if channels == 1 { 3 } else { 10 };
        let levels = levels(rows * channels);
        let shapes = [[rows, inputs].into(), [inputs, columns].into(), [columns].into()];
        let op = LinearLogisticMixture(Levels { levels: levels.clone(), channels });
        Case::new(op, shapes, move |x| {
            let parameter = |r: usize, c: usize| {
                x[2].at([c]) + (0..inputs).map(|i| x[0].at([r, i]) * x[1].at([i, c])).sum::<f64>()
            };
            let theta: Vec<f64> =
                (0..rows * columns).map(|i| parameter(i / columns, i % columns)).collect();
            losses(&theta, &levels, channels)
        })
        .total()
        // Sums that stay away from -7, where log-scales have a kink; small scales would magnify the rounding of a sum.
        .between(1, -0.2, 0.2)
    }

    pub(in crate::ops) fn cases() -> Vec<Case> {
        let edges = EDGE_SIZES
            .into_iter()
            .flat_map(|n| [case(n, 3, 2, 3), case(n, 2, 2, 1), case(5, n, 1, 3), case(3, 2, n, 1)]);
        edges.chain([case(191, 4, 2, 3), case(193, 4, 3, 1), case(250, 20, 10, 3)]).collect()
    }

    pub(in crate::ops) fn random(sizes: &mut Sizes) -> Case {
        case(sizes.next(1, 250), sizes.next(1, 10), sizes.next(1, 4), [1, 3][sizes.next(0, 1)])
    }

    #[test]
    fn the_products_are_all_made_on_the_way_forward() {
        let op = LinearLogisticMixture(Levels { levels: vec![0; 9].into(), channels: 3 });
        let shapes = [[3, 4].into(), [4, 20].into(), [20].into()];
        let mut count = 0;
        for _row in 0..3 {
            for _input in 0..4 {
                for _parameter in 0..20 {
                    count += 1;
                }
            }
        }
        let forward = op.multiply_adds(&shapes, Shape::SCALAR, Pass::Forward);
        assert_eq!(forward, MultiplyAdds { computed: 3 * count, naive: count });
        for (wanted, products) in [([true, true, true], 2), ([false, true, true], 1), ([false, false, true], 0)] {
            let expected = MultiplyAdds { computed: 0, naive: products * count };
            let backward = op.multiply_adds(&shapes, Shape::SCALAR, Pass::Backward { wanted: &wanted });
            assert_eq!(backward, expected, "{wanted:?}");
        }
    }
}
