//! A small HTTP client that keeps its connection.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::DEADLINE;

/// A client of one address.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    connection: Option<SendRequest<Full<Bytes>>>,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// A header as text; empty when it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// Why there is no answer.
pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

impl Client {
    /// A client; it connects with the first request.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Sends a GET.
    ///
    /// # Errors
    ///
    /// When there is no whole answer.
    pub async fn get(&mut self, path: &str) -> Result<Answer, Failed> {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// Sends a body of JSON.
    ///
    /// # Errors
    ///
    /// When there is no whole answer.
    pub async fn json(&mut self, method: Method, path: &str, body: &Value) -> Result<Answer, Failed> {
        let bytes = serde_json::to_vec(body)?;
        self.send(method, path, &[("content-type", "application/json")], bytes.into()).await
    }

    /// Sends any request.
    ///
    /// # Errors
    ///
    /// When there is no whole answer.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, Failed> {
        let mut request =
            Request::builder().method(method).uri(path).header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body))?;
        let sender = self.connected().await?;
        let answered = async {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
        };
        // An answer that never ends, such as a stream, must fail the test that did not expect one.
        let answer =
            tokio::time::timeout(DEADLINE, answered).await.unwrap_or_else(|elapsed| Err(elapsed.into()));
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    async fn connected(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Failed> {
        let usable = match &mut self.connection {
            Some(sender) => !sender.is_closed() && sender.ready().await.is_ok(),
            None => false,
        };
        if !usable {
            let socket = TcpStream::connect(self.address).await?;
            socket.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(socket)).await?;
            // Ends with the connection; its error reaches whoever waits for an answer.
            tokio::spawn(connection);
            self.connection = Some(sender);
        }
        self.connection.as_mut().ok_or_else(|| "no connection".into())
    }
}
