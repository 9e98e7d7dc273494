//! What end-to-end tests share: the real binary as a process, an HTTP client, and an event stream that resumes.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

pub mod collector;
pub mod crowd;
mod event_stream;
mod follower;
mod http_client;
mod own_server;
mod places;
mod process;
mod servers;
mod web_socket;

pub use event_stream::{Event, EventStream, Resuming};
pub use follower::{Connection, Follower, Heard, Way};
pub use http_client::{Answer, Client};
pub use own_server::OwnServer;
pub use places::Places;
pub use process::{Setup, Tbx, binary};
pub use servers::{Server, Servers};
pub use web_socket::WebSocket;

use std::future::Future;
use std::time::Duration;

/// How long a condition may take to come true before a test fails. Long, because machines are slow at times.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for `future`, and fails with `what` when it takes too long.
///
/// # Panics
///
/// When the deadline passes.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out: {what}"),
    }
}

/// Looks again and again until `probe` gives a value, and fails with what it said last when it takes too long.
///
/// # Panics
///
/// When the deadline passes.
pub async fn eventually<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        match probe().await {
            Ok(value) => return value,
            Err(last) if tokio::time::Instant::now() > deadline => {
                panic!("timed out: {what}; last seen: {last}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
