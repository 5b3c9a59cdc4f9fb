//! Domain-invariant variational autoencoders (DIVA), trained on CPUs, from scratch.
//!
//! The modules, in reading order: [`simd`] (16 lanes, one set of bits), [`parallel`] (threads that do not change
//! them), [`kernels`] (heavy numerics on slices), [`tensor`], [`autograd`] (the tape), [`ops`] (one file per
//! differentiable operation), [`data`], [`config`], [`store`] (what reaches the disk). ARCHITECTURE.md tells the same
//! with reasons.

pub mod autograd;
pub mod cli;
pub mod config;
pub mod data;
pub mod error;
pub mod kernels;
pub mod models;
pub mod nn;
pub mod ops;
pub mod optim;
pub mod parallel;
pub mod prob;
pub mod report;
pub mod rng;
pub mod simd;
pub mod store;
pub mod tensor;
pub mod train;
