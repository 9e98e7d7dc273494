//! The fan-out inside a bare hyper server: `cargo run -p tbx-examples --bin embed-hyper`.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tbx_notify::history::{History, MemoryHistory};
use tbx_notify::hub::{Hub, HubOptions};
use tbx_notify::poll::PollService;
use tbx_notify::publish::PublishService;
use tbx_notify::sse::SseService;
use tbx_notify::websocket::WebSocketService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

#[derive(Clone)]
struct App {
    stream: SseService,
    ws: WebSocketService,
    poll: PollService,
    publish: PublishService,
}

impl App {
    fn new(hub: Hub, history: Arc<dyn History>) -> Self {
        Self {
            stream: SseService::new(hub.clone()),
            ws: WebSocketService::new(hub.clone()),
            poll: PollService::new(hub),
            publish: PublishService::new(history),
        }
    }

    async fn call(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<BoxBody<Bytes, Infallible>>, Infallible> {
        Ok(match request.uri().path() {
            "/stream" => self.stream.oneshot(request).await?.map(BodyExt::boxed),
            "/ws" => self.ws.oneshot(request).await?.map(BodyExt::boxed),
            "/poll" => self.poll.oneshot(request).await?.map(BodyExt::boxed),
            "/publish" => self.publish.oneshot(request).await?.map(BodyExt::boxed),
            _ => {
                let mut nothing = Response::new(Full::default().boxed());
                *nothing.status_mut() = StatusCode::NOT_FOUND;
                nothing
            }
        })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let history = Arc::new(MemoryHistory::default());
    let hub = Hub::new(history.clone(), HubOptions::default());
    let stop = CancellationToken::new();
    let following = tokio::spawn(hub.clone().run(stop.clone()));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    let app = App::new(hub.clone(), history);
    let connections = TaskTracker::new();
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            _ = tokio::signal::ctrl_c() => break,
        };
        let app = app.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| app.clone().call(request));
            // The timer lets hyper close a client that never finishes its first line.
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(socket), service);
            // A client that breaks off is no error of ours.
            let _ = connection.with_upgrades().await;
        });
    }
    // A client that does not read ends late, and is not waited for.
    let _ = tokio::time::timeout(Duration::from_secs(5), hub.drain(Duration::from_secs(1))).await;
    connections.close();
    let _ = tokio::time::timeout(Duration::from_secs(5), connections.wait()).await;
    stop.cancel();
    following.await?;
    Ok(())
}
