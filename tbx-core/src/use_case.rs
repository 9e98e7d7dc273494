//! What all use cases share: the request a handler takes as a service, and how it can fail.

use std::pin::Pin;

use crate::context::Context;
use crate::store::{AnnounceError, StoreError};
use crate::student::{Student, Version};

/// A message and its circumstances: what the handlers take as [`tower_service::Service`]s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<M> {
    /// Who asks, when, and as part of which trace.
    pub context: Context,
    /// What is asked.
    pub message: M,
}

impl<M> Request<M> {
    /// A request of that message.
    pub const fn new(context: Context, message: M) -> Self {
        Self { context, message }
    }
}

/// The future of a handler called as a service.
pub type UseCaseFuture<T> = Pin<Box<dyn Future<Output = Result<T, UseCaseError>> + Send>>;

/// Why a use case was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum UseCaseError {
    /// There is no such student.
    #[error("student does not exist")]
    NotFound,
    /// Another student has the email address.
    #[error("email address is taken")]
    EmailTaken,
    /// Others changed the student faster, every time.
    #[error("student was changed by others at the same time")]
    Conflict,
    /// The key was given to another request before.
    #[error("request key belongs to another request")]
    KeyReused,
    /// Another request with the same key is being carried out.
    #[error("a request with the same key is being carried out")]
    KeyInUse,
    /// The student does not have the version that was expected.
    #[error("student is at version {current}, another was expected")]
    Stale {
        /// The version it has.
        current: Version,
    },
    /// The store failed.
    #[error("student could not be read or written")]
    Store(#[source] StoreError),
    /// What was written to the cache could not be announced.
    #[error("cached student could not be announced")]
    Announce(#[source] AnnounceError),
}

impl UseCaseError {
    /// Whether the same request may succeed when it is sent again.
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::NotFound | Self::EmailTaken | Self::KeyReused | Self::Stale { .. } => false,
            Self::Conflict | Self::KeyInUse | Self::Announce(_) => true,
            Self::Store(error) => error.is_retryable(),
        }
    }
}

impl From<StoreError> for UseCaseError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::EmailTaken => Self::EmailTaken,
            StoreError::Conflict => Self::Conflict,
            StoreError::KeyReused => Self::KeyReused,
            StoreError::KeyInUse => Self::KeyInUse,
            error => Self::Store(error),
        }
    }
}

/// Holds a student against the version somebody expects it to have.
pub(crate) fn require_version(student: &Student, expected: Option<Version>) -> Result<(), UseCaseError> {
    match expected {
        Some(expected) if expected != student.version => {
            Err(UseCaseError::Stale { current: student.version })
        }
        _ => Ok(()),
    }
}
