//! The gauges of hosts on real servers: what each shows, and that it moves.

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use serde_json::json;
use tbx_it::collector::{Collector, attribute};
use tbx_it::{Client, Places, Tbx, eventually};

use crate::support::{CHANGES, STUDENTS, ada, at_rest, connected, created, id};

const HOSTS: [&str; 3] = ["api", "worker", "notifier"];

/// What every host on a broker shows.
const OF_THE_BROKER: [&str; 12] = [
    "tbx_health{check=\"bus\"}",
    "tbx_bus_connected",
    "tbx_bus_waiting",
    "tbx_bus_unconfirmed",
    "tbx_bus_confirmed_total",
    "tbx_bus_returned_total",
    "tbx_bus_refused_total",
    "tbx_bus_unanswered_total",
    "tbx_bus_disconnected_total",
    "tbx_group_waiting{group=\"tbx.worker\"}",
    "tbx_group_consumers{group=\"tbx.notifier\"}",
    "tbx_group_dead{group=\"tbx.worker\"}",
];
/// What those show that have an outbox.
const OF_THE_OUTBOX: [&str; 4] =
    ["tbx_outbox_pending", "tbx_outbox_oldest_unsent_age_seconds", "tbx_outbox_dead", "tbx_cache_connected"];
/// What the notifier shows.
const OF_THE_HISTORY: [&str; 3] =
    ["tbx_history_entries", "tbx_history_newest_offset", "tbx_notifier_connections"];

fn expected(service: &str) -> Vec<&'static str> {
    let own = if service == "notifier" { OF_THE_HISTORY.as_slice() } else { &OF_THE_OUTBOX };
    OF_THE_BROKER.iter().chain(own).copied().collect()
}

