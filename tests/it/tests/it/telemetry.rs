//! Traces, logs and metrics, as a collector gets them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use serde_json::{Value, json};
use tbx_it::collector::{Collector, Received, attribute, hex};
use tbx_it::{Client, Places, Setup, Tbx, eventually};
use tokio::net::TcpListener;

use crate::support::{STREAM, STUDENTS, ada, at_rest, connected, created, next, problem};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A process that exports to `collector` at once.
fn exporting(collector: &Collector) -> Setup {
    exported(Setup::new(), collector)
}

fn exported(setup: Setup, collector: &Collector) -> Setup {
    setup
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
        .with("OTEL_BSP_SCHEDULE_DELAY", "50")
        .with("OTEL_BLRP_SCHEDULE_DELAY", "50")
        .with("OTEL_METRIC_EXPORT_INTERVAL", "200")
}

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{CALLER}-{flags}")
}

/// Creates a student as part of the trace.
async fn create_within(api: &mut Client, traceparent: &str) {
    let headers = [("content-type", "application/json"), ("traceparent", traceparent)];
    let body = serde_json::to_vec(&ada()).unwrap();
    let answer = api.send(Method::POST, STUDENTS, &headers, body.into()).await.unwrap();
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// Publishes a notification as part of the trace; gives the status.
async fn publish_within(notifier: &Tbx, traceparent: &str) -> u16 {
    let headers = [("content-type", "application/json"), ("traceparent", traceparent)];
    let body = json!({ "topic": "a.b", "event": "Said", "data": 1 }).to_string();
    notifier.notifier().send(Method::POST, "/api/notifications", &headers, body.into()).await.unwrap().status
}

/// The paths of a notification that came by HTTP.
fn way_of_a_notification() -> [String; 4] {
    let request = "POST /api/notifications (server)".to_owned();
    let sent = format!("{request} > send notifications (producer)");
    let taken = format!("{sent} > process tbx.notifier (consumer)");
    let fanned = format!("{taken} > fan out (internal)");
    [request, sent, taken, fanned]
}

fn of_trace(received: &Received) -> Vec<&Span> {
    let spans = received.spans.iter().map(|(_, span)| span);
    spans.filter(|span| hex(&span.trace_id) == TRACE).collect()
}

/// A span as one line: the names and kinds from the request to it.
fn path(span: &Span, all: &BTreeMap<String, &Span>) -> String {
    let kind = format!("{:?}", span.kind()).to_lowercase();
    let own = format!("{} ({kind})", span.name);
    match all.get(&hex(&span.parent_span_id)) {
        Some(parent) => format!("{} > {own}", path(parent, all)),
        None => own,
    }
}

fn paths(received: &Received) -> Vec<String> {
    let spans = of_trace(received);
    let by_id: BTreeMap<String, &Span> = spans.iter().map(|span| (hex(&span.span_id), *span)).collect();
    let mut paths: Vec<String> = spans.iter().map(|span| path(span, &by_id)).collect();
    paths.sort();
    paths
}

/// The paths of the one trace: the server, the event to the worker, and what comes of it: the notification, and that the student is cached.
fn road() -> Vec<String> {
    let request = "POST /api/students (server)";
    let event = format!("{request} > send tbx.events (producer)");
    let worker = format!("{event} > process tbx.worker (consumer)");
    let told = format!("{worker} > send notifications (producer)");
    let taken = format!("{told} > process tbx.notifier (consumer)");
    let fanned = format!("{taken} > fan out (internal)");
    let mut road = vec![
        request.to_owned(),
        event,
        worker,
        told.clone(),
        told,
        taken.clone(),
        taken,
        fanned.clone(),
        fanned,
    ];
    road.sort();
    road
}

#[tokio::test]
async fn one_trace_runs_from_the_request_to_the_fan_out() {
    let collector = Collector::start(StatusCode::OK).await;
    let tbx = exporting(&collector).with("OTEL_EXPORTER_OTLP_HEADERS", "X-Seq-ApiKey=s3cret").start().await;
    // However many listen, a notification is fanned out once.
    let address = tbx.address("notifier");
    let mut streams = [connected(address, STREAM, None).await, connected(address, STREAM, None).await];
    create_within(&mut tbx.api(), &traceparent("01")).await;
    for stream in &mut streams {
        next(stream).await;
        next(stream).await;
    }

    let expected = road();
    let received = collector
        .wait_for("the whole trace", |received| {
            (of_trace(received).len() >= expected.len()).then(|| received.clone())
        })
        .await;
    assert_eq!(paths(&received), expected);
    assert_eq!(received.headers["x-seq-apikey"], "s3cret");

    let spans = of_trace(&received);
    let named = |name: &str| *spans.iter().find(|span| span.name == name).unwrap();
    let server = named("POST /api/students");
    assert_eq!(hex(&server.parent_span_id), CALLER);
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/api/students"),
        ("http.response.status_code", "201"),
        ("url.path", "/api/students"),
        ("url.scheme", "http"),
    ] {
        assert_eq!(attribute(&server.attributes, name), value, "{name}");
    }
    let (send, process) = (named("send tbx.events"), named("process tbx.worker"));
    for (span, operation, destination) in [(send, "send", "tbx.events"), (process, "process", "tbx.worker")] {
        assert_eq!(attribute(&span.attributes, "messaging.operation.type"), operation);
        assert_eq!(attribute(&span.attributes, "messaging.destination.name"), destination);
        assert_eq!(attribute(&span.attributes, "messaging.system"), "memory");
        assert_eq!(attribute(&span.attributes, "topic"), "student.created");
        assert_eq!(attribute(&span.attributes, "messaging.message.id").len(), 36);
    }
    let ids = [send, process].map(|span| attribute(&span.attributes, "messaging.message.id"));
    assert_eq!(ids[0], ids[1]);
    for span in spans {
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano, "{span:?}");
    }
    let (resource, _) = &received.spans[0];
    assert_eq!(attribute(&resource.attributes, "service.name"), "tbx");
    assert!(!attribute(&resource.attributes, "service.instance.id").is_empty());
}

