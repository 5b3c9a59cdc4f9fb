//! The properties that every op must have, and the checks of them: for those of this crate, and for one of your own.
//!
//! A [`Case`] is an op, the shapes and domains of its inputs, and a naive reference in f64. For each case:
//!
//! 1. forward equals the reference;
//! 2. backward equals the central difference of the *reference* in random directions, one input at a time
//!    (differencing f32 would measure its noise, not our code);
//! 3. every instruction set gives the same bits, forward and backward;
//! 4. so do 1, 2, 3, 4 and 7 threads;
//! 5. buffers arrive full of NaN, so that an element that is not written cannot pass;
//! 6. leaving out the gradient of some inputs changes no bit of the others;
//! 7. a variable that is used twice gets the sum of both contributions.
//!
//! [`Case::check`] tries 1 to 6, [`Case::check_use_twice`] tries 7, [`Case::check_nan`] how far a NaN goes, and
//! [`Case::check_definition`] that a fused op is what it is made of. An op of one's own, whole, with what it is held against:
//!
//! ```
//! use diva::autograd::Var;
//! use diva::autograd::gradcheck::{Array64, Case, EDGE_SIZES};
//! use diva::ops::{Each, ElementWise};
//! use diva::simd::Simd;
//!
//! /// y = |x|, dy/dx = -1 where x < 0, else 1
//! #[derive(Clone, Copy, Debug)]
//! struct Abs;
//!
//! impl ElementWise<1> for Abs {
//!     const NAME: &'static str = "abs";
//!
//!     #[inline(always)]
//!     fn value<S: Simd>(self, s: S, [x]: [S::V; 1]) -> S::V {
//!         s.abs(x)
//!     }
//!
//!     #[inline(always)]
//!     fn slopes<S: Simd>(self, s: S, [x]: [S::V; 1], _: S::V) -> [S::V; 1] {
//!         [s.select(s.less(x, s.splat(0.0)), s.splat(-1.0), s.splat(1.0))]
//!     }
//! }
//!
//! fn abs(x: Var<'_>) -> Var<'_> {
//!     x.tape().apply(Each(Abs), &[x])
//! }
//!
//! let case = |size: usize| {
//!     let reference = |x: &[Array64]| Array64::new(x[0].shape, x[0].data.iter().map(|x| x.abs()).collect());
//!     Case::new(Each(Abs), [[size].into()], reference).not_near_zero(0, -2.0, 2.0, 0.1)
//! };
//! for size in EDGE_SIZES {
//!     case(size).check(1)?;
//!     case(size).check_use_twice(1)?;
//!     case(size).check_nan(1, true)?;
//! }
//! # Ok::<(), String>(())
//! ```

mod definition;
mod empty;
mod nan;
mod twice;

pub use nan::maximum;

use super::{Builder, Init, Layout, Op, Param, Params, Plan, Point, Var, View};
use crate::parallel::with_threads;
use crate::rng::Stream;
use crate::simd::Isa;
use crate::tensor::{Shape, Tensor};
use std::sync::{Mutex, PoisonError};

/// How far a result may be from the reference, as a part of the largest number.
const TOLERANCE: f64 = 1e-5;

/// Held by a test while it chooses instruction sets. The choice is global, but every choice gives the same bits, so
/// tests that do not choose do not mind.
pub(crate) static CHOOSING: Mutex<()> = Mutex::new(());

/// A tensor of f64: what references compute with.
#[derive(Clone, Debug)]
pub struct Array64 {
    /// Its shape.
    pub shape: Shape,
    /// Its numbers, row-major.
    pub data: Vec<f64>,
}

impl Array64 {
    /// An array of these numbers, row-major.
    ///
    /// # Panics
    /// If there are not as many as the shape has elements.
    #[track_caller]
    pub fn new(shape: impl Into<Shape>, data: Vec<f64>) -> Self {
        let shape = shape.into();
        assert_eq!(shape.len(), data.len(), "numbers of an array of shape {shape}");
        Array64 { shape, data }
    }

