//! How far a NaN goes: as far as numbers do.
//!
//! One element of an input becomes NaN, or one of the output's gradient. Then
//!
//! 8. an output is NaN where the f64 reference of the same inputs is;
//! 9. a gradient is NaN where it would have moved with the element;
//! 10. and neither is NaN elsewhere, for ops of which that can be said.
//!
//! References pass NaN on, so they must not be made with `f64::max`, which does not: [`maximum`].
//!
//! What a gradient moves with is seen by moving the element. A little, up and down: it must move both times, for where a
//! rectifier changes sides or another pixel becomes the largest it jumps once, and is a number there in PyTorch too. And
//! far, to see what depends on it not at all: not one bit may change.

use super::{Array64, CHOOSING, Case, Pass, direction};
use crate::rng::Stream;
use crate::simd::Isa;
use crate::tensor::{Shape, Tensor};
use std::sync::PoisonError;

/// The larger number; NaN if either is.
pub fn maximum(a: f64, b: f64) -> f64 {
    if a.is_nan() || a > b { a } else { b }
}

/// How many NaNs were demanded and found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// In outputs.
    pub outputs: usize,
    /// In gradients, of a NaN in an input.
    pub gradients_of_inputs: usize,
    /// In gradients, of a NaN in the gradient of the output.
    pub gradients_of_upstream: usize,
}

impl Case {
    /// Checks the properties above with a NaN in an element of every input in turn, then of the output's gradient; the
    /// last of them only if `exactly`.
    ///
    /// # Errors
    /// Which one failed and how.
    pub fn check_nan(&self, seed: u64, exactly: bool) -> Result<Reached, String> {
        let label = self.label();
        let shapes: Vec<Shape> = self.inputs.iter().map(|i| i.shape).collect();
        let plan = self.op.plan(&shapes).map_err(|m| format!("{label}: plan: {m}"))?;
        let inputs = self.draw(seed);
        let upstream = direction(seed, "upstream", plan.output.len());
        let all = vec![true; inputs.len()];
        let run = |inputs: &[Tensor], upstream: &[f32]| self.run(plan, inputs, upstream, &all);
        let usual = run(&inputs, &upstream);
        let mut reached = Reached::default();

        for k in 0..inputs.len() {
            let hit = Stream::new(seed, "nan/input", &[k as u64]).below(0, shapes[k].len() as u64) as usize;
            let with = |change: fn(f32) -> f32| {
                let mut inputs = inputs.clone();
                let element = &mut inputs[k].data_mut()[hit];
                *element = change(*element);
                inputs
            };
            let with_nan = with(|_| f32::NAN);
            let expected = self.expected(&with_nan);
            let near = [run(&with(|x| x + 1e-3), &upstream), run(&with(|x| x - 1e-3), &upstream)];
            let far = [run(&with(|x| x + 0.7), &upstream), run(&with(|x| x - 0.5), &upstream)];
            for &isa in Isa::supported() {
                let found = on(isa, || run(&with_nan, &upstream));
                let fail = |what: String| {
                    Err(format!("{label}: NaN at {hit} of input {k}, on {}: {what}", isa.name()))
                };
                for (i, (found, expected)) in found.output.iter().zip(&expected.data).enumerate() {
                    if expected.is_nan() && !found.is_nan() || exactly && found.is_nan() && !expected.is_nan()
                    {
                        return fail(format!("output {i} is {found}, the reference says {expected}"));
                    }
                    reached.outputs += usize::from(expected.is_nan());
                }
                for which in 0..inputs.len() {
                    let of = |pass: &'_ Pass| pass.gradients[which].clone().unwrap_or_default();
                    let far = exactly.then(|| far.each_ref().map(of));
                    match compare(&of(&usual), &of(&found), &near.each_ref().map(of), far.as_ref()) {
                        Ok(count) => reached.gradients_of_inputs += count,
                        Err(what) => return fail(format!("gradient {which}: {what}")),
                    }
                }
            }
        }

        let hit = Stream::new(seed, "nan/upstream", &[]).below(0, upstream.len() as u64) as usize;
        let with = |change: fn(f32) -> f32| {
            let mut upstream = upstream.clone();
            upstream[hit] = change(upstream[hit]);
            upstream
        };
        let (near, far) = (run(&inputs, &with(|g| g + 1.0)), run(&inputs, &with(|g| g + 1e3)));
        for &isa in Isa::supported() {
            let found = on(isa, || run(&inputs, &with(|_| f32::NAN)));
            for which in 0..inputs.len() {
                let of = |pass: &'_ Pass| pass.gradients[which].clone().unwrap_or_default();
                let far = exactly.then(|| [of(&far)]);
                match compare(&of(&usual), &of(&found), &[of(&near)], far.as_ref()) {
                    Ok(count) => reached.gradients_of_upstream += count,
                    Err(what) => {
                        let isa = isa.name();
                        return Err(format!(
                            "{label}: upstream NaN at {hit}, on {isa}: gradient {which}: {what}"
                        ));
                    }
                }
            }
        }
        Ok(reached)
    }

    /// What the reference makes of these inputs.
    fn expected(&self, inputs: &[Tensor]) -> Array64 {
        let wide = |t: &Tensor| Array64::new(t.shape(), t.data().iter().map(|&x| f64::from(x)).collect());
        let result = (self.reference)(&inputs.iter().map(wide).collect::<Vec<_>>());
        if self.total { Array64::new(Shape::SCALAR, vec![result.data.iter().sum()]) } else { result }
    }
}

/// Runs `work` on this instruction set.
fn on<R>(isa: Isa, work: impl FnOnce() -> R) -> R {
    let _guard = CHOOSING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = Isa::current();
    isa.choose();
    let result = work();
    before.choose();
    result
}

/// How many elements of a gradient had to be NaN and are, because they moved with the element that now is; the error names
/// one that is not, or that is but did not move at all.
fn compare<const N: usize, const F: usize>(
    usual: &[f32],
    found: &[f32],
    near: &[Vec<f32>; N],
    far: Option<&[Vec<f32>; F]>,
) -> Result<usize, String> {
    let largest = usual.iter().fold(0.0_f32, |largest, g| largest.max(g.abs()));
    let mut count = 0;
    for i in 0..usual.len() {
        let moved = near.iter().all(|near| (near[i] - usual[i]).abs() > 1e-5 * largest);
        if moved && !found[i].is_nan() {
            return Err(format!("element {i}, which depends on it, is {}", found[i]));
        }
        count += usize::from(moved);
        let stayed = far.is_some_and(|far| far.iter().all(|far| far[i].to_bits() == usual[i].to_bits()));
        if stayed && found[i].is_nan() {
            return Err(format!("element {i}, which does not depend on it, is NaN and was {}", usual[i]));
        }
    }
    Ok(count)
}
