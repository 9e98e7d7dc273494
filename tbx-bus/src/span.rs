//! The spans of a message's way, as `tracing` spans with agreed fields.
//!
//! This crate knows no exporter. Whoever exports traces reads these fields; to everybody else the spans are what log lines are in. A span has its ids
//! before it begins, because they travel in the message: an exporter takes them from the fields instead of making some of its own.
//!
//! | Field | What it holds |
//! |---|---|
//! | `otel.name` | the name of the span: `send` and the destination, `process` and the group |
//! | `otel.kind` | `producer` or `consumer`; absent when the trace is not sampled, and nothing is to be exported then |
//! | `otel.status_code`, `otel.status_description` | `error` and the reason, when it failed |
//! | `trace_id`, `span_id` | who the span is, in hexadecimal digits; absent when the message belongs to no trace |
//! | `parent_id` | the span it follows from |
//! | `destination`, `group`, `topic`, `message_id` | what it is about |
//!
//! All spans are of the level `ERROR`, so that every log line that passes a filter carries its trace.

use tracing::field::{Empty, display};
use tracing::{Span, error_span};

use crate::{Delivery, Message, TraceContext};

/// The span of handing `message` to the bus called `destination`, and the message as part of it: whoever takes the message goes on from this span.
/// A message that belongs to no trace stays as it is, and its span is disabled.
///
/// ```
/// use tbx_bus::{Message, Topic, TraceContext, span};
///
/// let trace = TraceContext::generate();
/// let message = Message::new(Topic::new("order.placed")?, "OrderPlaced", "{}").with_trace(Some(trace.clone()));
/// let (message, span) = span::sending(message, "orders");
/// // publish it within the span
/// # let _ = span;
/// let sent = message.trace().expect("it still belongs to the trace");
/// assert_eq!(sent.trace_id(), trace.trace_id());
/// assert_ne!(sent.span_id(), trace.span_id());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn sending(message: Message, destination: &str) -> (Message, Span) {
    let Some(parent) = message.trace() else { return (message, Span::none()) };
    let own = parent.child();
    let span = error_span!(
        "send",
        otel.name = format_args!("send {destination}"),
        otel.kind = own.is_sampled().then_some("producer"),
        otel.status_code = Empty,
        otel.status_description = Empty,
        trace_id = own.trace_id(),
        span_id = own.span_id(),
        parent_id = parent.span_id(),
        destination,
        topic = %message.topic(),
        message_id = %message.id(),
    );
    (message.with_trace(Some(own)), span)
}

/// The span of working off `delivery`, and the trace that its handler goes on from. A message that belongs to no trace has a span for log lines alone.
#[must_use]
pub fn processing(delivery: &Delivery) -> (Option<TraceContext>, Span) {
    let (message, group) = (delivery.message(), delivery.group());
    let parent = message.trace();
    let own = parent.map(TraceContext::child);
    let span = error_span!(
        "process",
        otel.name = format_args!("process {group}"),
        otel.kind = own.as_ref().filter(|own| own.is_sampled()).map(|_| "consumer"),
        otel.status_code = Empty,
        otel.status_description = Empty,
        trace_id = own.as_ref().map(TraceContext::trace_id),
        span_id = own.as_ref().map(TraceContext::span_id),
        parent_id = parent.map(TraceContext::span_id),
        group = &**group,
        topic = %message.topic(),
        message_id = %message.id(),
    );
    (own, span)
}

/// Says that what `span` stands for went wrong.
pub fn failed(span: &Span, reason: impl std::fmt::Display) {
    span.record("otel.status_code", "error").record("otel.status_description", display(reason));
}
