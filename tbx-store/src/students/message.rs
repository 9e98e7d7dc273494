//! What leaves the domain, as messages of the bus.

use tbx_bus::{Message, MessageId, Topic, TraceContext};
use tbx_core::published::StudentMessage;
use tbx_core::{Context, StudentEvent};

use crate::{StoreError, StoreErrorKind};

/// Where events and notifications come from (CloudEvents `source`).
const SOURCE: &str = "/students";

/// The domain event, for workers.
///
/// # Errors
///
/// When it cannot be encoded.
pub fn event_message(event: &StudentEvent, context: &Context) -> Result<Message, StoreError> {
    message(&StudentMessage::event(event), context)
}

/// The notification of an event, for clients.
///
/// # Errors
///
/// When it cannot be encoded.
pub fn notification_message(event: &StudentEvent, context: &Context) -> Result<Message, StoreError> {
    message(&StudentMessage::notification(event), context)
}

/// A published form as a message with the student as its key, so that each student's messages keep their order.
pub(super) fn message(published: &StudentMessage, context: &Context) -> Result<Message, StoreError> {
    let unusable = |what: &str, error: Box<dyn std::error::Error + Send + Sync>| {
        StoreError::new(StoreErrorKind::Invalid, format!("{what} of {}", published.event_type))
            .with_source(error)
    };
    let topic = Topic::new(&published.routing_key).map_err(|error| unusable("topic", error.into()))?;
    let body = serde_json::to_vec(published).map_err(|error| unusable("body", error.into()))?;
    let student = published.student.id.to_string();
    let trace = context.trace.as_ref().and_then(|trace| {
        let parsed = TraceContext::parse(&trace.traceparent).ok()?;
        Some(match &trace.tracestate {
            Some(state) => parsed.with_tracestate(state),
            None => parsed,
        })
    });
    Message::new(topic, &published.event_type, body)
        .with_id(MessageId::from(published.id))
        .with_source(SOURCE)
        .with_subject(&student)
        .with_time(published.timestamp)
        .with_trace(trace)
        .with_key(&student)
        .map_err(|error| unusable("key", error.into()))
}
