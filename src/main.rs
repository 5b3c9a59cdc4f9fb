//! The command line of `diva`: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    diva::cli::main()
}
