//! What takes more than one module, or the built program. One program for all of it, since each is linked by itself.
//!
//! What counts this process's memory (`memory.rs`, `prediction.rs`), changes the state of its threads (`subnormal_numbers.rs`) or is
//! no part of the package (`fuzz_seeds.rs`) is a program of its own.

mod allocation;
mod architecture;
mod cli;
mod experiments;
mod gradients;
mod program;
mod run_pictures;
mod selection;
mod work;
