//! The span of fanning out, with the fields that [`tbx_bus::span`] agrees on.

use tbx_bus::TraceContext;
use tracing::{Span, error_span};

use crate::Entry;

/// The one span of giving `entry` to all readers, however many there are. Disabled when the trace of the notification is not known.
pub(super) fn fanning_out(entry: &Entry) -> Span {
    let notification = entry.notification();
    let Some(parent) = notification.trace() else { return Span::none() };
    let own: TraceContext = parent.child();
    error_span!(
        "fan out",
        otel.name = "fan out",
        otel.kind = own.is_sampled().then_some("internal"),
        trace_id = own.trace_id(),
        span_id = own.span_id(),
        parent_id = parent.span_id(),
        topic = %notification.topic(),
        message_id = %notification.id(),
        position = %entry.position(),
    )
}