#[tokio::test]
async fn the_same_trace_runs_through_three_processes_and_three_servers() {
    let collector = Collector::start(StatusCode::OK).await;
    let places = Places::new().await;
    let setup = exported(places.setup(), &collector);
    let migrated = setup.command(&["migrate"]).output().await.unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    // The notifier and the worker first: their queues take what comes from then on.
    let notifier = setup.start_host("notifier").await;
    let _worker = setup.start_host("worker").await;
    let api = setup.start_host("api").await;
    let mut stream = connected(notifier.address("notifier"), STREAM, None).await;
    create_within(&mut api.api(), &traceparent("01")).await;
    next(&mut stream).await;
    next(&mut stream).await;

    let road = road();
    let received = collector
        .wait_for("the whole trace", |received| {
            (of_trace(received).len() >= road.len()).then(|| received.clone())
        })
        .await;
    assert_eq!(paths(&received), road);
    for (resource, span) in received.spans.iter().filter(|(_, span)| hex(&span.trace_id) == TRACE) {
        let host = match span.name.as_str() {
            "POST /api/students" | "send tbx.events" => "tbx-api",
            "process tbx.worker" | "send notifications" => "tbx-worker",
            _ => "tbx-notifier",
        };
        assert_eq!(attribute(&resource.attributes, "service.name"), host, "{}", span.name);
        let messaging = matches!(span.kind(), SpanKind::Producer | SpanKind::Consumer);
        let system = attribute(&span.attributes, "messaging.system");
        assert_eq!(system, if messaging { "rabbitmq" } else { "" });
    }
}

#[tokio::test]
async fn each_notifier_fans_out_in_the_trace_that_came_over_the_broker_and_the_shared_history() {
    let collector = Collector::start(StatusCode::OK).await;
    let places = Places::new().await;
    let setup = exported(places.setup(), &collector);
    let notifiers = [setup.start_host("notifier").await, setup.start_host("notifier").await];
    assert_eq!(publish_within(&notifiers[0], &traceparent("01")).await, 202);
    let [request, sent, taken, fanned] = way_of_a_notification();
    let expected = vec![request, sent, taken, fanned.clone(), fanned];
    let received = collector
        .wait_for("a fan-out of each", |received| {
            (of_trace(received).len() >= expected.len()).then(|| received.clone())
        })
        .await;
    assert_eq!(paths(&received), expected);
    let mut fanning = BTreeSet::new();
    for (resource, span) in received.spans.iter().filter(|(_, span)| hex(&span.trace_id) == TRACE) {
        assert_eq!(attribute(&resource.attributes, "service.name"), "tbx-notifier");
        let messaging = matches!(span.kind(), SpanKind::Producer | SpanKind::Consumer);
        let system = attribute(&span.attributes, "messaging.system");
        assert_eq!(system, if messaging { "rabbitmq" } else { "" });
        if span.name == "fan out" {
            fanning.insert(attribute(&resource.attributes, "service.instance.id"));
        }
    }
    assert_eq!(fanning.len(), 2, "one of each process");
}

#[tokio::test]
async fn a_published_notification_belongs_to_the_trace_of_its_request() {
    let collector = Collector::start(StatusCode::OK).await;
    // Whatever is logged.
    let tbx = exporting(&collector).with("TBX_LOG", "off,tbx::all_in_one=info").start().await;
    assert_eq!(publish_within(&tbx, &traceparent("01")).await, 202);
    let [.., fanned] = way_of_a_notification();
    collector.wait_for("the fan-out", |received| paths(received).contains(&fanned).then_some(())).await;
}

