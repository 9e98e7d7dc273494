//! What cannot be read, and what breaks a rule.

use std::net::SocketAddr;

use http::Method;
use serde_json::{Value, json};
use tbx_it::{Answer, Client, Setup};

use crate::support::{JSON, STUDENTS, ada, at_rest, created, faults, get, nth, post, problem, put, raw};

const ADA: &str = "/api/students/1";

async fn send(
    address: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    Client::new(address).send(method, path, headers, body.to_vec().into()).await.unwrap()
}

fn pairs<const N: usize>(faults: [(&str, &str); N]) -> Vec<(String, String)> {
    faults.map(|(pointer, code)| (pointer.to_owned(), code.to_owned())).to_vec()
}

#[tokio::test]
async fn every_fault_is_told_at_once_with_its_place() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    created(&mut api, &ada()).await;
    let (long, control) = ("a".repeat(101), "a\u{0}b");
    for (body, expected) in [
        (json!({}), pairs([("#/firstName", "missing"), ("#/lastName", "missing"), ("#/email", "missing")])),
        (
            json!({ "firstName": "  ", "lastName": long, "email": "nobody" }),
            pairs([("#/firstName", "empty"), ("#/lastName", "too-long"), ("#/email", "malformed")]),
        ),
        (
            json!({ "firstName": 1, "lastName": ["a"], "email": {} }),
            pairs([("#/firstName", "wrong-type"), ("#/lastName", "wrong-type"), ("#/email", "wrong-type")]),
        ),
        (
            json!({ "firstName": control, "lastName": "line\nbreak", "email": "a\u{0}@example.org" }),
            pairs([
                ("#/firstName", "control-character"),
                ("#/lastName", "control-character"),
                ("#/email", "malformed"),
            ]),
        ),
        (
            json!({ "firstName": "\u{200b}", "lastName": "\u{202e}\u{2066}", "email": "a@b.co" }),
            pairs([("#/firstName", "invisible"), ("#/lastName", "invisible")]),
        ),
        (
            json!({ "firstName": true, "email": format!("{}@example.org", "a".repeat(250)) }),
            pairs([("#/firstName", "wrong-type"), ("#/lastName", "missing"), ("#/email", "too-long")]),
        ),
        (
            json!({ "firstName": null, "lastName": "L", "email": "a@b.co" }),
            pairs([("#/firstName", "wrong-type")]),
        ),
        (json!([ada()]), pairs([("#", "wrong-type")])),
        (json!("Ada"), pairs([("#", "wrong-type")])),
        (Value::Null, pairs([("#", "wrong-type")])),
    ] {
        assert_eq!(faults(&post(&mut api, &body).await), expected, "{body}");
        assert_eq!(faults(&put(&mut api, "1", &body).await), expected, "{body}");
    }
    let patch = json!({ "firstName": null, "lastName": 7, "email": "" });
    let answer = api.json(Method::PATCH, ADA, &patch).await.unwrap();
    let expected = [("#/firstName", "missing"), ("#/lastName", "wrong-type"), ("#/email", "empty")];
    assert_eq!(faults(&answer), pairs(expected));
    assert_eq!(get(&mut api, "1").await.json()["version"], 1, "nothing of it was written");
}

#[tokio::test]
async fn names_have_a_hundred_characters_whatever_their_bytes_and_are_trimmed() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    let emoji = "🦀".repeat(100);
    let body = json!({ "firstName": emoji, "lastName": "\u{3000} Ö'Neill \t", "email": " o@example.org\n", "number": 7, "admin": true });
    let student = created(&mut api, &body).await;
    assert_eq!(student["firstName"], emoji);
    assert_eq!((&student["lastName"], &student["email"]), (&json!("Ö'Neill"), &json!("o@example.org")));
    assert_eq!(student["number"], 1);
    assert_eq!(student.get("admin"), None);
    let body = json!({ "firstName": "🦀".repeat(101), "lastName": "L", "email": "p@example.org" });
    assert_eq!(faults(&post(&mut api, &body).await), pairs([("#/firstName", "too-long")]));
    assert_eq!(at_rest(tbx.address("api"), "1").await.json()["firstName"], emoji);
}

#[tokio::test]
async fn an_email_belongs_to_one_student_in_any_case() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    created(&mut api, &ada()).await;
    created(&mut api, &nth(2)).await;
    for email in ["ada@example.org", "ADA@Example.ORG", "  ada@example.org  "] {
        let body = json!({ "firstName": "A", "lastName": "B", "email": email });
        for answer in [
            post(&mut api, &body).await,
            put(&mut api, "2", &body).await,
            api.json(Method::PATCH, "/api/students/2", &json!({ "email": email })).await.unwrap(),
        ] {
            let document = problem(&answer, 409, "email-taken");
            assert_eq!(document["errors"][0]["pointer"], "#/email");
        }
    }
    let answer = api.json(Method::PATCH, ADA, &json!({ "email": "ADA@example.org" })).await.unwrap();
    assert_eq!(
        (answer.status, &answer.json()["email"]),
        (200, &json!("ADA@example.org")),
        "its own it may respell"
    );
}

