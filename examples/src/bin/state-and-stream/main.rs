//! State and stream without a race: `GET /counters` answers with the header `Stream-Position`, and a client that streams from there
//! ends with the same state as the server, whatever is written meanwhile.
//!
//! Three rules make it so, two of the server and one of the client:
//!
//! 1. **A change is in the state before it is in the history.** So everything up to a position is in any state read after that position.
//! 2. **The position is read before the state.** What is appended in between comes after the position: the client gets it by the stream,
//!    although the state may have it already. The other way round it would come before the position and not be in the state, and the
//!    client would never hear of it.
//! 3. **The client applies only what is newer.** By rule 2 a change may come twice, and two changes of one counter may be appended in
//!    either order; the version tells.
//!
//! The server's side is in `counters.rs`, a client in `tests.rs`.
//!
//! `cargo run -p tbx-examples --bin state-and-stream [ADDRESS]`

mod counters;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use tbx_notify::history::MemoryHistory;
use tbx_notify::hub::{Hub, HubOptions};
use tbx_notify::sse::SseService;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::counters::Counters;

fn app(counters: Counters, hub: Hub) -> Router {
    let stream = SseService::new(hub).with_topics(counters.topics().clone());
    Router::new()
        .route("/counters", get(Counters::list))
        .route("/counters/{name}", post(Counters::add))
        .with_state(counters)
        .route_service("/stream", stream)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let history = Arc::new(MemoryHistory::default());
    let hub = Hub::new(history.clone(), HubOptions::default());
    let stop = CancellationToken::new();
    let following = tokio::spawn(hub.clone().run(stop.clone()));

    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = TcpListener::bind(address).await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("change a counter:   curl --json 5 {url}/counters/apples");
    println!("load the state:     curl -i {url}/counters");
    println!("stream from there:  curl -N '{url}/stream?lastEventId=<Stream-Position>'");
    let leaving = hub.clone();
    axum::serve(listener, app(Counters::new(history)?, hub))
        .with_graceful_shutdown(async move {
            let _ = tokio::signal::ctrl_c().await;
            // Streams end, or the server would wait for them for ever.
            leaving.drain(Duration::from_secs(1)).await;
        })
        .await?;
    stop.cancel();
    following.await?;
    Ok(())
}
