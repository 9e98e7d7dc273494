//! The WebSocket service as its clients see it.

use std::time::Duration;

use serde_json::json;
use tbx_notify::TopicSet;
use tbx_notify::hub::HubOptions;
use tbx_notify::websocket::WebSocketService;

use super::support::{Fixture, fixture};
use super::websocket_client::Client;

fn service(fixture: &Fixture) -> WebSocketService {
    WebSocketService::new(fixture.hub.clone())
}

#[tokio::test]
async fn a_connection_begins_with_connected_and_goes_on_with_notifications() {
    let fixture = fixture(100, HubOptions::default());
    let mut client = Client::connect(&service(&fixture), "/?topics=a.%23").await;
    let head = fixture.hub.head().to_string();
    let connected = client.hear_of("connected").await;
    assert_eq!(connected["position"], head);
    assert!(connected["clientId"].as_str().is_some_and(|id| id.len() == 36), "{connected}");
    fixture.tell("b", 1).await;
    fixture.tell("a.b", 2).await;
    let position = format!("{:x}-2", fixture.hub.head().epoch.get());
    let wanted =
        json!({"type": "notification", "position": position, "topic": "a.b", "event": "Happened", "data": 2});
    assert_eq!(client.hear().await, wanted);
}

#[tokio::test]
async fn what_was_there_before_is_flagged_as_replay() {
    let fixture = fixture(100, HubOptions::default());
    let start = fixture.hub.head();
    for number in 0..3 {
        fixture.tell("a", number).await;
    }
    fixture.flowed().await;
    let mut client = Client::connect(&service(&fixture), &format!("/?after={start}")).await;
    assert_eq!(client.hear_of("connected").await["position"], start.to_string());
    fixture.tell("a", 3).await;
    assert_eq!(client.numbers(4).await, [(0, true), (1, true), (2, true), (3, false)]);
}

#[tokio::test]
async fn topics_are_added_and_removed_while_connected() {
    let fixture = fixture(100, HubOptions::default());
    let mut client = Client::connect(&service(&fixture), "/?topics=").await;
    client.hear_of("connected").await;
    fixture.tell("a", 0).await;
    fixture.flowed().await;

    client.say(r#"{"type":"subscribe","topics":["a","b.*"]}"#).await;
    let subscribed = client.hear_of("subscribed").await;
    assert_eq!(subscribed["topics"], json!(["a", "b.*"]));
    assert_eq!(subscribed["position"], fixture.hub.head().to_string(), "what came before is of no interest");
    fixture.tell("a", 1).await;
    fixture.tell("b.c", 2).await;
    assert_eq!(client.numbers(2).await, [(1, false), (2, false)]);

    client.say(r#"{"type":"unsubscribe","topics":["a"]}"#).await;
    assert_eq!(client.hear_of("subscribed").await["topics"], json!(["b.*"]));
    fixture.tell("a", 3).await;
    fixture.tell("b.c", 4).await;
    assert_eq!(client.numbers(1).await, [(4, false)]);
}

#[tokio::test]
async fn a_subscription_with_a_position_is_replayed_before_anything_new_and_repeats_nothing() {
    let fixture = fixture(100, HubOptions::default());
    let before = fixture.hub.head();
    fixture.tell("a.1", 0).await;
    fixture.tell("b", 1).await;
    fixture.flowed().await;
    let mut client = Client::connect(&service(&fixture), "/?topics=b").await;
    client.hear_of("connected").await;
    fixture.tell("b", 2).await;
    fixture.tell("a.2", 3).await;
    assert_eq!(client.numbers(1).await, [(2, false)]);
    fixture.flowed().await;

    client.say(&format!(r##"{{"type":"subscribe","topics":["a.*","#"],"after":"{before}"}}"##)).await;
    let subscribed = client.hear_of("subscribed").await;
    assert_eq!(subscribed["position"], before.to_string(), "who resumes there does not miss the replay");
    fixture.tell("b", 4).await;
    // 1 came before this connection was interested in anything, 2 it has had.
    assert_eq!(client.numbers(4).await, [(0, true), (1, true), (3, true), (4, false)]);
}

#[tokio::test]
async fn a_position_ahead_of_the_connection_holds_for_the_new_topics_alone() {
    let fixture = fixture(100, HubOptions::default());
    let mut client = Client::connect(&service(&fixture), "/?topics=b").await;
    client.hear_of("connected").await;
    for number in 0..4 {
        fixture.tell(["a", "b"][number % 2], number).await;
    }
    fixture.flowed().await;
    let seen_elsewhere = fixture.hub.head();
    client.say(&format!(r#"{{"type":"subscribe","topics":["a"],"after":"{seen_elsewhere}"}}"#)).await;
    fixture.tell("a", 4).await;
    let mut numbers = Vec::new();
    while numbers.last() != Some(&4) {
        let message = client.hear().await;
        numbers.extend(message["data"].as_u64());
    }
    assert_eq!(numbers, [1, 3, 4], "all of b and only what is new of a");
}

#[tokio::test]
async fn a_foreign_position_is_told_as_a_gap() {
    let fixture = fixture(100, HubOptions::default());
    let head = fixture.hub.head().to_string();
    let mut client = Client::connect(&service(&fixture), "/?topics=a&after=garbage").await;
    client.hear_of("connected").await;
    let wanted = json!({"type": "gap", "reason": "unknown", "requested": "garbage", "oldest": head, "newest": head, "position": head});
    assert_eq!(client.hear().await, wanted);

    client.say(r#"{"type":"subscribe","topics":["b"],"after":"nonsense"}"#).await;
    client.hear_of("subscribed").await;
    assert_eq!(client.hear_of("gap").await["requested"], "nonsense");
    fixture.tell("b", 1).await;
    assert_eq!(client.numbers(1).await, [(1, false)]);
}

#[tokio::test]
async fn a_service_of_fixed_topics_listens_to_no_query() {
    let fixture = fixture(100, HubOptions::default());
    let service = service(&fixture).with_topics(TopicSet::parse("a").unwrap());
    let mut client = Client::connect(&service, "/?topics=b").await;
    client.hear_of("connected").await;
    fixture.tell("b", 1).await;
    fixture.tell("a", 2).await;
    assert_eq!(client.numbers(1).await, [(2, false)]);
}

#[tokio::test]
async fn a_client_may_ask_for_a_sign_of_life() {
    let fixture = fixture(100, HubOptions::default());
    let mut client = Client::connect(&service(&fixture), "/").await;
    client.hear_of("connected").await;
    client.say(r#"{"type":"ping"}"#).await;
    client.hear_of("pong").await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_gets_checkpoints_that_move() {
    let fixture = fixture(100, HubOptions::default());
    let mut client = Client::connect(&service(&fixture), "/?topics=quiet").await;
    client.hear_of("connected").await;
    fixture.tell("busy", 1).await;
    fixture.flowed().await;
    let before = tokio::time::Instant::now();
    assert_eq!(client.hear_of("checkpoint").await["position"], fixture.hub.head().to_string());
    assert_eq!(before.elapsed().as_secs(), Duration::from_secs(15).as_secs());
    // The client answers the pings that come with them.
    for _ in 0..5 {
        client.hear_of("checkpoint").await;
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_comes_as_a_string() {
    let fixture = fixture(100, HubOptions::default());
    let mut client = Client::connect(&service(&fixture), "/").await;
    client.hear_of("connected").await;
    fixture.tell_body("a", "two\nlines").await;
    assert_eq!(client.hear_of("notification").await["data"], "two\nlines");
}