    /// An array whose element at (i, j, k, l) is `element([i, j, k, l])`; indices beyond the rank are 0.
    pub fn build(shape: impl Into<Shape>, mut element: impl FnMut([usize; 4]) -> f64) -> Self {
        let shape = shape.into();
        let sizes = padded(shape);
        let data = (0..shape.len())
            .map(|flat| {
                let mut rest = flat;
                let mut index = [0; 4];
                for axis in (0..4).rev() {
                    index[axis] = rest % sizes[axis];
                    rest /= sizes[axis];
                }
                element(index)
            })
            .collect();
        Array64 { shape, data }
    }

    /// The element at these indices, of which there are as many as the rank.
    ///
    /// # Panics
    /// If there are not, or one is too large.
    #[inline]
    #[track_caller]
    pub fn at<const RANK: usize>(&self, index: [usize; RANK]) -> f64 {
        let sizes = self.shape.sizes();
        assert_eq!(sizes.len(), RANK, "{RANK} indices into {}", self.shape);
        let mut flat = 0;
        for (axis, &i) in index.iter().enumerate() {
            assert!(i < sizes[axis], "{index:?} in {}", self.shape);
            flat = flat * sizes[axis] + i;
        }
        self.data[flat]
    }
}

fn padded(shape: Shape) -> [usize; 4] {
    let mut sizes = [1; 4];
    sizes[..shape.rank()].copy_from_slice(shape.sizes());
    sizes
}

/// Where the values of an input come from.
#[derive(Clone, Copy, Debug)]
enum Domain {
    /// Uniform between two numbers.
    Between(f64, f64),
    /// Uniform, but at least this far from 0, where the op has a kink.
    NotNearZero(f64, f64, f64),
    /// All different by at least a hundredth, in random order: for an op that compares its inputs.
    Distinct,
}

/// An input of a case.
#[derive(Clone, Debug)]
struct Input {
    shape: Shape,
    domain: Domain,
}

type Reference = Box<dyn Fn(&[Array64]) -> Array64 + Send + Sync>;
type Definition = Box<dyn for<'t> Fn(&[Var<'t>]) -> Var<'t> + Send + Sync>;

/// An op with inputs to try it on and a reference to hold it against.
#[must_use = "nothing is checked before `check` is called"]
pub struct Case {
    op: Box<dyn Op>,
    inputs: Vec<Input>,
    reference: Reference,
    definition: Option<Definition>,
    /// Errors are measured against the largest number of a result, and against this where all are smaller.
    unit: f64,
    total: bool,
    /// What the op passes back, as a multiple of the slope of the reference.
    passes_back: f64,
}

impl Case {
    /// Inputs are uniform in -2..2 unless said otherwise.
    pub fn new(
        op: impl Op + 'static,
        shapes: impl IntoIterator<Item = Shape>,
        reference: impl Fn(&[Array64]) -> Array64 + Send + Sync + 'static,
    ) -> Self {
        let input = |shape| Input { shape, domain: Domain::Between(-2.0, 2.0) };
        Case {
            op: Box::new(op),
            inputs: shapes.into_iter().map(input).collect(),
            reference: Box::new(reference),
            definition: None,
            unit: 1e-30,
            total: false,
            passes_back: 1.0,
        }
    }

    /// The reference gives the terms whose total is the op's only output: what cancels between them is noise of f32 in
    /// proportion to the terms.
    pub fn total(mut self) -> Self {
        self.total = true;
        self
    }

    /// Results are differences of numbers of size 1 and more, so that small ones are what rounding has left.
    pub fn difference_of_ones(mut self) -> Self {
        self.unit = 1.0;
        self
    }

    /// The op passes back the slope of the reference times this number: it is no derivative, on purpose.
    pub fn passing_back(mut self, factor: f64) -> Self {
        self.passes_back = factor;
        self
    }

    /// Input `index` is uniform between two numbers.
    pub fn between(mut self, index: usize, low: f64, high: f64) -> Self {
        self.inputs[index].domain = Domain::Between(low, high);
        self
    }

