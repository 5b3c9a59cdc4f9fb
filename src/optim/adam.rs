//! Adam (Kingma, Ba: "Adam: a method for stochastic optimization", ICLR 2015).

use crate::autograd::{Gradients, Params, Role};
use crate::kernels::adam::{Step, update};
use crate::tensor::Buffer;

/// What Adam may be told; by default as in the paper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamSettings {
    /// The size of a step.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Keeps the division finite.
    pub epsilon: f32,
}

impl Default for AdamSettings {
    fn default() -> Self {
        AdamSettings { learning_rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// The optimiser's state: two moments for every weight, and b1^t and b2^t as running products.
///
/// The products are kept because no power function is needed then, and so no bits depend on one.
#[derive(Clone, Debug)]
pub struct Adam {
    settings: AdamSettings,
    /// m, in the layout of the parameters' slab.
    pub first: Buffer,
    /// v, in the same layout.
    pub second: Buffer,
    /// [b1^t, b2^t] after t steps.
    pub decays: [f64; 2],
}

impl Adam {
    /// Before the first step, with the paper's settings but for the learning rate.
    pub fn new(params: &Params, learning_rate: f64) -> Self {
        Adam::with(params, AdamSettings { learning_rate, ..AdamSettings::default() })
    }

    /// Before the first step.
    pub fn with(params: &Params, settings: AdamSettings) -> Self {
        let zeros = Buffer::zeros(params.slab().len());
        Adam { settings, first: zeros.clone(), second: zeros, decays: [1.0; 2] }
    }

    /// One step: moves every weight against its gradient. Statistics stay.
    pub fn step(&mut self, params: &mut Params, gradients: &Gradients) {
        let AdamSettings { learning_rate, beta1, beta2, epsilon } = self.settings;
        self.decays = [self.decays[0] * beta1, self.decays[1] * beta2];
        let step = Step {
            beta1: beta1 as f32,
            beta2: beta2 as f32,
            rest1: (1.0 - beta1) as f32,
            rest2: (1.0 - beta2) as f32,
            rate: (learning_rate / (1.0 - self.decays[0])) as f32,
            correction: (1.0 / (1.0 - self.decays[1]).sqrt()) as f32,
            epsilon,
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
        follow_the_printed_algorithm(AdamSettings { learning_rate: 0.01, ..AdamSettings::default() });
        follow_the_printed_algorithm(AdamSettings {
            learning_rate: 0.01,
            beta1: 0.5,
            beta2: 0.95,
            epsilon: 1e-3,
        });
    }

    fn follow_the_printed_algorithm(settings: AdamSettings) {
        let AdamSettings { learning_rate, beta1, beta2, epsilon } = settings;
        let mut params = Params::new();
        let mut builder = Builder::new(&mut params, 3);
        let init = Init::XavierUniform { fan_in: 1, fan_out: 1 };
        let weight = builder.weight("w", [37], Layout::same([37].into()), init);
        let statistic = builder.statistic("s", [5], Layout::same([5].into()), 0.5);
        let last = builder.weight("v", [3], Layout::same([3].into()), Init::Constant(2.0));
        let target: Vec<f32> = (0..37).map(|i| i as f32 / 10.0).collect();
        let mut expected: Vec<f64> = params.get(weight).iter().map(|&w| f64::from(w)).collect();
        let (mut m, mut v) = (vec![0.0; 37], vec![0.0; 37]);
        let mut adam = Adam::with(&params, settings);
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
                m[i] = beta1 * m[i] + (1.0 - beta1) * g;
                v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                let (m_hat, v_hat) = (m[i] / (1.0 - beta1.powi(t)), v[i] / (1.0 - beta2.powi(t)));
                expected[i] -= learning_rate * m_hat / (v_hat.sqrt() + f64::from(epsilon));
            }
        }
        for (i, (&w, e)) in params.get(weight).iter().zip(&expected).enumerate() {
            assert!((f64::from(w) - e).abs() < 1e-5 * e.abs().max(0.1), "weight {i} is {w}, expected {e}");
        }
        assert_eq!(params.get(statistic), [0.5; 5]);
        // A constant gradient of 1 moves a weight by the learning rate each step, but for epsilon.
        let moved = (2.0 - 20.0 * learning_rate / (1.0 + f64::from(epsilon))) as f32;
        assert!(params.get(last).iter().all(|w| (w - moved).abs() < 1e-4), "{:?}", params.get(last));
    }
}
