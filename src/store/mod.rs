//! What reaches the disk: files that are whole or absent, never half.
//!
//! A training run of many hours is worth what its files are worth after a power cut. So every file of the crate is
//! written by [`durable`].
//!
//! Nothing here knows a model: names, shapes, bytes and paths only.

pub mod durable;

#[cfg(test)]
pub(crate) mod scratch;
