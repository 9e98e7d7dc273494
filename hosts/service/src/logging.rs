//! Lines on stderr: for people on a terminal, flat JSON for programs.

use std::fmt;
use std::io::{self, IsTerminal as _};

use chrono::{SecondsFormat, Utc};
use serde::ser::{SerializeMap as _, Serializer as _};
use serde_json::{Map, Value};
use thiserror::Error;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::LogFormat;

/// Begins logging for the whole process, panics included.
///
/// # Errors
///
/// When the filter cannot be read, or logging has begun before.
pub fn init(filter: &str, format: LogFormat) -> Result<(), LoggingError> {
    let filter = EnvFilter::try_new(filter).map_err(|error| LoggingError(error.to_string()))?;
    let terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let begun = match format {
        LogFormat::Auto if terminal => lines.with_ansi(true).finish().try_init(),
        LogFormat::Pretty => lines.with_ansi(terminal).finish().try_init(),
        LogFormat::Auto | LogFormat::Json => {
            lines.fmt_fields(JsonFields::new()).event_format(FlatJson).finish().try_init()
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

/// Logging could not begin.
#[derive(Debug, Error)]
#[error("cannot begin logging: {0}")]
pub struct LoggingError(String);

/// One object a line: timestamp, level, target, message, then the fields of the event and of the spans it is
/// in, all on one level, so that `jq` and log stores need no paths. The innermost value of a name wins.
#[derive(Debug)]
struct FlatJson;

impl<S> FormatEvent<S, JsonFields> for FlatJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let Some(formatted) = extensions.get::<FormattedFields<JsonFields>>() else { continue };
            // The formatter of span fields leaves JSON text; fields recorded later are merged into it.
            if let Ok(Value::Object(spans)) = serde_json::from_str(&formatted.fields) {
                spans.into_iter().for_each(|(name, value)| fields.insert(&name, value));
            }
        }
        event.record(&mut fields);
        let line = line(event, &fields).map_err(|_| fmt::Error)?;
        writeln!(writer, "{line}")
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
            .fmt_fields(JsonFields::new())
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
