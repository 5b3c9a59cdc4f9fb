//! Training: the step, the epochs, what is saved and what is reported.
//!
//! [`state::State`] is all that outlives a step; saving it is the checkpoint. [`trainer::Trainer`] does steps and
//! epochs in memory; [`run`] ties it to a run's folder.

pub mod dataset;
mod divergence;
pub mod evaluate;
mod forecast;
pub mod gradients;
pub mod last_files;
pub mod memory;
pub mod metrics;
pub mod own_images;
pub mod predictions;
pub mod recorded;
mod resume;
pub mod run;
pub mod saved_run;
pub mod seals;
pub mod sources;
pub mod state;
pub mod trainer;
pub mod unlike;
pub mod verify;
pub mod weights;

#[cfg(test)]
mod tests;
