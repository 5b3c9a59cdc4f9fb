//! The models. Each reads `nn`, `prob` and variables only.

pub mod diva;
