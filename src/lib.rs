//! Domain-invariant variational autoencoders (DIVA), trained on CPUs, from scratch.
//!
//! The crate has two halves. The lower one is a small reverse-mode autograd for CPUs, of use for other models too; the upper one,
//! the feature `application`, is DIVA with its data, trainer and command line. `default-features = false` leaves the lower half
//! and a dozen crates.
//!
//! # A model of your own
//!
//! Layers hold names of parameters, no numbers: these are in [`Params`](autograd::Params). A [`Tape`](autograd::Tape) records what
//! is computed with them, and `backward` walks it back to their gradients.
//!
//! ```
//! use diva::autograd::{Builder, Engine, Gradients, Params, Tape, Var};
//! use diva::nn::{Bias, Features, Linear};
//! use diva::optim::{Adam, AdamSettings};
//! use diva::tensor::Tensor;
//!
//! /// Two layers that tell points inside of a circle from those outside.
//! struct Network {
//!     hidden: Linear,
//!     output: Linear,
//! }
//!
//! impl Network {
//!     fn new(builder: &mut Builder<'_>) -> Self {
//!         Network {
//!             hidden: Linear::new(&mut builder.scope("hidden"), 2, 16, Bias::With, Features::Plain),
//!             output: Linear::new(&mut builder.scope("output"), 16, 2, Bias::With, Features::Plain),
//!         }
//!     }
//!
//!     /// Points (batch, 2) to logits (batch, 2).
//!     fn logits<'t>(&self, points: Var<'t>) -> Var<'t> {
//!         self.output.forward(self.hidden.forward(points).relu())
//!     }
//! }
//!
//! let grid = (0..64).flat_map(|i| [i % 8, i / 8]); // a point is two of its numbers
//! let points: Vec<f32> = grid.map(|place| place as f32 / 3.5 - 1.0).collect();
//! let inside: Vec<u32> = points.chunks(2).map(|p| u32::from(p[0] * p[0] + p[1] * p[1] < 0.5)).collect();
//! let batch = Tensor::new([64, 2], &points);
//!
//! let mut params = Params::new();
//! let network = Network::new(&mut Builder::new(&mut params, 0)); // the seed of the start
//! let mut adam = Adam::with(&params, AdamSettings { learning_rate: 0.1, ..AdamSettings::default() });
//! let (engine, mut gradients) = (Engine::new(), Gradients::new(&params));
//! let mut losses = Vec::new();
//! for _step in 0..10 {
//!     {
//!         let tape = Tape::train(&engine, &params);
//!         let loss = network.logits(tape.input(&batch)).cross_entropy(inside.clone()).mean();
//!         losses.push(loss.item());
//!         loss.backward(&mut gradients);
//!     } // the tape lends the parameters until here
//!     adam.step(&mut params, &gradients);
//! }
//! assert!(losses[9] < 0.8 * losses[0], "{losses:?}");
//!
//! // Prediction, and what the answer depends on: the gradient with respect to an input.
//! let tape = Tape::inference(&engine, &params);
//! let centre = tape.variable(&Tensor::new([1, 2], &[0.1, 0.2]));
//! let logits = network.logits(centre);
//! assert!(logits.read(|l| l[1] > l[0]), "it is inside");
//! logits.cross_entropy(vec![1]).sum().backward(&mut gradients);
//! println!("{:?}", centre.gradient().data());
//! ```
//!
//! An op of your own is a value that implements [`Op`](autograd::Op), or [`ElementWise`](ops::ElementWise) if it works element by
//! element, and is applied by [`Tape::apply`](autograd::Tape::apply); [`gradcheck`](autograd::gradcheck) holds it against a naive
//! reference in f64, and shows a whole one.
//!
//! # The modules
//!
//! In reading order, each built on those above it:
//!
//! * [`names`]: names as text; [`error`]: what the world can do wrong, in one sentence each.
//! * [`simd`]: sixteen lanes, and one set of bits on every instruction set; [`rng`]: random numbers without a state.
//! * [`tensor`]: shapes and aligned memory; [`parallel`]: threads that do not change the result.
//! * [`kernels`]: heavy numerics on plain slices.
//! * [`autograd`]: the contract of an operation, the tape, the parameters; [`ops`]: one file an operation.
//! * [`nn`]: layers; [`prob`]: distributions; [`optim`]: Adam.
//!
//! and with the feature `application`:
//!
//! * `tables`: tables that no name can break; `config`: what a run is to do; `data`: images, domains, batches; `store`: what reaches
//!   the disk.
//! * `scores`: how good class probabilities are.
//! * `models`: DIVA, its networks and its objective.
//! * `train`: the step, the epoch, the run; `experiments`: sweeps of runs, and what trained models know.
//! * `report`: pictures; `cli`: the command line.
//!
//! `ARCHITECTURE.md` tells the same with reasons, and `examples/01_gradient.rs` is where to begin.

pub mod autograd;
#[cfg(feature = "application")]
pub mod cli;
#[cfg(feature = "application")]
pub mod config;
#[cfg(feature = "application")]
pub mod data;
#[cfg(feature = "application")]
mod elementary;
pub mod error;
#[cfg(feature = "application")]
pub mod experiments;
pub mod kernels;
#[cfg(feature = "application")]
pub mod models;
pub mod names;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod parallel;
pub mod prob;
#[cfg(feature = "application")]
pub mod report;
pub mod rng;
#[cfg(feature = "application")]
pub mod scores;
pub mod simd;
#[cfg(feature = "application")]
pub mod store;
#[cfg(feature = "application")]
pub mod tables;
pub mod tensor;
#[cfg(feature = "application")]
pub mod train;
