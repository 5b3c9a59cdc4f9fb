//! What reaches the disk: files that are whole or absent, never half.
//!
//! A training run of many hours is worth what its files are worth after a power cut. So every file of the
//! crate is written by [`durable`], tensors travel as safetensors ([`tensors`]), a [`checkpoint`] proves by a
//! checksum that it is what was saved, and a [`run_folder`] belongs to one run and to one process at a time
//! ([`lock`]). What is read is looked at first ([`input`]).
//!
//! Nothing here knows a model: names, shapes, bytes and paths only.

pub mod checkpoint;
pub mod digest;
mod disk;
pub mod durable;
pub mod input;
pub mod lock;
pub mod run_folder;
pub mod tensors;

#[cfg(test)]
pub(crate) mod scratch;
