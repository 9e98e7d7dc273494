//! Who is let in, and what a browser is told.

use std::io;
use std::path::Path;

use bytes::Bytes;
use futures_util::StreamExt as _;
use poem::endpoint::make_sync;
use poem::http::StatusCode;
use poem::{Body, IntoEndpoint, Response, Route, get};
use tbx_service::{Config, Front, Health, Problem, RouteTable, ServeOptions};

use crate::harness::{Answer, Server};

const ROUTES: RouteTable = RouteTable(&[
    ("/page", "GET, HEAD, OPTIONS"),
    ("/things", "GET, HEAD, POST, OPTIONS"),
    ("/things/{id}", "GET, HEAD, OPTIONS"),
    ("/stream", "GET, HEAD, OPTIONS"),
]);

fn app(settings: &[(&str, &str)]) -> impl IntoEndpoint<Endpoint: 'static> + use<> {
    let settings: Vec<_> = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let config = Config::load(&settings, std::iter::empty(), Path::new("/")).unwrap().config;
    let page = || Response::builder().content_type("text/html; charset=utf-8").body("<p>");
    let varied = || Response::builder().header("vary", "Accept").header("etag", "\"1\"").body("things");
    let taken = || Problem::new(StatusCode::CONFLICT, "conflict", "taken");
    let stream = || {
        let first = futures_util::stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"first"))]);
        Response::builder().body(Body::from_bytes_stream(first.chain(futures_util::stream::pending())))
    };
    let routes = Route::new()
        .at("/page", get(make_sync(move |_| page())))
        .at("/things", get(make_sync(move |_| varied())).post(make_sync(move |_| taken())))
        .at("/things/:id", get(make_sync(|_| "one")))
        .at("/stream", get(make_sync(move |_| stream())));
    Front::new(&config, Health::new(), [7000, 7001, 0]).around("test", routes, ROUTES)
}

fn start(settings: &[(&str, &str)]) -> Server {
    Server::start(app(settings), ServeOptions::default())
}

async fn send(server: &Server, request: &str, headers: &[&str]) -> Answer {
    let mut client = server.connect().await;
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    client.send(&format!("{request} HTTP/1.1\r\n{headers}\r\n")).await;
    client.answer().await
}

fn is_secured(answer: &Answer) {
    assert_eq!(answer.headers("x-content-type-options"), ["nosniff"], "{answer:?}");
    assert_eq!(answer.headers("referrer-policy"), ["no-referrer"], "{answer:?}");
    assert!(answer.headers("vary").contains(&"Origin"), "{answer:?}");
}

#[tokio::test]
async fn a_request_for_this_machine_is_answered() {
    let server = start(&[]);
    for host in [
        "localhost",
        "LOCALHOST:1",
        "tbx.localhost:5000",
        "127.0.0.1",
        "127.3.2.1:80",
        "[::1]:5000",
        "localhost.",
    ] {
        let answer = send(&server, "GET /things", &[&format!("host: {host}")]).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "things"), "{host}");
        is_secured(&answer);
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert_eq!(answer.headers("vary"), ["Accept", "Origin"], "the handler's own stays");
    }
    // HTTP/1.0 has no Host, and browsers do not speak it.
    let mut client = server.connect().await;
    client.send("GET /things HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_request_for_another_host_is_misdirected() {
    let server = start(&[]);
    let long = "x".repeat(120);
    for (request, host) in [
        ("GET /things", "evil.example"),
        ("POST /things", "evil.example:5000"),
        ("OPTIONS /things", "evil.example"),
        ("GET /nowhere", "10.1.2.3"),
        ("GET /stream", "localhost.evil.example"),
        ("GET /page", &long),
        ("GET http://evil.example/things", "localhost"),
        ("GET /things", "10.0.0.0"),
    ] {
        let answer = send(&server, request, &[&format!("host: {host}")]).await;
        assert_eq!(answer.status, 421, "{request} {host}");
        let problem = answer.problem();
        assert_eq!(problem["code"], "host-not-allowed");
        assert_eq!(problem["type"], "/problems/host-not-allowed");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("TBX_ALLOWED_HOSTS"), "{detail}");
        assert!(!detail.contains(&"x".repeat(101)), "{detail}");
        assert!(problem["traceId"].is_string());
        is_secured(&answer);
    }
    let answer = send(&server, "GET http://localhost:7/things", &["host: evil.example"]).await;
    assert_eq!(answer.status, 200, "of two the target counts");
}

#[tokio::test]
async fn a_request_whose_host_cannot_be_read_is_malformed() {
    let server = start(&[("allowed-hosts", "*")]);
    for headers in [
        &[][..],
        &["host: localhost", "host: localhost"],
        &["host: a b"],
        &["host: "],
        &["host: user@localhost"],
        &["host: localhost:99999"],
        &["host: localhost, evil.example"],
    ] {
        let answer = send(&server, "GET /things", headers).await;
        assert_eq!(
            (answer.status, answer.problem()["code"].as_str()),
            (400, Some("malformed-request")),
            "{headers:?}"
        );
        is_secured(&answer);
    }
}

#[tokio::test]
async fn listed_hosts_are_answered_for() {
    let server = start(&[("allowed-hosts", "tbx.example.org,*.pages.example.org,one.example.org:81")]);
    for (host, status) in [
        ("tbx.example.org:9", 200),
        ("a.pages.example.org", 200),
        ("pages.example.org", 421),
        ("one.example.org:81", 200),
        ("one.example.org", 421),
        ("localhost", 200),
    ] {
        assert_eq!(send(&server, "GET /things", &[&format!("host: {host}")]).await.status, status, "{host}");
    }
    let server = start(&[("allowed-hosts", "*")]);
    assert_eq!(send(&server, "GET /things", &["host: anything"]).await.status, 200);
}

