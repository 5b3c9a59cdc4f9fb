//! A fused op against the ops that it equals, one after the other on a tape: value and gradients, number by number.

use super::{Case, TOLERANCE, direction, weights};
use crate::autograd::{Engine, Gradients, Tape, Var};
use crate::tensor::Shape;

impl Case {
    /// The op equals what this makes of its inputs by other ops.
    pub fn defined_by(
        mut self,
        definition: impl for<'t> Fn(&[Var<'t>]) -> Var<'t> + Send + Sync + 'static,
    ) -> Self {
        self.definition = Some(Box::new(definition));
        self
    }

    /// Checks value and gradients against the definition, within the bound of the case, on inputs drawn from `seed`.
    ///
    /// # Errors
    /// Where they differ, or if the case has no definition.
    pub fn check_definition(&self, seed: u64) -> Result<(), String> {
        let label = self.label();
        let definition = self.definition.as_ref().ok_or_else(|| format!("{label}: no definition"))?;
        let shapes: Vec<Shape> = self.inputs.iter().map(|i| i.shape).collect();
        let plan = self.op.plan(&shapes).map_err(|m| format!("{label}: plan: {m}"))?;
        let inputs = self.draw(seed);
        let upstream = direction(seed, "upstream", plan.output.len());
        let found = self.run(plan, &inputs, &upstream, &vec![true; inputs.len()]);

        let (params, handles) = weights(&inputs);
        let (engine, mut gradients) = (Engine::new(), Gradients::new(&params));
        let tape = Tape::train(&engine, &params);
        let vars: Vec<Var<'_>> = handles.iter().map(|&handle| tape.param(handle)).collect();
        let y = definition(&vars);
        if y.shape() != plan.output {
            return Err(format!("{label}: output {}, the definition has {}", plan.output, y.shape()));
        }
        let expected = y.read(<[f32]>::to_vec);
        let upstream = tape.constant(plan.output, |numbers| numbers.copy_from_slice(&upstream));
        (y * upstream).sum().backward(&mut gradients);

        let mut pairs = vec![("output".to_owned(), found.output, expected)];
        for (i, (found, &handle)) in found.gradients.into_iter().zip(&handles).enumerate() {
            let found = found.ok_or_else(|| format!("{label}: no gradient {i}"))?;
            pairs.push((format!("gradient {i}"), found, gradients.get(&params, handle).to_vec()));
        }
        // What cancels inside a gradient, as of two rows that are normalised to 1 and -1, leaves a rounding of the others.
        let largest = |numbers: &[f32]| numbers.iter().fold(0.0, |l: f64, &x| l.max(f64::from(x).abs()));
        let noise =
            f64::from(f32::EPSILON) * pairs[1..].iter().map(|pair| largest(&pair.2)).fold(0.0, f64::max);
        for (name, found, expected) in pairs {
            let room = TOLERANCE * largest(&expected).max(self.unit) + noise;
            for (i, (found, expected)) in found.into_iter().zip(expected).enumerate() {
                let error = (f64::from(found) - f64::from(expected)).abs();
                if error.is_nan() || error > room {
                    return Err(format!("{label}: {name} is {found} at {i}, by its definition {expected}"));
                }
            }
        }
        Ok(())
    }
}
