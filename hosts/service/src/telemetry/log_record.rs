//! A log line, and what the SDK gets of it.

use std::fmt;
use std::time::SystemTime;

use opentelemetry::Value;
use opentelemetry::logs::{AnyValue, LogRecord as _, Logger as _, Severity};
use opentelemetry_sdk::logs::SdkLogger;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use super::running::{Place, Running};

/// The text and the fields of an event.
#[derive(Debug, Default)]
pub(super) struct Line {
    message: String,
    fields: Vec<(&'static str, AnyValue)>,
    place: Option<Place>,
}

impl Line {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut line = Self::default();
        event.record(&mut line);
        line
    }

    /// Adds a span that the event is in; the innermost comes first, and its values win.
    pub(super) fn within(&mut self, span: &Running) {
        self.place = self.place.or_else(|| span.place());
        for (name, value) in &span.attributes {
            let shown = !crate::logging::is_for_exports(name);
            if shown && self.fields.iter().all(|(known, _)| known != name) {
                self.fields.push((name, any(value)));
            }
        }
    }

    pub(super) fn emit(self, event: &Event<'_>, logger: &SdkLogger) {
        let mut record = logger.create_log_record();
        let (severity, word) = severity(*event.metadata().level());
        record.set_timestamp(SystemTime::now());
        record.set_severity_number(severity);
        record.set_severity_text(word);
        record.set_body(self.message.into());
        record.add_attribute("target", event.metadata().target());
        record.add_attributes(self.fields);
        if let Some(Place { trace_id, span_id, flags }) = self.place {
            record.set_trace_context(trace_id, span_id, Some(flags));
        }
        logger.emit(record);
    }

    fn field(&mut self, name: &'static str, value: AnyValue) {
        self.fields.push((name, value));
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.field(name, value.to_owned().into()),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.field(field.name(), crate::chain(value).into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field.name(), i64::try_from(value).unwrap_or(i64::MAX).into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field.name(), value.into());
    }
}

fn any(value: &Value) -> AnyValue {
    match value {
        Value::Bool(value) => (*value).into(),
        Value::I64(value) => (*value).into(),
        Value::F64(value) => (*value).into(),
        other => other.as_str().into_owned().into(),
    }
}

fn severity(level: Level) -> (Severity, &'static str) {
    match level {
        Level::ERROR => (Severity::Error, "ERROR"),
        Level::WARN => (Severity::Warn, "WARN"),
        Level::INFO => (Severity::Info, "INFO"),
        Level::DEBUG => (Severity::Debug, "DEBUG"),
        Level::TRACE => (Severity::Trace, "TRACE"),
    }
}
