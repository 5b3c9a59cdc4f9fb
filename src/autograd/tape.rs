//! The tape: what was computed, from what, and the walk back.
//!
//! For a loss L and a node y = op(x, ...), the chain rule is dL/dx = (dy/dx)^T dL/dy. Nodes are recorded in the order
//! of computation, so walking them from the last to the first meets every node after all of its users. Each op
//! overwrites fresh buffers with its contributions, and the tape adds those of several users. What a node held is
//! given back to the engine as soon as the walk has passed it.

use super::engine::{Anomaly, Engine};
use super::op::{Mismatch, Op, Point, View};
use super::params::{Gradients, Param, Params, Role};
use crate::simd::slice;
use crate::tensor::{Buffer, Shape, Tensor};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// One forward pass, recorded. It borrows the parameters: they cannot change while it lives.
pub struct Tape<'p> {
    params: &'p Params,
    engine: &'p Engine,
    nodes: RefCell<Vec<Node>>,
    /// New values of statistics, in the order of observation.
    observed: RefCell<Vec<(Param, Buffer)>>,
    mode: Mode,
}

/// Whether a pass trains: decides if batch normalisation uses the batch or the running statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Train,
    Inference,
}

#[derive(Debug)]
struct Node {
    /// `None` for a constant or a parameter.
    op: Option<Box<dyn Op>>,
    /// The inputs with the shapes that the op was given: a reshaped variable is the same node.
    inputs: Vec<(usize, Shape)>,
    value: Value,
    saved: Buffer,
    /// Whether `saved` begins with a draft of the gradient of input 0.
    draft: bool,
    shape: Shape,
    /// Whether a gradient flows through here to some weight.
    trained: bool,
}

impl Node {
    /// Whether it was made by [`Tape::variable`], and no backward pass has come by yet.
    fn is_variable(&self) -> bool {
        self.trained && self.op.is_none() && matches!(self.value, Value::Held(_))
    }

    /// How many numbers of `saved` are the draft.
    fn draft_len(&self) -> usize {
        if self.draft { self.inputs[0].1.len() } else { 0 }
    }
}

#[derive(Debug)]
enum Value {
    Held(Buffer),
    Param(Param),
    /// Of a variable that the walk has passed: its gradient.
    Gradient(Buffer),
    /// Given back by the walk.
    Released,
}

/// A value on a tape.
#[derive(Clone, Copy)]
pub struct Var<'t> {
    tape: &'t Tape<'t>,
    node: usize,
    shape: Shape,
}

impl<'p> Tape<'p> {
    /// A pass that trains: batch normalisation uses and observes the statistics of the batch.
    pub fn train(engine: &'p Engine, params: &'p Params) -> Self {
        Tape::new(engine, params, Mode::Train)
    }

    /// A pass that only looks: batch normalisation uses its running statistics.
    pub fn inference(engine: &'p Engine, params: &'p Params) -> Self {
        Tape::new(engine, params, Mode::Inference)
    }

    fn new(engine: &'p Engine, params: &'p Params, mode: Mode) -> Self {
        Tape { params, engine, nodes: RefCell::default(), observed: RefCell::default(), mode }
    }

    /// Whether this pass trains.
    pub fn is_training(&self) -> bool {
        self.mode == Mode::Train
    }

    fn push(&self, node: Node) -> usize {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(node);
        nodes.len() - 1
    }
}