    /// Input `index` stays `margin` away from 0, where the op is not differentiable.
    pub fn not_near_zero(mut self, index: usize, low: f64, high: f64, margin: f64) -> Self {
        self.inputs[index].domain = Domain::NotNearZero(low, high, margin);
        self
    }

    /// The values of input `index` all differ clearly.
    pub fn distinct(mut self, index: usize) -> Self {
        self.inputs[index].domain = Domain::Distinct;
        self
    }

    /// The op and its shapes, for messages.
    fn label(&self) -> String {
        let shapes: Vec<Shape> = self.inputs.iter().map(|i| i.shape).collect();
        format!("{:?} of {shapes:?}", self.op)
    }

    fn draw(&self, seed: u64) -> Vec<Tensor> {
        self.inputs
            .iter()
            .enumerate()
            .map(|(i, input)| {
                let stream = Stream::new(seed, "gradcheck/input", &[i as u64]);
                let len = input.shape.len();
                let between = |n: usize, low: f64, high: f64| {
                    (low + (high - low) * f64::from(stream.uniform(n as u64))) as f32
                };
                let values: Vec<f32> = match input.domain {
                    Domain::Between(low, high) => (0..len).map(|n| between(n, low, high)).collect(),
                    Domain::NotNearZero(low, high, margin) => (0..len)
                        .map(|n| between(n, low, high))
                        .map(|x| x + margin as f32 * if x < 0.0 { -1.0 } else { 1.0 })
                        .collect(),
                    Domain::Distinct => {
                        let order = stream.permutation(len);
                        order.iter().map(|&n| 0.01 * (n as f32 - len as f32 / 2.0)).collect()
                    }
                };
                Tensor::new(input.shape, &values)
            })
            .collect()
    }

    /// Checks properties 1 to 6 on inputs drawn from `seed`.
    ///
    /// # Errors
    /// Which one failed and how.
    pub fn check(&self, seed: u64) -> Result<(), String> {
        let shapes: Vec<Shape> = self.inputs.iter().map(|i| i.shape).collect();
        let plan =
            self.op.plan(&shapes).map_err(|mismatch| format!("{}: plan: {}", self.label(), mismatch.0))?;
        let inputs = self.draw(seed);
        let wide: Vec<Array64> = inputs
            .iter()
            .map(|t| Array64::new(t.shape(), t.data().iter().map(|&x| f64::from(x)).collect()))
            .collect();
        let upstream = direction(seed, "upstream", plan.output.len());
        let result = self.run(plan, &inputs, &upstream, &vec![true; inputs.len()]);
        self.check_values(plan, &wide, &result)
            .and_then(|scale| self.check_slopes(seed, &wide, &upstream, scale, &result))
            .and_then(|()| self.check_bits(plan, &inputs, &upstream, &result))
            .map_err(|how| format!("{}: {how}", self.label()))
    }

    /// 1 and 5: the output. The largest of its numbers.
    fn check_values(&self, plan: Plan, wide: &[Array64], result: &Pass) -> Result<f64, String> {
        let mut expected = (self.reference)(wide);
        if self.total {
            expected = Array64::new(Shape::SCALAR, vec![expected.data.iter().sum()]);
        }
        if expected.shape != plan.output {
            return Err(format!("plan: output {}, the reference has {}", plan.output, expected.shape));
        }
        let scale = expected.data.iter().fold(self.unit, |largest: f64, x| largest.max(x.abs()));
        for (i, (&got, &want)) in result.output.iter().zip(&expected.data).enumerate() {
            let error = (f64::from(got) - want).abs();
            if error.is_nan() || error > TOLERANCE * scale {
                return Err(format!("forward: element {i} is {got}, the reference says {want}"));
            }
        }
        Ok(scale)
    }

