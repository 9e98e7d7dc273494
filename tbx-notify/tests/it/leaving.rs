//! Readers come, change and leave.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use tbx_notify::TopicSet;
use tbx_notify::hub::{HubOptions, Next, Start, Transport};
use tbx_notify::sse::SseService;
use tbx_notify::websocket::WebSocketService;
use tokio::time::Instant;
use tower::ServiceExt;

use super::support::{bodies, fixture, within};
use super::websocket_client::Client;

#[tokio::test]
async fn readers_are_counted_by_transport_and_pattern() {
    let fixture = fixture(100, HubOptions::default());
    let service = WebSocketService::new(fixture.hub.clone());
    let mut client = Client::connect(&service, "/?topics=a").await;
    client.hear_of("connected").await;
    let request = Request::get("/?topics=a,b").body(Empty::<Bytes>::new()).unwrap();
    let stream = SseService::new(fixture.hub.clone()).oneshot(request).await.unwrap();
    assert_eq!(
        fixture.hub.readers_by_transport(),
        [(Transport::Sse, 1), (Transport::WebSocket, 1), (Transport::Poll, 0), (Transport::Other, 0)]
    );
    let busiest = fixture.hub.busiest_patterns(10);
    let busiest: Vec<_> = busiest.iter().map(|(pattern, readers)| (pattern.as_str(), *readers)).collect();
    assert_eq!(busiest, [("a", 2), ("b", 1)]);
    drop(stream);
    assert_eq!(fixture.hub.busiest_patterns(10).len(), 1);
}

#[tokio::test]
async fn a_reader_that_changes_its_topics_goes_on_where_it_was() {
    let fixture = fixture(100, HubOptions::default());
    let mut reader = fixture.hub.read(TopicSet::parse("a,b").unwrap(), Start::Head).unwrap();
    for number in 0..6 {
        fixture.tell(["a", "b", "c"][number % 3], number).await;
    }
    fixture.flowed().await;
    assert_eq!(bodies(&mut reader, 1).await, ["0"]);
    reader.change_topics(TopicSet::parse("b,c").unwrap());
    assert_eq!(bodies(&mut reader, 4).await, ["1", "2", "4", "5"]);
    fixture.tell("c", 6).await;
    assert_eq!(bodies(&mut reader, 1).await, ["6"]);
    assert_eq!(fixture.hub.busiest_patterns(10).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_drain_spreads_the_closes_over_its_time_and_waits_for_them() {
    let fixture = fixture(100, HubOptions::default());
    let service = WebSocketService::new(fixture.hub.clone());
    let mut closing = Vec::new();
    let before = Instant::now();
    for _ in 0..200 {
        let mut client = Client::connect(&service, "/").await;
        client.hear_of("connected").await;
        closing.push(tokio::spawn(async move { (client.closed().await, before.elapsed()) }));
    }
    fixture.hub.drain(Duration::from_millis(400)).await;
    assert_eq!(fixture.hub.readers(), 0);
    let mut times = Vec::new();
    for client in closing {
        let (code, after) = within(client).await.unwrap();
        assert_eq!(code, 1012);
        times.push(after);
    }
    times.sort_unstable();
    assert!(times[199] - times[0] >= Duration::from_millis(250), "{times:?}");
    assert!(times[199] <= Duration::from_millis(600), "{times:?}");
    assert_eq!(Client::connect(&service, "/").await.closed().await, 1012);
}

#[tokio::test]
async fn a_drain_without_readers_ends_at_once_and_admits_no_more() {
    let fixture = fixture(100, HubOptions::default());
    let mut reader = fixture.hub.read(TopicSet::everything(), Start::Head).unwrap();
    let drained = tokio::spawn({
        let hub = fixture.hub.clone();
        async move { hub.drain(Duration::ZERO).await }
    });
    assert!(matches!(within(reader.next()).await, Next::Closing));
    assert!(fixture.hub.read(TopicSet::everything(), Start::Head).is_err());
    drop(reader);
    within(drained).await.unwrap();
}
