//! Who may see what.

use std::fmt;
use std::sync::Arc;

use http::request::Parts;
use tbx_bus::{Topic, TopicPattern};
use thiserror::Error;
use tokio::time::Instant;

use crate::TopicSet;

/// Decides what the client behind a request may see. Any function from the request's head to a [`Grant`] is one.
///
/// It is asked once for each connection and must answer at once. Where finding out takes time, a layer in front of the service authenticates and leaves
/// a [`Grant`] in the request's extensions, which the services find without being told.
///
/// ```
/// use http::request::Parts;
/// use tbx_notify::TopicSet;
/// use tbx_notify::access::{Access, Denied, Grant};
///
/// fn by_room(request: &Parts) -> Result<Grant, Denied> {
///     // A number: a text could hold dots, commas and wildcards, and become a pattern that allows more than a room.
///     let room = request.headers.get("x-room").and_then(|room| room.to_str().ok()?.parse::<u64>().ok());
///     let room = room.ok_or_else(|| Denied::unauthenticated("say the number of your room with X-Room"))?;
///     TopicSet::parse(&format!("room.{room}.#")).map(Grant::topics).map_err(|_| Denied::forbidden("no such room"))
/// }
/// # fn takes(_: impl Access) {}
/// # takes(by_room);
/// ```
pub trait Access: Send + Sync + 'static {
    /// What this client may see.
    ///
    /// # Errors
    ///
    /// When it may not be here at all.
    fn admit(&self, request: &Parts) -> Result<Grant, Denied>;
}

impl<F> Access for F
where
    F: Fn(&Parts) -> Result<Grant, Denied> + Send + Sync + 'static,
{
    fn admit(&self, request: &Parts) -> Result<Grant, Denied> {
        self(request)
    }
}

/// What one client may see, and until when. It bounds what the client may subscribe, and is applied again to everything that is delivered to it.
#[derive(Debug, Clone, Default)]
pub struct Grant {
    /// `None` is everything.
    topics: Option<TopicSet>,
    expires: Option<Instant>,
}

impl Grant {
    /// Every topic, private ones too for those who write them out.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// The topics that these patterns match.
    #[must_use]
    pub fn topics(topics: TopicSet) -> Self {
        Self { topics: Some(topics), expires: None }
    }

    /// Ends at `expires`: the connection is closed then, and the client asks anew.
    #[must_use]
    pub fn until(mut self, expires: Instant) -> Self {
        self.expires = Some(expires);
        self
    }

    /// The same for fewer topics, which it allows.
    #[cfg(feature = "websocket")]
    pub(crate) fn bounded_by(self, topics: TopicSet) -> Self {
        Self { topics: Some(topics), ..self }
    }

    /// When it ends.
    #[must_use]
    pub fn expires(&self) -> Option<Instant> {
        self.expires
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// The topics it allows; `None` is everything.
    #[must_use]
    pub fn granted(&self) -> Option<&TopicSet> {
        self.topics.as_ref()
    }

    /// Whether it allows a topic.
    #[must_use]
    pub fn allows(&self, topic: &Topic) -> bool {
        self.topics.as_ref().is_none_or(|topics| topics.matches(topic))
    }

    /// Whether it allows every topic that `pattern` matches.
    #[must_use]
    pub fn covers(&self, pattern: &TopicPattern) -> bool {
        self.topics
            .as_ref()
            .is_none_or(|topics| topics.patterns().iter().any(|granted| granted.covers(pattern)))
    }
}

/// Why a client may not be here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Denied {
    /// It did not say who it is, or not convincingly.
    #[error("{0}")]
    Unauthenticated(String),
    /// It may not see this.
    #[error("{0}")]
    Forbidden(String),
}

impl Denied {
    /// It did not say who it is.
    #[must_use]
    pub fn unauthenticated(detail: &str) -> Self {
        Self::Unauthenticated(detail.to_owned())
    }

    /// It may not see this.
    #[must_use]
    pub fn forbidden(detail: &str) -> Self {
        Self::Forbidden(detail.to_owned())
    }
}

/// The access of a service: what it was given, or the grant in the request's extensions, or everything.
#[derive(Clone, Default)]
pub(crate) struct Door(Option<Arc<dyn Access>>);

impl Door {
    pub(crate) fn new(access: impl Access) -> Self {
        Self(Some(Arc::new(access)))
    }

    pub(crate) fn admit(&self, request: &Parts) -> Result<Grant, Denied> {
        let grant = match &self.0 {
            Some(access) => access.admit(request)?,
            None => request.extensions.get::<Grant>().cloned().unwrap_or_default(),
        };
        match grant.has_expired(Instant::now()) {
            true => Err(Denied::unauthenticated("the authorization has expired")),
            false => Ok(grant),
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Door(guarded)" } else { "Door(open)" })
    }
}
