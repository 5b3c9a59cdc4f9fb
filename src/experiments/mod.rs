//! Experiments: many runs that answer one question together, and what trained models know.

mod elementary;
pub mod knowledge;
pub mod latents;
mod lbfgs;
pub mod pca;
pub mod probe;
#[cfg(test)]
mod reference;
pub mod sweep;
pub mod tsne;
pub mod unlike;
