//! What the user is told.

use thiserror::Error;

/// A setting that cannot be used. Its text names key, value and remedy and is meant for the user as it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct ConfigError {
    message: String,
}

impl ConfigError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}
