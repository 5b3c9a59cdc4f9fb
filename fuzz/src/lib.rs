//! What each fuzz target does with its bytes: one function each, named like the target.
//!
//! A function reads its bytes as the program would read a file, and then asks for more than not to crash: what was
//! accepted has to be what its reader promises, and has to survive being written and read again. It returns whether the
//! bytes were accepted. Two functions take names instead of a file, and look at what is written of them. `fuzz/targets` hands the functions to the fuzzer, `tests/fuzz_seeds.rs` hands them the
//! committed seeds with every `cargo test`.

mod config;
mod convolution;
mod data;
mod division;
mod list;
mod metrics;
mod sweep;
mod tables;
mod tensors;

pub use config::config;
pub use convolution::convolution;
pub use data::{idx, indices, picture, png};
pub use division::division;
pub use list::list_of_pictures;
pub use metrics::metrics;
pub use sweep::sweep;
pub use tables::{page, tables};
pub use tensors::{IDENTITY, batch, checkpoint, parameters, seal, state, weights};