#[tokio::test]
async fn a_page_of_somebody_else_is_refused_whatever_it_does() {
    let server = start(&[]);
    let long = format!("http://{}", "x".repeat(200));
    for request in ["GET /things", "POST /things", "GET /stream", "OPTIONS /things", "GET /nowhere"] {
        for origin in
            ["http://evil.example", "null", "http://localhost:8080", "http://127.0.0.1", &long, "file://", ""]
        {
            let headers =
                ["host: localhost:7000", &format!("origin: {origin}"), "access-control-request-method: POST"];
            let answer = send(&server, request, &headers).await;
            assert_eq!(answer.status, 403, "{request} {origin}");
            assert_eq!(answer.header("access-control-allow-origin"), None, "{request} {origin}");
            is_secured(&answer);
            let problem = answer.problem();
            assert_eq!(problem["code"], "origin-not-allowed");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("TBX_ALLOWED_ORIGINS") && !detail.contains(&"x".repeat(101)), "{detail}");
        }
    }
    let twice = ["host: localhost:7000", "origin: http://localhost:7000", "origin: http://evil.example"];
    assert_eq!(send(&server, "GET /things", &twice).await.status, 403);
}

#[tokio::test]
async fn our_own_pages_may_call_and_read_errors_too() {
    let server = start(&[("allowed-origins", "https://app.example.org")]);
    for (host, origin, shared) in [
        ("localhost:7000", "http://localhost:7000", false),
        ("localhost", "https://localhost", false),
        ("localhost:7001", "http://localhost:7000", true),
        ("127.0.0.1:7001", "http://localhost:7000", true),
        ("localhost:7001", "http://[::1]:7000", true),
        ("localhost:7001", "https://app.example.org", true),
    ] {
        for (request, status) in
            [("GET /things", 200), ("POST /things", 409), ("GET /nowhere", 404), ("PUT /things", 405)]
        {
            let headers = [&format!("host: {host}"), &format!("origin: {origin}"), "content-length: 0"];
            let answer = send(&server, request, &headers.map(|header: &str| header)).await;
            assert_eq!(answer.status, status, "{request} {host} {origin}");
            is_secured(&answer);
            let exposed = "ETag, Location, Link, Stream-Position, Retry-After, Idempotency-Replayed";
            assert_eq!(
                answer.header("access-control-allow-origin"),
                shared.then_some(origin),
                "{request} {host} {origin}"
            );
            assert_eq!(answer.header("access-control-expose-headers"), shared.then_some(exposed));
        }
    }
}

#[tokio::test]
async fn a_preflight_tells_what_may_be_sent() {
    let server = start(&[]);
    let headers =
        ["host: localhost:7001", "origin: http://localhost:7000", "access-control-request-method: POST"];
    let answer = send(&server, "OPTIONS /things", &headers).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    for (name, value) in [
        ("access-control-allow-origin", "http://localhost:7000"),
        ("access-control-allow-methods", "GET, HEAD, POST, OPTIONS"),
        (
            "access-control-allow-headers",
            "content-type, authorization, if-match, if-none-match, last-event-id, cache-control, idempotency-key",
        ),
        ("access-control-max-age", "600"),
        ("vary", "Origin"),
    ] {
        assert_eq!(answer.header(name), Some(value));
    }
    assert_eq!(send(&server, "OPTIONS /nowhere", &headers).await.status, 404);
}

#[tokio::test]
async fn options_tells_the_methods_of_every_route_and_405_does_too() {
    let server = start(&[]);
    for route in ROUTES.all() {
        let path = route.template.replace("{id}", "7").replace("{code}", "conflict");
        let answer = send(&server, &format!("OPTIONS {path}"), &["host: localhost"]).await;
        assert_eq!((answer.status, answer.header("allow")), (204, Some(route.methods)), "{path}");
        assert_eq!(answer.header("access-control-allow-methods"), None, "{path}");
        if path != "*" {
            let answer = send(&server, &format!("TRACE {path}"), &["host: localhost"]).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some(route.methods)), "{path}");
        }
    }
    let answer = send(&server, "OPTIONS /nowhere", &["host: localhost"]).await;
    assert_eq!((answer.status, answer.header("allow")), (404, None));
    assert_eq!(answer.problem()["code"], "not-found");
}

#[tokio::test]
async fn pages_may_load_and_reach_only_what_is_ours() {
    let server = start(&[]);
    for path in ["/page", "/problems", "/problems/not-found"] {
        let answer = send(&server, &format!("GET {path}"), &["host: tbx.localhost:7000"]).await;
        let policy = answer.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "connect-src 'self' http://tbx.localhost:7000 ws://tbx.localhost:7000 http://tbx.localhost:7001 ws://tbx.localhost:7001",
        ] {
            assert!(policy.split("; ").any(|given| given == part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains(":0"), "{policy}");
    }
    for path in ["/things", "/problems/style.css", "/nowhere", "/metrics"] {
        let answer = send(&server, &format!("GET {path}"), &["host: localhost"]).await;
        assert_eq!(answer.header("content-security-policy"), None, "{path}");
        is_secured(&answer);
    }
}

#[tokio::test]
async fn a_stream_is_marked_and_passes_piece_by_piece() {
    let server = start(&[]);
    let mut client = server.connect().await;
    client
        .send("GET /stream HTTP/1.1\r\nhost: localhost:7001\r\norigin: http://localhost:7000\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:7000"));
    is_secured(&answer);
    assert_eq!(client.read(10).await, "5\r\nfirst\r\n");
}
