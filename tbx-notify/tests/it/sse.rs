//! The event stream as bytes.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use tbx_notify::Rejection;
use tbx_notify::hub::HubOptions;
use tbx_notify::sse::{SseBody, SseService};
use tower::ServiceExt;

use super::support::{Fixture, fixture, within};

async fn get(fixture: &Fixture, uri: &str, last_event_id: Option<&str>) -> Response<SseBody> {
    let mut request = Request::get(uri);
    if let Some(id) = last_event_id {
        request = request.header("last-event-id", id);
    }
    SseService::new(fixture.hub.clone()).oneshot(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()
}

async fn chunk(body: &mut SseBody) -> String {
    let frame = within(body.frame()).await.expect("more to come").unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_stream_begins_with_connected_and_goes_on_with_notifications() {
    let fixture = fixture(100, HubOptions::default());
    let response = get(&fixture, "/?topics=a.%23", None).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let head = fixture.hub.head();
    let connected = chunk(&mut body).await;
    assert!(
        connected.starts_with(&format!("id: {head}\nevent: connected\ndata: {{\"clientId\":\"")),
        "{connected}"
    );
    assert!(connected.ends_with(&format!("\"position\":\"{head}\"}}\n\n")), "{connected}");
    fixture.tell("a.b", 7).await;
    let epoch = format!("{:x}", head.epoch.get());
    assert_eq!(chunk(&mut body).await, format!("id: {epoch}-1\nevent: Happened\ndata: 7\n\n"));
}

#[tokio::test]
async fn what_waits_is_joined_into_one_write() {
    let fixture = fixture(100, HubOptions::default());
    let mut body = get(&fixture, "/", None).await.into_body();
    chunk(&mut body).await;
    for number in 0..10 {
        fixture.tell("a", number).await;
    }
    fixture.flowed().await;
    assert_eq!(chunk(&mut body).await.matches("event: Happened").count(), 10);
}

#[tokio::test]
async fn a_stream_resumes_by_header_or_query() {
    let fixture = fixture(100, HubOptions::default());
    let start = fixture.hub.head();
    fixture.tell("a", 1).await;
    fixture.flowed().await;
    for (uri, header) in [("/".to_owned(), Some(start.to_string())), (format!("/?lastEventId={start}"), None)]
    {
        let mut body = get(&fixture, &uri, header.as_deref()).await.into_body();
        assert!(chunk(&mut body).await.starts_with(&format!("id: {start}\nevent: connected")));
        assert!(chunk(&mut body).await.contains("data: 1\n"));
    }
}

#[tokio::test]
async fn a_gap_is_told_with_the_place_to_go_on() {
    let fixture = fixture(100, HubOptions::default());
    let head = fixture.hub.head();
    let mut body = get(&fixture, "/?lastEventId=no%22such", None).await.into_body();
    let data =
        format!(r#"{{"reason":"unknown","requested":"no\"such","oldest":"{head}","newest":"{head}"}}"#);
    let told = chunk(&mut body).await;
    assert!(
        told.ends_with(&format!("\n\nid: {head}\nevent: gap\ndata: {data}\n\n")),
        "with connected: {told}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_gets_checkpoints_that_move() {
    let fixture = fixture(100, HubOptions::default());
    let mut body = get(&fixture, "/?topics=quiet", None).await.into_body();
    chunk(&mut body).await;
    fixture.tell("busy", 1).await;
    fixture.flowed().await;
    let before = tokio::time::Instant::now();
    assert_eq!(chunk(&mut body).await, format!("id: {}\n\n", fixture.hub.head()));
    assert_eq!(before.elapsed().as_secs(), Duration::from_secs(15).as_secs());
}

#[tokio::test]
async fn a_closing_hub_tells_its_streams_when_to_come_back() {
    let fixture = fixture(100, HubOptions::default());
    let mut body = get(&fixture, "/", None).await.into_body();
    chunk(&mut body).await;
    fixture.hub.close();
    assert_come_back(&chunk(&mut body).await);
    assert!(within(body.frame()).await.is_none());
    let response = get(&fixture, "/", None).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_come_back(&chunk(&mut response.into_body()).await);
}

fn assert_come_back(chunk: &str) {
    let milliseconds: u64 = chunk.strip_prefix("retry: ").unwrap().trim_end().parse().unwrap();
    assert!((1_000..=10_000).contains(&milliseconds));
}

#[tokio::test]
async fn a_bad_request_says_what_is_wrong() {
    let fixture = fixture(100, HubOptions::default());
    let response = get(&fixture, "/?topics=a..b", None).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert!(response.extensions().get::<Rejection>().is_some());
    let text = chunk(&mut response.into_body()).await;
    assert!(text.contains("`a..b` is no topic pattern"), "{text}");
}

#[test]
fn bodies_and_services_fit_any_host() {
    fn host<T: Send + Sync + 'static>() {}
    host::<SseBody>();
    host::<SseService>();
}
