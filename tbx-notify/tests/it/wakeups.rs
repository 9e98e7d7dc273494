//! Time stands still in these tests: whoever is not woken when there is something to do is found out by the clock, which only moves for those that
//! sleep.

use std::time::Duration;

use tbx_notify::hub::HubOptions;
use tbx_notify::websocket::{self, Frame, Message, Origins, WebSocket, WebSocketOptions, WebSocketService};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;
use tower::ServiceExt;

use super::support::{fixture, within};
use super::websocket_client::{masked, opening};

async fn socket(pipe: usize) -> (WebSocket, DuplexStream) {
    let (request, near) = opening("/", pipe);
    let (mut parts, _) = request.into_parts();
    let accepted = websocket::accept(&mut parts, &Origins::Any).unwrap();
    (accepted.socket(WebSocketOptions::default()).await.unwrap(), near)
}

/// Pings, whose answers are as long, and a text. What may wait to be written is as much as the answers to about 500.
fn pings_and(pings: usize, text: &str) -> Vec<u8> {
    let mut bytes = masked(0x89, &[b'x'; 125]).repeat(pings);
    bytes.extend(masked(0x81, text.as_bytes()));
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_message_behind_many_pings_is_received() {
    let (mut socket, mut near) = socket(1 << 20).await;
    near.write_all(&pings_and(600, "hello")).await.unwrap();
    let before = Instant::now();
    assert_eq!(within(socket.recv()).await.unwrap(), Message::Text("hello".to_owned()));
    assert_eq!(before.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_received_however_much_waits_to_be_written() {
    for pipe in [1 << 10, 1 << 20] {
        let (mut socket, mut near) = socket(pipe).await;
        socket.send(Frame::text(&"x".repeat(70_000)));
        let client = tokio::spawn(async move {
            let mut heard = vec![0; 70_000];
            near.read_exact(&mut heard).await.unwrap();
            near.write_all(&masked(0x81, b"hello")).await.unwrap();
            near
        });
        let before = Instant::now();
        assert_eq!(within(socket.recv()).await.unwrap(), Message::Text("hello".to_owned()));
        assert_eq!(before.elapsed(), Duration::ZERO, "a pipe of {pipe} bytes");
        client.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_command_behind_many_pings_is_answered() {
    let fixture = fixture(100, HubOptions::default());
    // In the larger one all that waits is written at once as soon as the client reads.
    for pipe in [4 << 10, 128 << 10] {
        let (request, near) = opening("/?topics=", pipe);
        let service = WebSocketService::new(fixture.hub.clone()).with_message_rate(10_000, 10_000);
        service.oneshot(request).await.unwrap();
        let (mut reading, mut writing) = tokio::io::split(near);
        let saying = tokio::spawn(async move {
            writing.write_all(&pings_and(4_000, r#"{"type":"ping"}"#)).await.unwrap();
            writing
        });
        // Until nothing moves: the connection is full, and what may wait to be written, too.
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!saying.is_finished());
        let before = Instant::now();
        let mut heard = Vec::with_capacity(1 << 20);
        while !heard.ends_with(br#"{"type":"pong"}"#) {
            assert_ne!(within(reading.read_buf(&mut heard)).await.unwrap(), 0);
        }
        assert_eq!(before.elapsed(), Duration::ZERO, "a pipe of {pipe} bytes");
        saying.await.unwrap();
    }
}
