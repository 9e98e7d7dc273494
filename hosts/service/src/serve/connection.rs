//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::extensions::OwnAddr;
use super::socket::Socket;
use super::{PeerAddr, ServeOptions, UpgradeHandle};

/// Largest request head, and what hyper gathers of an answer before it waits for the socket. Bodies pass
/// through it piece by piece, so it does not limit them.
const BUFFER_BYTES: usize = 64 * 1024;

/// How long a stop waits for the first request of a connection that has none yet.
const UNUSED_PATIENCE: Duration = Duration::from_millis(250);

/// The ends of one connection.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) peer: SocketAddr,
    pub(super) own: SocketAddr,
}

/// How connections are spoken with, made once per listener.
pub(super) fn protocol(options: &ServeOptions) -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(BUFFER_BYTES)
        .keep_alive(true)
        // A client that has closed its side is taken for gone, so that streams notice it between two writes.
        .half_close(false);
    protocol
}

/// Serves a socket until its client leaves, it is upgraded, or the stop has been carried out.
pub(super) async fn converse<S, B>(
    protocol: http1::Builder,
    socket: Socket,
    ends: Ends,
    service: S,
    stop: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&begun);
    let service = service_fn(move |mut request: Request<Incoming>| {
        begins.store(true, Ordering::Release);
        introduce(&mut request, ends);
        let mut service = service.clone();
        async move {
            poll_fn(|cx| service.poll_ready(cx)).await?;
            service.call(request).await
        }
    });
    let mut connection = pin!(protocol.serve_connection(TokioIo::new(socket), service).with_upgrades());
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // A socket that was opened in advance and never used, as browsers do, would hold the stop up to the header timeout.
            match tokio::time::timeout(UNUSED_PATIENCE, connection.as_mut()).await {
                Ok(ended) => ended,
                Err(_) if !begun.load(Ordering::Acquire) => return,
                Err(_) => connection.await,
            }
        }
    };
    if let Err(error) = ended {
        // Clients break off all the time; it is of interest to whoever looks for it.
        let error: &dyn Error = &error;
        tracing::debug!(peer = %ends.peer, error, "connection ended early");
    }
}

fn introduce(request: &mut Request<Incoming>, ends: Ends) {
    let extensions = request.extensions_mut();
    extensions.insert(PeerAddr(ends.peer));
    extensions.insert(OwnAddr(ends.own));
    if let Some(upgrade) = extensions.get::<OnUpgrade>().cloned() {
        extensions.insert(UpgradeHandle(upgrade));
    }
}
