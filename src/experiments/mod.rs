//! Experiments: many runs that answer one question together.

pub mod sweep;
