//! CloudEvents in binary mode: every attribute of a message as one header, so that others can read us.
//!
//! Names follow the AMQP binding's preferred prefix
//! ([CloudEvents AMQP protocol binding 1.0.2, 3.1.3.1](https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md)).

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use thiserror::Error;

use crate::{Headers, Message, MessageId, Topic, TraceContext};

const PREFIX: &str = "cloudEvents_";
/// The header of the attribute that names a message.
pub(crate) const ID: &str = "cloudEvents_id";

/// The headers that carry `message` beside its body: its own, and one `cloudEvents_…` for each attribute. The prefix is reserved: own
/// headers that begin with it are lost.
#[must_use]
pub fn to_headers(message: &Message) -> Headers {
    let mut headers = message.headers().clone();
    for_each_attribute(message, |name, value| {
        headers.insert(name.to_owned(), value.to_owned());
    });
    headers
}

/// Shows every attribute under the name of its header.
pub(crate) fn for_each_attribute(message: &Message, mut put: impl FnMut(&'static str, &str)) {
    put("cloudEvents_specversion", "1.0");
    put(ID, message.id().as_str());
    put("cloudEvents_type", message.kind());
    put("cloudEvents_source", message.source());
    put("cloudEvents_time", &message.time().to_rfc3339_opts(SecondsFormat::Millis, true));
    put("cloudEvents_datacontenttype", message.content_type());
    if let Some(subject) = message.subject() {
        put("cloudEvents_subject", subject);
    }
    if let Some(key) = message.key() {
        put("cloudEvents_partitionkey", key);
    }
    if let Some(trace) = message.trace() {
        put("cloudEvents_traceparent", trace.traceparent());
        if let Some(state) = trace.tracestate() {
            put("cloudEvents_tracestate", state);
        }
    }
}

/// The message that `headers` and `body` carry; the inverse of [`to_headers`], to the millisecond.
///
/// # Errors
///
/// When a required attribute (`id`, `type`, `source`) is missing or an attribute is malformed. A malformed trace is no error: it is left out.
pub fn from_headers(topic: Topic, headers: &Headers, body: Bytes) -> Result<Message, CloudEventsError> {
    let get = |name: &'static str| headers.get(&format!("{PREFIX}{name}")).map(String::as_str);
    let need = |name: &'static str| get(name).ok_or(CloudEventsError { attribute: name, rule: "is missing" });
    if get("specversion").is_some_and(|version| version != "1.0") {
        return Err(CloudEventsError { attribute: "specversion", rule: "must be 1.0" });
    }
    let id = MessageId::new(need("id")?).map_err(|_| CloudEventsError {
        attribute: "id",
        rule: "is empty, too long or not printable ASCII",
    })?;
    let mut message = Message::new(topic, need("type")?, body)
        .with_id(id)
        .with_source(need("source")?)
        .with_content_type(get("datacontenttype").unwrap_or("application/json"))
        .with_trace(get("traceparent").and_then(|text| TraceContext::parse(text).ok()).map(
            |trace| match get("tracestate") {
                Some(state) => trace.with_tracestate(state),
                None => trace,
            },
        ))
        .with_headers(
            headers
                .iter()
                .filter(|(name, _)| !name.starts_with(PREFIX))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
        );
    if let Some(time) = get("time") {
        let time = DateTime::parse_from_rfc3339(time)
            .map_err(|_| CloudEventsError { attribute: "time", rule: "is not RFC 3339" })?;
        message = message.with_time(time.with_timezone(&Utc));
    }
    if let Some(subject) = get("subject") {
        message = message.with_subject(subject);
    }
    if let Some(key) = get("partitionkey") {
        message = message
            .with_key(key)
            .map_err(|_| CloudEventsError { attribute: "partitionkey", rule: "is empty or too long" })?;
    }
    Ok(message)
}

/// Headers that are no CloudEvent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the CloudEvents attribute `{attribute}` {rule}")]
pub struct CloudEventsError {
    attribute: &'static str,
    rule: &'static str,
}

#[cfg(test)]
mod tests {
    use chrono::SubsecRound;

    use super::*;

    #[test]
    fn every_attribute_survives_the_headers() {
        let message = Message::new(Topic::new("a.b").unwrap(), "Happened", "body")
            .with_source("/here")
            .with_subject("seven")
            .with_time(Utc::now().trunc_subsecs(3))
            .with_content_type("text/plain")
            .with_key("k")
            .unwrap()
            .with_trace(Some(TraceContext::generate().with_tracestate("vendor=1")))
            .with_header("own", "häder");
        let headers = to_headers(&message);
        assert_eq!(headers["cloudEvents_type"], "Happened");
        assert_eq!(from_headers(message.topic().clone(), &headers, message.body().clone()), Ok(message));
    }

    #[test]
    fn a_missing_attribute_is_named() {
        let error = from_headers(Topic::new("a").unwrap(), &Headers::new(), Bytes::new()).unwrap_err();
        assert_eq!(error.to_string(), "the CloudEvents attribute `id` is missing");
    }
}
