//! How a program ends: 0 done, 1 failed, 2 wrong use or configuration.

use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use crate::chain;

/// A program that did not do what it was asked, with what the user is told.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// It went wrong.
    #[must_use]
    pub fn failed(error: &dyn Error) -> Self {
        Self { code: 1, message: chain(error) }
    }

    /// It went wrong in a way that only words describe.
    #[must_use]
    pub fn failed_because(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// It was asked for in the wrong way.
    #[must_use]
    pub fn usage(error: &dyn Error) -> Self {
        Self { code: 2, message: chain(error) }
    }

    /// It was asked for in a way that only words describe as wrong.
    #[must_use]
    pub fn usage_because(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// Tells the user, in the name of `program`.
    #[must_use]
    pub fn report(self, program: &str) -> ExitCode {
        // Nobody may be reading; the exit code still tells.
        let _ = writeln!(std::io::stderr(), "{program}: {}", self.message);
        ExitCode::from(self.code)
    }
}
