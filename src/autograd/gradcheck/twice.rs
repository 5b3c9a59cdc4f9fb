//! A variable that is used twice.

use super::{Case, Pass, direction, weights};
use crate::autograd::{Engine, Gradients, Mismatch, Op, Plan, Point, Tape, View};
use crate::tensor::Shape;

impl Case {
    /// Checks property 7: on a tape, every input used twice, by two applications of the op with different upstream gradients.
    ///
    /// # Errors
    /// Where the sum is another.
    pub fn check_use_twice(self, seed: u64) -> Result<(), String> {
        let label = self.label();
        let shapes: Vec<Shape> = self.inputs.iter().map(|i| i.shape).collect();
        let plan = self.op.plan(&shapes).map_err(|m| format!("{label}: plan: {m}"))?;
        let inputs = self.draw(seed);
        let all = vec![true; inputs.len()];
        let upstreams =
            [direction(seed, "first", plan.output.len()), direction(seed, "second", plan.output.len())];
        let separate: Vec<Pass> = upstreams.iter().map(|g| self.run(plan, &inputs, g, &all)).collect();

        let (params, handles) = weights(&inputs);
        let engine = Engine::new();
        let mut gradients = Gradients::new(&params);
        {
            let tape = Tape::train(&engine, &params);
            let vars: Vec<_> = handles.iter().map(|&p| tape.param(p)).collect();
            let shared: std::sync::Arc<dyn Op> = self.op.into();
            let [first, second] = [0, 1].map(|_| tape.apply(Shared(shared.clone()), &vars));
            let [a, b] = upstreams.clone();
            tape.apply(Weighted(a, b), &[first, second]).backward(&mut gradients);
        }
        for (i, &handle) in handles.iter().enumerate() {
            let got = gradients.get(&params, handle);
            let parts = separate.iter().map(|pass| pass.gradients[i].as_deref().unwrap_or_default());
            let sums = parts
                .fold(vec![0.0; got.len()], |sum, part| sum.iter().zip(part).map(|(a, b)| a + b).collect());
            if let Some(n) = (0..got.len()).find(|&n| got[n] != sums[n]) {
                return Err(format!(
                    "{label}: used twice, gradient {i} is {} at {n}, not {}",
                    got[n], sums[n]
                ));
            }
        }
        Ok(())
    }
}

/// One op used by several nodes.
#[derive(Debug)]
struct Shared(std::sync::Arc<dyn Op>);

impl Op for Shared {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn plan(&self, inputs: &[Shape]) -> Result<Plan, Mismatch> {
        self.0.plan(inputs)
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], saved: &mut [f32]) {
        self.0.forward(inputs, output, saved);
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        self.0.backward(at, gradients);
    }
}

/// The sum of two tensors, weighted element by element.
#[derive(Debug)]
struct Weighted(Vec<f32>, Vec<f32>);

impl Op for Weighted {
    fn name(&self) -> &'static str {
        "weighted"
    }

    fn plan(&self, _: &[Shape]) -> Result<Plan, Mismatch> {
        Ok(Plan::output(Shape::SCALAR))
    }

    fn forward(&self, inputs: &[View<'_>], output: &mut [f32], _: &mut [f32]) {
        let dot = |x: &[f32], w: &[f32]| x.iter().zip(w).map(|(x, w)| x * w).sum::<f32>();
        output[0] = dot(inputs[0].data, &self.0) + dot(inputs[1].data, &self.1);
    }

    fn backward(&self, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        for (slot, weights) in gradients.iter_mut().zip([&self.0, &self.1]) {
            if let Some(slot) = slot {
                slot.iter_mut().zip(weights).for_each(|(s, w)| *s = w * at.grad[0]);
            }
        }
    }
}
