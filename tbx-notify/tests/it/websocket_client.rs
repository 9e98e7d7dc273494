//! A WebSocket client that others wrote, over a connection in memory.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{Request, Response};
use http_body_util::{Empty, Full};
use serde_json::Value;
use tbx_notify::upgrade::Upgrade;
use tbx_notify::websocket::WebSocketService;
use tokio::io::DuplexStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tower::ServiceExt;

use super::support::within;

/// What a connection in memory holds in each direction.
const PIPE: usize = 256 << 10;

pub(crate) struct Client(pub(crate) WebSocketStream<DuplexStream>);

/// A request that opens a WebSocket, and the other end of its connection.
pub(crate) fn opening(uri: &str, pipe: usize) -> (Request<Empty<Bytes>>, DuplexStream) {
    let (near, far) = tokio::io::duplex(pipe);
    let request = Request::get(uri)
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .extension(Upgrade::new(async { std::io::Result::Ok(far) }))
        .body(Empty::new())
        .unwrap();
    (request, near)
}

pub(crate) async fn open(service: &WebSocketService, uri: &str) -> (Response<Full<Bytes>>, DuplexStream) {
    let (request, near) = opening(uri, PIPE);
    (service.clone().oneshot(request).await.unwrap(), near)
}

/// A short frame as a client writes it, masked with zeros.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).ok().filter(|length| *length <= 125).unwrap();
    [&[first, 0x80 | length, 0, 0, 0, 0], payload].concat()
}

impl Client {
    pub(crate) async fn connect(service: &WebSocketService, uri: &str) -> Self {
        let (response, near) = open(service, uri).await;
        assert_eq!(response.status(), 101);
        Self::over(near).await
    }

    pub(crate) async fn over(near: DuplexStream) -> Self {
        Self(WebSocketStream::from_raw_socket(near, Role::Client, None).await)
    }

    pub(crate) async fn say(&mut self, text: &str) {
        within(self.0.send(Message::text(text))).await.unwrap();
    }

    /// The next message of the protocol; answers pings on the way.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            match within(self.0.next()).await.expect("a message").expect("a sound connection") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("a text was expected, not {other:?}"),
            }
        }
    }

    /// The next message, which is of this type.
    pub(crate) async fn hear_of(&mut self, kind: &str) -> Value {
        let message = self.hear().await;
        assert_eq!(message["type"], kind, "{message}");
        message
    }

    /// The data of the next notifications, and whether each was replayed; checkpoints between them are passed over.
    pub(crate) async fn numbers(&mut self, count: usize) -> Vec<(u64, bool)> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            let message = self.hear().await;
            if message["type"] != "checkpoint" {
                assert_eq!(message["type"], "notification", "{message}");
                numbers.push((message["data"].as_u64().unwrap(), message["replay"] == true));
            }
        }
        numbers
    }

    /// The close code that the server ends with.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            match within(self.0.next()).await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    // Answered when the stream is read on.
                    let _ = within(self.0.next()).await;
                    return frame.code.into();
                }
                Some(Ok(_)) => {}
                other => panic!("a close was expected, not {other:?}"),
            }
        }
    }
}
