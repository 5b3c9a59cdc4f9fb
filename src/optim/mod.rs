//! Optimisation: Adam over the parameters' slab, and schedules as functions of the epoch.

mod adam;
mod schedule;

pub use adam::{Adam, AdamSettings};
pub use schedule::{reversal, warm_up};