/// Every series of a host.
async fn series(host: &Tbx, service: &str) -> BTreeMap<String, f64> {
    let answer = Client::new(host.address(service)).get("/metrics").await.unwrap();
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parsed = lines.filter_map(|line| line.rsplit_once(' '));
    parsed.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

/// Waits until a series of a host is as wanted.
async fn shows(host: &Tbx, service: &str, name: &str, wanted: impl Fn(f64) -> bool) {
    eventually(name, || async {
        match series(host, service).await.get(name) {
            Some(value) if wanted(*value) => Ok(()),
            other => Err(format!("{service}: {name} is {other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_host_shows_its_gauges_and_they_move_with_what_happens() {
    let places = Places::new().await;
    places.migrated().await;
    let (setup, [broker, _database, _redis]) = places.relayed().await;
    // The api alone is behind the relay, so that what happens to it is seen there.
    let api = setup.start_host("api").await;
    let setup = places.setup();
    let (worker, notifier) = (setup.start_host("worker").await, setup.start_host("notifier").await);
    for (host, service) in [(&api, "api"), (&worker, "worker"), (&notifier, "notifier")] {
        let series = series(host, service).await;
        for name in expected(service) {
            assert!(series.contains_key(name), "{service}: no {name} in {series:#?}");
        }
        assert_eq!((series["tbx_bus_connected"], series["tbx_health{check=\"bus\"}"]), (1.0, 1.0));
    }
    shows(&api, "api", "tbx_group_consumers{group=\"tbx.worker\"}", |count| count == 1.0).await;

    // Connections and the length of the history.
    let stream = connected(notifier.address("notifier"), CHANGES, None).await;
    shows(&notifier, "notifier", "tbx_notifier_connections", |count| count == 1.0).await;
    let student = created(&mut api.api(), &ada()).await;
    let path = format!("{STUDENTS}/{}", id(&student));
    at_rest(api.address("api"), &id(&student)).await;
    shows(&notifier, "notifier", "tbx_history_entries", |count| count >= 2.0).await;
    drop(stream);
    shows(&notifier, "notifier", "tbx_notifier_connections", |count| count == 0.0).await;
    let idle = |value: f64| value == 0.0;
    for name in ["tbx_outbox_pending", "tbx_outbox_oldest_unsent_age_seconds", "tbx_bus_unconfirmed"] {
        shows(&api, "api", name, idle).await;
    }

    // The broker says nothing more: one message is out and not confirmed, those behind it wait, and get older.
    broker.hold();
    for name in ["Byron", "King", "Noel"] {
        let change = json!({ "lastName": name });
        assert_eq!(api.api().json(Method::PATCH, &path, &change).await.unwrap().status, 200);
    }
    shows(&api, "api", "tbx_bus_unconfirmed", |count| count == 1.0).await;
    shows(&api, "api", "tbx_outbox_pending", |count| count == 2.0).await;
    shows(&api, "api", "tbx_outbox_oldest_unsent_age_seconds", |age| age > 1.0).await;
    shows(&worker, "worker", "tbx_outbox_oldest_unsent_age_seconds", |age| age > 1.0).await;
    broker.release();
    for name in ["tbx_outbox_pending", "tbx_outbox_oldest_unsent_age_seconds", "tbx_bus_unconfirmed"] {
        shows(&api, "api", name, idle).await;
    }
    assert_eq!(at_rest(api.address("api"), &id(&student)).await.json()["updates"], 4);

    // The connection is lost, and comes back.
    let lost = series(&api, "api").await["tbx_bus_disconnected_total"];
    broker.refuse();
    broker.cut().await;
    shows(&api, "api", "tbx_bus_connected", idle).await;
    shows(&api, "api", "tbx_health{check=\"bus\"}", |level| level == 0.5).await;
    broker.accept();
    shows(&api, "api", "tbx_bus_connected", |connected| connected == 1.0).await;
    shows(&api, "api", "tbx_bus_disconnected_total", |count| count > lost).await;

    // Nobody works: the queue fills, and empties for the next worker.
    drop(worker);
    shows(&api, "api", "tbx_group_consumers{group=\"tbx.worker\"}", idle).await;
    assert_eq!(api.api().json(Method::PATCH, &path, &json!({ "lastName": "L" })).await.unwrap().status, 200);
    shows(&api, "api", "tbx_group_waiting{group=\"tbx.worker\"}", |count| count == 1.0).await;
    let _worker = setup.start_host("worker").await;
    shows(&api, "api", "tbx_group_waiting{group=\"tbx.worker\"}", idle).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_host_pushes_the_same_numbers_to_a_collector() {
    let collector = Collector::start(StatusCode::OK).await;
    let places = Places::new().await;
    let setup = places
        .migrated()
        .await
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())
        .with("OTEL_METRIC_EXPORT_INTERVAL", "200");
    let mut hosts = Vec::new();
    for service in HOSTS {
        hosts.push(setup.start_host(service).await);
    }
    for service in HOSTS {
        for name in expected(service) {
            let (family, label) = name.split_once('{').unwrap_or((name, ""));
            let label = label.trim_end_matches("\"}").split_once("=\"");
            collector
                .wait_for(&format!("{name} of {service}"), |received| {
                    let is_of =
                        |(resource, _): &&(std::sync::Arc<_>, _)| of(resource) == format!("tbx-{service}");
                    let mut pushed = received.metrics.iter().filter(is_of).map(|(_, metric)| metric);
                    pushed.find_map(|metric| {
                        let points = match metric.data.as_ref()? {
                            Data::Gauge(gauge) if !family.ends_with("_total") => &gauge.data_points,
                            Data::Sum(sum) if family.ends_with("_total") && sum.is_monotonic => {
                                &sum.data_points
                            }
                            _ => return None,
                        };
                        let point = points.iter().find(|point| {
                            label.is_none_or(|(key, text)| attribute(&point.attributes, key) == text)
                        })?;
                        let unit = if family.ends_with("_seconds") { "s" } else { "" };
                        let is_it = metric.name == family && metric.unit == unit;
                        (is_it && matches!(point.value, Some(Number::AsDouble(_)))).then_some(())
                    })
                })
                .await;
        }
    }
}

fn of(resource: &opentelemetry_proto::tonic::resource::v1::Resource) -> String {
    attribute(&resource.attributes, "service.name")
}
