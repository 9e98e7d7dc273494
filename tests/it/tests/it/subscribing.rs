//! Clients that want too much over the WebSocket of the real notifier.

use http::Method;
use serde_json::json;
use tbx_it::{Setup, Tbx, WebSocket, within};

const WS: &str = "/api/notifications/ws";
const PATTERNS: usize = 100_000;

async fn connected(tbx: &Tbx, query: &str) -> WebSocket {
    let mut socket = WebSocket::connect(tbx.address("notifier"), &format!("{WS}{query}")).await.unwrap();
    assert_eq!(within("connected", socket.next()).await.unwrap()["type"], "connected");
    socket
}

/// The code that the server closes with, whatever it says before.
async fn closed(mut socket: WebSocket) -> Option<u16> {
    within("closed", async { while socket.next().await.is_some() {} }).await;
    socket.closed
}

#[tokio::test]
async fn a_hundred_thousand_patterns_are_refused_however_they_come_and_others_do_not_notice() {
    let tbx = Setup::new().start().await;
    let mut other = connected(&tbx, "?topics=a").await;

    // In one message.
    let mut at_once = connected(&tbx, "?topics=").await;
    let topics: Vec<String> = (0..PATTERNS).map(|n| format!("t{n}")).collect();
    // The server may close before all of it is sent.
    let _ = at_once.say(json!({ "type": "subscribe", "topics": topics }).to_string()).await;
    assert!(matches!(closed(at_once).await, Some(1009) | None));

    // In as many messages.
    let mut one_by_one = connected(&tbx, "?topics=").await;
    for topic in &topics {
        let message = json!({ "type": "subscribe", "topics": [topic] }).to_string();
        if one_by_one.say(message).await.is_err() {
            break;
        }
    }
    assert!(matches!(closed(one_by_one).await, Some(4429) | None));

    // In the query.
    let query = format!("{WS}?topics={}", topics.join(","));
    assert!(WebSocket::connect(tbx.address("notifier"), &query).await.is_err());

    let counts = tbx.notifier().get("/api/notifications/connections").await.unwrap().json();
    assert_eq!(counts["patterns"], json!([{ "pattern": "a", "connections": 1 }]));
    let news = json!({ "topic": "a", "event": "Happened", "data": 1 });
    let answer = tbx.notifier().json(Method::POST, "/api/notifications", &news).await.unwrap();
    assert_eq!(answer.status, 202);
    assert_eq!(within("the news", other.next()).await.unwrap()["data"], 1);
    let log = tbx.log();
    assert!(!log.contains("panicked") && !log.contains("\"level\":\"ERROR\""), "{log}");
}
