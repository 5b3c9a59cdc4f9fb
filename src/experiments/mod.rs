//! What is found out with trained models: what each latent knows, and how it looks.

mod elementary;
pub mod knowledge;
pub mod latents;
mod lbfgs;
pub mod pca;
pub mod probe;
#[cfg(test)]
mod reference;
pub mod tsne;
