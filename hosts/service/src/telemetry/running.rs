//! A span from its first field to its end, and what the SDK gets of it.

use std::fmt;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tracing::field::{Field, Visit};

/// What is known of a span that has not ended.
#[derive(Debug)]
pub(super) struct Running {
    began: SystemTime,
    name: Option<String>,
    /// Absent when it is for log lines alone.
    kind: Option<SpanKind>,
    trace_id: Option<TraceId>,
    span_id: Option<SpanId>,
    parent_id: Option<SpanId>,
    failed: bool,
    reason: String,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

/// Where a log line belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) flags: TraceFlags,
}

impl Running {
    pub(super) fn new(began: SystemTime) -> Self {
        Self {
            began,
            name: None,
            kind: None,
            trace_id: None,
            span_id: None,
            parent_id: None,
            failed: false,
            reason: String::new(),
            attributes: Vec::new(),
        }
    }

    /// Its place in a trace, when it has one.
    pub(super) fn place(&self) -> Option<Place> {
        let flags = if self.kind.is_some() { TraceFlags::SAMPLED } else { TraceFlags::default() };
        Some(Place { trace_id: self.trace_id?, span_id: self.span_id?, flags })
    }

    /// What is exported of it, when it is to be. `messaging` is the system that the messages of the process go through.
    pub(super) fn end(
        self,
        ended: SystemTime,
        messaging: &'static str,
        scope: &InstrumentationScope,
    ) -> Option<SpanData> {
        let (place, kind) = (self.place()?, self.kind.clone()?);
        let status = if self.failed { Status::error(self.reason) } else { Status::Unset };
        let remote = matches!(kind, SpanKind::Server | SpanKind::Consumer);
        let attributes = semantic(&kind, self.attributes, messaging);
        Some(SpanData {
            span_context: SpanContext::new(
                place.trace_id,
                place.span_id,
                place.flags,
                false,
                TraceState::default(),
            ),
            parent_span_id: self.parent_id.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: remote && self.parent_id.is_some(),
            span_kind: kind,
            name: self.name.unwrap_or_default().into(),
            start_time: self.began,
            end_time: ended.max(self.began),
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: scope.clone(),
        })
    }

    fn text(&mut self, name: &'static str, text: &str) {
        match name {
            "otel.name" => self.name = Some(text.to_owned()),
            "otel.kind" => self.kind = kind(text),
            "otel.status_code" => self.failed = text == "error",
            "otel.status_description" => text.clone_into(&mut self.reason),
            "trace_id" => self.trace_id = TraceId::from_hex(text).ok(),
            "span_id" => self.span_id = SpanId::from_hex(text).ok(),
            "parent_id" => self.parent_id = SpanId::from_hex(text).ok(),
            _ => self.attribute(name, text.to_owned().into()),
        }
    }

    fn attribute(&mut self, name: &'static str, value: Value) {
        match self.attributes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.attributes.push((name, value)),
        }
    }
}

impl Visit for Running {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attribute(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.attribute(field.name(), i64::try_from(value).unwrap_or(i64::MAX).into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.attribute(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attribute(field.name(), value.into());
    }
}

fn kind(text: &str) -> Option<SpanKind> {
    match text {
        "server" => Some(SpanKind::Server),
        "client" => Some(SpanKind::Client),
        "producer" => Some(SpanKind::Producer),
        "consumer" => Some(SpanKind::Consumer),
        "internal" => Some(SpanKind::Internal),
        _ => None,
    }
}

/// The fields of [`tbx_bus::span`] under the names of the conventions for messaging; all others as they are.
fn semantic(kind: &SpanKind, fields: Vec<(&'static str, Value)>, messaging: &'static str) -> Vec<KeyValue> {
    let operation = match kind {
        SpanKind::Producer => "send",
        SpanKind::Consumer => "process",
        _ => {
            let named = |(name, value)| match name {
                "message_id" => KeyValue::new("messaging.message.id", value),
                name => KeyValue::new(name, value),
            };
            return fields.into_iter().map(named).collect();
        }
    };
    let mut attributes = vec![
        KeyValue::new("messaging.system", messaging),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", operation),
    ];
    for (name, value) in fields {
        match name {
            "destination" => attributes.push(KeyValue::new("messaging.destination.name", value)),
            "group" => {
                // On a broker the queue of a group has its name, and the queue is what is consumed.
                attributes.push(KeyValue::new("messaging.destination.name", value.clone()));
                attributes.push(KeyValue::new("messaging.consumer.group.name", value));
            }
            "message_id" => attributes.push(KeyValue::new("messaging.message.id", value)),
            "topic" if messaging == "rabbitmq" => {
                attributes.push(KeyValue::new("messaging.rabbitmq.destination.routing_key", value));
            }
            name => attributes.push(KeyValue::new(name, value)),
        }
    }
    attributes
}
