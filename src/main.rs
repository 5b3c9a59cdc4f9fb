//! The command line of `diva`.

fn main() {}
