//! How tests start the built program.

use std::process::Command;

/// What stands before the program's path on a command line: nothing, or the value of `DIVA_TEST_RUNNER`, an emulator and
/// its arguments. Cargo has a runner of its own for tests that are built for another CPU, but does not know of the
/// processes that they start.
pub(crate) fn runner() -> String {
    std::env::var("DIVA_TEST_RUNNER").unwrap_or_default()
}

/// The built program, without arguments yet.
pub(crate) fn program() -> Command {
    let runner = runner();
    let mut words = runner.split_whitespace().chain([env!("CARGO_BIN_EXE_diva")]);
    let mut command = Command::new(words.next().expect("the program itself is there"));
    command.args(words);
    command
}
