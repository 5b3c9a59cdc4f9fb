//! The long-lived part of a computation: recycled buffers, and the one place where ops are run.
//!
//! A training step needs the same buffers as the one before it. They are kept by exact length and handed out again,
//! so that after the first step no tensor memory is allocated; [`Engine::misses`] counts the exceptions.

use super::op::{Op, Point, Run, View};
use super::work::Pass;
use crate::simd::slice;
use crate::tensor::{Buffer, Shape};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;

/// The first result of an op that is not a finite number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    /// The name of the op.
    pub op: &'static str,
    /// The shape of the op's output.
    pub output: Shape,
    /// The names of the parameters among its inputs.
    pub parameters: Vec<String>,
    /// Whether it was the output; otherwise a gradient of an input.
    pub forward: bool,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Anomaly { op, output, parameters, forward } = self;
        write!(f, "{op} ")?;
        if !parameters.is_empty() {
            write!(f, "with {} ", parameters.join(", "))?;
        }
        write!(f, "(output {output}, {} pass)", if *forward { "forward" } else { "backward" })
    }
}

/// Is told of every run of an op, and has to let it happen by calling its second argument, once.
pub type Observer = Box<dyn Fn(Run<'_>, &mut dyn FnMut()) + Send>;

/// Recycles buffers and runs ops.
#[derive(Default)]
pub struct Engine {
    free: RefCell<BTreeMap<usize, Vec<Buffer>>>,
    misses: Cell<usize>,
    observer: Option<Observer>,
    detects_anomalies: Cell<bool>,
    anomaly: RefCell<Option<Anomaly>>,
}

impl Engine {
    /// An engine without buffers.
    pub fn new() -> Self {
        Engine::default()
    }

    /// An engine without buffers that runs every op through `observer`, which may take the time.
    pub fn observed(observer: Observer) -> Self {
        Engine { observer: Some(observer), ..Engine::default() }
    }

    /// How often a buffer had to be allocated because none of its length was free.
    pub fn misses(&self) -> usize {
        self.misses.get()
    }

    /// From now on, looks for numbers that are not finite in what every op computes, or stops doing so. It takes time.
    /// Returns what it did before.
    pub fn detect_anomalies(&self, detect: bool) -> bool {
        self.detects_anomalies.replace(detect)
    }

    /// The first anomaly that was found since this was last asked.
    pub fn take_anomaly(&self) -> Option<Anomaly> {
        self.anomaly.take()
    }

    /// Keeps what `describe` says of an op's results unless they are finite, an older anomaly is known, or nobody
    /// wants to know.
    pub(crate) fn inspect<'a>(
        &self,
        results: impl IntoIterator<Item = &'a [f32]>,
        describe: impl FnOnce() -> Anomaly,
    ) {
        if !self.detects_anomalies.get() || self.anomaly.borrow().is_some() {
            return;
        }
        if !results.into_iter().all(slice::all_finite) {
            *self.anomaly.borrow_mut() = Some(describe());
        }
    }

    /// A buffer of `len` numbers, whatever they are.
    pub(crate) fn take(&self, len: usize) -> Buffer {
        if len == 0 {
            return Buffer::zeros(0);
        }
        let recycled = self.free.borrow_mut().get_mut(&len).and_then(Vec::pop);
        recycled.unwrap_or_else(|| {
            self.misses.set(self.misses.get() + 1);
            Buffer::zeros(len)
        })
    }

    /// Bytes of all buffers that are free: between steps, of all that were ever taken.
    #[cfg(all(test, feature = "application"))]
    pub(crate) fn held_bytes(&self) -> u64 {
        let free = self.free.borrow();
        free.iter().map(|(len, buffers)| (4 * len * buffers.len()) as u64).sum()
    }

    /// Takes a buffer back.
    pub(crate) fn recycle(&self, buffer: Buffer) {
        if !buffer.is_empty() {
            self.free.borrow_mut().entry(buffer.len()).or_default().push(buffer);
        }
    }

    /// Runs the forward pass of one op. Every op of every tape comes through here.
    pub(crate) fn forward(
        &self,
        op: &dyn Op,
        inputs: &[View<'_>],
        shape: Shape,
        output: &mut [f32],
        saved: &mut [f32],
    ) {
        let Some(observer) = &self.observer else { return op.forward(inputs, output, saved) };
        let run = Run { op, inputs: &shapes(inputs), output: shape, pass: Pass::Forward };
        observer(run, &mut || op.forward(inputs, output, saved));
    }

    /// Runs the backward pass of one op. Every op of every tape comes through here.
    pub(crate) fn backward(&self, op: &dyn Op, at: Point<'_>, gradients: &mut [Option<&mut [f32]>]) {
        let Some(observer) = &self.observer else { return op.backward(at, gradients) };
        let wanted: Vec<bool> = gradients.iter().map(Option::is_some).collect();
        let pass = Pass::Backward { wanted: &wanted };
        let run = Run { op, inputs: &shapes(at.inputs), output: at.output.shape, pass };
        observer(run, &mut || op.backward(at, gradients));
    }
}

fn shapes(inputs: &[View<'_>]) -> Vec<Shape> {
    inputs.iter().map(|input| input.shape).collect()
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free: usize = self.free.borrow().values().map(Vec::len).sum();
        let observed = if self.observer.is_some() { ", observed" } else { "" };
        write!(f, "Engine({free} free buffers{observed})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autograd::{Builder, Gradients, Init, Layout, Params, Tape, Var};
    use crate::tensor::Tensor;

    /// The anomaly of `compute` applied to a weight named `w` that holds `weight`, and its backward pass.
    fn anomaly_of(
        weight: f32,
        detects: bool,
        compute: impl for<'t> FnOnce(Var<'t>, Var<'t>) -> Var<'t>,
    ) -> Option<Anomaly> {
        let engine = Engine::new();
        engine.detect_anomalies(detects);
        let mut params = Params::new();
        let shape = Shape::from([2]);
        let handle =
            Builder::new(&mut params, 0).weight("w", shape, Layout::same(shape), Init::Constant(weight));
        let mut gradients = Gradients::new(&params);
        let tape = Tape::train(&engine, &params);
        let ones = tape.input(&Tensor::new([2], &[1.0, 1.0]));
        compute(tape.param(handle), ones).sum().backward(&mut gradients);
        drop(tape);
        let found = engine.take_anomaly();
        assert_eq!(engine.take_anomaly(), None, "it is told once");
        found
    }

    #[test]
    fn the_first_op_with_a_result_that_is_not_finite_is_named() {
        // exp(100) is beyond f32; the sums and products after it are not finite either.
        let found = anomaly_of(100.0, true, |w, one| (w * one).exp() * one + w).unwrap();
        let expected = Anomaly { op: "exp", output: Shape::from([2]), parameters: Vec::new(), forward: true };
        assert_eq!(found, expected);
        assert_eq!(found.to_string(), "exp (output [2], forward pass)");

        // ln(1e-40) is finite, its slope 1e40 is not; the op that sees the weight is named with it.
        let found = anomaly_of(1e-40, true, |w, _| w.ln()).unwrap();
        assert_eq!(found.to_string(), "ln with w (output [2], backward pass)");

        assert_eq!(anomaly_of(100.0, false, |w, _| w.exp()), None, "nobody wants to know");
        assert_eq!(anomaly_of(1.0, true, |w, one| (w * one).exp().ln()), None);
    }
}
