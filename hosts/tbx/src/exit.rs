//! How a command ends: 0 done, 1 failed, 2 wrong use or configuration.

use std::error::Error;
use std::process::ExitCode;

use tbx_service::chain;

/// A command that did not do what it was asked, with what the user is told.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// It went wrong.
    pub(crate) fn failed(error: &dyn Error) -> Self {
        Self { code: 1, message: chain(error) }
    }

    /// It went wrong in a way that only words describe.
    pub(crate) fn failed_because(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// It was asked for in the wrong way.
    pub(crate) fn usage(error: &dyn Error) -> Self {
        Self { code: 2, message: chain(error) }
    }

    /// Tells the user.
    pub(crate) fn report(self) -> ExitCode {
        eprintln!("tbx: {}", self.message);
        ExitCode::from(self.code)
    }
}