#[tokio::test]
async fn log_records_carry_the_trace_and_so_do_the_lines() {
    let collector = Collector::start(StatusCode::OK).await;
    let tbx = exporting(&collector).with("OTEL_SERVICE_NAME", "records").start().await;
    create_within(&mut tbx.api(), &traceparent("01")).await;
    let span_id = collector
        .wait_for("the request's record", |received| {
            let is_request = |record: &str| record.contains("request completed");
            let (resource, record) = received.logs.iter().find(|(_, record)| {
                hex(&record.trace_id) == TRACE && is_request(&format!("{:?}", record.body))
            })?;
            assert_eq!(attribute(&resource.attributes, "service.name"), "records");
            assert_eq!((record.severity_text.as_str(), record.severity_number), ("INFO", 9));
            assert_eq!(attribute(&record.attributes, "path"), STUDENTS);
            assert_eq!(attribute(&record.attributes, "status"), "201");
            Some(hex(&record.span_id))
        })
        .await;
    let server = collector
        .wait_for("the request's span", |received| {
            let spans = of_trace(received);
            spans.iter().find(|span| span.kind() == SpanKind::Server).map(|span| hex(&span.span_id))
        })
        .await;
    assert_eq!(span_id, server);
    assert_eq!(line(&tbx.log(), "request completed", TRACE)["span_id"], server.as_str());
}

/// The line with this message in a trace.
fn line(log: &str, message: &str, trace: &str) -> Value {
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_default());
    let mut wanted = lines.filter(|line| line["message"] == message && line["trace_id"] == trace);
    wanted.next().unwrap_or_else(|| panic!("no such line in:\n{log}"))
}

#[tokio::test]
async fn lines_of_a_trace_name_it_without_a_collector_too() {
    let tbx = Setup::new().start().await;
    create_within(&mut tbx.api(), &traceparent("00")).await;
    let line = line(&tbx.log(), "request completed", TRACE);
    let span_id = line["span_id"].as_str().unwrap();
    assert!(span_id.len() == 16 && span_id != CALLER, "{line}");
    let fields: Vec<&String> = line.as_object().unwrap().keys().collect();
    let expected = [
        "timestamp",
        "level",
        "target",
        "message",
        "trace_id",
        "span_id",
        "method",
        "path",
        "status",
        "duration_ms",
    ];
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    let mut fields: Vec<&str> = fields.into_iter().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, expected, "what is for exports lengthens no line");
}

#[tokio::test]
async fn what_is_not_sampled_is_carried_on_and_not_exported() {
    let collector = Collector::start(StatusCode::OK).await;
    let tbx = exporting(&collector).start().await;
    create_within(&mut tbx.api(), &traceparent("00")).await;
    at_rest(tbx.address("api"), "1").await;
    // Probes and scrapes make no spans at all.
    for path in ["/health/live", "/metrics"] {
        assert_eq!(tbx.api().get(path).await.unwrap().status, 200);
    }
    problem(&tbx.api().get("/nothing/here").await.unwrap(), 404, "not-found");
    tbx.terminate().await;
    assert!(tbx.ended().await.0.success());
    // What the stop flushed is everything there will be.
    let names = collector
        .wait_for("the request without a caller", |received| {
            let names: Vec<String> = received.spans.iter().map(|(_, span)| span.name.clone()).collect();
            assert!(of_trace(received).is_empty(), "{names:?}");
            names.contains(&"GET".to_owned()).then_some(names)
        })
        .await;
    let known = |name: &String| name == "GET" || name == "GET /api/students/{id}";
    assert!(names.iter().all(known), "{names:?}");
}

#[tokio::test]
async fn a_sampler_that_takes_nothing_exports_no_span() {
    let collector = Collector::start(StatusCode::OK).await;
    let tbx = exporting(&collector).with("OTEL_TRACES_SAMPLER", "always_off").start().await;
    create_within(&mut tbx.api(), &traceparent("01")).await;
    at_rest(tbx.address("api"), "1").await;
    tbx.terminate().await;
    assert!(tbx.ended().await.0.success());
    let spans = collector
        .wait_for("the records of the stop", |received| {
            let stopping = |(_, record): &(_, opentelemetry_proto::tonic::logs::v1::LogRecord)| {
                format!("{:?}", record.body).contains("shutting down")
            };
            received.logs.iter().any(stopping).then_some(received.spans.len())
        })
        .await;
    assert_eq!(spans, 0);
}

