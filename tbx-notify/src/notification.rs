//! What is fanned out.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use tbx_bus::{MessageId, Topic, TraceContext};
use thiserror::Error;

/// One piece of news: under a topic, with an event name for the client and a body of UTF-8 text, JSON as a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    id: MessageId,
    topic: Topic,
    event: EventName,
    body: Bytes,
    trace: Option<TraceContext>,
}

impl Notification {
    /// A notification. Its id makes it unique: the history takes it once, however often it comes.
    ///
    /// # Errors
    ///
    /// When the body is not UTF-8.
    pub fn new(
        id: MessageId,
        topic: Topic,
        event: EventName,
        body: impl Into<Bytes>,
    ) -> Result<Self, BodyNotText> {
        let body = body.into();
        match std::str::from_utf8(&body) {
            Ok(_) => Ok(Self { id, topic, event, body, trace: None }),
            Err(_) => Err(BodyNotText),
        }
    }

    /// Sets the trace that it belongs to. It says where the notification came from and is no part of what it says: a history may forget it with the
    /// copy that is in memory.
    #[must_use]
    pub fn with_trace(mut self, trace: Option<TraceContext>) -> Self {
        self.trace = trace;
        self
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        &self.id
    }

    /// What it is about.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The name under which clients listen.
    #[must_use]
    pub fn event(&self) -> &EventName {
        &self.event
    }

    /// The content; a clone shares the bytes. Always UTF-8.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The trace that it belongs to, as far as it is known.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }
}

/// The name under which clients listen for a notification: 1 to 255 bytes without control characters, so that it cannot break out of its line, and
/// without outer whitespace, of which an event stream would lose some.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventName(Arc<str>);

impl EventName {
    /// Checks and takes a name.
    ///
    /// # Errors
    ///
    /// When it is empty, too long, holds a control character or begins or ends with whitespace.
    pub fn new(text: &str) -> Result<Self, InvalidEventName> {
        if text.is_empty() || text.len() > 255 || text.contains(char::is_control) || text.trim() != text {
            Err(InvalidEventName)
        } else {
            Ok(Self(text.into()))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EventName {
    type Err = InvalidEventName;

    fn from_str(text: &str) -> Result<Self, InvalidEventName> {
        Self::new(text)
    }
}

impl fmt::Display for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventName({})", self.0)
    }
}

/// The text is no event name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("an event name has 1 to 255 bytes, no control characters and no outer whitespace")]
pub struct InvalidEventName;

/// The body is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the body of a notification must be UTF-8")]
pub struct BodyNotText;
