//! Domain-invariant variational autoencoders (DIVA), trained on CPUs, from scratch.
//!
//! The modules, in reading order, each built on those above it:
//!
//! * [`names`]: names as text; [`tables`]: tables that no name can break; [`error`]: what the world can do wrong, in one sentence each.
//! * [`simd`]: sixteen lanes, and one set of bits on every instruction set; [`rng`]: random numbers without a state.
//! * [`tensor`]: shapes and aligned memory; [`parallel`]: threads that do not change the result.
//! * [`kernels`]: heavy numerics on plain slices.
//! * [`autograd`]: the contract of an operation, the tape, the parameters; [`ops`]: one file an operation.
//! * [`nn`]: layers; [`prob`]: distributions; [`optim`]: Adam.
//! * [`config`]: what a run is to do; [`data`]: images, domains, batches; [`store`]: what reaches the disk.
//! * [`scores`]: how good class probabilities are.
//! * [`models`]: DIVA, its networks and its objective.
//! * [`train`]: the step, the epoch, the run; [`experiments`]: sweeps of runs, and what trained models know.
//! * [`report`]: pictures; [`cli`]: the command line.
//!
//! `ARCHITECTURE.md` tells the same with reasons, and `examples/01_gradient.rs` is where to begin.

pub mod autograd;
pub mod cli;
pub mod config;
pub mod data;
mod elementary;
pub mod error;
pub mod experiments;
pub mod kernels;
pub mod models;
pub mod names;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod parallel;
pub mod prob;
pub mod report;
pub mod rng;
pub mod scores;
pub mod simd;
pub mod store;
pub mod tables;
pub mod tensor;
pub mod train;
