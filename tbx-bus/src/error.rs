//! What can go wrong on a bus.

use std::fmt;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failed bus operation: what kind, in which context, and the cause in `source()`.
#[derive(Debug)]
pub struct BusError {
    kind: BusErrorKind,
    context: String,
    source: Option<Source>,
}

/// The kinds of failure a caller tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BusErrorKind {
    /// Neither a group nor a broadcast takes the topic, and the bus refuses such messages.
    Unroutable,
    /// The queue of a group is full. Nothing was enqueued anywhere.
    QueueFull,
    /// The body is larger than the bus takes, or the headers are.
    TooLarge,
    /// The bus does not take messages now and did not within the time allowed.
    Blocked,
    /// The connection was lost: whether the message arrived is unknown, so publish it again with the same id.
    Disconnected,
    /// The message may have arrived, but its confirmation did not.
    ConfirmLost,
    /// The bus was closed.
    Closed,
    /// The broker lets nobody in by these credentials, or does not know what the address names. Only a person can mend it.
    Refused,
    /// The user of the broker may not publish this message. Rights may be granted.
    Forbidden,
    /// A group or a broadcast cannot be declared as asked.
    Declaration,
    /// The bus cannot do this at all; see its [`Capabilities`](crate::Capabilities).
    Unsupported,
    /// A dead letter could not be stored; the delivery is back in its group.
    DeadLetterSink,
    /// Anything else the backend reports.
    Backend,
}

impl BusError {
    /// An error of `kind`; `context` says what was being done, as a lowercase fragment.
    #[must_use]
    pub fn new(kind: BusErrorKind, context: impl Into<String>) -> Self {
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
    pub fn kind(&self) -> BusErrorKind {
        self.kind
    }

    /// What was being done.
    #[cfg(feature = "rabbitmq")]
    pub(crate) fn context(&self) -> &str {
        &self.context
    }

    /// The same once more, for somebody else whom it concerns; without its cause.
    #[cfg(feature = "rabbitmq")]
    pub(crate) fn again(&self) -> Self {
        Self::new(self.kind, self.context.clone())
    }

    /// Whether the same call may succeed later. A message is repeated with its own id.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.kind {
            BusErrorKind::Unroutable
            | BusErrorKind::QueueFull
            | BusErrorKind::Forbidden
            | BusErrorKind::Blocked
            | BusErrorKind::Disconnected
            | BusErrorKind::ConfirmLost
            | BusErrorKind::DeadLetterSink
            | BusErrorKind::Backend => true,
            BusErrorKind::TooLarge
            | BusErrorKind::Closed
            | BusErrorKind::Refused
            | BusErrorKind::Declaration
            | BusErrorKind::Unsupported => false,
        }
    }
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            BusErrorKind::Unroutable => "nobody takes the topic",
            BusErrorKind::QueueFull => "a queue is full",
            BusErrorKind::TooLarge => "the message is too large",
            BusErrorKind::Blocked => "the bus is blocked",
            BusErrorKind::Disconnected => "the connection to the bus was lost",
            BusErrorKind::ConfirmLost => "the confirmation was lost",
            BusErrorKind::Closed => "the bus is closed",
            BusErrorKind::Refused => "the broker refuses the connection",
            BusErrorKind::Forbidden => "publishing is not permitted",
            BusErrorKind::Declaration => "the declaration is refused",
            BusErrorKind::Unsupported => "the bus cannot do this",
            BusErrorKind::DeadLetterSink => "the dead letter could not be stored",
            BusErrorKind::Backend => "the bus failed",
        };
        write!(f, "{what}: {}", self.context)
    }
}

impl std::error::Error for BusError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
