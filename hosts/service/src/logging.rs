//! Lines on stderr: for people on a terminal, flat JSON for programs.

use std::fmt;
use std::io::{self, IsTerminal as _};

use chrono::{SecondsFormat, Utc};
use serde::ser::{SerializeMap as _, Serializer as _};
use serde_json::{Map, Value};
use thiserror::Error;
use tracing::field::{Field, Visit};
use tracing::span::Record;
use tracing::{Event, Subscriber};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::filter::FilterExt as _;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::LogFormat;
use crate::telemetry::{Export, spans_for_exports};

/// Begins logging for the whole process, panics included. A server begins [`Telemetry`](crate::Telemetry) instead, which logs too.
///
/// # Errors
///
/// When the filter cannot be read, or logging has begun before.
pub fn init(filter: &str, format: LogFormat) -> Result<(), LoggingError> {
    begin(filter, format, None)
}

/// Begins logging, with every line and span that is to be exported for `export` too.
pub(crate) fn begin(filter: &str, format: LogFormat, export: Option<Export>) -> Result<(), LoggingError> {
    // Whatever the driver of the broker reports, its supervisor tells in one line that says more; a filter that names it is heard.
    let filter = format!("lapin=off,{filter}");
    let read = || EnvFilter::try_new(&filter).map_err(|error| LoggingError(error.to_string()));
    let begun = match export {
        // One filter around everything: what nobody wants ends where it was written.
        None => tracing_subscriber::registry().with(lines(format)).with(read()?).try_init(),
        Some(export) => {
            let lines = lines(format).with_filter(read()?);
            let export = export.with_filter(read()?.or(spans_for_exports()));
            tracing_subscriber::registry().with(lines).with(export).try_init()
        }
    };
    begun.map_err(|error| LoggingError(error.to_string()))?;
    // The default hook writes lines of its own between ours.
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("(no message)");
        tracing::error!(location, panic = message, "panic");
    }));
    Ok(())
}

/// What writes the lines.
fn lines(format: LogFormat) -> Box<dyn Layer<Registry> + Send + Sync> {
    let terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(terminal);
    match format {
        LogFormat::Auto | LogFormat::Pretty if terminal || format == LogFormat::Pretty => {
            lines.fmt_fields(PlainFields).boxed()
        }
        _ => lines.with_ansi(false).fmt_fields(FlatFields).event_format(FlatJson).boxed(),
    }
}

/// Fields that are there for who exports traces, and would only lengthen a line.
pub(crate) fn is_for_exports(name: &str) -> bool {
    name == "parent_id" || ["otel.", "http.", "url.", "error."].iter().any(|start| name.starts_with(start))
}

/// Logging could not begin.
#[derive(Debug, Error)]
#[error("cannot begin logging: {0}")]
pub struct LoggingError(String);

/// One object a line: timestamp, level, target, message, then the fields of the event and of the spans it is
/// in, all on one level, so that `jq` and log stores need no paths. The innermost value of a name wins.
#[derive(Debug)]
struct FlatJson;

impl<S> FormatEvent<S, FlatFields> for FlatJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, FlatFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let Some(formatted) = extensions.get::<FormattedFields<FlatFields>>() else { continue };
            // The formatter of span fields leaves JSON text.
            if let Ok(Value::Object(spans)) = serde_json::from_str(&formatted.fields) {
                spans.into_iter().for_each(|(name, value)| fields.insert(&name, value));
            }
        }
        event.record(&mut fields);
        let line = line(event, &fields).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

/// The fields of a span as the text of a JSON object, those that are recorded later included.
#[derive(Debug)]
struct FlatFields;

impl<'writer> FormatFields<'writer> for FlatFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut shown = Fields::default();
        fields.record(&mut Shown(&mut shown));
        writer.write_str(&Value::Object(shown.others).to_string())
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let mut added = Fields::default();
        fields.record(&mut Shown(&mut added));
        if added.others.is_empty() {
            return Ok(());
        }
        if let Ok(Value::Object(mut all)) = serde_json::from_str(&current.fields) {
            all.extend(added.others);
            current.fields = Value::Object(all).to_string();
        }
        Ok(())
    }
}

/// The fields of a span or an event as people read them.
#[derive(Debug)]
struct PlainFields;

impl<'writer> FormatFields<'writer> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = DefaultVisitor::new(writer, true);
        fields.record(&mut Shown(&mut visitor));
        visitor.finish()
    }

    fn add_fields(&self, current: &'writer mut FormattedFields<Self>, fields: &Record<'_>) -> fmt::Result {
        let before = current.fields.len();
        let mut visitor = DefaultVisitor::new(current.as_writer(), before == 0);
        fields.record(&mut Shown(&mut visitor));
        visitor.finish()
    }
}

/// Passes on what is not [for exports](is_for_exports).
struct Shown<'a, V>(&'a mut V);

impl<V: Visit> Visit for Shown<'_, V> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if !is_for_exports(field.name()) {
            self.0.record_debug(field, value);
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if !is_for_exports(field.name()) {
            self.0.record_str(field, value);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        if !is_for_exports(field.name()) {
            self.0.record_error(field, value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if !is_for_exports(field.name()) {
            self.0.record_f64(field, value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if !is_for_exports(field.name()) {
            self.0.record_i64(field, value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !is_for_exports(field.name()) {
            self.0.record_u64(field, value);
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if !is_for_exports(field.name()) {
            self.0.record_bool(field, value);
        }
    }
}

fn line(event: &Event<'_>, fields: &Fields) -> serde_json::Result<String> {
    let mut bytes = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::new(&mut bytes);
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("timestamp", &Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true))?;
    map.serialize_entry("level", event.metadata().level().as_str())?;
    map.serialize_entry("target", event.metadata().target())?;
    map.serialize_entry("message", &fields.message)?;
    for (name, value) in &fields.others {
        map.serialize_entry(name, value)?;
    }
    map.end()?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn insert(&mut self, name: &str, value: Value) {
        // A name of ours twice in one object would be read differently by different readers.
        let taken = matches!(name, "timestamp" | "level" | "target" | "message");
        let name = if taken { format!("{name}_") } else { name.to_owned() };
        self.others.insert(name, value);
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            name => self.insert(name, text.into()),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.insert(name, value.into()),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        self.insert(field.name(), text.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field.name(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field.name(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field.name(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field.name(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn json_lines_are_flat() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .fmt_fields(FlatFields)
            .event_format(FlatJson)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let outer = tracing::info_span!("outer", trace_id = "abc", depth = 1).entered();
            let inner = tracing::info_span!("inner", depth = 2).entered();
            tracing::info!(service = "api", level = 9, port = 5000_u16, "listening\n{}", "here");
            drop((inner, outer));
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(text.starts_with("{\"timestamp\":\""), "{text}");
        assert_eq!(value["level"], "INFO");
        assert_eq!(value["level_"], 9);
        assert_eq!(value["message"], "listening\nhere");
        assert_eq!(value["trace_id"], "abc");
        assert_eq!(value["depth"], 2);
        assert_eq!(value["service"], "api");
        assert_eq!(value["port"], 5000);
    }
}
