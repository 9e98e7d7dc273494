//! Topics that are added with a position while the rest goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::SinkExt;
use serde_json::{Value, json};
use tbx_notify::hub::HubOptions;
use tbx_notify::websocket::WebSocketService;
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceExt;

use super::support::{Fixture, Meddled, fixture, fixture_over};
use super::websocket_client::{Client, opening};

fn service(fixture: &Fixture) -> WebSocketService {
    WebSocketService::new(fixture.hub.clone())
}

fn subscribe(topics: &str, after: impl std::fmt::Display) -> String {
    format!(r#"{{"type":"subscribe","topics":["{topics}"],"after":"{after}"}}"#)
}

/// Says several things in one write.
async fn say_at_once(client: &mut Client, commands: &[String]) {
    for command in commands {
        client.0.feed(Message::text(command)).await.unwrap();
    }
    client.0.flush().await.unwrap();
}

/// A client whose connection breaks, and what it has then.
struct Broken {
    position: String,
    heard: BTreeSet<u64>,
}

impl Broken {
    fn new(connected: &Value) -> Self {
        Self { position: connected["position"].as_str().unwrap().to_owned(), heard: BTreeSet::new() }
    }

    /// Hears so many messages before the connection breaks.
    async fn after(mut client: Client, connected: &Value, messages: usize) -> Self {
        let mut broken = Self::new(connected);
        for _ in 0..messages {
            broken.note(&client.hear().await);
        }
        broken
    }

    fn note(&mut self, message: &Value) {
        if let Some(position) = message["position"].as_str() {
            position.clone_into(&mut self.position);
        }
        self.heard.extend(message["data"].as_u64());
    }

    /// Everything that it has heard when it has resumed and is up to date.
    async fn resumed(mut self, fixture: &Fixture, topics: &str) -> BTreeSet<u64> {
        const LAST: u64 = 999_999;
        let uri = format!("/?topics={topics},last&after={}", self.position);
        let mut client = Client::connect(&service(fixture), &uri).await;
        client.hear_of("connected").await;
        fixture.tell_body("last", &LAST.to_string()).await;
        while !self.heard.contains(&LAST) {
            self.note(&client.hear().await);
        }
        self.heard.remove(&LAST);
        self.heard
    }
}

#[tokio::test]
async fn who_is_cut_off_in_a_replay_resumes_and_misses_nothing() {
    // Answered, five replayed, the end of the replay.
    for messages in 1..=7 {
        let fixture = fixture(1_000, HubOptions::default());
        let before = fixture.hub.head();
        for number in 0..5 {
            fixture.tell("a", number).await;
        }
        fixture.flowed().await;
        let mut client = Client::connect(&service(&fixture), "/?topics=b").await;
        let connected = client.hear_of("connected").await;
        client.say(&subscribe("a", before)).await;
        let heard = Broken::after(client, &connected, messages).await.resumed(&fixture, "a,b").await;
        assert!(heard.iter().copied().eq(0..5), "cut off after {messages} messages: {heard:?}");
    }
}

#[tokio::test]
async fn who_is_cut_off_in_two_replays_resumes_and_misses_nothing() {
    // Answered twice, five replayed, the end of the replay.
    for messages in 2..=8 {
        let fixture = fixture(1_000, HubOptions::default());
        let before = fixture.hub.head();
        for (number, topic) in ["c", "a", "a", "c", "a"].into_iter().enumerate() {
            fixture.tell(topic, number).await;
        }
        fixture.flowed().await;
        let mut client = Client::connect(&service(&fixture), "/?topics=b").await;
        let connected = client.hear_of("connected").await;
        say_at_once(&mut client, &[subscribe("a", before), subscribe("c", before)]).await;
        let heard = Broken::after(client, &connected, messages).await.resumed(&fixture, "a,b,c").await;
        assert!(heard.iter().copied().eq(0..5), "cut off after {messages} messages: {heard:?}");
    }
}

#[tokio::test]
async fn two_replays_repeat_nothing_and_end_before_anything_new() {
    let fixture = fixture(1_000, HubOptions::default());
    let before = fixture.hub.head();
    for (number, topic) in ["c", "a", "a.x", "c", "a"].into_iter().enumerate() {
        fixture.tell(topic, number).await;
    }
    fixture.flowed().await;
    let mut client = Client::connect(&service(&fixture), "/?topics=b").await;
    client.hear_of("connected").await;
    let commands = [subscribe("a.#", before), subscribe("c", before), subscribe("*", before)];
    say_at_once(&mut client, &commands).await;
    for _ in commands {
        client.hear_of("subscribed").await;
    }
    fixture.tell("b", 5).await;
    let mut numbers = client.numbers(6).await;
    assert_eq!(numbers.pop(), Some((5, false)));
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq((0..5).map(|number| (number, true))));
}

