//! Experiments: many runs that answer one question together, and what trained models know.

pub mod knowledge;
pub mod latents;
mod lbfgs;
pub mod pca;
pub mod probe;
#[cfg(test)]
mod reference;
pub mod sweep;
pub mod tsne;

use crate::simd::slice;
use crate::tensor::Tensor;

/// # Panics
/// If a number of the rows is not finite: nothing can be said of them, and iterations would not end well.
#[track_caller]
fn assert_finite(rows: &Tensor) {
    assert!(slice::all_finite(rows.data()), "rows with a number that is not finite");
}
