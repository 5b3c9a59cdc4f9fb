//! Adam (Kingma, Ba: "Adam: a method for stochastic optimization", ICLR 2015).

use crate::autograd::{Gradients, Params, Role};
use crate::kernels::adam::{Step, update};
use crate::tensor::Buffer;

/// Decay of the first moment.
const BETA1: f64 = 0.9;
/// Decay of the second moment.
const BETA2: f64 = 0.999;
/// Keeps the division finite.
const EPSILON: f32 = 1e-8;

/// The optimiser's state: two moments for every weight, and b1^t and b2^t as running products.
///
/// The products are kept because no power function is needed then, and so no bits depend on one.
#[derive(Clone, Debug)]
pub struct Adam {
    learning_rate: f64,
    /// m, in the layout of the parameters' slab.
    pub first: Buffer,
    /// v, in the same layout.
    pub second: Buffer,
    /// [b1^t, b2^t] after t steps.
    pub decays: [f64; 2],
}

impl Adam {
    /// Before the first step.
    pub fn new(params: &Params, learning_rate: f64) -> Self {
        let zeros = Buffer::zeros(params.slab().len());
        Adam { learning_rate, first: zeros.clone(), second: zeros, decays: [1.0; 2] }
    }

    /// One step: moves every weight against its gradient. Statistics stay.
    pub fn step(&mut self, params: &mut Params, gradients: &Gradients) {
        self.decays = [self.decays[0] * BETA1, self.decays[1] * BETA2];
        let step = Step {
            beta1: BETA1 as f32,
            beta2: BETA2 as f32,
            rest1: (1.0 - BETA1) as f32,
            rest2: (1.0 - BETA2) as f32,
            rate: (self.learning_rate / (1.0 - self.decays[0])) as f32,
            correction: (1.0 / (1.0 - self.decays[1]).sqrt()) as f32,
            epsilon: EPSILON,
        };
        // Neighbouring weights are one run of the slab; what lies between two of them is padding, which stays 0.
        let mut run: Option<std::ops::Range<usize>> = None;
        for param in params.handles() {
            let is_weight = params.entry(param).role == Role::Weight;
            let range = params.range(param);
            if is_weight {
                run = Some(run.map_or(range.start, |run| run.start)..range.end);
            } else if let Some(run) = run.take() {
                self.update(step, params, gradients, run);
            }
        }
        if let Some(run) = run {
            self.update(step, params, gradients, run);
        }
    }

    fn update(
        &mut self,
        step: Step,
        params: &mut Params,
        gradients: &Gradients,
        run: std::ops::Range<usize>,
    ) {
        update(
            step,
            &mut params.slab_mut()[run.clone()],
            &mut self.first[run.clone()],
            &mut self.second[run.clone()],
            &gradients.slab()[run],
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{Builder, Engine, Init, Layout, Tape};

    /// Twenty steps on L = sum of (w - target)^2 against the algorithm as printed, in f64.
    #[test]
    fn steps_follow_the_printed_algorithm() {
        let mut params = Params::new();
        let mut builder = Builder::new(&mut params, 3);
        let init = Init::XavierUniform { fan_in: 1, fan_out: 1 };
        let weight = builder.weight("w", [37], Layout::same([37].into()), init);
        let statistic = builder.statistic("s", [5], Layout::same([5].into()), 0.5);
        let last = builder.weight("v", [3], Layout::same([3].into()), Init::Constant(2.0));
        let target: Vec<f32> = (0..37).map(|i| i as f32 / 10.0).collect();
        let mut expected: Vec<f64> = params.get(weight).iter().map(|&w| f64::from(w)).collect();
        let (mut m, mut v) = (vec![0.0; 37], vec![0.0; 37]);
        let mut adam = Adam::new(&params, 0.01);
        let engine = Engine::new();
        let mut gradients = Gradients::new(&params);
        for t in 1..=20 {
            {
                let tape = Tape::train(&engine, &params);
                let difference = tape.param(weight) - tape.constant([37], |x| x.copy_from_slice(&target));
                ((difference * difference).sum() + tape.param(last).sum()).backward(&mut gradients);
            }
            adam.step(&mut params, &gradients);
            for i in 0..37 {
                let g = 2.0 * (expected[i] - f64::from(target[i]));
                m[i] = 0.9 * m[i] + 0.1 * g;
                v[i] = 0.999 * v[i] + 0.001 * g * g;
                let (m_hat, v_hat) = (m[i] / (1.0 - 0.9_f64.powi(t)), v[i] / (1.0 - 0.999_f64.powi(t)));
                expected[i] -= 0.01 * m_hat / (v_hat.sqrt() + 1e-8);
            }
        }
        for (i, (&w, e)) in params.get(weight).iter().zip(&expected).enumerate() {
            assert!((f64::from(w) - e).abs() < 1e-5 * e.abs().max(0.1), "weight {i} is {w}, expected {e}");
        }
        assert_eq!(params.get(statistic), [0.5; 5]);
        // A constant gradient moves a weight by the learning rate each step.
        assert!(params.get(last).iter().all(|w| (w - (2.0 - 0.2)).abs() < 1e-4), "{:?}", params.get(last));
    }
}
