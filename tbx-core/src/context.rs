//! Who asks, when, and as part of which trace: what every use case is told besides its message.

use std::fmt;

use chrono::{DateTime, SubsecRound, Utc};
use uuid::Uuid;

use crate::clock::uuid_at;

/// The circumstances of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// Who asks, when known.
    pub actor: Option<Actor>,
    /// The trace this request belongs to, carried on with the events it causes.
    pub trace: Option<Trace>,
    /// The moment of the request, in whole milliseconds.
    pub now: DateTime<Utc>,
    /// Names this request in logs and answers.
    pub request_id: Uuid,
}

impl Context {
    /// A request at the moment `now`, by nobody known and with a fresh request id.
    ///
    /// `now` is cut to whole milliseconds, the precision of everything that is stored and published, so that a
    /// state read back equals the state written.
    pub fn new(now: DateTime<Utc>) -> Self {
        let now = now.trunc_subsecs(3);
        Self { actor: None, trace: None, now, request_id: uuid_at(now) }
    }

    /// The same request, asked by `actor`.
    #[must_use]
    pub fn with_actor(self, actor: Actor) -> Self {
        Self { actor: Some(actor), ..self }
    }

    /// The same request as a part of `trace`.
    #[must_use]
    pub fn with_trace(self, trace: Trace) -> Self {
        Self { trace: Some(trace), ..self }
    }

    /// The same request under a name given from outside.
    #[must_use]
    pub fn with_request_id(self, request_id: Uuid) -> Self {
        Self { request_id, ..self }
    }
}

/// Who does something: the subject of a token, kept exactly as given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(String);

impl Actor {
    /// Most characters an actor may have.
    pub const MAX_CHARS: usize = 200;

    /// An actor of that name.
    ///
    /// # Errors
    ///
    /// [`InvalidActor`] unless the name has 1 to 200 characters, none of them a control character.
    pub fn new(name: impl Into<String>) -> Result<Self, InvalidActor> {
        let name = name.into();
        let fits = (1..=Self::MAX_CHARS).contains(&name.chars().count());
        if !fits || name.chars().any(char::is_control) {
            return Err(InvalidActor);
        }
        Ok(Self(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name is empty, has more than 200 characters, or has a control character.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("actor is not 1 to 200 characters without control characters")]
pub struct InvalidActor;

/// A W3C trace context, carried along unread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The `traceparent` header.
    pub traceparent: String,
    /// The `tracestate` header, when there was one.
    pub tracestate: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moment_is_cut_to_whole_milliseconds() {
        let now = DateTime::from_timestamp_nanos(1_700_000_000_123_999_999);
        assert_eq!(Context::new(now).now.timestamp_subsec_nanos(), 123_000_000);
    }

    #[test]
    fn an_actor_is_short_printable_and_kept_as_given() {
        assert_eq!(Actor::new(" alice ").map(|actor| actor.to_string()), Ok(" alice ".to_owned()));
        assert!(Actor::new("ä".repeat(200)).is_ok());
        for wrong in [String::new(), "a".repeat(201), "a\nb".to_owned(), "\0".to_owned()] {
            assert_eq!(Actor::new(wrong), Err(InvalidActor));
        }
    }
}
