//! The fan-out inside an axum server: `cargo run -p tbx-examples --bin embed-axum`.
//!
//! The services are mounted as they are. With the feature `hyper` the WebSocket service knows the connections that axum hands over.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tbx_notify::history::{History, MemoryHistory};
use tbx_notify::hub::{Hub, HubOptions};
use tbx_notify::poll::PollService;
use tbx_notify::publish::PublishService;
use tbx_notify::sse::SseService;
use tbx_notify::websocket::WebSocketService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

fn app(hub: Hub, history: Arc<dyn History>) -> Router {
    Router::new()
        .route("/", get(|| async { "streams at /stream, /ws and /poll; publish with POST /publish\n" }))
        .route_service("/stream", SseService::new(hub.clone()))
        .route_service("/ws", WebSocketService::new(hub.clone()))
        .route_service("/poll", PollService::new(hub))
        .route_service("/publish", PublishService::new(history))
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
    let leaving = hub.clone();
    axum::serve(listener, app(hub, history))
        .with_graceful_shutdown(async move {
            let _ = tokio::signal::ctrl_c().await;
            // Streams end, or the server would wait for them for ever. A client that does not read ends late, and is not waited for.
            let _ = tokio::time::timeout(Duration::from_secs(5), leaving.drain(Duration::from_secs(1))).await;
        })
        .await?;
    stop.cancel();
    following.await?;
    Ok(())
}
