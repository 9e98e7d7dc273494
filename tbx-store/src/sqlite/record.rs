//! Messages as columns.

use chrono::{DateTime, Utc};
use tbx_bus::{Headers, Message, Topic, cloudevents};

use crate::{StoreError, StoreErrorKind};

/// The headers of a message, attributes included, as JSON text.
pub(super) fn headers_text(message: &Message) -> Result<String, StoreError> {
    serde_json::to_string(&cloudevents::to_headers(message)).map_err(|error| {
        StoreError::new(StoreErrorKind::Invalid, "headers of the message").with_source(error)
    })
}

/// The message that these columns hold.
pub(super) fn message(id: i64, topic: &str, headers: &str, body: Vec<u8>) -> Result<Message, StoreError> {
    let corrupt = |what: &str, error: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::new(StoreErrorKind::Corrupt, format!("{what} of stored message {id}")).with_source(error)
    };
    let topic = Topic::new(topic).map_err(|error| corrupt("topic", error.into()))?;
    let headers: Headers = serde_json::from_str(headers).map_err(|error| corrupt("headers", error.into()))?;
    cloudevents::from_headers(topic, &headers, body.into())
        .map_err(|error| corrupt("attributes", error.into()))
}

/// The instant of a column in milliseconds.
pub(super) fn instant(milliseconds: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_millis(milliseconds)
        .ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt, format!("instant {milliseconds}")))
}