impl<'t> Tape<'t> {
    /// A constant: a copy of a tensor.
    pub fn input(&'t self, value: &Tensor) -> Var<'t> {
        self.constant(value.shape(), |numbers| numbers.copy_from_slice(value.data()))
    }

    /// A copy of a tensor with respect to which the backward pass differentiates, as it does with respect to weights:
    /// [`Var::gradient`].
    pub fn variable(&'t self, value: &Tensor) -> Var<'t> {
        self.leaf(value.shape(), true, |numbers| numbers.copy_from_slice(value.data()))
    }

    /// A constant whose numbers `fill` writes; it must overwrite all of them.
    pub fn constant(&'t self, shape: impl Into<Shape>, fill: impl FnOnce(&mut [f32])) -> Var<'t> {
        self.leaf(shape.into(), false, fill)
    }

    fn leaf(&'t self, shape: Shape, trained: bool, fill: impl FnOnce(&mut [f32])) -> Var<'t> {
        let mut value = self.engine.take(shape.len());
        fill(&mut value);
        let value = Value::Held(value);
        let node = self.push(Node {
            op: None,
            inputs: Vec::new(),
            value,
            saved: Buffer::zeros(0),
            draft: false,
            shape,
            trained,
        });
        Var { tape: self, node, shape }
    }

    /// A parameter. Nothing is copied: ops read the slab.
    pub fn param(&'t self, param: Param) -> Var<'t> {
        let entry = self.params.entry(param);
        let shape = entry.shape;
        let trained = entry.role == Role::Weight;
        let saved = Buffer::zeros(0);
        let node = self.push(Node {
            op: None,
            inputs: Vec::new(),
            value: Value::Param(param),
            saved,
            draft: false,
            shape,
            trained,
        });
        Var { tape: self, node, shape }
    }

    /// The numbers of a statistic, for an op that takes them as constants.
    pub fn statistic(&self, statistic: Param) -> Arc<[f32]> {
        self.params.get(statistic).into()
    }

    /// Applies an op: computes its output now and records it for the walk back.
    ///
    /// # Panics
    /// If the op does not take inputs of these shapes, or they lie on another tape.
    #[track_caller]
    pub fn apply(&'t self, op: impl Op + 'static, inputs: &[Var<'t>]) -> Var<'t> {
        match self.try_apply(op, inputs) {
            Ok(output) => output,
            Err(mismatch) => panic!("{mismatch}"),
        }
    }

    /// As [`Tape::apply`], for whoever does not know the shapes beforehand.
    ///
    /// # Errors
    /// If the op does not take inputs of these shapes: its name, the shapes, and what it wants. The tape is then as it was.
    ///
    /// # Panics
    /// If inputs lie on another tape.
    #[track_caller]
    pub fn try_apply(&'t self, op: impl Op + 'static, inputs: &[Var<'t>]) -> Result<Var<'t>, Mismatch> {
        assert!(inputs.iter().all(|x| std::ptr::eq(x.tape, self)), "{}: an input of another tape", op.name());
        let shapes: Vec<Shape> = inputs.iter().map(|x| x.shape).collect();
        let plan = super::plan(&op, &shapes)
            .map_err(|mismatch| Mismatch(format!("{} of {shapes:?}: {mismatch}", op.name())))?;
        let mut output = self.engine.take(plan.output.len());
        let mut saved = self.engine.take(plan.saved);
        let inputs: Vec<(usize, Shape)> = inputs.iter().map(|x| (x.node, x.shape)).collect();
        let trained = {
            let nodes = self.nodes.borrow();
            let views = views(&nodes, self.params, &inputs);
            self.engine.forward(&op, &views, plan.output, &mut output, &mut saved);
            self.engine.inspect([&*output], || anomaly(&op, plan.output, &inputs, &nodes, self.params, true));
            inputs.iter().any(|&(node, _)| nodes[node].trained)
        };
        let op = Some(Box::new(op) as Box<dyn Op>);
        let (value, shape, draft) = (Value::Held(output), plan.output, plan.draft);
        let node = self.push(Node { op, inputs, value, saved, draft, shape, trained });
        Ok(Var { tape: self, node, shape: plan.output })
    }

    /// Records a new value of a statistic; `update(old, new)` must overwrite all of `new`.
    ///
    /// The parameters themselves stay: the backward pass hands the values to [`Gradients`], from where
    /// [`Params::take_statistics`] takes them. Observed twice, the second update sees the result of the first.
    pub fn observe(&self, statistic: Param, update: impl FnOnce(&[f32], &mut [f32])) {
        let mut observed = self.observed.borrow_mut();
        let mut new = self.engine.take(self.params.get(statistic).len());
        let before = observed.iter().rev().find(|(param, _)| *param == statistic);
        update(before.map_or(self.params.get(statistic), |(_, value)| value), &mut new);
        observed.push((statistic, new));
    }
}

impl Drop for Tape<'_> {
    /// Hands every buffer back to the engine.
    fn drop(&mut self) {
        for node in self.nodes.get_mut().drain(..) {
            self.engine.recycle(node.saved);
            if let Value::Held(numbers) | Value::Gradient(numbers) = node.value {
                self.engine.recycle(numbers);
            }
        }
        for (_, value) in self.observed.get_mut().drain(..) {
            self.engine.recycle(value);
        }
    }
}

impl<'t> Var<'t> {
    /// The tape that it lies on.
    pub fn tape(self) -> &'t Tape<'t> {
        self.tape
    }

    /// Its shape.
    pub fn shape(self) -> Shape {
        self.shape
    }

    /// Calls `look` with its numbers, row-major.
    ///
    /// # Panics
    /// If a backward pass has released them.
    #[track_caller]
    pub fn read<R>(self, look: impl FnOnce(&[f32]) -> R) -> R {
        look(data(&self.tape.nodes.borrow()[self.node], self.tape.params))
    }

    /// Calls `look` with what its op saved for the backward pass, behind a draft if there is one.
    ///
    /// # Panics
    /// If a backward pass has released it.
    #[track_caller]
    pub fn read_saved<R>(self, look: impl FnOnce(&[f32]) -> R) -> R {
        let nodes = self.tape.nodes.borrow();
        let node = &nodes[self.node];
        assert!(
            !matches!(node.value, Value::Released | Value::Gradient(_)),
            "a value is read after the backward pass released it"
        );
        look(&node.saved[node.draft_len()..])
    }

    /// The number, of a variable that holds one.
    ///
    /// # Panics
    /// If it holds more.
    #[track_caller]
    pub fn item(self) -> f32 {
        assert_eq!(self.shape.len(), 1, "item() of a variable of shape {}", self.shape);
        self.read(|numbers| numbers[0])
    }

    /// The same numbers under another shape: no op, no copy.
    ///
    /// # Panics
    /// If the shapes hold different numbers of elements.
    #[track_caller]
    pub fn reshape(self, shape: impl Into<Shape>) -> Self {
        let shape = shape.into();
        assert_eq!(self.shape.len(), shape.len(), "reshape of {} to {shape}", self.shape);
        Var { shape, ..self }
    }

    /// The gradient of the number that `backward` was called on with respect to this [variable](Tape::variable); zeros if that
    /// does not depend on it.
    ///
    /// # Panics
    /// If it is no variable, or was not on the way of a backward pass: that goes from its number back to the tape's beginning.
    #[track_caller]
    pub fn gradient(self) -> Tensor {
        match &self.tape.nodes.borrow()[self.node].value {
            Value::Gradient(gradient) => Tensor::new(self.shape, &gradient[..self.shape.len()]),
            _ => panic!("gradient() of what is no variable, or was not on the way of a backward pass"),
        }
    }

    /// Overwrites `gradients` with those of this number with respect to every weight, and with the statistics that
    /// the pass observed. Releases every value on the way: read what is to be logged before.
    ///
    /// # Panics
    /// If this is not a single number, or the tape was walked before.
    #[track_caller]
    pub fn backward(self, gradients: &mut Gradients) {
        assert_eq!(
            self.shape.len(),
            1,
            "backward() of a variable of shape {}: it starts at a number",
            self.shape
        );
        let Tape { params, engine, .. } = *self.tape;
        gradients.reset(params);
        for (statistic, value) in self.tape.observed.borrow().iter() {
            gradients.get_mut(params, *statistic).copy_from_slice(value);
        }
        let mut nodes = self.tape.nodes.borrow_mut();
        let mut pending: Vec<Option<Buffer>> = (0..nodes.len()).map(|_| None).collect();
        if nodes[self.node].trained {
            let mut one = engine.take(1);
            one[0] = 1.0;
            pending[self.node] = Some(one);
        }
        for i in (0..=self.node).rev() {
            if nodes[i].is_variable() {
                let gradient = pending[i].take().unwrap_or_else(|| {
                    let mut zeros = engine.take(nodes[i].shape.len());
                    zeros.fill(0.0);
                    zeros
                });
                if let Value::Held(value) = std::mem::replace(&mut nodes[i].value, Value::Gradient(gradient))
                {
                    engine.recycle(value);
                }
                continue;
            }
            let saved = std::mem::replace(&mut nodes[i].saved, Buffer::zeros(0));
            if let Some(gradient) = pending[i].take() {
                let numbers = &gradient[..nodes[i].shape.len()];
                match (&nodes[i].op, &nodes[i].value) {
                    (Some(op), _) => {
                        differentiate(&**op, &nodes[i], saved, numbers, &nodes, params, engine, &mut pending);
                    }
                    (None, Value::Param(param)) => {
                        slice::accumulate(gradients.get_mut(params, *param), numbers);
                    }
                    (None, _) => {}
                }
                engine.recycle(gradient);
            } else {
                engine.recycle(saved);
            }
            if matches!(nodes[i].value, Value::Held(_))
                && let Value::Held(value) = std::mem::replace(&mut nodes[i].value, Value::Released)
            {
                engine.recycle(value);
            }
        }
    }
}

/// Runs one op's backward pass and adds its contributions to what is pending for its inputs. What is pending lies at
/// the beginning of its buffer: where a draft was finished, `saved` itself, numbers follow that are of no use any more.
#[expect(clippy::too_many_arguments, reason = "the parts of a tape, lent separately")]
fn differentiate(
    op: &dyn Op,
    node: &Node,
    mut saved: Buffer,
    gradient: &[f32],
    nodes: &[Node],
    params: &Params,
    engine: &Engine,
    pending: &mut [Option<Buffer>],
) {
    let wanted = |i: usize| nodes[node.inputs[i].0].trained;
    let (draft, rest) = saved.split_at_mut(node.draft_len());
    // The first contribution is the draft if there is one.
    let mut contributions: Vec<Option<Buffer>> = (node.inputs.iter().enumerate())
        .map(|(i, (_, shape))| (wanted(i) && !(node.draft && i == 0)).then(|| engine.take(shape.len())))
        .collect();
    let inputs = views(nodes, params, &node.inputs);
    let output = View { shape: node.shape, data: data(node, params) };
    let at = Point { inputs: &inputs, output, saved: rest, grad: gradient };
    let mut slots: Vec<Option<&mut [f32]>> = contributions.iter_mut().map(|c| c.as_deref_mut()).collect();
    let drafted = node.draft && wanted(0);
    if drafted {
        slots[0] = Some(draft);
    }
    engine.backward(op, at, &mut slots);
    let written = slots.iter().flatten().map(|slot| &**slot);
    engine.inspect(written, || anomaly(op, node.shape, &node.inputs, nodes, params, false));
    if drafted {
        contributions[0] = Some(saved);
    } else {
        engine.recycle(saved);
    }
    for (&(input, shape), contribution) in node.inputs.iter().zip(contributions) {
        let Some(contribution) = contribution else { continue };
        match &mut pending[input] {
            Some(sum) => {
                slice::accumulate(&mut sum[..shape.len()], &contribution[..shape.len()]);
                engine.recycle(contribution);
            }
            empty => *empty = Some(contribution),
        }
    }
}

/// What there is to say of an op whose results are not finite.
fn anomaly(
    op: &dyn Op,
    output: Shape,
    inputs: &[(usize, Shape)],
    nodes: &[Node],
    params: &Params,
    forward: bool,
) -> Anomaly {
    let name = |&(node, _): &(usize, Shape)| match nodes[node].value {
        Value::Param(param) => Some(params.entry(param).name.clone()),
        _ => None,
    };
    Anomaly { op: op.name(), output, parameters: inputs.iter().filter_map(name).collect(), forward }
}

fn views<'a>(nodes: &'a [Node], params: &'a Params, inputs: &[(usize, Shape)]) -> Vec<View<'a>> {
    inputs.iter().map(|&(node, shape)| View { shape, data: data(&nodes[node], params) }).collect()
}

#[track_caller]
fn data<'a>(node: &'a Node, params: &'a Params) -> &'a [f32] {
    match &node.value {
        Value::Held(buffer) => buffer,
        Value::Param(param) => params.get(*param),
        Value::Gradient(_) | Value::Released => panic!("a value is read after the backward pass released it"),
    }
}

impl fmt::Debug for Var<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.tape.nodes.borrow();
        let from = nodes[self.node].op.as_ref().map_or("leaf", |op| op.name());
        write!(f, "Var({from}, {})", self.shape)
    }
}

impl fmt::Debug for Tape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tape({} nodes)", self.nodes.borrow().len())
    }
}

#[cfg(test)]
mod tests;