/// How many entries, of `a` and `c` in turn, are more than a narrow connection holds.
const MANY: u64 = 3_000;

/// A client that is in the middle of the replay of `a`, of which it has had ten, when it wants `c`, too; and what it was told first.
async fn client_that_wants_more_half_way(fixture: &Fixture) -> (Client, Value, Vec<u64>) {
    let before = fixture.hub.head();
    for number in 0..MANY as usize {
        fixture.tell(["a", "c"][number % 2], number).await;
    }
    fixture.flowed().await;
    let (request, near) = opening("/?topics=b", 4 << 10);
    service(fixture).oneshot(request).await.unwrap();
    let mut client = Client::over(near).await;
    let connected = client.hear_of("connected").await;
    client.say(&subscribe("a", before)).await;
    client.hear_of("subscribed").await;
    let heard = client.numbers(10).await.into_iter().map(|(number, _)| number).collect();
    client.say(&subscribe("c", before)).await;
    (client, connected, heard)
}

#[tokio::test]
async fn a_replay_that_is_widened_half_way_misses_nothing_and_repeats_nothing() {
    let fixture = fixture(10_000, HubOptions::default());
    let (mut client, _, mut heard) = client_that_wants_more_half_way(&fixture).await;
    fixture.tell_body("b", &MANY.to_string()).await;
    while heard.last() != Some(&MANY) {
        heard.extend(client.hear().await["data"].as_u64());
    }
    heard.sort_unstable();
    assert!(heard.into_iter().eq(0..=MANY));
}

#[tokio::test]
async fn who_is_cut_off_in_a_replay_that_was_widened_half_way_resumes_and_misses_nothing() {
    for messages in [0, 1, 5, 700] {
        let fixture = fixture(10_000, HubOptions::default());
        let (mut client, connected, heard) = client_that_wants_more_half_way(&fixture).await;
        let mut broken = Broken::new(&connected);
        broken.heard.extend(heard);
        loop {
            let message = client.hear().await;
            broken.note(&message);
            if message["type"] == "subscribed" {
                break;
            }
        }
        for _ in 0..messages {
            broken.note(&client.hear().await);
        }
        drop(client);
        let heard = broken.resumed(&fixture, "a,b,c").await;
        assert!(heard.into_iter().eq(0..MANY), "cut off after {messages} messages");
    }
}