#[tokio::test]
async fn metrics_are_pushed_under_the_names_of_the_conventions() {
    let collector = Collector::start(StatusCode::OK).await;
    let tbx = exporting(&collector).start().await;
    created(&mut tbx.api(), &ada()).await;
    let names =
        ["tbx_outbox_pending", "tbx_notifier_connections", "process_resident_memory_bytes", "tbx_health"];
    collector
        .wait_for("every metric", |received| {
            let known = |name: &str| received.metrics.iter().any(|(_, metric)| metric.name == name);
            names.into_iter().all(known).then_some(())
        })
        .await;
    collector
        .wait_for("the duration of the POST", |received| {
            let metrics = received.metrics.iter().map(|(_, metric)| metric);
            let durations = metrics.filter(|metric| metric.name == "http.server.request.duration");
            let points = durations.filter_map(|metric| match &metric.data {
                Some(Data::Histogram(histogram)) => Some(&histogram.data_points),
                _ => None,
            });
            points
                .flatten()
                .find(|point| {
                    attribute(&point.attributes, "http.request.method") == "POST"
                        && attribute(&point.attributes, "http.route") == STUDENTS
                        && attribute(&point.attributes, "http.response.status_code") == "201"
                        && point.count == 1
                        && point.bucket_counts.iter().sum::<u64>() == 1
                        && point.bucket_counts.len() == point.explicit_bounds.len() + 1
                })
                .map(drop)
        })
        .await;
}

#[tokio::test]
async fn a_request_that_is_the_clients_mistake_is_no_failed_span() {
    let collector = Collector::start(StatusCode::OK).await;
    let tbx = exporting(&collector).start().await;
    problem(&tbx.api().get("/api/students/7").await.unwrap(), 404, "not-found");
    let span = collector
        .wait_for("the span", |received| {
            let mut spans = received.spans.iter().map(|(_, span)| span);
            spans.find(|span| span.name == "GET /api/students/{id}").cloned()
        })
        .await;
    assert_eq!(span.status.unwrap_or_default().code(), SpanStatus::Unset);
    assert_eq!(attribute(&span.attributes, "http.response.status_code"), "404");
}

/// Answers with 503, never answers, and is not there.
#[tokio::test]
async fn a_collector_that_fails_is_told_once_and_harms_nothing() {
    let refusing = Collector::start(StatusCode::SERVICE_UNAVAILABLE).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for endpoint in
        [refusing.endpoint(), format!("http://{}", silent.local_addr().unwrap()), format!("http://{gone}")]
    {
        let setup = exporting(&refusing).with("OTEL_EXPORTER_OTLP_TIMEOUT", "300");
        let tbx = setup.with("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint).start().await;
        create_within(&mut tbx.api(), &traceparent("01")).await;
        at_rest(tbx.address("api"), "1").await;
        let check = eventually("health tells", || async {
            let health = tbx.api().get("/health").await.unwrap();
            let document = health.json();
            let check = document["checks"]["telemetry"].clone();
            let told = check["status"] == "warn"
                && ["traces", "logs", "metrics"]
                    .iter()
                    .all(|signal| check["detail"].as_str().unwrap_or_default().contains(signal));
            if told && health.status == 200 { Ok(check) } else { Err(document.to_string()) }
        })
        .await;
        assert_eq!(tbx.api().get("/health/ready").await.unwrap().status, 200, "{check}");
        let stopping = Instant::now();
        tbx.terminate().await;
        let (status, log) = tbx.ended().await;
        assert!(status.success(), "{log}");
        assert!(stopping.elapsed() < Duration::from_secs(10), "{:?}", stopping.elapsed());
        let told = log.lines().filter(|line| line.contains("not exported")).count();
        assert_eq!(told, 1, "{log}");
    }
}

#[tokio::test]
async fn an_export_that_cannot_be_is_refused_at_the_start() {
    let setup = Setup::new()
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317")
        .with("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let (status, log) = setup.spawn().ended().await;
    assert_eq!(status.code(), Some(2), "{log}");
    assert!(log.contains("OTEL_EXPORTER_OTLP_PROTOCOL") && log.contains("4318"), "{log}");
}

#[tokio::test]
async fn doctor_asks_the_collector() {
    let taking = Collector::start(StatusCode::OK).await;
    let refusing = Collector::start(StatusCode::UNAUTHORIZED).await;
    for (collector, expected) in [
        (&taking, "ok    telemetry      the collector takes traces, logs, metrics"),
        (&refusing, "warn  telemetry"),
    ] {
        let output = exporting(collector).command(&["doctor"]).output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(expected), "{text}");
        assert!(output.status.success(), "a collector is not needed: {text}");
    }
    let output = Setup::new().command(&["doctor"]).output().await.unwrap();
    assert!(!String::from_utf8_lossy(&output.stdout).contains("telemetry"));
}
