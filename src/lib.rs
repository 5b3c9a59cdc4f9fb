//! Domain-invariant variational autoencoders (DIVA), trained on CPUs, from scratch.
//!
//! The modules, in reading order: [`simd`] (16 lanes, one set of bits), [`parallel`] (threads that do not change
//! them), `kernels`, `tensor`, `autograd`, `ops`, `nn`, `models`, `train`. ARCHITECTURE.md tells the same with
//! reasons.

pub mod config;
pub mod error;
pub mod rng;
