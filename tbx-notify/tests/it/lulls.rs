//! Connections on which nothing happens for a while.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use tbx_notify::hub::HubOptions;
use tbx_notify::sse::SseService;
use tbx_notify::websocket::WebSocketService;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;
use tower::ServiceExt;

use super::support::fixture;
use super::websocket_client::{Client, open};

/// A deadline for what takes up to a day of a clock that jumps.
async fn within_two_days<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(2 * 24 * 3600), future).await.expect("in time")
}

#[tokio::test(start_paused = true)]
async fn a_client_that_answers_every_ping_outlives_a_lull_after_a_busy_period() {
    let fixture = fixture(1_000, HubOptions::default());
    let mut client = Client::connect(&WebSocketService::new(fixture.hub.clone()), "/").await;
    client.hear_of("connected").await;
    // Never silent for long enough to be pinged.
    for number in 0..12 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        fixture.tell("a", number).await;
        client.hear_of("notification").await;
    }
    for _ in 0..5 {
        client.hear_of("checkpoint").await;
    }
    fixture.tell("a", 12).await;
    assert_eq!(client.numbers(1).await, [(12, false)]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_said_nothing_in_a_busy_period_is_pinged_three_times_before_it_is_let_go() {
    let fixture = fixture(1_000, HubOptions::default());
    let (_, mut wire) = open(&WebSocketService::new(fixture.hub.clone()), "/").await;
    let before = Instant::now();
    let reading = tokio::spawn(async move {
        let mut heard = Vec::new();
        wire.read_to_end(&mut heard).await.unwrap();
        (heard, before.elapsed())
    });
    for number in 0..12 {
        tokio::time::sleep(Duration::from_secs(10)).await;
        fixture.tell("a", number).await;
    }
    let (heard, after) = within_two_days(reading).await.unwrap();
    assert_eq!(heard.windows(2).filter(|part| *part == [0x89, 0]).count(), 3);
    assert_eq!(after.as_secs(), 120 + 4 * 15, "a lull of four keep-alives");
    assert_eq!(fixture.hub.readers(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_keep_alive_is_a_second_at_least_and_a_day_at_most() {
    let fixture = fixture(100, HubOptions::default());
    for (asked, seconds) in [(Duration::ZERO, 1), (Duration::MAX, 24 * 3600)] {
        let service = SseService::new(fixture.hub.clone()).with_keep_alive(asked);
        let request = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
        let mut body = service.oneshot(request).await.unwrap().into_body();
        body.frame().await.unwrap().unwrap();
        let before = Instant::now();
        let checkpoint = within_two_days(body.frame()).await.unwrap().unwrap().into_data().unwrap();
        assert!(checkpoint.starts_with(b"id: "), "{checkpoint:?}");
        assert_eq!(before.elapsed().as_secs(), seconds, "{asked:?}");

        let service = WebSocketService::new(fixture.hub.clone()).with_keep_alive(asked);
        let (_, mut wire) = open(&service, "/").await;
        let before = Instant::now();
        let mut heard = Vec::new();
        while !heard.windows(10).any(|part| part == b"checkpoint") {
            assert_ne!(within_two_days(wire.read_buf(&mut heard)).await.unwrap(), 0);
        }
        assert_eq!(before.elapsed().as_secs(), seconds, "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_of_any_keep_alive_gets_what_is_published() {
    let fixture = fixture(100, HubOptions::default());
    for asked in [Duration::ZERO, Duration::MAX] {
        let service = WebSocketService::new(fixture.hub.clone()).with_keep_alive(asked);
        let mut client = Client::connect(&service, "/").await;
        client.hear_of("connected").await;
        fixture.tell("a", 1).await;
        assert_eq!(client.numbers(1).await, [(1, false)], "{asked:?}");
    }
}
