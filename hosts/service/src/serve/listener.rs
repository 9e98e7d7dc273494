//! A bound socket.

use std::io;
use std::net::SocketAddr;

use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket};

/// Connections the kernel may hold for us; Linux cuts it to `net.core.somaxconn`.
const BACKLOG: u32 = 1024;

/// An address is bound and connections queue, but none is served before [`serve`](crate::serve()).
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    local_addr: SocketAddr,
}

impl Listener {
    /// Binds an address; port 0 picks a free one. Needs a running tokio runtime.
    ///
    /// # Errors
    ///
    /// When the address is taken, not ours, or not allowed.
    pub fn bind(addr: SocketAddr) -> Result<Self, ServeError> {
        bind(addr).map_err(|source| ServeError { addr, source })
    }

    /// The address that was bound, with the port that was picked.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    pub(super) fn into_socket(self) -> TcpListener {
        self.socket
    }
}

fn bind(addr: SocketAddr) -> io::Result<Listener> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // On Unix a restart must not wait for old connections in TIME_WAIT. On Windows the option would allow two
    // listeners on one address.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    let socket = socket.listen(BACKLOG)?;
    let local_addr = socket.local_addr()?;
    Ok(Listener { socket, local_addr })
}

/// An address could not be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {addr}")]
pub struct ServeError {
    addr: SocketAddr,
    source: io::Error,
}

impl ServeError {
    /// The address that was asked for.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}
