//! What a connection may take: time, slots, the reader's patience.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use poem::endpoint::{make, make_sync};
use poem::{Body, Response, Route, get};
use tbx_service::ServeOptions;
use tokio::sync::mpsc;

use crate::harness::{Server, within};

fn hello() -> Route {
    Route::new().at("/", get(make_sync(|_| "hello")))
}

#[tokio::test]
async fn a_request_that_never_ends_is_closed_after_the_header_timeout() {
    let options = ServeOptions { header_timeout: Duration::from_millis(500), ..ServeOptions::default() };
    let server = Server::start(hello(), options);
    for beginning in ["GET / HT", "GET / HTTP/1.1\r\nhost: te", ""] {
        let mut client = server.connect().await;
        client.send(beginning).await;
        assert!(!client.rest().await.contains("200"), "{beginning:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_header_timeout() {
    let options = ServeOptions { header_timeout: Duration::from_millis(500), ..ServeOptions::default() };
    let server = Server::start(hello(), options);
    let mut client = server.connect().await;
    assert_eq!(client.get("/").await.body, "hello");
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn above_the_cap_a_client_waits_until_one_leaves() {
    let served = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&served);
    let app =
        Route::new().at("/", get(make_sync(move |_| counter.fetch_add(1, Ordering::SeqCst).to_string())));
    let server = Server::start(app, ServeOptions { max_connections: 1, ..ServeOptions::default() });
    let mut first = server.connect().await;
    assert_eq!(first.get("/").await.body, "0");
    let mut second = server.connect().await;
    second.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n").await;
    for turn in 1..=50 {
        assert_eq!(first.get("/").await.body, turn.to_string(), "the second client was not let in");
    }
    drop(first);
    assert_eq!(second.answer().await.body, "51");
    assert_eq!(served.load(Ordering::SeqCst), 52);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let (alive, mut cut) = mpsc::channel::<Infallible>(1);
    let flood = make(move |_| {
        let alive = alive.clone();
        async move {
            // The sender lives as long as the body.
            let pieces = futures_util::stream::repeat_with(move || {
                let _ = &alive;
                Ok::<_, std::io::Error>(Bytes::from_static(&[b'x'; 16 * 1024]))
            });
            Response::builder().body(Body::from_bytes_stream(pieces))
        }
    });
    let app = Route::new().at("/flood", get(flood));
    let options = ServeOptions {
        write_timeout: Duration::from_millis(200),
        drain_timeout: Duration::from_millis(100),
        ..ServeOptions::default()
    };
    let server = Server::start(app, options);
    let mut client = server.connect().await;
    assert_eq!(client.get("/flood").await.status, 200);
    // The route holds a sender too: it goes with the server, which has only the connection to wait for.
    let stop = server.stop.clone();
    let open = within("the body to be dropped", async {
        while cut.sender_strong_count() > 1 {
            tokio::task::yield_now().await;
        }
        cut.sender_strong_count()
    });
    assert_eq!(open.await, 1);
    stop.cancel();
    server.ended().await;
    assert!(cut.recv().await.is_none());
    drop(client);
}