    /// 2: the gradients against the central difference of the reference, one input at a time.
    fn check_slopes(
        &self,
        seed: u64,
        wide: &[Array64],
        upstream: &[f32],
        scale: f64,
        result: &Pass,
    ) -> Result<(), String> {
        for (k, input) in self.inputs.iter().enumerate() {
            let Some(gradient) = &result.gradients[k] else {
                return Err(format!("backward: no gradient {k}"));
            };
            if let Some(i) = gradient.iter().position(|g| !g.is_finite()) {
                return Err(format!("backward: gradient {k} is {} at {i}", gradient[i]));
            }
            for trial in 0..3 {
                // Dense directions see every element at once; a single one shows where an index is wrong.
                let step: Vec<f64> = if trial < 2 {
                    direction(seed + 1 + trial, "step", input.shape.len())
                        .iter()
                        .map(|&x| f64::from(x))
                        .collect()
                } else {
                    let hit = Stream::new(seed, "gradcheck/element", &[k as u64])
                        .below(0, input.shape.len() as u64);
                    (0..input.shape.len()).map(|i| f64::from(u8::from(i as u64 == hit))).collect()
                };
                let h = 1e-5;
                let moved = |sign: f64| {
                    let mut wide = wide.to_vec();
                    for (x, s) in wide[k].data.iter_mut().zip(&step) {
                        *x += sign * h * s;
                    }
                    (self.reference)(&wide)
                };
                let (up, down) = (moved(1.0), moved(-1.0));
                let pairs = || up.data.iter().zip(&down.data).zip(upstream.iter().cycle());
                let slope: f64 = pairs().map(|((u, d), &g)| (u - d) / (2.0 * h) * f64::from(g)).sum();
                let slope = slope * self.passes_back;
                // What cancels inside the sums is noise of f32 in proportion to the sums of absolute values.
                let mass: f64 = pairs().map(|((u, d), &g)| ((u - d) / (2.0 * h) * f64::from(g)).abs()).sum();
                let ours: f64 = gradient.iter().zip(&step).map(|(&g, s)| f64::from(g) * s).sum();
                let terms: f64 = gradient.iter().zip(&step).map(|(&g, s)| (f64::from(g) * s).abs()).sum();
                let largest = gradient.iter().fold(self.unit, |l: f64, &g| l.max(f64::from(g).abs()));
                // The difference of f64s itself is exact to about 1e-16 / h of the values.
                let noise = 1e-11 / h * scale * 1e-3;
                let room = TOLERANCE * (mass.max(terms) + largest) + noise;
                if (slope - ours).abs().is_nan() || (slope - ours).abs() > room {
                    return Err(format!(
                        "backward: input {k}, direction {trial}: {ours}, the reference says {slope}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// 3, 4 and 6: the same bits on every instruction set, with every number of threads, and of each gradient alone.
    fn check_bits(
        &self,
        plan: Plan,
        inputs: &[Tensor],
        upstream: &[f32],
        result: &Pass,
    ) -> Result<(), String> {
        let all = vec![true; inputs.len()];
        let same = |other: &Pass, how: String| match result.difference(other) {
            Some(difference) => Err(format!("{how}: {difference}")),
            None => Ok(()),
        };
        {
            let _guard = CHOOSING.lock().unwrap_or_else(PoisonError::into_inner);
            let before = Isa::current();
            for &isa in Isa::supported() {
                isa.choose();
                let other = self.run(plan, inputs, upstream, &all);
                before.choose();
                same(&other, format!("on {}", isa.name()))?;
            }
        }
        for threads in [1, 2, 3, 4, 7] {
            let other = with_threads(threads, || self.run(plan, inputs, upstream, &all));
            same(&other, format!("on {threads} threads"))?;
        }
        for k in (0..inputs.len()).filter(|_| inputs.len() > 1) {
            let alone: Vec<bool> = (0..inputs.len()).map(|i| i == k).collect();
            let mut other = self.run(plan, inputs, upstream, &alone);
            for (i, gradient) in result.gradients.iter().enumerate().filter(|&(i, _)| i != k) {
                other.gradients[i].clone_from(gradient);
            }
            same(&other, format!("with the gradient of input {k} alone"))?;
        }
        Ok(())
    }

    fn run(&self, plan: Plan, inputs: &[Tensor], upstream: &[f32], wanted: &[bool]) -> Pass {
        let views: Vec<View<'_>> = inputs.iter().map(|t| View { shape: t.shape(), data: t.data() }).collect();
        let mut output = vec![f32::NAN; plan.output.len()];
        let mut saved = vec![f32::NAN; plan.saved];
        self.op.forward(&views, &mut output, &mut saved);
        let mut gradients: Vec<Option<Vec<f32>>> = (inputs.iter().zip(wanted))
            .map(|(input, &wanted)| wanted.then(|| vec![f32::NAN; input.shape().len()]))
            .collect();
        let (draft, saved) = saved.split_at(if plan.draft { views[0].data.len() } else { 0 });
        if let Some(gradient) = gradients[0].as_mut().filter(|_| plan.draft) {
            gradient.copy_from_slice(draft);
        }
        let mut slots: Vec<Option<&mut [f32]>> = gradients.iter_mut().map(|g| g.as_deref_mut()).collect();
        let view = View { shape: plan.output, data: &output };
        self.op.backward(Point { inputs: &views, output: view, saved, grad: upstream }, &mut slots);
        Pass { output, gradients }
    }
}

/// Weights that have the numbers of these inputs, so that a tape tells their gradients.
fn weights(inputs: &[Tensor]) -> (Params, Vec<Param>) {
    let mut params = Params::new();
    let mut root = Builder::new(&mut params, 0);
    let new = |(i, x): (usize, &Tensor)| {
        root.weight(&i.to_string(), x.shape(), Layout::same(x.shape()), Init::Constant(0.0))
    };
    let handles: Vec<Param> = inputs.iter().enumerate().map(new).collect();
    for (&handle, x) in handles.iter().zip(inputs) {
        params.get_mut(handle).copy_from_slice(x.data());
    }
    (params, handles)
}

/// What one forward and backward pass gave.
struct Pass {
    output: Vec<f32>,
    gradients: Vec<Option<Vec<f32>>>,
}

impl Pass {
    /// The first bit that differs, in words.
    fn difference(&self, other: &Pass) -> Option<String> {
        let mut parts = vec![("output".to_string(), &self.output, &other.output)];
        for (i, pair) in self.gradients.iter().zip(&other.gradients).enumerate() {
            if let (Some(a), Some(b)) = pair {
                parts.push((format!("gradient {i}"), a, b));
            }
        }
        parts.into_iter().find_map(|(name, a, b)| {
            let n = (0..a.len()).find(|&n| a[n].to_bits() != b[n].to_bits())?;
            Some(format!("{name} is {} at {n}, not {}", b[n], a[n]))
        })
    }
}

/// Numbers in ±1, none of them 0.
fn direction(seed: u64, purpose: &str, len: usize) -> Vec<f32> {
    let stream = Stream::new(seed, purpose, &[]);
    (0..len as u64).map(|i| stream.uniform(i) * 2.0 - 1.0 + 1.0 / (1 << 26) as f32).collect()
}

/// Sizes for a random case, drawn by proptest and shrunk towards the smallest.
#[derive(Clone, Debug)]
pub struct Sizes(pub Vec<u16>);

impl Sizes {
    /// The next size, between `low` and `high`.
    pub fn next(&mut self, low: usize, high: usize) -> usize {
        low + usize::from(self.0.pop().unwrap_or(0)) % (high - low + 1)
    }
}

/// Labels below `classes` for a case.
pub fn labels(seed: u64, count: usize, classes: usize) -> std::sync::Arc<[u32]> {
    let stream = Stream::new(seed, "gradcheck/labels", &[]);
    (0..count as u64).map(|i| stream.below(i, classes as u64) as u32).collect()
}

/// Sizes around the width of a vector.
pub const EDGE_SIZES: [usize; 6] = [1, 15, 16, 17, 31, 33];
