//! A part cannot be opened.

use thiserror::Error;

/// A part of the system cannot be opened or does not fit. What to do is said by the cause, which knows best.
#[derive(Debug, Error)]
#[error("{setting} cannot be used")]
pub struct OpenError {
    setting: &'static str,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl OpenError {
    pub(crate) fn of(
        setting: &'static str,
    ) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> Self + Copy {
        move |source| Self { setting, source }
    }
}
