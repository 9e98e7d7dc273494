//! Accepting, and the stop.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::connection::{Ends, converse, protocol};
use super::socket::Socket;
use super::{Listener, ServeOptions};

/// After the drain, connection tasks end at their next await; one that blocks its thread is not waited for.
const CUT_TIMEOUT: Duration = Duration::from_secs(1);

/// How much may wait in the system that the network does not take.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT_BYTES: u32 = 128 << 10;

/// Serves connections until `stop`, then drains: no new ones, no further request on the open ones, and at most
/// [`drain_timeout`](ServeOptions::drain_timeout) for what runs. Then connections are cut. Upgraded sockets are
/// waited for like the others; they belong to whoever took them, who should close them on the same stop.
///
/// # Cancel safety
///
/// Dropping the future closes the listener and cuts every connection.
pub async fn serve<S, B>(listener: Listener, service: S, options: ServeOptions, stop: CancellationToken)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let own = listener.local_addr();
    let mut gate = Gate::new(listener, &options);
    let protocol = protocol(&options);
    let connections = TaskTracker::new();
    let sockets = TaskTracker::new();
    let cut = CancellationToken::new();
    let _cut_when_dropped = cut.clone().drop_guard();

    while let Some((slot, stream, peer)) = stop.run_until_cancelled(gate.next()).await {
        if let Err(error) = shape(&stream) {
            tracing::debug!(%peer, %error, "connection left before it was served");
            continue;
        }
        let ends = Ends { peer, own: own_end(own, &stream) };
        let socket = Socket::new(stream, options.write_timeout, slot, sockets.token());
        let conversation = converse(protocol.clone(), socket, ends, service.clone(), stop.clone());
        let cut = cut.clone();
        connections.spawn(async move {
            cut.run_until_cancelled_owned(conversation).await;
        });
    }

    // Closes the listening socket: clients are refused from here on and can try elsewhere.
    drop(gate);
    connections.close();
    sockets.close();
    let drained = timeout(options.drain_timeout, async {
        connections.wait().await;
        sockets.wait().await;
    });
    if drained.await.is_ok() {
        return;
    }
    tracing::warn!(addr = %own, open = sockets.len(), "drain deadline reached, cutting what is open");
    cut.cancel();
    if timeout(CUT_TIMEOUT, connections.wait()).await.is_err() {
        tracing::warn!(addr = %own, open = connections.len(), "connections are still busy, leaving them");
    }
}

/// How the system treats the socket: it sends at once what it gets, and takes little that it cannot send yet.
fn shape(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // Without it the system buffers up to 4 MiB for a client that does not read, and what waits there is old when it arrives. On systems that do not
    // know it, nothing but that is lost.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES);
    Ok(())
}

/// Where the client came in: on all addresses, only the socket knows it.
fn own_end(listening: SocketAddr, stream: &TcpStream) -> SocketAddr {
    match stream.local_addr() {
        Ok(own) if listening.ip().is_unspecified() => own,
        _ => listening,
    }
}

/// Lets in one connection per free slot.
struct Gate {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    backoff: AcceptBackoff,
}

impl Gate {
    fn new(listener: Listener, options: &ServeOptions) -> Self {
        let slots = options.max_connections.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            listener: listener.into_socket(),
            slots: Arc::new(Semaphore::new(slots)),
            backoff: AcceptBackoff::default(),
        }
    }

    async fn next(&mut self) -> (OwnedSemaphorePermit, TcpStream, SocketAddr) {
        loop {
            let slot = self.slot().await;
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.backoff = AcceptBackoff::default();
                    return (slot, stream, peer);
                }
                Err(error) if concerns_one_client(&error) => {}
                Err(error) => {
                    let pause = self.backoff.next_pause();
                    tracing::warn!(%error, pause_ms = pause.as_millis() as u64, "cannot accept connections");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn slot(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
                return slot;
            }
            tracing::debug!("all connection slots are taken, accepting when one leaves");
            // The semaphore is never closed, so an error cannot happen and the loop ends with the slot.
            if let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await {
                return slot;
            }
        }
    }
}

/// The client went away while it was waiting to be accepted: the next one may be fine.
fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// Pauses after failed accepts. Without file descriptors accept fails at once, again and again; a loop without
/// a pause would take a whole core from the work that could free some.
struct AcceptBackoff {
    pause: Duration,
}

impl Default for AcceptBackoff {
    fn default() -> Self {
        Self { pause: Duration::from_millis(10) }
    }
}

impl AcceptBackoff {
    fn next_pause(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(Duration::from_secs(1));
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second() {
        let mut backoff = AcceptBackoff::default();
        let pauses: Vec<u128> = (0..9).map(|_| backoff.next_pause().as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }
}
