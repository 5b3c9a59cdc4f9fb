//! What the world can do wrong, in one sentence each.
//!
//! A message says what was attempted, what was found and what was expected. It may quote a file, so what a terminal obeys
//! is shown escaped: it stays on its line, and no file speaks to a terminal. Mistakes of the program itself (two
//! shapes that do not fit) panic instead; everything that a file, a configuration or a disk can cause is an
//! [`Error`].

use crate::names::{printable, shown};
use std::fmt;
use std::path::Path;

/// A failure that is not a bug, with the exit code that the command line gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The request was wrong: flags, configuration, data that cannot be used. Exit code 2.
    Request(String),
    /// Another process works where this one was to: the same request may succeed later. Exit code 2.
    Busy(String),
    /// The work failed: a full disk, a loss that became infinite. Exit code 1.
    Work(String),
    /// What the work was to be written to is not this process's any more, or that cannot be told: nothing must be written
    /// there, not even that the work failed. Exit code 1.
    TakenAway(String),
    /// Stopped by a signal after everything was saved. Exit code 128 + signal.
    Interrupted {
        /// The number of the signal, such as 2 (Ctrl-C) or 15 (SIGTERM).
        signal: i32,
    },
}

/// The result of everything that can fail for a reason outside the program.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The request cannot be carried out as it stands.
    pub fn request(message: impl Into<String>) -> Self {
        Error::Request(message.into())
    }

    /// The request was fine but carrying it out failed.
    pub fn work(message: impl Into<String>) -> Self {
        Error::Work(message.into())
    }

    /// A file that could not be read: the request named something unusable.
    pub fn reading(path: &Path, cause: &std::io::Error) -> Self {
        Error::Request(format!("cannot read {}: {cause}", shown(path)))
    }

    /// A file that could not be written.
    pub fn writing(path: &Path, cause: &std::io::Error) -> Self {
        Error::Work(format!("cannot write {}: {cause}", shown(path)))
    }

    /// The exit code of the command line: 1, 2, or 128 + signal.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Work(_) | Error::TakenAway(_) => 1,
            Error::Request(_) | Error::Busy(_) => 2,
            Error::Interrupted { signal } => 128 + u8::try_from(*signal).unwrap_or(0),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Request(message)
            | Error::Busy(message)
            | Error::Work(message)
            | Error::TakenAway(message) => f.write_str(&printable(message)),
            Error::Interrupted { signal } => write!(f, "stopped by signal {signal}; everything is saved"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_on_its_line_whatever_it_quotes() {
        for (message, shown) in [
            ("", ""),
            ("größe = \"1\" \\", "größe = \"1\" \\"),
            ("\n", "\\n"),
            ("a\nb\r\n\tc\0", "a\\nb\\r\\n\\tc\\0"),
            ("\u{1b}[31mred\u{85}", "\\u{1b}[31mred\\u{85}"),
        ] {
            assert_eq!(Error::request(message).to_string(), shown);
            assert_eq!(Error::work(message).to_string(), shown);
        }
    }
}
