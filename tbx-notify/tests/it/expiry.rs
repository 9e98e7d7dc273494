//! Grants that end, on every transport and under every load.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use serde_json::Value;
use tbx_notify::access::{Denied, Grant};
use tbx_notify::hub::HubOptions;
use tbx_notify::poll::PollService;
use tbx_notify::sse::{SseBody, SseService};
use tbx_notify::websocket::WebSocketService;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceExt;

use super::support::{Fixture, fixture, within};
use super::websocket_client::{Client, opening};

/// Everything, up to a moment that is fixed already, as that of a token is.
fn until(expires: Instant) -> impl Fn(&Parts) -> Result<Grant, Denied> + Clone + Send + Sync + 'static {
    move |_| Ok(Grant::everything().until(expires))
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn get(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).body(Empty::new()).unwrap()
}

async fn stream(fixture: &Fixture, uri: &str, expires: Instant) -> Response<SseBody> {
    SseService::new(fixture.hub.clone()).with_access(until(expires)).oneshot(get(uri)).await.unwrap()
}

async fn polled(fixture: &Fixture, uri: &str, expires: Instant) -> (u16, Value) {
    let service = PollService::new(fixture.hub.clone()).with_access(until(expires));
    let response: Response<Full<Bytes>> = service.oneshot(get(uri)).await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_never_silent_ends_with_its_grant() {
    let fixture = fixture(1_000, HubOptions::default());
    let before = Instant::now();
    let body = stream(&fixture, "/", before + seconds(40)).await.into_body();
    let reading = tokio::spawn(async move {
        let all = body.collect().await.unwrap().to_bytes();
        (String::from_utf8(all.to_vec()).unwrap(), before.elapsed())
    });
    for number in 0..60 {
        fixture.tell("a", number).await;
        tokio::time::sleep(seconds(1)).await;
    }
    let (text, after) = within(reading).await.unwrap();
    assert_eq!((after.as_secs(), text.matches("event: Happened").count()), (40, 40));
    assert!(text.contains("\n\nretry: "), "a browser comes back with a new token: {text}");
    assert_eq!(fixture.hub.readers(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_to_be_read_gives_nothing_after_its_grant() {
    let fixture = fixture(1_000, HubOptions::default());
    let mut body = stream(&fixture, "/", Instant::now() + seconds(40)).await.into_body();
    within(body.frame()).await.unwrap().unwrap();
    for number in 0..100 {
        fixture.tell("a", number).await;
    }
    fixture.flowed().await;
    tokio::time::sleep(seconds(41)).await;
    let rest = within(body.collect()).await.unwrap().to_bytes();
    assert!(rest.starts_with(b"retry: "), "{rest:?}");
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_has_ended_already_admits_nobody() {
    let fixture = fixture(1_000, HubOptions::default());
    for number in 0..50 {
        fixture.tell("a", number).await;
    }
    fixture.flowed().await;
    let expired = Instant::now();
    for uri in ["/", "/?from=oldest"] {
        let streamed = stream(&fixture, uri, expired).await;
        assert_eq!(streamed.status(), 401, "{uri}");
        let text = within(streamed.into_body().collect()).await.unwrap().to_bytes();
        assert!(!text.windows(8).any(|part| part == b"Happened"), "{text:?}");

        let (status, problem) = polled(&fixture, uri, expired).await;
        assert_eq!((status, problem.get("items")), (401, None), "{uri}");

        let service = WebSocketService::new(fixture.hub.clone()).with_access(until(expired));
        let mut client = Client::connect(&service, uri).await;
        match within(client.0.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), 4401, "{uri}"),
            other => panic!("a close was expected, not {other:?}"),
        }
    }
    assert_eq!(fixture.hub.readers(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_waits_no_longer_than_its_grant() {
    let fixture = fixture(1_000, HubOptions::default());
    let before = Instant::now();
    let polling = async {
        let answer = polled(&fixture, "/?wait=60", before + seconds(5)).await;
        (answer, before.elapsed())
    };
    let telling = async {
        tokio::time::sleep(seconds(50)).await;
        fixture.tell("a", 1).await
    };
    let (((status, answer), after), _) = tokio::join!(polling, telling);
    assert_eq!((status, after.as_secs()), (200, 5));
    assert_eq!(answer["items"].as_array().unwrap().len(), 0, "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_always_a_little_behind_is_closed_with_its_grant() {
    let fixture = fixture(10_000, HubOptions::default());
    for number in 0..5_000 {
        fixture.tell("a", number).await;
    }
    fixture.flowed().await;
    let before = Instant::now();
    let (request, mut wire) = opening("/?from=oldest", 4 << 10);
    let service = WebSocketService::new(fixture.hub.clone()).with_access(until(before + seconds(40)));
    service.oneshot(request).await.unwrap();
    let mut buffer = vec![0; 4 << 10];
    // Half a megabyte, so it takes two minutes to read all.
    while within(wire.read(&mut buffer)).await.is_ok_and(|count| count > 0) {
        tokio::time::sleep(seconds(1)).await;
        let has_expired = before.elapsed() > seconds(41);
        assert!(!has_expired || fixture.hub.readers() == 0, "after {:?}", before.elapsed());
    }
    assert!((40..45).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_let_go_with_its_grant() {
    let fixture = fixture(1_000, HubOptions::default());
    for number in 0..100 {
        fixture.tell("a", number).await;
    }
    fixture.flowed().await;
    let before = Instant::now();
    let (request, _wire) = opening("/?from=oldest", 1 << 10);
    let service = WebSocketService::new(fixture.hub.clone()).with_access(until(before + seconds(5)));
    service.oneshot(request).await.unwrap();
    while fixture.hub.readers() > 0 {
        assert!(before.elapsed() < seconds(20), "still there");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(before.elapsed().as_secs(), 5);
}
