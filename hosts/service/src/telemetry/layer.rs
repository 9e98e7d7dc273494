//! The layer between `tracing` and the SDK.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::logs::SdkLogger;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanProcessor as _};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::log_record::Line;
use super::running::Running;

/// Takes spans that have a kind, and log lines with the trace they are in.
#[derive(Debug)]
pub(crate) struct Export {
    pub(super) spans: Option<Arc<BatchSpanProcessor>>,
    pub(super) logs: Option<SdkLogger>,
    pub(super) scope: InstrumentationScope,
    /// The system that messages go through.
    pub(super) messaging: &'static str,
}

/// Spans that may be exported, whatever is logged.
pub(crate) fn spans_for_exports() -> FilterFn<fn(&Metadata<'_>) -> bool> {
    let wanted: fn(&Metadata<'_>) -> bool =
        |metadata| metadata.is_span() && metadata.fields().field("otel.kind").is_some();
    // They are all of this level, so nothing below it need be asked about.
    filter_fn(wanted).with_max_level_hint(LevelFilter::ERROR)
}

impl<S> Layer<S> for Export
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut running = Running::new(SystemTime::now());
        attributes.record(&mut running);
        span.extensions_mut().insert(running);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(running) = span.extensions_mut().get_mut::<Running>() {
            values.record(running);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(logger) = &self.logs else { return };
        let mut line = Line::of(event);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(running) = span.extensions().get::<Running>() {
                line.within(running);
            }
        }
        line.emit(event, logger);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(spans) = &self.spans else { return };
        let running = context.span(&id).and_then(|span| span.extensions_mut().remove::<Running>());
        let ended = running.and_then(|running| running.end(SystemTime::now(), self.messaging, &self.scope));
        if let Some(ended) = ended {
            spans.on_end(ended);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};

    use opentelemetry::trace::{SpanKind, Status};
    use opentelemetry_sdk::error::OTelSdkResult;
    use opentelemetry_sdk::trace::{SpanData, SpanExporter};
    use poem::endpoint::make_sync;
    use poem::{Endpoint as _, Middleware as _, Request};
    use tbx_bus::{Message, Topic, TraceContext, span};
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::RequestTrace;

    #[derive(Debug)]
    struct Kept(Mutex<mpsc::Sender<SpanData>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            let kept = self.0.lock().unwrap();
            batch.into_iter().for_each(|span| kept.send(span).unwrap());
            Ok(())
        }
    }

    /// The spans that come of what `work` does.
    async fn exported(work: impl Future<Output = ()>) -> Vec<SpanData> {
        let (sender, receiver) = mpsc::channel();
        let spans = Arc::new(BatchSpanProcessor::builder(Kept(Mutex::new(sender))).build());
        let scope = InstrumentationScope::builder("test").build();
        let export = Export { spans: Some(Arc::clone(&spans)), logs: None, scope, messaging: "rabbitmq" };
        let subscriber = tracing_subscriber::registry().with(export.with_filter(spans_for_exports()));
        let _exporting = tracing::subscriber::set_default(subscriber);
        work.await;
        spans.force_flush().unwrap();
        receiver.try_iter().collect()
    }

    #[tokio::test]
    async fn an_answer_that_is_a_failure_of_the_server_fails_its_span() {
        let failing = |status| RequestTrace.transform(make_sync(move |_| status));
        let spans = exported(async {
            for status in [http::StatusCode::SERVICE_UNAVAILABLE, http::StatusCode::NOT_FOUND] {
                failing(status).get_response(Request::default()).await;
            }
        });
        let spans = spans.await;
        let attribute = |span: &SpanData, name: &str| {
            let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
            found.map(|attribute| attribute.value.to_string()).unwrap_or_default()
        };
        assert_eq!(spans[0].status, Status::error(""));
        assert_eq!(attribute(&spans[0], "error.type"), "503");
        assert_eq!((&spans[1].status, attribute(&spans[1], "error.type")), (&Status::Unset, String::new()));
        assert_eq!(spans[1].name, "GET", "without a route the method is all that is known");
    }

    #[tokio::test]
    async fn a_span_has_the_ids_that_the_message_carries_and_the_names_of_its_broker() {
        let parent = TraceContext::generate();
        let message = Message::new(Topic::new("a.b").unwrap(), "Happened", "{}");
        let mut carried = None;
        let spans = exported(async {
            let (message, sending) = span::sending(message.with_trace(Some(parent.clone())), "events");
            span::failed(&sending, "the queue is full");
            carried = message.trace().cloned();
        });
        let spans = spans.await;
        let [sent] = &spans[..] else { panic!("{spans:?}") };
        let carried = carried.unwrap();
        assert_eq!(sent.span_context.trace_id().to_string(), carried.trace_id());
        assert_eq!(sent.span_context.span_id().to_string(), carried.span_id());
        assert_eq!(sent.parent_span_id.to_string(), parent.span_id());
        assert_eq!((sent.name.as_ref(), &sent.span_kind), ("send events", &SpanKind::Producer));
        assert_eq!(sent.status, Status::error("the queue is full"));
        let names: Vec<&str> = sent.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        let routing_key = "messaging.rabbitmq.destination.routing_key";
        assert!(names.contains(&"messaging.system") && names.contains(&routing_key), "{names:?}");
    }

    #[tokio::test]
    async fn what_is_not_sampled_or_has_no_trace_is_not_exported() {
        let spans = exported(async {
            let message = Message::new(Topic::new("a.b").unwrap(), "Happened", "{}");
            let _ = span::sending(message.clone(), "events");
            let unsampled = TraceContext::generate().with_sampled(false);
            let _ = span::sending(message.with_trace(Some(unsampled)), "events");
        });
        assert_eq!(spans.await, []);
    }
}
