//! How a handler fails.

use std::fmt;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failed attempt, and what it says about the next.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Transient,
    Permanent,
    Unavailable,
}

impl Failure {
    /// Another attempt may succeed. It counts: after the policy's last one the message is dead-lettered.
    #[must_use]
    pub fn transient(source: impl Into<Source>) -> Self {
        Self { kind: Kind::Transient, source: source.into() }
    }

    /// No attempt can succeed, as when the body cannot be read: dead-letter it at once.
    #[must_use]
    pub fn permanent(source: impl Into<Source>) -> Self {
        Self { kind: Kind::Permanent, source: source.into() }
    }

    /// Not the message is at fault but something that every message needs, such as the database. The attempt does not count: the message keeps its
    /// place and is tried until it is back, however long that takes, as far as the bus bears it: a broker may have a time after which it takes a message back.
    #[must_use]
    pub fn unavailable(source: impl Into<Source>) -> Self {
        Self { kind: Kind::Unavailable, source: source.into() }
    }

    /// Whether no attempt can succeed.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.kind == Kind::Permanent
    }

    /// Whether something that every message needs is missing.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.kind == Kind::Unavailable
    }

    /// The whole chain of causes, for a dead letter or a log line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.source.to_string();
        let mut cause = self.source.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Transient => "the attempt failed",
            Kind::Permanent => "the message cannot be handled",
            Kind::Unavailable => "what every message needs is not available",
        })
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.source.as_ref())
    }
}

/// Layers box the errors of what they wrap: a [`Failure`] inside keeps its meaning, anything else is transient.
impl From<Source> for Failure {
    fn from(source: Source) -> Self {
        match source.downcast::<Self>() {
            Ok(failure) => *failure,
            Err(source) => Self::transient(source),
        }
    }
}
