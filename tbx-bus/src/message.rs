//! A message: CloudEvents attributes, a key, headers and a body of bytes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use thiserror::Error;
use uuid::Uuid;

use crate::{Topic, TraceContext};

/// Application headers: text by name, in the order of the names.
pub type Headers = BTreeMap<String, String>;

/// One message, with the attributes of [CloudEvents 1.0](https://github.com/cloudevents/spec).
///
/// A message is bytes on every bus, in memory too, so that a fault in an encoding shows in the first test.
///
/// ```
/// use tbx_bus::{Message, Topic};
///
/// let message = Message::new(Topic::new("order.placed")?, "OrderPlaced", r#"{"order":7}"#)
///     .with_source("/shop")
///     .with_key("order-7")?;
/// assert_eq!(message.key(), Some("order-7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    id: MessageId,
    topic: Topic,
    kind: Arc<str>,
    source: Arc<str>,
    subject: Option<Arc<str>>,
    time: DateTime<Utc>,
    content_type: Arc<str>,
    key: Option<Arc<str>>,
    trace: Option<TraceContext>,
    headers: Headers,
    body: Bytes,
}

impl Message {
    /// A JSON message with a fresh id (UUID v7), the present time, source `/`, no key and no headers.
    #[must_use]
    pub fn new(topic: Topic, kind: &str, body: impl Into<Bytes>) -> Self {
        Self {
            id: MessageId::generate(),
            topic,
            kind: kind.into(),
            source: "/".into(),
            subject: None,
            time: Utc::now(),
            content_type: "application/json".into(),
            key: None,
            trace: None,
            headers: Headers::new(),
            body: body.into(),
        }
    }

    /// Sets the id by which a consumer knows a repetition.
    #[must_use]
    pub fn with_id(mut self, id: MessageId) -> Self {
        self.id = id;
        self
    }

    /// Sets where the message comes from (CloudEvents `source`, a URI reference).
    #[must_use]
    pub fn with_source(mut self, source: &str) -> Self {
        self.source = source.into();
        self
    }

    /// Sets what the message is about within its source (CloudEvents `subject`).
    #[must_use]
    pub fn with_subject(mut self, subject: &str) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Sets when the described thing happened.
    #[must_use]
    pub fn with_time(mut self, time: DateTime<Utc>) -> Self {
        self.time = time;
        self
    }

    /// Sets the media type of the body; `application/json` unless set.
    #[must_use]
    pub fn with_content_type(mut self, content_type: &str) -> Self {
        self.content_type = content_type.into();
        self
    }

    /// Sets the key: messages of one key are handled in the order they were published.
    ///
    /// # Errors
    ///
    /// When the key is empty or longer than 255 bytes.
    pub fn with_key(mut self, key: &str) -> Result<Self, InvalidText> {
        self.key = Some(short_text("key", key)?);
        Ok(self)
    }

    /// Sets the trace that this message belongs to.
    #[must_use]
    pub fn with_trace(mut self, trace: Option<TraceContext>) -> Self {
        self.trace = trace;
        self
    }

    /// Adds or replaces one header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Replaces all headers.
    #[must_use]
    pub fn with_headers(mut self, headers: Headers) -> Self {
        self.headers = headers;
        self
    }

    /// The id by which a consumer knows a repetition.
    #[must_use]
    pub fn id(&self) -> &MessageId {
        &self.id
    }

    /// The topic it is routed by.
    #[must_use]
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The kind of event (CloudEvents `type`).
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Where it comes from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it is about within its source.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// When the described thing happened.
    #[must_use]
    pub fn time(&self) -> DateTime<Utc> {
        self.time
    }

    /// The media type of the body.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The key whose messages keep their order.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The trace it belongs to.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// The application's own headers.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The content; a clone shares the bytes.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

impl fmt::Debug for Message {
    /// Leaves the body out: it may hold what logs must not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("topic", &self.topic)
            .field("kind", &self.kind)
            .field("key", &self.key)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The identity of a message: 1 to 255 bytes of printable ASCII.
///
/// A publisher that repeats a message repeats its id; consumers drop repetitions by it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(Arc<str>);

impl MessageId {
    /// Checks and takes an id.
    ///
    /// # Errors
    ///
    /// When it is empty, longer than 255 bytes or holds anything but printable ASCII.
    pub fn new(text: &str) -> Result<Self, InvalidText> {
        let text = short_text("message id", text)?;
        if text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text))
        } else {
            Err(InvalidText { what: "message id", rule: "must be printable ASCII without spaces" })
        }
    }

    /// A fresh id: a UUID v7.
    #[must_use]
    pub fn generate() -> Self {
        Uuid::now_v7().into()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Uuid> for MessageId {
    fn from(id: Uuid) -> Self {
        Self(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned().into())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({})", self.0)
    }
}

fn short_text(what: &'static str, text: &str) -> Result<Arc<str>, InvalidText> {
    match text.len() {
        0 => Err(InvalidText { what, rule: "must not be empty" }),
        1..=255 => Ok(text.into()),
        _ => Err(InvalidText { what, rule: "must not be longer than 255 bytes" }),
    }
}

/// A short text that breaks its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a {what} {rule}")]
pub struct InvalidText {
    what: &'static str,
    rule: &'static str,
}
