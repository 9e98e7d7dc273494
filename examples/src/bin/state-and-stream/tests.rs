//! Many clients against many writers, in one process and without sockets.

use std::collections::BTreeMap;

use axum::body::{Body, BodyDataStream};
use axum::response::Response;
use futures_util::StreamExt;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tbx_bus::MessageId;
use tbx_notify::history::History;
use tbx_notify::{Notification, Position};
use tokio::task::JoinSet;
use tower::ServiceExt;

use super::*;
use crate::counters::{Changed, Counter};

const WRITERS: usize = 8;
const CHANGES_OF_EACH: usize = 200;
const CHANGES: u64 = (WRITERS * CHANGES_OF_EACH) as u64;
const CLIENTS: u64 = 50;

/// How many changes a client applies before it comes back with its last position.
const CHANGES_OF_A_VISIT: usize = 100;

struct Server {
    app: Router,
    history: Arc<MemoryHistory>,
    _following: JoinSet<()>,
}

impl Server {
    fn start() -> Self {
        let history = Arc::new(MemoryHistory::default());
        let hub = Hub::new(history.clone(), HubOptions::default());
        let mut following = JoinSet::new();
        following.spawn(hub.clone().run(CancellationToken::new()));
        let app = app(Counters::new(history.clone()).unwrap(), hub);
        Self { app, history, _following: following }
    }

    /// Many writers at once.
    fn write(&self) -> JoinSet<()> {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let app = self.app.clone();
            writers.spawn(async move {
                for n in 0..CHANGES_OF_EACH {
                    // Two writers race for each counter and nobody else touches it again: what a client misses stays missed.
                    let name = format!("pair-{}-{n}", writer / 2);
                    assert_eq!(add(&app, &name, 1).await, StatusCode::OK);
                    tokio::task::yield_now().await;
                }
            });
        }
        writers
    }
}

async fn send(app: &Router, request: Request<Body>) -> Response {
    app.clone().oneshot(request).await.unwrap()
}

async fn fetch(app: &Router, uri: &str) -> Response {
    send(app, Request::get(uri).body(Body::empty()).unwrap()).await
}

async fn add(app: &Router, name: &str, amount: i64) -> StatusCode {
    let request = Request::post(format!("/counters/{name}")).header("content-type", "application/json");
    send(app, request.body(amount.to_string().into()).unwrap()).await.status()
}

/// What a client knows of the counters.
struct Client {
    counters: BTreeMap<String, Counter>,
    position: Position,
}

impl Client {
    async fn load(app: &Router) -> Self {
        let response = fetch(app, "/counters").await;
        let position = response.headers()["stream-position"].to_str().unwrap().parse().unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Self { counters: serde_json::from_slice(&body).unwrap(), position }
    }

    /// Streams from its position until it has seen the entry `last`, with a new connection now and then.
    async fn follow(&mut self, app: &Router, last: u64) {
        while self.position.offset < last {
            let mut events = Events::open(app, self.position).await;
            for _ in 0..CHANGES_OF_A_VISIT {
                let event = events.next().await;
                self.position = event.id;
                match event.name.as_str() {
                    "connected" => {}
                    "CounterChanged" => self.apply(serde_json::from_str(&event.data).unwrap()),
                    other => panic!("{other}: {}", event.data),
                }
                if self.position.offset >= last {
                    return;
                }
            }
        }
    }

    /// Rule 3: only what is newer.
    fn apply(&mut self, Changed { name, counter }: Changed) {
        let known = self.counters.entry(name).or_default();
        if counter.version > known.version {
            *known = counter;
        }
    }
}

struct Event {
    id: Position,
    name: String,
    data: String,
}

/// An event stream, as far as this test needs it.
struct Events {
    body: BodyDataStream,
    text: String,
}

