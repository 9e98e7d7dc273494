//! What can go wrong in a store.

use std::fmt;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failed store operation: what kind, in which context, and the cause in `source()`.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    context: String,
    source: Option<Source>,
}

/// The kinds of failure a caller tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The database cannot be reached or is too busy: the same call may succeed later.
    Unavailable,
    /// What is stored cannot be read: somebody else wrote it, or the file is damaged.
    Corrupt,
    /// The tables are not those that this version works with.
    Schema,
    /// Another process has the database file.
    Locked,
    /// The database lets nobody in with these credentials, or the role may not do this.
    Denied,
    /// The database does not exist and could not be created.
    Missing,
    /// A rule of the database, such as a unique index, forbids it.
    Constraint,
    /// What was given cannot be used, such as an address that is none.
    Invalid,
}

impl StoreError {
    /// An error of `kind`; `context` says what was being done, as a lowercase fragment.
    #[must_use]
    pub fn new(kind: StoreErrorKind, context: impl Into<String>) -> Self {
        Self { kind, context: context.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.kind == StoreErrorKind::Unavailable
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            StoreErrorKind::Unavailable => "the database is not available",
            StoreErrorKind::Corrupt => "stored data cannot be read",
            StoreErrorKind::Schema => "the database schema does not fit",
            StoreErrorKind::Locked => "another process uses the database",
            StoreErrorKind::Denied => "the database refuses it",
            StoreErrorKind::Missing => "there is no such database",
            StoreErrorKind::Constraint => "a rule of the database forbids it",
            StoreErrorKind::Invalid => "it cannot be used",
        };
        write!(f, "{what}: {}", self.context)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
