//! A client that follows topics over either transport and comes back where it was, however often it is cut off.

use std::net::SocketAddr;

use serde_json::Value;

use crate::http_client::Failed;
use crate::{EventStream, WebSocket};

/// By what a follower is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Server-Sent Events.
    Sse,
    /// WebSocket.
    WebSocket,
}

/// A client that comes back where it was.
#[derive(Debug)]
pub struct Follower {
    way: Way,
    topics: String,
    position: Option<String>,
    /// The position of each notification, in the order they came.
    pub seen: Vec<String>,
    /// What it was told to have missed.
    pub gaps: Vec<Value>,
}

/// A connection of a follower. Dropped, it is cut off without a word.
#[derive(Debug)]
pub enum Connection {
    /// An event stream.
    Sse(Box<EventStream>),
    /// A WebSocket.
    WebSocket(Box<WebSocket>),
}

/// What a follower gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The stream begins.
    Connected,
    /// A notification with this event name.
    Event(String),
    /// A gap, for this reason.
    Gap(String),
    /// Something else.
    Other,
}

impl Follower {
    /// A follower of these topics; it begins after `position`, or with what comes after it first connects.
    #[must_use]
    pub fn new(way: Way, topics: &str, position: Option<&str>) -> Self {
        let (topics, position) = (topics.replace('#', "%23"), position.map(str::to_owned));
        Self { way, topics, position, seen: Vec::new(), gaps: Vec::new() }
    }

    /// How it is connected, how much it has seen and where it is, for failures.
    #[must_use]
    pub fn state(&self) -> (Way, usize, Option<&str>) {
        (self.way, self.seen.len(), self.position())
    }

    /// Where it is.
    #[must_use]
    pub fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    /// Connects to a server, which may be another than before.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn connect(&self, address: SocketAddr) -> Result<Connection, Failed> {
        let (topics, position) = (&self.topics, self.position.as_deref());
        Ok(match self.way {
            Way::Sse => {
                let path = format!("/api/notifications/stream?topics={topics}");
                Connection::Sse(Box::new(EventStream::connect(address, &path, position).await?))
            }
            Way::WebSocket => {
                let after = position.map(|position| format!("&after={position}")).unwrap_or_default();
                let path = format!("/api/notifications/ws?topics={topics}{after}");
                Connection::WebSocket(Box::new(WebSocket::connect(address, &path).await?))
            }
        })
    }

    /// What comes next; `None` when the connection has ended.
    pub async fn next(&mut self, connection: &mut Connection) -> Option<Heard> {
        match connection {
            Connection::Sse(stream) => {
                let event = stream.next().await;
                self.position = Some(stream.last_id().to_owned()).filter(|id| !id.is_empty());
                let event = event?;
                Some(match event.event.as_str() {
                    "connected" => Heard::Connected,
                    "gap" => self.missed(event.json()),
                    _ => {
                        self.seen.push(event.id);
                        Heard::Event(event.event)
                    }
                })
            }
            Connection::WebSocket(socket) => {
                let message = socket.next().await?;
                if let Some(position) = message["position"].as_str() {
                    self.position = Some(position.to_owned());
                }
                Some(match message["type"].as_str() {
                    Some("connected") => Heard::Connected,
                    Some("gap") => self.missed(message),
                    Some("notification") => {
                        self.seen.extend(message["position"].as_str().map(str::to_owned));
                        Heard::Event(message["event"].as_str().unwrap_or_default().to_owned())
                    }
                    _ => Heard::Other,
                })
            }
        }
    }

    fn missed(&mut self, gap: Value) -> Heard {
        let reason = gap["reason"].as_str().unwrap_or_default().to_owned();
        self.gaps.push(gap);
        Heard::Gap(reason)
    }
}
