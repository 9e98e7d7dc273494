//! The documents: what programs and people read about the APIs.

use std::path::Path;

use http::Method;
use serde_json::{Value, json};
use tbx_it::{Answer, Client, Setup};

use crate::support::{JSON, STUDENTS, at_rest, created, nth};

const HOSTS: [&str; 2] = ["api", "notifier"];

#[tokio::test]
async fn the_committed_documents_are_what_the_program_prints_and_serves() {
    let tbx = Setup::new().start().await;
    for host in HOSTS {
        let printed = Setup::new().command(&["openapi", "--host", host]).output().await.unwrap();
        assert!(printed.status.success() && printed.stderr.is_empty(), "{printed:?}");
        let served = Client::new(tbx.address(host)).get("/openapi.json").await.unwrap();
        assert_eq!(served.body, printed.stdout, "{host}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/openapi/{host}.json"));
        let committed = std::fs::read(&path).unwrap_or_default();
        assert!(
            served.body == committed,
            "docs/openapi/{host}.json is stale; run `cargo run -p tbx -- openapi --host {host} > docs/openapi/{host}.json`"
        );
    }
}

#[tokio::test]
async fn documents_are_asked_about_and_not_sent_twice() {
    let tbx = Setup::new().start().await;
    for (host, path) in [
        ("api", "/openapi.json"),
        ("notifier", "/openapi.json"),
        ("api", "/swagger"),
        ("api", "/swagger/ui.js"),
        ("api", "/swagger/ui.css"),
        ("api", "/swagger/page.js"),
        ("api", "/swagger/page.css"),
    ] {
        let mut client = Client::new(tbx.address(host));
        let first = client.get(path).await.unwrap();
        assert_eq!((first.status, first.header("cache-control")), (200, "no-cache"), "{path}");
        let again = [("if-none-match", first.header("etag"))];
        let second = client.send(Method::GET, path, &again, "".into()).await.unwrap();
        assert_eq!((second.status, second.body.len()), (304, 0), "{path}");
        assert_eq!(second.header("etag"), first.header("etag"), "{path}");
    }
}

#[tokio::test]
async fn the_documents_can_be_read_in_a_browser() {
    let tbx = Setup::new().start().await;
    for path in ["/swagger", "/swagger/"] {
        let answer = tbx.api().get(path).await.unwrap();
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-type").starts_with("text/html"), "{path}");
        assert!(String::from_utf8_lossy(&answer.body).contains("SwaggerUI"), "{path}");
    }
}

#[tokio::test]
async fn a_student_looks_as_the_document_says() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    let student = created(&mut api, &nth(1)).await;
    let document = api.get("/openapi.json").await.unwrap().json();
    let schema = &document["components"]["schemas"]["Student"];
    let described: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
    assert_eq!(described, student.as_object().unwrap().keys().collect::<Vec<_>>());
}

#[tokio::test]
async fn every_answer_of_the_api_is_in_its_document() {
    let tbx = Setup::new().start().await;
    let document = tbx.api().get("/openapi.json").await.unwrap().json();
    let (body, tag) = (nth(1).to_string(), "\"1.0\"");
    let (all, one) = ("/students", "/students/{id}");
    let mut statuses = std::collections::BTreeSet::new();
    for (template, method, path, headers, body) in [
        (all, "POST", STUDENTS, &[JSON][..], body.as_str()),
        (all, "POST", STUDENTS, &[JSON], body.as_str()),
        (all, "POST", STUDENTS, &[JSON], "{"),
        (all, "POST", STUDENTS, &[JSON], "{}"),
        (all, "POST", STUDENTS, &[], "{}"),
        (all, "POST", STUDENTS, &[JSON, ("content-encoding", "gzip")], "{}"),
        (all, "POST", STUDENTS, &[JSON], &" ".repeat((256 << 10) + 1)),
        (all, "POST", STUDENTS, &[JSON, ("origin", "https://evil.example")], "{}"),
        (all, "GET", "/api/v1/students?limit=1", &[], ""),
        (all, "GET", "/api/students?limit=0", &[], ""),
        (one, "GET", "/api/students/1", &[], ""),
        (one, "GET", "/api/v1/students/1", &[("if-none-match", "*")], ""),
        (one, "GET", "/api/students/1", &[("if-none-match", "x")], ""),
        (one, "GET", "/api/students/x", &[], ""),
        (one, "PUT", "/api/students/1", &[JSON], body.as_str()),
        (one, "PUT", "/api/students/1", &[JSON, ("if-match", "\"9.9\"")], body.as_str()),
        (one, "PATCH", "/api/students/1", &[("content-type", "application/merge-patch+json")], "{}"),
        (one, "PATCH", "/api/students/1", &[("content-type", "application/json-patch+json")], "[]"),
        (one, "PATCH", "/api/students/7", &[JSON], "{}"),
        (one, "DELETE", "/api/students/1", &[("if-match", tag)], ""),
        (one, "DELETE", "/api/students/1", &[], ""),
    ] {
        // A client each, since who sends too much is hung up on.
        let answer =
            tbx.api().send(method.parse().unwrap(), path, headers, body.to_owned().into()).await.unwrap();
        let operation = &document["paths"][template][method.to_ascii_lowercase()];
        assert_documented(&document, operation, &answer);
        statuses.insert(answer.status);
    }
    let expected = [200, 201, 204, 304, 400, 403, 404, 409, 412, 413, 415, 422];
    assert_eq!(statuses, expected.into(), "each was seen");
}

/// Checks that status, media type, headers and the names of the members are those of the document; what is in them is the business of schemathesis.
#[track_caller]
fn assert_documented(document: &Value, operation: &Value, answer: &Answer) {
    let described = resolve(document, &operation["responses"][answer.status.to_string()]);
    assert!(described.is_object(), "{} of {}", answer.status, operation["operationId"]);
    for (name, header) in described["headers"].as_object().into_iter().flatten() {
        if resolve(document, header)["required"] == json!(true) {
            assert!(!answer.header(name).is_empty(), "{name} of {} {operation}", answer.status);
        }
    }
    let Some((media_type, content)) =
        described["content"].as_object().and_then(|content| content.iter().next())
    else {
        assert!(answer.body.is_empty(), "{answer:?}");
        return;
    };
    assert_eq!(answer.header("content-type"), media_type);
    let schema = resolve(document, &content["schema"]);
    for name in schema["required"].as_array().unwrap() {
        assert!(answer.json().get(name.as_str().unwrap()).is_some(), "{name} of {}", answer.json());
    }
    for name in answer.json().as_object().unwrap().keys() {
        assert!(schema["properties"].get(name).is_some(), "{name} of {}", answer.json());
    }
}

fn resolve<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

#[tokio::test]
async fn the_current_version_is_the_first() {
    let tbx = Setup::new().start().await;
    let mut api = tbx.api();
    for n in 1..=3 {
        created(&mut api, &nth(n)).await;
        at_rest(tbx.address("api"), &n.to_string()).await;
    }
    for path in ["", "?limit=2&sort=-number", "/2"] {
        let plain = api.get(&format!("{STUDENTS}{path}")).await.unwrap();
        let versioned = api.get(&format!("/api/v1/students{path}")).await.unwrap();
        assert_eq!(plain.json(), versioned.json());
        for header in ["etag", "content-type"] {
            assert_eq!(plain.header(header), versioned.header(header), "{path} {header}");
        }
    }
}
