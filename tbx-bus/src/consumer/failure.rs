//! How a handler fails.

use std::fmt;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failed attempt: worth another one, or not.
#[derive(Debug)]
pub struct Failure {
    hopeless: bool,
    source: Source,
}

impl Failure {
    /// Another attempt may succeed.
    #[must_use]
    pub fn transient(source: impl Into<Source>) -> Self {
        Self { hopeless: false, source: source.into() }
    }

    /// No attempt can succeed, as when the body cannot be read: dead-letter it at once.
    #[must_use]
    pub fn permanent(source: impl Into<Source>) -> Self {
        Self { hopeless: true, source: source.into() }
    }

    /// Whether no attempt can succeed.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        self.hopeless
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
        f.write_str(if self.hopeless { "the message cannot be handled" } else { "the attempt failed" })
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
