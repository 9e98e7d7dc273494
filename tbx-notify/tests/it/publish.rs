//! Publishing by HTTP.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use http::request::Parts;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tbx_bus::TopicPattern;
use tbx_notify::access::Grant;
use tbx_notify::history::{History, MemoryHistory};
use tbx_notify::publish::{NotTaken, NotificationSink, PublishService};
use tbx_notify::{Notification, TopicSet};
use tower::ServiceExt;

fn full(text: &str) -> Full<Bytes> {
    Full::new(Bytes::copy_from_slice(text.as_bytes()))
}

async fn post(service: PublishService, body: impl Into<String>) -> (u16, Value) {
    let request = Request::post("/").header("content-type", "application/json; charset=utf-8");
    let response = service.oneshot(request.body(full(&body.into())).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
}

fn service() -> (PublishService, Arc<MemoryHistory>) {
    let history = Arc::new(MemoryHistory::default());
    (PublishService::new(Arc::clone(&history)), history)
}

#[tokio::test]
async fn what_is_taken_is_in_the_history_under_the_id_of_the_answer() {
    let (service, history) = service();
    let body = r#"{"n":[1, 2], "m":12345678901234567890123, "l":1e2}"#;
    let (status, answer) =
        post(service, format!(r#"{{"topic":"a.$p","event":"Happened","data":{body}}}"#)).await;
    assert_eq!(status, 202);
    let entry = &history.read(0, 1).await.unwrap()[0];
    let notification = entry.notification();
    assert_eq!(answer, json!({"id": notification.id().to_string()}));
    assert_eq!((notification.topic().as_str(), notification.event().as_str()), ("a.$p", "Happened"));
    assert_eq!(notification.body(), body, "as it was written");
}

#[tokio::test]
async fn all_faults_are_told_at_once() {
    let (service, _) = service();
    let service = service.with_reserved_topics([TopicPattern::new("own.#").unwrap()]);
    for (body, faults) in [
        ("[]", vec![("#", "wrong-type")]),
        ("{}", vec![("#/topic", "missing"), ("#/event", "missing"), ("#/data", "missing")]),
        (r#"{"topic":1,"event":"\n","data":0}"#, vec![("#/topic", "wrong-type"), ("#/event", "invalid")]),
        (r#"{"topic":"a..b","event":"gap","data":0}"#, vec![("#/topic", "invalid"), ("#/event", "reserved")]),
        (r#"{"topic":"own.$thing","event":"E","data":0}"#, vec![("#/topic", "reserved")]),
    ] {
        let (status, problem) = post(service.clone(), body).await;
        let errors = problem["errors"].as_array().unwrap();
        let found = errors.iter().map(|e| (e["pointer"].as_str().unwrap(), e["code"].as_str().unwrap()));
        assert_eq!((status, found.collect::<Vec<_>>()), (422, faults), "{body}");
    }
    assert_eq!(post(service, "{").await.1["code"], "malformed-request");
}

#[tokio::test]
async fn a_body_that_is_too_large_or_no_json_is_refused() {
    let (service, _) = service();
    let (status, problem) = post(service.clone().with_max_body(10), " ".repeat(11)).await;
    assert_eq!((status, problem["code"].as_str()), (413, Some("payload-too-large")));
    let plain = Request::post("/").header("content-type", "text/plain").body(full("{}")).unwrap();
    assert_eq!(service.clone().oneshot(plain).await.unwrap().status(), 415);
    let fetched = Request::get("/").body(full("")).unwrap();
    assert_eq!(service.oneshot(fetched).await.unwrap().headers()["allow"], "POST");
}

#[tokio::test]
async fn a_grant_bounds_what_may_be_published() {
    let (service, _) = service();
    let service = service.with_access(|_: &Parts| Ok(Grant::topics(TopicSet::parse("a.*").unwrap())));
    let publish =
        |topic: &str| post(service.clone(), format!(r#"{{"topic":"{topic}","event":"E","data":0}}"#));
    assert_eq!(publish("a.b").await.0, 202);
    assert_eq!(publish("b").await.0, 403);
}

struct Unreachable;

#[async_trait]
impl NotificationSink for Unreachable {
    async fn take(&self, _: Notification, _: &Parts) -> Result<(), NotTaken> {
        Err(NotTaken::new("the broker is away"))
    }
}

#[tokio::test]
async fn what_is_not_safe_is_not_acknowledged_and_the_cause_stays_inside() {
    let service = PublishService::new(Unreachable);
    let (status, problem) = post(service, r#"{"topic":"a","event":"E","data":0}"#).await;
    assert_eq!((status, problem["code"].as_str()), (503, Some("unavailable")));
    assert!(!problem.to_string().contains("broker"), "{problem}");
}
