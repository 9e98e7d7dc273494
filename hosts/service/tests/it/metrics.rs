//! `/metrics`, read strictly.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use poem::endpoint::{make, make_sync};
use poem::{IntoEndpoint, Route, get};
use tbx_service::{Config, Front, Health, RouteTable, Sample, ServeOptions};
use tokio_util::sync::CancellationToken;

use crate::harness::{Client, Server, within};

const ROUTES: RouteTable =
    RouteTable(&[("/things/{id}", "GET, HEAD, OPTIONS"), ("/waits", "GET, HEAD, OPTIONS")]);

/// Series by name and labels as they are written, after every rule of the format was checked.
fn series(text: &str) -> BTreeMap<String, f64> {
    let (mut families, mut helped) = (BTreeMap::new(), BTreeSet::new());
    let (mut series, mut current) = (BTreeMap::new(), String::new());
    assert!(text.ends_with('\n'));
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(helped.insert(name.to_owned()) && !help.is_empty(), "{line}");
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["gauge", "counter", "histogram"].contains(&kind), "{line}");
            assert!(
                helped.contains(name) && families.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{line}"
            );
            name.clone_into(&mut current);
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap();
        let name = key.split('{').next().unwrap();
        let suffixes =
            if families[&current] == "histogram" { &["_bucket", "_sum", "_count"][..] } else { &[""] };
        assert!(suffixes.iter().any(|suffix| name == format!("{current}{suffix}")), "{line} in {current}");
        let mut names = BTreeSet::new();
        for label in labels(key) {
            assert!(names.insert(label.clone()), "{line}: {label} twice");
        }
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(series.insert(key.to_owned(), value).is_none(), "{line} twice");
    }
    assert_eq!(helped.len(), families.len());
    series
}

/// The names of the labels of a series.
fn labels(key: &str) -> Vec<String> {
    let Some((_, rest)) = key.split_once('{') else { return Vec::new() };
    let (mut rest, mut names) = (rest.strip_suffix('}').unwrap(), Vec::new());
    while !rest.is_empty() {
        let (name, quoted) = rest.split_once("=\"").unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{key}");
        let mut escaped = false;
        let end = quoted.char_indices().find(|(_, char)| {
            let ends = *char == '"' && !escaped;
            escaped = *char == '\\' && !escaped;
            ends
        });
        names.push(name.to_owned());
        rest = &quoted[end.unwrap().0 + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    names
}

fn config() -> Config {
    Config::load(&[], std::iter::empty(), Path::new("/")).unwrap().config
}

fn routes() -> Route {
    let waits = get(make(|_| std::future::pending::<&'static str>()));
    Route::new().at("/things/:id", get(make_sync(|_| "thing"))).at("/waits", waits)
}

fn app(front: &Front) -> impl IntoEndpoint<Endpoint: 'static> + use<> {
    front.around("test", routes(), ROUTES)
}

async fn scrape(client: &mut Client) -> BTreeMap<String, f64> {
    let answer = client.get_from("localhost", "/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    series(&answer.body)
}

fn duration(part: &str, method: &str, route: &str, status: u16, more: &str) -> String {
    format!(
        "http_server_request_duration_seconds_{part}{{http_request_method=\"{method}\",http_route=\"{route}\",\
         http_response_status_code=\"{status}\",service=\"test\"{more}}}"
    )
}

#[tokio::test]
async fn requests_are_counted_by_template_and_nothing_a_client_says_makes_a_series() {
    let front = Front::new(&config(), Health::new(), [1]);
    let server = Server::start(app(&front), ServeOptions::default());
    let mut client = server.connect().await;
    for request in
        ["GET /things/1", "GET /things/2?a=b", "GET /a/b", "GET /c", "BREW /things/1", "FROB /things/2"]
    {
        client.send(&format!("{request} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        client.answer().await;
    }
    client.send("GET /things/3 HTTP/1.1\r\nhost: evil.example\r\n\r\n").await;
    client.answer().await;
    let series = scrape(&mut client).await;
    for (method, route, status, count) in [
        ("GET", "/things/{id}", 200, 2.0),
        ("GET", "_unmatched", 404, 2.0),
        ("_OTHER", "/things/{id}", 405, 2.0),
        ("GET", "/things/{id}", 421, 1.0),
    ] {
        assert_eq!(series.get(&duration("count", method, route, status, "")), Some(&count), "{series:#?}");
        let infinite = duration("bucket", method, route, status, ",le=\"+Inf\"");
        assert_eq!(series.get(&infinite), Some(&count), "{method} {route} {status}");
    }
    let begin = duration("bucket", "GET", "/things/{id}", 200, ",le=\"").replace('}', "");
    let buckets = series.keys().filter(|key| key.replace('}', "").starts_with(&begin));
    let bounds: BTreeSet<&str> =
        buckets.map(|key| key.split("le=\"").nth(1).unwrap().trim_end_matches("\"}")).collect();
    let expected = [
        "+Inf", "0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1", "10", "2.5",
        "5", "7.5",
    ];
    assert_eq!(bounds.into_iter().collect::<Vec<_>>(), expected);
    assert!(
        !series.keys().any(|key| key.contains("BREW") || key.contains("/things/1") || key.contains("/a/b"))
    );
}

#[tokio::test]
async fn a_request_is_active_until_its_answer_begins_or_its_client_leaves() {
    let front = Front::new(&config(), Health::new(), [1]);
    let server = Server::start(app(&front), ServeOptions::default());
    let active = "http_server_active_requests{http_request_method=\"GET\",service=\"test\"}";
    let mut client = server.connect().await;
    assert_eq!(scrape(&mut client).await[active], 1.0, "the scrape itself");
    let mut waiting = server.connect().await;
    waiting.send("GET /waits HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    within("the request is seen", async { while scrape(&mut client).await[active] != 2.0 {} }).await;
    drop(waiting);
    within("its end is seen", async { while scrape(&mut client).await[active] != 1.0 {} }).await;
    let series = scrape(&mut client).await;
    assert!(!series.keys().any(|key| key.contains("/waits")), "it was never answered");
}

#[tokio::test]
async fn the_process_its_build_its_health_and_its_samples_are_shown() {
    let health = Health::new();
    health.register("passes").pass();
    health.register("warns").warn("slow");
    health.register("fails \"badly\"").fail("gone");
    let front = Front::new(&config(), health, [1]);
    front.metrics().sample(|| async { vec![Sample::new("tbx_things", "Things.", 3.0)] });
    let server = Server::start(app(&front), ServeOptions::default());
    let mut client = server.connect().await;
    for _ in 0..2 {
        let series = scrape(&mut client).await;
        assert_eq!(series["tbx_health{check=\"passes\"}"], 1.0);
        assert_eq!(series["tbx_health{check=\"warns\"}"], 0.5);
        assert_eq!(series["tbx_health{check=\"fails \\\"badly\\\"\"}"], 0.0);
        assert_eq!(series["tbx_things"], 3.0);
        let version = format!("tbx_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
        assert_eq!(series[&version], 1.0);
        if cfg!(target_os = "linux") {
            for name in ["process_resident_memory_bytes", "process_open_fds", "process_max_fds"] {
                assert!(series[name] > 1.0, "{name}");
            }
            assert!(series["process_cpu_seconds_total"] >= 0.0);
            assert!(series["process_start_time_seconds"] > 1.7e9);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_keeps_the_numbers_up_ends_with_its_stop() {
    let front = Front::new(&config(), Health::new(), [1]);
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(front.metrics().clone().keep_up(stop.clone()));
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    assert!(!keeping.is_finished());
    stop.cancel();
    keeping.await.unwrap();
}