#[tokio::test]
async fn bodies_that_are_no_json_cannot_be_read() {
    let tbx = Setup::new().start().await;
    created(&mut tbx.api(), &ada()).await;
    let deep = "[".repeat(100_000);
    let broken: [&[u8]; 8] = [
        b"",
        b"{",
        b"{\"firstName\":\"Ada\",}",
        b"{} {}",
        b"\xff\xfe",
        b"{\"firstName\":\"\xff\",\"lastName\":\"L\",\"email\":\"a@b.co\"}",
        b"{\"firstName\":\"\\ud800\",\"lastName\":\"L\",\"email\":\"a@b.co\"}",
        deep.as_bytes(),
    ];
    for body in broken {
        for (method, path) in [(Method::POST, STUDENTS), (Method::PUT, ADA), (Method::PATCH, ADA)] {
            let answer = send(tbx.address("api"), method, path, &[JSON], body).await;
            problem(&answer, 400, "malformed-request");
        }
    }
}

#[tokio::test]
async fn bodies_of_another_kind_are_refused_with_those_that_are_taken() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("api");
    created(&mut tbx.api(), &ada()).await;
    let body = nth(2).to_string();
    let both = "application/merge-patch+json, application/json";
    for headers in [
        &[][..],
        &[("content-type", "text/plain")],
        &[("content-type", "application/x-www-form-urlencoded")],
        &[("content-type", "json")],
        &[("content-type", "application/problem+json")],
        &[("content-type", "application/json-patch+json")],
        &[("content-type", "application/json; charset=latin1")],
        &[("content-type", "application/json"), ("content-type", "application/json")],
    ] {
        for (method, path, header, taken) in [
            (Method::POST, STUDENTS, "accept-post", "application/json"),
            (Method::PUT, ADA, "accept", "application/json"),
            (Method::PATCH, ADA, "accept-patch", both),
        ] {
            let answer = send(address, method, path, headers, body.as_bytes()).await;
            problem(&answer, 415, "unsupported-media-type");
            assert_eq!(answer.header(header), taken, "{headers:?}");
        }
    }
    let merge_patch = [("content-type", "application/merge-patch+json")];
    for (method, path) in [(Method::POST, STUDENTS), (Method::PUT, ADA)] {
        problem(&send(address, method, path, &merge_patch, b"{}").await, 415, "unsupported-media-type");
    }
    assert_eq!(send(address, Method::PATCH, ADA, &merge_patch, b"{}").await.status, 200);
    let charset = [("content-type", "Application/JSON; charset=utf-8"), ("content-encoding", "identity")];
    assert_eq!(send(address, Method::POST, STUDENTS, &charset, body.as_bytes()).await.status, 201);
}

