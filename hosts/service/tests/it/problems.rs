//! Every way to fail is a problem document.

use poem::endpoint::{make, make_sync};
use poem::http::StatusCode;
use poem::web::{Json, Query};
use poem::{EndpointExt, IntoEndpoint, Request, Response, Route, get, handler};
use serde::Deserialize;
use tbx_service::{BodyLimit, Health, Problem, Problems, RequestTrace, ServeOptions};

use crate::harness::Server;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[derive(Deserialize)]
struct Page {
    limit: u32,
}

#[handler]
fn list(Query(page): Query<Page>) -> String {
    page.limit.to_string()
}

#[handler]
fn create(Json(body): Json<serde_json::Value>) -> String {
    body.to_string()
}

#[handler]
fn number(poem::web::Path(id): poem::web::Path<u32>) -> String {
    id.to_string()
}

fn app() -> impl IntoEndpoint<Endpoint: 'static> {
    let secret = || std::io::Error::other("password is hunter2");
    let fields = || {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-fields", "two fields")
            .with_error("#/firstName", "missing", "is missing")
            .with_error("#/email", "too-long", "at most 254")
    };
    let health = Health::new();
    let _starting = health.register("database");
    let routes = Route::new()
        .at("/students", get(list).post(create))
        .at("/students/:id", get(number))
        .at("/panic", get(make_sync(|_| -> String { panic!("hunter2") })))
        .at("/fields", get(make(move |_| async move { Err::<String, _>(poem::Error::from(fields())) })))
        .at(
            "/secret",
            get(make(move |_| async move { Err::<String, _>(poem::error::InternalServerError(secret())) })),
        )
        .at("/leak", get(make_sync(|_| (StatusCode::BAD_GATEWAY, "hunter2"))))
        .at("/bare", get(make_sync(|_| StatusCode::CONFLICT)))
        .at("/plain", get(make_sync(|_| (StatusCode::FORBIDDEN, "origin not allowed"))))
        .at(
            "/from-response",
            get(make(|_: Request| async {
                let response = Response::builder().status(StatusCode::GONE).header("x-kept", "yes").finish();
                Err::<String, _>(poem::Error::from_response(response))
            })),
        )
        .at(
            "/busy",
            get(make_sync(|_| {
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "later").with_retry_after(7)
            })),
        );
    let allow = |path: &str| (path == "/students").then_some("GET, HEAD, POST");
    health.mount(routes).with(BodyLimit(64)).with(Problems::new().with_allow(allow)).with(RequestTrace)
}

#[tokio::test]
async fn every_failure_is_a_problem_with_the_trace_of_its_request() {
    let json = "content-type: application/json\r\ncontent-length: 8\r\n";
    let cases = [
        ("GET /nowhere?token=x", "", "", 404, "not-found"),
        ("GET /students/abc", "", "", 404, "not-found"),
        ("DELETE /students", "", "", 405, "method-not-allowed"),
        ("DELETE /students/1", "", "", 405, "method-not-allowed"),
        ("GET /students?limit=x", "", "", 400, "malformed-request"),
        ("POST /students", json, "{\"a\":1,}", 400, "malformed-request"),
        ("POST /students", "content-length: 0\r\n", "", 415, "unsupported-media-type"),
        ("GET /panic", "", "", 500, "internal"),
        ("GET /fields", "", "", 422, "invalid-fields"),
        ("GET /secret", "", "", 500, "internal"),
        ("GET /leak", "", "", 502, "internal"),
        ("GET /bare", "", "", 409, "conflict"),
        ("GET /plain", "", "", 403, "forbidden"),
        ("GET /from-response", "", "", 410, "refused"),
        ("GET /busy", "", "", 503, "unavailable"),
    ];
    let server = Server::start(app(), ServeOptions::default());
    // One connection for all: the server goes on after each, a panic included.
    let mut client = server.connect().await;
    for (request, headers, body, status, code) in cases {
        let trace = format!("traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n");
        client.send(&format!("{request} HTTP/1.1\r\nhost: test\r\n{trace}{headers}\r\n{body}")).await;
        let answer = client.answer().await;
        let problem = answer.problem();
        assert_eq!(answer.status, status, "{request}");
        assert_eq!(problem["status"], status, "{request}");
        assert_eq!(problem["code"], code, "{request}");
        assert_eq!(problem["type"], format!("/problems/{code}"), "{request}");
        assert_eq!(problem["traceId"], TRACE, "{request}");
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{request}");
        assert!(!answer.body.contains("hunter2"), "{request}: {}", answer.body);
    }
}

#[tokio::test]
async fn headers_and_details_are_kept() {
    let server = Server::start(app(), ServeOptions::default());
    let mut client = server.connect().await;
    client.send("DELETE /students HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(client.answer().await.header("allow"), Some("GET, HEAD, POST"));
    client.send("DELETE /students/1 HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(client.answer().await.header("allow"), None, "not known");
    assert_eq!(client.get("/busy").await.header("retry-after"), Some("7"));
    assert_eq!(client.get("/plain").await.problem()["detail"], "Origin not allowed.");
    assert_eq!(client.get("/from-response").await.header("x-kept"), Some("yes"));
    let fields = client.get("/fields").await.problem();
    assert_eq!(fields["errors"][1]["pointer"], "#/email");
    assert_eq!(
        client.get("/students?limit=x").await.problem()["detail"],
        "The query cannot be read: invalid digit found in string."
    );
}

#[tokio::test]
async fn an_answer_somebody_meant_is_left_alone() {
    let server = Server::start(app(), ServeOptions::default());
    let mut client = server.connect().await;
    let answer = client.get("/health/ready").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, r#"{"status":"fail"}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(client.get("/students?limit=3").await.body, "3");
}

#[tokio::test]
async fn a_body_above_the_limit_is_413_announced_or_counted() {
    let server = Server::start(app(), ServeOptions::default());
    let head = "POST /students HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n";
    let long = "x".repeat(65);
    for body in [
        "content-length: 65\r\n\r\n".to_owned(),
        format!("content-length: 65\r\n\r\n{long}"),
        format!("transfer-encoding: chunked\r\n\r\n41\r\n{long}\r\n0\r\n\r\n"),
    ] {
        let mut client = server.connect().await;
        client.send(&format!("{head}{body}")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 413);
        assert_eq!(answer.problem()["code"], "payload-too-large");
        assert_eq!(answer.problem()["detail"], "A body may have at most 64 bytes.");
    }
    let mut client = server.connect().await;
    client.send(&format!("{head}content-length: 64\r\n\r\n{:>64}", "1")).await;
    assert_eq!(client.answer().await.body, "1");
}
