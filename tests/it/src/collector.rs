//! A collector: takes OTLP over HTTP and keeps it.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::DEADLINE;

/// What has arrived.
#[derive(Debug, Clone, Default)]
pub struct Received {
    /// Every span, with who sent it.
    pub spans: Vec<(Arc<Resource>, Span)>,
    /// Every log record, with who sent it.
    pub logs: Vec<(Arc<Resource>, LogRecord)>,
    /// Every metric, each time it was pushed, with who sent it.
    pub metrics: Vec<(Arc<Resource>, Metric)>,
    /// The headers of the last request, by name.
    pub headers: http::HeaderMap,
}

/// A collector on a free port. Dropped, it is gone.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    received: watch::Receiver<Received>,
    _serving: AbortOnDropHandle<()>,
}

impl Collector {
    /// Begins to listen. It answers every request with `status`.
    ///
    /// # Panics
    ///
    /// When there is no free port.
    pub async fn start(status: StatusCode) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, received) = watch::channel(Received::default());
        let _serving = AbortOnDropHandle::new(tokio::spawn(serve(listener, status, sender)));
        Self { address, received, _serving }
    }

    /// What to write into `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until what has arrived gives a value.
    ///
    /// # Panics
    ///
    /// When it does not in time.
    pub async fn wait_for<T>(&self, what: &str, mut look: impl FnMut(&Received) -> Option<T>) -> T {
        let mut received = self.received.clone();
        let mut found = None;
        let looked = received.wait_for(|received| {
            found = look(received);
            found.is_some()
        });
        if tokio::time::timeout(DEADLINE, looked).await.is_err() {
            let spans: Vec<_> =
                self.received.borrow().spans.iter().map(|(_, span)| span.name.clone()).collect();
            panic!("timed out: {what}; spans received: {spans:?}");
        }
        found.unwrap()
    }
}

async fn serve(listener: TcpListener, status: StatusCode, received: watch::Sender<Received>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let received = received.clone();
        let service = service_fn(move |request| take(request, status, received.clone()));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

async fn take(
    request: Request<Incoming>,
    status: StatusCode,
    received: watch::Sender<Received>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    assert_eq!(head.headers["content-type"], "application/x-protobuf");
    received.send_modify(|received| {
        received.headers = head.headers;
        match head.uri.path() {
            "/v1/traces" => received.spans.extend(spans(body)),
            "/v1/logs" => received.logs.extend(logs(body)),
            "/v1/metrics" => received.metrics.extend(metrics(body)),
            other => panic!("nobody sends to {other}"),
        }
    });
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    Ok(answer)
}

fn spans(body: Bytes) -> Vec<(Arc<Resource>, Span)> {
    let mut spans = Vec::new();
    for group in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        let resource = Arc::new(group.resource.unwrap());
        let all = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.extend(all.map(|span| (Arc::clone(&resource), span)));
    }
    spans
}

fn logs(body: Bytes) -> Vec<(Arc<Resource>, LogRecord)> {
    let mut logs = Vec::new();
    for group in ExportLogsServiceRequest::decode(body).unwrap().resource_logs {
        let resource = Arc::new(group.resource.unwrap());
        let all = group.scope_logs.into_iter().flat_map(|scope| scope.log_records);
        logs.extend(all.map(|record| (Arc::clone(&resource), record)));
    }
    logs
}

fn metrics(body: Bytes) -> Vec<(Arc<Resource>, Metric)> {
    let mut metrics = Vec::new();
    for group in ExportMetricsServiceRequest::decode(body).unwrap().resource_metrics {
        let resource = Arc::new(group.resource.unwrap());
        let all = group.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
        metrics.extend(all.map(|metric| (Arc::clone(&resource), metric)));
    }
    metrics
}

/// An attribute as text; empty when it is absent.
#[must_use]
pub fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        Some(any_value::Value::DoubleValue(number)) => number.to_string(),
        Some(any_value::Value::BoolValue(value)) => value.to_string(),
        _ => String::new(),
    }
}

/// The digits of an id.
#[must_use]
pub fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
