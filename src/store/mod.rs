//! What reaches the disk: files that are whole or absent, never half.
//!
//! A training run of many hours is worth what its files are worth after a power cut. So every file of the crate is
//! written by [`durable`], tensors travel as safetensors ([`tensors`]), and
//! a [`checkpoint`] proves by a checksum that it is what was saved.
//!
//! Nothing here knows a model: names, shapes, bytes and paths only.

pub mod checkpoint;
pub mod durable;
pub mod tensors;

#[cfg(test)]
pub(crate) mod scratch;
