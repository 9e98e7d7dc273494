//! The fan-out inside a poem server: `cargo run -p tbx-examples --bin embed-poem`.
//!
//! poem's `compat()` loses the handle of the connection; `Upgradable` keeps it for the WebSocket service.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::TowerCompatExt;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{Endpoint, EndpointExt, Route, Server};
use tbx_notify::history::{History, MemoryHistory};
use tbx_notify::hub::{Hub, HubOptions};
use tbx_notify::poll::PollService;
use tbx_notify::publish::PublishService;
use tbx_notify::sse::SseService;
use tbx_notify::upgrade::Upgradable;
use tbx_notify::websocket::WebSocketService;
use tokio_util::sync::CancellationToken;

fn app(hub: Hub, history: Arc<dyn History>) -> impl Endpoint {
    Route::new()
        .at("/stream", SseService::new(hub.clone()).compat())
        .at("/ws", WebSocketService::new(hub.clone()).compat().with(Upgradable))
        .at("/poll", PollService::new(hub).compat())
        .at("/publish", PublishService::new(history).compat())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let history = Arc::new(MemoryHistory::default());
    let hub = Hub::new(history.clone(), HubOptions::default());
    let stop = CancellationToken::new();
    let following = tokio::spawn(hub.clone().run(stop.clone()));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let acceptor = TcpListener::bind(address).into_acceptor().await?;
    for address in acceptor.local_addr().iter().filter_map(|address| address.as_socket_addr()) {
        println!("listening on http://{address}");
    }
    let leaving = hub.clone();
    let left = async move {
        let _ = tokio::signal::ctrl_c().await;
        // Streams end, or the server would wait for them until its own deadline.
        let _ = tokio::time::timeout(Duration::from_secs(5), leaving.drain(Duration::from_secs(1))).await;
    };
    let deadline = Some(Duration::from_secs(5));
    Server::new_with_acceptor(acceptor).run_with_graceful_shutdown(app(hub, history), left, deadline).await?;
    stop.cancel();
    following.await?;
    Ok(())
}
