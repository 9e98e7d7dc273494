//! The trace of a request, and the one line logged about it.

use std::time::Instant;

use http::{HeaderMap, Method, StatusCode};
use poem::{Endpoint, Middleware, Request, Response};
use tbx_bus::TraceContext;
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use crate::metrics::{OTHER, label};
use crate::telemetry;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// The trace of the request that is being answered; `None` elsewhere, and in tasks it spawned.
#[must_use]
pub fn current_trace() -> Option<TraceContext> {
    CURRENT.try_with(Clone::clone).ok()
}

/// poem middleware, the outermost: continues the trace of a valid `traceparent` or begins one, puts the
/// [`TraceContext`] among the request's data, and logs one line when the answer begins.
///
/// The line is `info`, `warn` for 5xx, and `debug` for the health endpoints and metrics. It shows the path without the
/// query, where a token may be.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestTrace;

impl<E: Endpoint> Middleware<E> for RequestTrace {
    type Output = RequestTraceEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        RequestTraceEndpoint { inner }
    }
}

/// Endpoint of [`RequestTrace`].
#[derive(Debug)]
pub struct RequestTraceEndpoint<E> {
    inner: E,
}

impl<E: Endpoint> Endpoint for RequestTraceEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let began = Instant::now();
        let (trace, parent) = trace_of(request.headers());
        let method = request.method().clone();
        let uri = request.uri().clone();
        let span = span(&trace, parent.as_ref(), &method, uri.path());
        request.set_data(trace.clone());
        // Errors become responses inside the scope, so that they too can name the trace.
        let answer = self.inner.get_response(request).instrument(span.clone());
        let response = CURRENT.scope(trace, answer).await;
        tell(&span, response.status());
        span.in_scope(|| log(method.as_str(), uri.path(), response.status(), began));
        Ok(response)
    }
}

/// The span of a request, with the fields that [`tbx_bus::span`] agrees on and the names of the conventions for HTTP.
fn span(trace: &TraceContext, parent: Option<&TraceContext>, method: &Method, path: &str) -> Span {
    // Who looks after the process asks every few seconds, and wants no trace of it.
    let kind = (trace.is_sampled() && !is_watching(path)).then_some("server");
    let known = label(method);
    // At this level whatever passes the filter, down to errors alone, carries the trace.
    let span = tracing::error_span!(
        "request",
        otel.name = if known == OTHER { "HTTP" } else { known },
        otel.kind = kind,
        otel.status_code = Empty,
        trace_id = trace.trace_id(),
        span_id = trace.span_id(),
        parent_id = parent.map(TraceContext::span_id),
        http.request.method = known,
        http.request.method_original = Empty,
        http.route = Empty,
        http.response.status_code = Empty,
        url.path = path,
        url.scheme = "http",
        "error.type" = Empty,
    );
    if known == OTHER {
        span.record("http.request.method_original", method.as_str());
    }
    span
}

/// Names the span of the request that is being answered after its route.
pub(crate) fn name_after_route(method: &'static str, template: &'static str) {
    let method = if method == OTHER { "HTTP" } else { method };
    let span = Span::current();
    span.record("http.route", template).record("otel.name", format_args!("{method} {template}"));
}

fn tell(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    // What the client did wrong is no failure of the server.
    if status.is_server_error() {
        span.record("otel.status_code", "error").record("error.type", status.as_str());
    }
}

/// The trace, with a span of its own, and that of the caller.
fn trace_of(headers: &HeaderMap) -> (TraceContext, Option<TraceContext>) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(Ok(caller)) = text("traceparent").map(TraceContext::parse) else {
        return (telemetry::decide(TraceContext::generate(), false), None);
    };
    let caller = match text("tracestate") {
        Some(state) => caller.with_tracestate(state),
        None => caller,
    };
    (telemetry::decide(caller.child(), true), Some(caller))
}

/// Whether a path is asked for by whoever looks after the process.
fn is_watching(path: &str) -> bool {
    path == "/health" || path.starts_with("/health/") || path == "/metrics"
}

fn log(method: &str, path: &str, status: StatusCode, began: Instant) {
    let duration_ms = began.elapsed().as_secs_f64() * 1000.0;
    let status_code = status.as_u16();
    if is_watching(path) {
        tracing::debug!(method, path, status = status_code, duration_ms, "request completed");
    } else if status.is_server_error() {
        tracing::warn!(method, path, status = status_code, duration_ms, "request completed");
    } else {
        tracing::info!(method, path, status = status_code, duration_ms, "request completed");
    }
}

#[cfg(test)]
mod tests {
    use poem::endpoint::make_sync;

    use super::*;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    async fn seen(headers: &[(&str, &str)]) -> String {
        let show = make_sync(|request: Request| {
            let data = request.data::<TraceContext>().unwrap();
            assert_eq!(current_trace().as_ref(), Some(data));
            format!("{} {}", data.traceparent(), data.tracestate().unwrap_or("-"))
        });
        let request =
            headers.iter().fold(Request::builder(), |builder, (name, value)| builder.header(*name, *value));
        let response = RequestTrace.transform(show).get_response(request.finish()).await;
        response.into_body().into_string().await.unwrap()
    }

    #[tokio::test]
    async fn a_valid_trace_is_continued_with_a_span_of_its_own() {
        let seen = seen(&[("traceparent", CALLER), ("tracestate", "a=1")]).await;
        assert!(seen.contains("0af7651916cd43dd8448eb211c80319c"), "{seen}");
        assert!(!seen.contains("b7ad6b7169203331"), "{seen}");
        assert!(seen.ends_with("-01 a=1"), "{seen}");
    }

    #[tokio::test]
    async fn anything_else_begins_a_trace() {
        for headers in [&[][..], &[("traceparent", "00-zz-01")], &[("tracestate", "a=1")]] {
            let seen = seen(headers).await;
            let (traceparent, state) = seen.split_once(' ').unwrap();
            assert!(TraceContext::parse(traceparent).is_ok(), "{seen}");
            assert_eq!(state, "-");
        }
        assert_eq!(current_trace(), None);
    }
}
