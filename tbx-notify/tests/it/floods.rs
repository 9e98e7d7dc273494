//! Clients and servers that keep a connection busy, or open, for nothing.

use std::time::Duration;

use futures_util::SinkExt;
use tbx_notify::hub::HubOptions;
use tbx_notify::upgrade::Upgrade;
use tbx_notify::websocket::WebSocketService;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tower::ServiceExt;

use super::support::{fixture, within};
use super::websocket_client::{Client, masked, opening};

#[tokio::test(start_paused = true)]
async fn pings_do_not_keep_a_client_that_reads_nothing() {
    let fixture = fixture(10_000, HubOptions::default());
    let (request, mut wire) = opening("/", 1 << 10);
    WebSocketService::new(fixture.hub.clone()).oneshot(request).await.unwrap();
    for number in 0..100 {
        fixture.tell("a", number).await;
    }
    let before = Instant::now();
    while fixture.hub.readers() > 0 {
        assert!(before.elapsed() < Duration::from_secs(60), "still there");
        tokio::time::sleep(Duration::from_secs(3)).await;
        // Fails once the server has closed the connection.
        let _ = wire.write_all(&masked(0x89, b"")).await;
    }
    assert!((9..16).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn pings_and_pongs_count_as_messages() {
    let fixture = fixture(100, HubOptions::default());
    let service = WebSocketService::new(fixture.hub.clone()).with_message_rate(100, 1);
    for control in [Message::Ping("x".into()), Message::Pong("x".into())] {
        let mut client = Client::connect(&service, "/?topics=").await;
        client.hear_of("connected").await;
        for _ in 0..200 {
            if client.0.send(control.clone()).await.is_err() {
                break;
            }
        }
        assert_eq!(within(client.closed()).await, 4429, "{control:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_never_handed_over_gives_up_its_place() {
    let fixture = fixture(100, HubOptions::default());
    let (mut request, _near) = opening("/", 1 << 10);
    request.extensions_mut().insert(Upgrade::new(std::future::pending::<std::io::Result<DuplexStream>>()));
    let response = WebSocketService::new(fixture.hub.clone()).oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), fixture.hub.readers()), (101, 1));
    let before = Instant::now();
    within(fixture.hub.drain(Duration::from_secs(1))).await;
    assert_eq!((before.elapsed().as_secs(), fixture.hub.readers()), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_never_comes_to_its_end_ends_the_connection() {
    let fixture = fixture(100, HubOptions::default());
    for pieces in [masked(0x01, b"x"), vec![0x81]] {
        let (request, mut wire) = opening("/?topics=", 1 << 16);
        WebSocketService::new(fixture.hub.clone()).oneshot(request).await.unwrap();
        wire.write_all(&pieces).await.unwrap();
        let before = Instant::now();
        while fixture.hub.readers() > 0 {
            assert!(before.elapsed() < Duration::from_secs(60), "still there");
            tokio::time::sleep(Duration::from_secs(3)).await;
            // A piece more, and a sign of life between two pieces of a message.
            if pieces.len() > 1 {
                let _ = wire.write_all(&[masked(0x00, b"x"), masked(0x8a, b"")].concat()).await;
            }
        }
        assert!((9..28).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_in_pieces_that_comes_to_its_end_is_heard() {
    let fixture = fixture(100, HubOptions::default());
    let (request, mut wire) = opening("/?topics=", 1 << 16);
    WebSocketService::new(fixture.hub.clone()).oneshot(request).await.unwrap();
    for _ in 0..5 {
        for piece in [masked(0x01, br#"{"type":"#), masked(0x80, br#""ping"}"#)] {
            wire.write_all(&piece).await.unwrap();
            tokio::time::sleep(Duration::from_secs(6)).await;
        }
    }
    let mut client = Client::over(wire).await;
    client.hear_of("connected").await;
    for _ in 0..5 {
        while client.hear().await["type"] != "pong" {}
    }
}
