//! Training: the step, the epochs, what is saved and what is reported.

pub mod gradients;
pub mod weights;