impl Events {
    async fn open(app: &Router, after: Position) -> Self {
        let response = fetch(app, &format!("/stream?lastEventId={after}")).await;
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    async fn next(&mut self) -> Event {
        while !self.text.contains("\n\n") {
            let bytes = self.body.next().await.expect("the stream goes on").unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        let (event, rest) = self.text.split_once("\n\n").unwrap();
        let field = |name: &str| {
            event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
        };
        let event =
            Event { id: field("id: ").parse().unwrap(), name: field("event: "), data: field("data: ") };
        self.text = rest.to_owned();
        event
    }
}

async fn soon<T>(happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), happens).await.expect("it did not happen")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn every_client_ends_with_the_state_of_the_server_whatever_is_written_meanwhile() {
    let server = Server::start();
    let writers = server.write();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (app, mut newest) = (server.app.clone(), server.history.newest());
        clients.spawn(async move {
            // Spread over the whole of the writing.
            newest.wait_for(|newest| *newest >= client * CHANGES / CLIENTS).await.unwrap();
            let mut client = Client::load(&app).await;
            client.follow(&app, CHANGES).await;
            client.counters
        });
    }
    soon(writers.join_all()).await;
    let at_the_end = Client::load(&server.app).await;
    assert_eq!(at_the_end.position.offset, CHANGES);
    assert_eq!(at_the_end.counters.values().map(|counter| counter.version).sum::<u64>(), CHANGES);
    for counters in soon(clients.join_all()).await {
        assert_eq!(counters, at_the_end.counters);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn everything_up_to_a_position_is_in_the_state_that_comes_with_it() {
    let server = Server::start();
    let mut writers = server.write();
    while !writers.is_empty() {
        let loaded = Client::load(&server.app).await;
        // What is missing, if anything, is what was appended last.
        let count = loaded.position.offset.min(20);
        let before = loaded.position.offset - count;
        for entry in server.history.read(before, count as usize).await.unwrap() {
            let Changed { name, counter } = serde_json::from_slice(entry.notification().body()).unwrap();
            let known = loaded.counters.get(&name).copied().unwrap_or_default();
            assert!(known.version >= counter.version, "{name} is {known:?} where {counter:?} was told");
        }
        while let Some(written) = writers.try_join_next() {
            written.unwrap();
        }
    }
}

#[tokio::test]
async fn a_client_gets_by_the_stream_what_changed_after_it_loaded_the_state() {
    let server = Server::start();
    add(&server.app, "apples", 5).await;
    let mut client = Client::load(&server.app).await;
    assert_eq!(client.counters["apples"], Counter { value: 5, version: 1 });
    add(&server.app, "apples", -2).await;
    add(&server.app, "pears", 1).await;
    soon(client.follow(&server.app, 3)).await;
    assert_eq!(client.counters["apples"], Counter { value: 3, version: 2 });
    assert_eq!(client.counters["pears"], Counter { value: 1, version: 1 });
}

#[tokio::test]
async fn a_change_that_comes_after_a_newer_one_is_not_applied() {
    let server = Server::start();
    let mut client = Client::load(&server.app).await;
    add(&server.app, "apples", 5).await;
    add(&server.app, "apples", -2).await;
    // As by a writer that changed the state first and came to the history last.
    let late = server.history.read(0, 1).await.unwrap()[0].notification().clone();
    let late = Notification::new(
        MessageId::generate(),
        late.topic().clone(),
        late.event().clone(),
        late.body().clone(),
    );
    server.history.append(late.unwrap()).await.unwrap();
    soon(client.follow(&server.app, 3)).await;
    assert_eq!(client.counters["apples"], Counter { value: 3, version: 2 });
}

#[tokio::test]
async fn a_counter_that_the_stream_would_not_carry_is_refused() {
    let server = Server::start();
    for name in ["$secret", "red.apples", "*"] {
        assert_eq!(add(&server.app, name, 1).await, StatusCode::BAD_REQUEST, "{name}");
    }
    assert!(Client::load(&server.app).await.counters.is_empty());
}
