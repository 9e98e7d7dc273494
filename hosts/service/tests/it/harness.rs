//! A server on a free port, and a client that sees every byte.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use poem::IntoEndpoint;
use tbx_service::{Listener, ServeOptions, poem_service, serve};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Long enough for the slowest machine; reached only when something is wrong.
const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited too long: {what}"),
    }
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Server {
    pub(crate) fn start<E>(app: E, options: ServeOptions) -> Self
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let addr = listener.local_addr();
        let stop = CancellationToken::new();
        let running = tokio::spawn(serve(listener, poem_service(app), options, stop.clone()));
        Self { addr, stop, running }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client { stream: BufReader::new(TcpStream::connect(self.addr).await.unwrap()) }
    }

    /// Waits until `serve` has returned.
    pub(crate) async fn ended(self) {
        within("the server to end", self.running).await.unwrap();
    }
}

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// Every value of a header that may be there more than once.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let pairs = self.head.lines().filter_map(|line| line.split_once(": "));
        pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub(crate) fn problem(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Client {
    pub(crate) async fn send(&mut self, text: &str) {
        within("a write", self.stream.write_all(text.as_bytes())).await.unwrap();
    }

    /// The head of an answer, and its body when it has a length.
    pub(crate) async fn answer(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = within("a line of the head", self.stream.read_line(&mut head)).await.unwrap();
            assert_ne!(read, 0, "closed after {head:?}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        answer.body = self.read(length).await;
        answer
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.get_from("test", path).await
    }

    pub(crate) async fn get_from(&mut self, host: &str, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        self.answer().await
    }

    pub(crate) async fn read(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        within("bytes", self.stream.read_exact(&mut bytes)).await.unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// What still comes until the server closes. A reset is a close too.
    pub(crate) async fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        let _ = within("the end of the connection", self.stream.read_to_end(&mut bytes)).await;
        String::from_utf8(bytes).unwrap()
    }
}
