//! What is around the routes of every host: who is let in, the pages about problems, the numbers.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use http::Method;
use serde_json::json;
use tbx_it::{Answer, Client, Setup, Tbx, eventually};

use crate::support::{JSON, STREAM, STUDENTS, connected, created, nth, problem, raw};

const SERVICES: [&str; 3] = ["api", "notifier", "worker"];

async fn send(address: SocketAddr, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let body = if method == Method::POST { nth(1).to_string() } else { String::new() };
    Client::new(address).send(method, path, headers, body.into()).await.unwrap()
}

/// Every route of a listener, with a real value for each variable.
fn routes(service: &str) -> Vec<(String, &'static str)> {
    let table = match service {
        "api" => tbx_api::ROUTES,
        "notifier" => tbx_notifier::ROUTES,
        _ => tbx_service::RouteTable(&[]),
    };
    let concrete = |template: &str| {
        template.replace("{id}", "1").replace("{code}", "not-found").replace("{file}", "hosts.json")
    };
    table
        .all()
        .filter(|route| route.template != "*")
        .map(|route| (concrete(route.template), route.methods))
        .collect()
}

#[tokio::test]
async fn every_route_of_the_tables_is_there_with_exactly_its_methods() {
    let tbx = Setup::new().start().await;
    for service in SERVICES {
        let address = tbx.address(service);
        for (path, methods) in routes(service) {
            let options = send(address, Method::OPTIONS, &path, &[]).await;
            assert_eq!((options.status, options.header("allow")), (204, methods), "{service}{path}");
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"] {
                let allowed = methods.split(", ").any(|known| known == method);
                // A stream would not end.
                if allowed && path.ends_with("/stream") {
                    continue;
                }
                let answer = send(address, method.parse().unwrap(), &path, &[]).await;
                assert_eq!(answer.status != 405, allowed, "{service} {method} {path}: {}", answer.status);
            }
        }
        let unknown = send(address, Method::OPTIONS, "/nowhere", &[]).await;
        problem(&unknown, 404, "not-found");
    }
}

#[tokio::test]
async fn a_foreign_host_or_origin_reaches_no_listener() {
    let tbx = Setup::new().start().await;
    for service in SERVICES {
        let address = tbx.address(service);
        for (path, _) in routes(service) {
            let answer = raw(address, format!("GET {path} HTTP/1.1\r\nhost: evil.example\r\n\r\n")).await;
            problem(&answer, 421, "host-not-allowed");
            for origin in ["https://evil.example", "null"] {
                for method in [Method::GET, Method::POST, Method::OPTIONS] {
                    let answer = send(address, method, &path, &[("origin", origin), JSON]).await;
                    problem(&answer, 403, "origin-not-allowed");
                    assert_eq!(answer.header("access-control-allow-origin"), "");
                }
            }
        }
    }
    let listed = tbx.api().get(STUDENTS).await.unwrap().json();
    assert_eq!(listed["items"], json!([]), "nothing was written");
}

#[tokio::test]
async fn a_page_of_the_api_may_stream_from_the_notifier_and_write() {
    let tbx = Setup::new().start().await;
    let page = format!("http://localhost:{}", tbx.address("api").port());
    let own = [("origin", page.as_str()), JSON];
    let answer = send(tbx.address("notifier"), Method::HEAD, STREAM, &own).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, page.as_str()));
    assert_eq!(answer.header("content-type"), "text/event-stream");
    let written = send(tbx.address("api"), Method::POST, STUDENTS, &own).await;
    assert_eq!((written.status, written.header("access-control-allow-origin")), (201, page.as_str()));
    assert!(written.header("access-control-expose-headers").contains("Location"));
    let again = send(tbx.address("api"), Method::POST, STUDENTS, &own).await;
    problem(&again, 409, "email-taken");
    assert_eq!(again.header("access-control-allow-origin"), page, "the page can read why");
    let refused = send(tbx.address("notifier"), Method::GET, &format!("{STREAM}?topics=a..b"), &own).await;
    problem(&refused, 400, "malformed-request");
    assert_eq!(refused.header("access-control-allow-origin"), page);
}

