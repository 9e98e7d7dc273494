//! A part cannot be opened.

use tbx_service::Failure;
use thiserror::Error;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A part of the system cannot be opened or does not fit. What to do is said by the cause, which knows best. As the end of a program it is a failure, or
/// wrong use when the setting itself is at fault, whatever answers there.
#[derive(Debug, Error)]
#[error("{setting} cannot be used")]
pub struct OpenError {
    setting: &'static str,
    is_wrong_use: bool,
    source: Source,
}

impl OpenError {
    pub(crate) fn of(setting: &'static str) -> impl Fn(Source) -> Self + Copy {
        move |source| Self { setting, is_wrong_use: false, source }
    }

    /// The value of the setting is none that can be used, which nobody need be asked about.
    pub(crate) fn unusable(setting: &'static str, source: impl Into<Source>) -> Self {
        Self { setting, is_wrong_use: true, source: source.into() }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        if error.is_wrong_use { Self::usage(&error) } else { Self::failed(&error) }
    }
}
