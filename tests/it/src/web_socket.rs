//! A client of the WebSocket endpoint, on a codec that others wrote.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::http_client::Failed;

/// One connection.
#[derive(Debug)]
pub struct WebSocket {
    stream: WebSocketStream<TcpStream>,
    /// The code that the server closed with.
    pub closed: Option<u16>,
}

impl WebSocket {
    /// Connects; `path` with its query.
    ///
    /// # Errors
    ///
    /// When the handshake fails.
    pub async fn connect(address: SocketAddr, path: &str) -> Result<Self, Failed> {
        let socket = TcpStream::connect(address).await?;
        let (stream, _) = client_async(format!("ws://{address}{path}"), socket).await?;
        Ok(Self { stream, closed: None })
    }

    /// Sends a text.
    ///
    /// # Errors
    ///
    /// When the connection is gone.
    pub async fn say(&mut self, text: impl Into<String>) -> Result<(), Failed> {
        Ok(self.stream.send(Message::text(text.into())).await?)
    }

    /// The next message; `None` at the end, or when the connection breaks.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            match self.stream.next().await?.ok()? {
                Message::Text(text) => return serde_json::from_str(&text).ok(),
                Message::Close(frame) => self.closed = frame.map(|frame| frame.code.into()),
                _ => {}
            }
        }
    }
}
