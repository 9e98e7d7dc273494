//! Messages as columns.

use chrono::{DateTime, Utc};
use tbx_bus::{Headers, Message, Topic, cloudevents};

use crate::{StoreError, StoreErrorKind};

/// The headers of a message, attributes included, as JSON text.
pub(crate) fn headers_text(message: &Message) -> Result<String, StoreError> {
    serde_json::to_string(&cloudevents::to_headers(message)).map_err(|error| {
        StoreError::new(StoreErrorKind::Invalid, "headers of the message").with_source(error)
    })
}

/// The message that these columns hold.
pub(crate) fn message(id: i64, topic: &str, headers: &str, body: Vec<u8>) -> Result<Message, StoreError> {
    let corrupt = |what: &str, error: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::new(StoreErrorKind::Corrupt, format!("{what} of stored message {id}")).with_source(error)
    };
    let topic = Topic::new(topic).map_err(|error| corrupt("topic", error.into()))?;
    let headers: Headers = serde_json::from_str(headers).map_err(|error| corrupt("headers", error.into()))?;
    cloudevents::from_headers(topic, &headers, body.into())
        .map_err(|error| corrupt("attributes", error.into()))
}

/// What a row holds of a message, beside its number.
#[cfg(feature = "postgres")]
pub(crate) struct Columns<'r> {
    pub(crate) key: &'r str,
    pub(crate) message_id: &'r str,
    pub(crate) topic: &'r str,
    pub(crate) headers: &'r str,
    pub(crate) body: Vec<u8>,
    pub(crate) created_at: DateTime<Utc>,
}

/// The message of a row that any program may have written. Id and key are the columns', whatever the headers say; source and time have defaults.
#[cfg(feature = "postgres")]
pub(crate) fn message_of(id: i64, columns: Columns<'_>) -> Result<Message, StoreError> {
    let corrupt = |what: &str, error: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::new(StoreErrorKind::Corrupt, format!("{what} of stored message {id}")).with_source(error)
    };
    let topic = Topic::new(columns.topic).map_err(|error| corrupt("topic", error.into()))?;
    let mut headers: Headers =
        serde_json::from_str(columns.headers).map_err(|error| corrupt("headers", error.into()))?;
    headers.insert("cloudEvents_id".to_owned(), columns.message_id.to_owned());
    if columns.key.is_empty() {
        headers.remove("cloudEvents_partitionkey");
    } else {
        headers.insert("cloudEvents_partitionkey".to_owned(), columns.key.to_owned());
    }
    headers.entry("cloudEvents_source".to_owned()).or_insert_with(|| "/".to_owned());
    headers.entry("cloudEvents_time".to_owned()).or_insert_with(|| columns.created_at.to_rfc3339());
    cloudevents::from_headers(topic, &headers, columns.body.into())
        .map_err(|error| corrupt("attributes", error.into()))
}

/// The instant of a column in milliseconds.
#[cfg(feature = "sqlite")]
pub(crate) fn instant(milliseconds: i64) -> Result<DateTime<Utc>, StoreError> {
    DateTime::from_timestamp_millis(milliseconds)
        .ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt, format!("instant {milliseconds}")))
}