#[tokio::test]
async fn the_settings_let_others_in() {
    let setup = Setup::new()
        .with("TBX_ALLOWED_HOSTS", "tbx.example.org,*.pages.example.org")
        .with("TBX_ALLOWED_ORIGINS", "https://app.example.org");
    let tbx = setup.start().await;
    for (host, status) in [("tbx.example.org", 200), ("a.pages.example.org:81", 200), ("example.org", 421)] {
        let answer =
            raw(tbx.address("api"), format!("GET {STUDENTS} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{host}");
    }
    let preflight = [("origin", "https://app.example.org"), ("access-control-request-method", "POST")];
    let answer = send(tbx.address("api"), Method::OPTIONS, STUDENTS, &preflight).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example.org");
    assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD, POST, OPTIONS");
}

#[tokio::test]
async fn a_listener_on_all_addresses_answers_to_the_one_that_was_called() {
    let setup = Setup::new().with("TBX_WORKER_LISTEN", "0.0.0.0:0").with("TBX_AUTH", "insecure");
    let tbx = setup.start().await;
    let port = tbx.address("worker").port();
    for (host, status) in [("127.0.0.1", 200), ("localhost", 200), ("0.0.0.0", 200), ("10.11.12.13", 421)] {
        let called = SocketAddr::from(([127, 0, 0, 1], port));
        let answer = raw(called, format!("GET /health/live HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{host}");
    }
}

#[tokio::test]
async fn the_type_of_a_problem_leads_to_a_page_on_every_listener() {
    let tbx = Setup::new().start().await;
    for service in SERVICES {
        let mut client = Client::new(tbx.address(service));
        let document = problem(&client.get("/nowhere").await.unwrap(), 404, "not-found");
        let page = client.get(document["type"].as_str().unwrap()).await.unwrap();
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, "text/html; charset=utf-8"),
            "{service}"
        );
        assert!(
            String::from_utf8_lossy(&page.body).contains(document["title"].as_str().unwrap()),
            "{service}"
        );
        assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{service}");
        assert_eq!(client.get("/problems").await.unwrap().status, 200);
        assert_eq!(
            client.get("/problems/style.css").await.unwrap().header("content-type"),
            "text/css; charset=utf-8"
        );
        problem(&client.get("/problems/unknown").await.unwrap(), 404, "not-found");
    }
}

#[tokio::test]
async fn the_page_of_the_documents_brings_nothing_inline() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    let page = api.get("/swagger").await.unwrap();
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self'; style-src 'self'"), "{policy}");
    for (file, kind, least) in [
        ("ui.css", "text/css", 100_000),
        ("ui.js", "text/javascript", 1_000_000),
        ("page.css", "text/css", 10),
        ("page.js", "text/javascript", 10),
    ] {
        let answer = api.get(&format!("/swagger/{file}")).await.unwrap();
        assert!(answer.status == 200 && answer.header("content-type").starts_with(kind), "{file}");
        assert!(answer.body.len() > least, "{file}: {}", answer.body.len());
    }
}

/// The value of each series, by name and labels.
async fn metrics(tbx: &Tbx, service: &str) -> BTreeMap<String, f64> {
    let answer = Client::new(tbx.address(service)).get("/metrics").await.unwrap();
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let values = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    });
    values.collect()
}

#[tokio::test]
async fn the_numbers_follow_what_happens() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    for n in 1..=3 {
        created(&mut api, &nth(n)).await;
    }
    let _open = connected(tbx.address("notifier"), STREAM, None).await;
    for service in SERVICES {
        let series = eventually("the outbox empties and the stream is counted", || async {
            let series = metrics(&tbx, service).await;
            let value = |name: &str| series.get(name).copied();
            let rests =
                value("tbx_outbox_pending") == Some(0.0) && value("tbx_history_newest_offset") == Some(6.0);
            if rests && value("tbx_notifier_connections") == Some(1.0) {
                Ok(series)
            } else {
                Err(format!("{series:?}"))
            }
        })
        .await;
        assert_eq!(series["tbx_history_entries"], 6.0);
        assert_eq!(series["tbx_outbox_dead"], 0.0);
        assert!(series["tbx_cache_entries"] >= 3.0, "a student each, under id or number");
        assert!(series["tbx_outbox_oldest_unsent_age_seconds"] >= 0.0);
        assert_eq!(series["tbx_health{check=\"database\"}"], 1.0);
        let posts = "http_server_request_duration_seconds_count{http_request_method=\"POST\",\
                     http_route=\"/api/students\",http_response_status_code=\"201\",service=\"api\"}";
        assert_eq!(series[posts], 3.0, "one process, one set of numbers");
        let streams = "http_server_request_duration_seconds_count{http_request_method=\"GET\",\
                       http_route=\"/api/notifications/stream\",http_response_status_code=\"200\",service=\"notifier\"}";
        assert_eq!(series[streams], 1.0, "a stream counts with its head");
    }
}