#[tokio::test]
async fn the_gap_of_a_replay_passes_over_nothing_that_was_not_told() {
    // Answered, the gap, the end of the replay, four of the rest.
    for messages in 0..=7 {
        let fixture = fixture(1_000, HubOptions::default());
        let mut client = Client::connect(&service(&fixture), "/?topics=b").await;
        let connected = client.hear_of("connected").await;
        for number in 0..4 {
            fixture.tell("b", number).await;
        }
        client.say(&subscribe("a", "garbage")).await;
        let heard = Broken::after(client, &connected, messages).await.resumed(&fixture, "a,b").await;
        assert!(heard.iter().copied().eq(0..4), "cut off after {messages} messages: {heard:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_a_replay_waits_for_the_history_no_checkpoint_passes_over_it() {
    let history = Arc::new(Meddled::new(100));
    let fixture = fixture_over(history.inner.clone(), history.clone(), HubOptions::default());
    let before = fixture.hub.head().to_string();
    for number in 0..5 {
        fixture.tell("a", number).await;
    }
    fixture.flowed().await;
    history.is_away.store(true, Ordering::SeqCst);
    let mut client = Client::connect(&service(&fixture), "/?topics=b").await;
    client.hear_of("connected").await;
    client.say(&subscribe("a", &before)).await;
    assert_eq!(client.hear_of("subscribed").await["position"], before);
    for _ in 0..3 {
        assert_eq!(client.hear_of("checkpoint").await["position"], before);
    }
    history.is_away.store(false, Ordering::SeqCst);
    assert!(client.numbers(5).await.into_iter().eq((0..5).map(|number| (number, true))));
}

#[tokio::test]
async fn what_is_unsubscribed_is_replayed_no_further() {
    let fixture = fixture(1_000, HubOptions::default());
    let before = fixture.hub.head();
    for number in 0..50 {
        fixture.tell(["a", "c"][number % 2], number).await;
    }
    fixture.flowed().await;
    let mut client = Client::connect(&service(&fixture), "/?topics=b").await;
    client.hear_of("connected").await;
    let unsubscribe = r#"{"type":"unsubscribe","topics":["a"]}"#.to_owned();
    say_at_once(&mut client, &[subscribe("a", before), unsubscribe.clone()]).await;
    client.hear_of("subscribed").await;
    assert_eq!(client.hear_of("subscribed").await["topics"], json!(["b"]));
    fixture.tell("b", 50).await;
    assert_eq!(client.numbers(1).await, [(50, false)]);

    say_at_once(&mut client, &[subscribe("c", before), subscribe("a", before), unsubscribe]).await;
    client.hear_of("subscribed").await;
    client.hear_of("subscribed").await;
    assert_eq!(client.hear_of("subscribed").await["topics"], json!(["b", "c"]));
    fixture.tell("b", 51).await;
    let mut wanted: Vec<(u64, bool)> = (1..50).step_by(2).map(|number| (number, true)).collect();
    wanted.push((51, false));
    assert_eq!(client.numbers(wanted.len()).await, wanted);
}

#[tokio::test]
async fn what_waits_for_a_replay_does_not_make_a_client_too_slow() {
    const OLD: usize = 5_000;
    const NEW: usize = 200;
    let options = HubOptions::default().with_window(5, 1 << 20).with_max_behind(4_000);
    let fixture = fixture(10_000, options);
    let before = fixture.hub.head();
    for number in 0..OLD {
        fixture.tell("a", number).await;
    }
    fixture.flowed().await;
    let mut client = Client::connect(&service(&fixture), "/?topics=b").await;
    client.hear_of("connected").await;
    // Up to date once, so that falling behind counts.
    fixture.tell("b", 0).await;
    assert_eq!(client.numbers(1).await, [(0, false)]);
    client.say(&subscribe("a", before)).await;
    client.hear_of("subscribed").await;
    let mut numbers = client.numbers(10).await;
    // There is more than the connection holds, so the replay is still going on.
    for number in OLD..OLD + NEW {
        fixture.tell("b", number).await;
    }
    fixture.flowed().await;
    numbers.extend(client.numbers(OLD + NEW - 10).await);
    let wanted = (0..OLD + NEW).map(|number| (number as u64, number < OLD));
    assert!(numbers.into_iter().eq(wanted));
}

/// Mixes a number well enough for choices that differ.
fn mixed(number: usize) -> usize {
    number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33
}

/// Publisher, hub, session and client on several threads, with windows small and large.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn however_other_topics_change_each_entry_of_a_topic_comes_once_and_in_order() {
    const ENTRIES: usize = 2_000;
    for (round, window) in [8, 4_096, 8, 4_096].into_iter().enumerate() {
        let options = HubOptions::default().with_window(window, 1 << 20).with_max_behind(1 << 40);
        let fixture = Arc::new(fixture(ENTRIES as u64 * 2, options));
        let service = service(&fixture).with_message_rate(100_000, 100_000);
        let mut client = Client::connect(&service, "/?topics=k").await;
        client.hear_of("connected").await;
        let epoch = fixture.hub.head().epoch.get();
        let publishing = tokio::spawn({
            let fixture = Arc::clone(&fixture);
            async move {
                let mut wanted = Vec::new();
                for number in 0..ENTRIES {
                    let is_last = number == ENTRIES - 1;
                    let topic = if is_last { "k" } else { ["k", "x", "y", "z.a"][mixed(number + round) % 4] };
                    fixture.tell(topic, number).await;
                    if topic == "k" {
                        wanted.push(number as u64);
                    }
                    if number % 5 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                wanted
            }
        });
        let mut heard: Vec<u64> = Vec::new();
        let mut messages = 0;
        while heard.last() != Some(&(ENTRIES as u64 - 1)) {
            let message = client.hear().await;
            messages += 1;
            match message["type"].as_str().unwrap() {
                "notification" if message["topic"] == "k" => heard.extend(message["data"].as_u64()),
                "notification" | "subscribed" | "checkpoint" => {}
                _ => panic!("{message}"),
            }
            if messages % 11 == 0 {
                let topic = ["x", "#", "y", "z.*", "k.#"][mixed(messages) % 5];
                let known = heard.last().copied().unwrap_or_default() + 1;
                let after = mixed(messages * 31 + round) as u64 % known;
                client
                    .say(&match mixed(messages * 7) % 3 {
                        0 => format!(r#"{{"type":"unsubscribe","topics":["{topic}"]}}"#),
                        1 => format!(r#"{{"type":"subscribe","topics":["{topic}"]}}"#),
                        _ => subscribe(topic, format_args!("{epoch:x}-{after}")),
                    })
                    .await;
            }
        }
        assert_eq!(heard, publishing.await.unwrap(), "round {round}");
    }
}
