//! Heavy numerics on plain slices: no tensors, no tape.
//!
//! Every function overwrites its output, cuts its work by shape (`parallel`) and gives the same bits on every
//! instruction set (`simd`) and for every number of threads.

pub mod adam;
pub mod conv;
pub mod gemm;
mod lanes;
pub mod linear_softmax;
pub mod logistic_mixture;
pub mod norm;
pub mod norm_pool;
pub mod pool;
pub mod residual;
pub mod softmax;
