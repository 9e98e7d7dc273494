//! The trace of a request, and the one line logged about it.

use std::time::Instant;

use http::{HeaderMap, StatusCode};
use poem::{Endpoint, Middleware, Request, Response};
use tbx_bus::TraceContext;
use tracing::Instrument as _;

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
        let trace = trace_of(request.headers());
        let method = request.method().clone();
        let uri = request.uri().clone();
        // At this level whatever passes the filter, down to errors alone, carries the trace.
        let span = tracing::error_span!("request", trace_id = trace.trace_id());
        request.set_data(trace.clone());
        // Errors become responses inside the scope, so that they too can name the trace.
        let answer = self.inner.get_response(request).instrument(span.clone());
        let response = CURRENT.scope(trace, answer).await;
        span.in_scope(|| log(method.as_str(), uri.path(), response.status(), began));
        Ok(response)
    }
}

fn trace_of(headers: &HeaderMap) -> TraceContext {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(Ok(caller)) = text("traceparent").map(TraceContext::parse) else {
        return TraceContext::generate();
    };
    match text("tracestate") {
        Some(state) => caller.with_tracestate(state).child(),
        None => caller.child(),
    }
}

fn log(method: &str, path: &str, status: StatusCode, began: Instant) {
    let duration_ms = began.elapsed().as_secs_f64() * 1000.0;
    let status_code = status.as_u16();
    if path == "/health" || path.starts_with("/health/") || path == "/metrics" {
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
