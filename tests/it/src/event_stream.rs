//! A client of event streams, as the HTML standard describes one.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::http_client::Failed;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The last id when it was dispatched.
    pub id: String,
    /// Its name.
    pub event: String,
    /// Its data.
    pub data: String,
}

impl Event {
    /// The data as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or(Value::Null)
    }
}

/// One connection.
#[derive(Debug)]
pub struct EventStream {
    /// The status of the answer.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// The time to wait before coming back, in milliseconds, when the server gave one.
    pub retry: Option<u64>,
    body: Incoming,
    buffer: Vec<u8>,
    last_id: String,
    event: String,
    data: Vec<String>,
}

impl EventStream {
    /// Connects, and resumes after `last_event_id` when there is one.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    pub async fn connect(
        address: SocketAddr,
        path: &str,
        last_event_id: Option<&str>,
    ) -> Result<Self, Failed> {
        let socket = TcpStream::connect(address).await?;
        let (mut sender, connection) = handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        let mut request =
            Request::get(path).header("host", address.to_string()).header("accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let (parts, body) = sender.send_request(request.body(Empty::<Bytes>::new())?).await?.into_parts();
        Ok(Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            retry: None,
            body,
            buffer: Vec::new(),
            last_id: last_event_id.unwrap_or_default().to_owned(),
            event: String::new(),
            data: Vec::new(),
        })
    }

    /// The last id, checkpoints included.
    #[must_use]
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// The next event; `None` at the end of the stream or when the connection breaks.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line[..end]).into_owned();
                if let Some(event) = self.line(line.trim_end_matches('\r')) {
                    return Some(event);
                }
            }
            let frame = self.body.frame().await?.ok()?;
            if let Some(bytes) = frame.data_ref() {
                self.buffer.extend_from_slice(bytes);
            }
        }
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let data = std::mem::take(&mut self.data);
            let dispatched = Event { id: self.last_id.clone(), event, data: data.join("\n") };
            return (!data.is_empty()).then_some(dispatched);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.last_id = value.to_owned(),
            "event" => self.event = value.to_owned(),
            "data" => self.data.push(value.to_owned()),
            "retry" => self.retry = value.parse().ok(),
            _ => {}
        }
        None
    }
}

/// A client that comes back by its last id, whatever happens to the server.
#[derive(Debug)]
pub struct Resuming {
    path: String,
    last_id: Option<String>,
    stream: Option<EventStream>,
}

impl Resuming {
    /// A client of `path`; it begins with what comes after it first connects.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self { path: path.to_owned(), last_id: None, stream: None }
    }

    /// Connects to a server, which may be another than before.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn connect(&mut self, address: SocketAddr) -> Result<(), Failed> {
        self.stream = Some(EventStream::connect(address, &self.path, self.last_id.as_deref()).await?);
        Ok(())
    }

    /// The next event; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<Event> {
        let stream = self.stream.as_mut()?;
        let event = stream.next().await;
        // An id may also come without an event.
        self.last_id = Some(stream.last_id().to_owned()).filter(|id| !id.is_empty());
        if event.is_none() {
            self.stream = None;
        }
        event
    }
}
