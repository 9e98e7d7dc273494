//! Streams, upgrades, the stop.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use hyper_util::rt::TokioIo;
use poem::endpoint::{make, make_sync};
use poem::http::StatusCode;
use poem::{Body, Request, Response, Route, get};
use tbx_service::{PeerAddr, ServeOptions, UpgradeHandle};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::harness::{Server, within};

/// Sends one piece and then nothing, for ever.
fn stream() -> Response {
    let first = futures_util::stream::iter([Ok::<_, io::Error>(Bytes::from_static(b"first"))]);
    Response::builder().body(Body::from_bytes_stream(first.chain(futures_util::stream::pending())))
}

#[tokio::test]
async fn the_drain_of_an_open_stream_ends_at_its_deadline() {
    let drain_timeout = Duration::from_millis(200);
    let app = Route::new().at("/stream", get(make_sync(|_| stream())));
    let server = Server::start(app, ServeOptions { drain_timeout, ..ServeOptions::default() });
    let mut client = server.connect().await;
    assert_eq!(client.get("/stream").await.header("transfer-encoding"), Some("chunked"));
    assert_eq!(client.read(10).await, "5\r\nfirst\r\n", "pieces are not gathered");
    let stopped = Instant::now();
    server.stop.cancel();
    server.ended().await;
    assert!(stopped.elapsed() >= drain_timeout);
    assert_eq!(client.rest().await, "", "cut without the final chunk");
}

#[tokio::test]
async fn a_stop_lets_running_requests_finish_and_takes_no_new_ones() {
    let gate = Arc::new(Semaphore::new(0));
    let (entered, waiting) = (Arc::new(Semaphore::new(0)), Arc::clone(&gate));
    let arrived = Arc::clone(&entered);
    let slow = make(move |_| {
        let (arrived, waiting) = (Arc::clone(&arrived), Arc::clone(&waiting));
        async move {
            arrived.add_permits(1);
            waiting.acquire().await.unwrap().forget();
            "done"
        }
    });
    let server = Server::start(Route::new().at("/slow", get(slow)), ServeOptions::default());
    let mut busy = server.connect().await;
    busy.send("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await;
    within("the request to run", entered.acquire()).await.unwrap().forget();
    let idle = server.connect().await;
    server.stop.cancel();
    assert_eq!(idle.rest().await, "", "a connection without a request is closed at once");
    within("new connections to be refused", async {
        while TcpStream::connect(server.addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    gate.add_permits(1);
    let answer = busy.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "done"));
    assert_eq!(answer.header("connection"), Some("close"));
    server.ended().await;
}

#[tokio::test]
async fn an_endpoint_knows_its_peer() {
    let tell = make_sync(|request: Request| {
        let remote = request.remote_addr();
        let peer = request.data::<PeerAddr>().map(|peer| peer.0.to_string());
        format!("{} {remote}", peer.unwrap_or_default())
    });
    let server = Server::start(Route::new().at("/", get(tell)), ServeOptions::default());
    let body = server.connect().await.get("/").await.body;
    let (peer, remote) = body.split_once(' ').unwrap();
    assert!(peer.starts_with("127.0.0.1:"), "{body}");
    assert_eq!(remote, format!("socket://{peer}"));
}

/// Greets over the upgraded socket once `gate` opens, and closes it.
fn greeting(gate: Arc<Semaphore>) -> Route {
    let upgrade = make_sync(move |request: Request| {
        let UpgradeHandle(upgrade) = request.data::<UpgradeHandle>().unwrap().clone();
        let gate = Arc::clone(&gate);
        tokio::spawn(async move {
            let mut socket = TokioIo::new(upgrade.await.unwrap());
            socket.write_all(b"hi").await.unwrap();
            gate.acquire().await.unwrap().forget();
            socket.write_all(b"bye").await.unwrap();
        });
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header("connection", "upgrade")
            .header("upgrade", "greeting")
            .finish()
    });
    Route::new().at("/upgrade", get(upgrade))
}

const UPGRADE: &str =
    "GET /upgrade HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: greeting\r\n\r\n";

#[tokio::test]
async fn a_service_behind_poem_can_upgrade_and_the_stop_waits_for_the_socket() {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::start(greeting(Arc::clone(&gate)), ServeOptions::default());
    let mut client = server.connect().await;
    client.send(UPGRADE).await;
    assert_eq!(client.answer().await.status, 101);
    assert_eq!(client.read(2).await, "hi");
    server.stop.cancel();
    gate.add_permits(1);
    assert_eq!(client.rest().await, "bye");
    server.ended().await;
}

#[tokio::test]
async fn an_upgraded_socket_keeps_its_slot_and_does_not_outlast_the_drain() {
    let gate = Arc::new(Semaphore::new(0));
    let options = ServeOptions {
        max_connections: 1,
        drain_timeout: Duration::from_millis(100),
        ..ServeOptions::default()
    };
    let server = Server::start(greeting(Arc::clone(&gate)), options);
    let mut first = server.connect().await;
    first.send(UPGRADE).await;
    assert_eq!(first.answer().await.status, 101);
    assert_eq!(first.read(2).await, "hi");
    let mut second = server.connect().await;
    second.send(UPGRADE).await;
    gate.add_permits(1);
    assert_eq!(first.rest().await, "bye");
    assert_eq!(second.answer().await.status, 101);
    server.stop.cancel();
    server.ended().await;
}