#[tokio::test]
async fn encoded_bodies_are_refused_whatever_is_in_them() {
    let tbx = Setup::new().start().await;
    created(&mut tbx.api(), &ada()).await;
    let notification = json!({ "topic": "a.b", "event": "Said", "data": 1 });
    for coding in ["gzip", "br", "foo", "identity, gzip"] {
        for (service, method, path, body) in [
            ("api", Method::POST, STUDENTS, nth(2)),
            ("api", Method::PUT, ADA, nth(2)),
            ("api", Method::PATCH, ADA, json!({})),
            ("notifier", Method::POST, "/api/notifications", notification.clone()),
        ] {
            let headers = [JSON, ("content-encoding", coding)];
            let answer =
                send(tbx.address(service), method, path, &headers, body.to_string().as_bytes()).await;
            problem(&answer, 415, "unsupported-media-type");
            assert_eq!(answer.header("accept-encoding"), "identity");
        }
    }
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_announced_or_counted() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("api");
    let padded = |bytes: usize| {
        let body = nth(bytes).to_string();
        format!("{body}{}", " ".repeat(bytes - body.len()))
    };
    let limit = 256 << 10;
    assert_eq!(send(address, Method::POST, STUDENTS, &[JSON], padded(limit).as_bytes()).await.status, 201);
    let answer = send(address, Method::POST, STUDENTS, &[JSON], padded(limit + 1).as_bytes()).await;
    problem(&answer, 413, "payload-too-large");

    let head = format!("POST {STUDENTS} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n");
    let announced = raw(address, format!("{head}content-length: 999999999999\r\n\r\n")).await;
    problem(&announced, 413, "payload-too-large");
    let chunk = padded(limit + 1);
    let chunked =
        format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{chunk}\r\n0\r\n\r\n", chunk.len());
    problem(&raw(address, chunked).await, 413, "payload-too-large");
    let chunk = padded(limit - 1);
    let chunked =
        format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{chunk}\r\n0\r\n\r\n", chunk.len());
    assert_eq!(raw(address, chunked).await.status, 201);
    let large = padded(limit + 1);
    let answer =
        send(tbx.address("notifier"), Method::POST, "/api/notifications", &[JSON], large.as_bytes()).await;
    problem(&answer, 413, "payload-too-large");
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let tbx = Setup::new().start().await;
    let (one, stream) = ("GET, HEAD, PUT, PATCH, DELETE, OPTIONS", "/api/notifications/stream");
    for (service, method, path, allow) in [
        ("api", Method::DELETE, STUDENTS, "GET, HEAD, POST, OPTIONS"),
        ("api", Method::PUT, "/api/v1/students", "GET, HEAD, POST, OPTIONS"),
        ("api", Method::POST, ADA, one),
        ("api", Method::POST, "/api/v1/students/abc", one),
        ("api", Method::POST, "/health", "GET, HEAD, OPTIONS"),
        ("api", Method::DELETE, "/openapi.json", "GET, HEAD, OPTIONS"),
        ("api", Method::POST, "/swagger", "GET, HEAD, OPTIONS"),
        ("notifier", Method::POST, stream, "GET, HEAD, OPTIONS"),
        ("notifier", Method::DELETE, "/api/notifications/students/stream", "GET, HEAD, OPTIONS"),
        ("notifier", Method::PUT, "/api/notifications", "GET, HEAD, POST, OPTIONS"),
        ("worker", Method::POST, "/health/ready", "GET, HEAD, OPTIONS"),
    ] {
        let answer = send(tbx.address(service), method, path, &[JSON], b"{}").await;
        problem(&answer, 405, "method-not-allowed");
        assert_eq!(answer.header("allow"), allow, "{path}");
    }
    let head = send(tbx.address("api"), Method::HEAD, STUDENTS, &[], b"").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test]
async fn what_does_not_exist_or_cannot_is_not_found() {
    let tbx = Setup::new().start().await;
    let address = tbx.address("api");
    created(&mut tbx.api(), &ada()).await;
    let long = "9".repeat(2000);
    for id in [
        "2",
        "0",
        "-1",
        "+1",
        "1.0",
        "01",
        "021",
        "01x",
        "99999999999999999999",
        "9223372036854775808",
        "abc",
        "00000000-0000-0000-0000-000000000000",
        "01a208b1-2737-7ec6-85c9-5e38c7dc44e2",
        "%00",
        "%FF",
        "%2e%2e",
        "1%20",
        "%F0%9F%A6%80",
        "'%20OR%201=1--",
        &long,
    ] {
        let path = format!("{STUDENTS}/{id}");
        for method in [Method::GET, Method::DELETE] {
            problem(&send(address, method, &path, &[], b"").await, 404, "not-found");
        }
        for method in [Method::PUT, Method::PATCH] {
            problem(
                &send(address, method, &path, &[JSON], nth(3).to_string().as_bytes()).await,
                404,
                "not-found",
            );
        }
    }
    for (service, path) in [
        ("api", "/"),
        ("api", "/api"),
        ("api", "/api/v2/students"),
        ("api", "/api/students/1/x"),
        ("notifier", "/api/notifications/nothing"),
        ("worker", "/api/students"),
    ] {
        problem(&send(tbx.address(service), Method::GET, path, &[], b"").await, 404, "not-found");
    }
}

#[tokio::test]
async fn a_problem_names_the_trace_of_its_request() {
    let tbx = Setup::new().start().await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let traceparent = format!("00-{trace}-b7ad6b7169203331-01");
    let answer = send(tbx.address("api"), Method::GET, ADA, &[("traceparent", &traceparent)], b"").await;
    assert_eq!(problem(&answer, 404, "not-found")["traceId"], trace);
    let stream = "/api/notifications/stream?topics=a..b";
    let answer =
        send(tbx.address("notifier"), Method::GET, stream, &[("traceparent", &traceparent)], b"").await;
    assert_eq!(problem(&answer, 400, "malformed-request")["traceId"], trace);
    let answer = send(tbx.address("api"), Method::GET, ADA, &[("traceparent", "00-zz-01")], b"").await;
    assert_ne!(problem(&answer, 404, "not-found")["traceId"], trace);
}

#[tokio::test]
async fn nothing_that_is_sent_ends_the_process() {
    let tbx = Setup::new().start().await;
    for service in ["api", "notifier", "worker"] {
        let address = tbx.address(service);
        for bytes in ["\0\0\0\0\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /\u{7f} HTTP/1.1\r\n\r\n"] {
            assert_eq!(raw(address, bytes).await.status, 400, "{bytes:?}");
        }
        assert_eq!(Client::new(address).get("/health/ready").await.unwrap().status, 200);
    }
}
