//! What a service finds in the extensions of each request.

use std::net::SocketAddr;

use hyper::upgrade::OnUpgrade;

/// The address at the other end of the socket: a proxy's, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

/// Our end of the socket, never the unspecified address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnAddr(pub(crate) SocketAddr);

/// The upgrade of this connection, present when the request asks for one.
///
/// poem takes hyper's own handle out of the extensions and does not give it to services mounted in it; this
/// second handle travels through. Whichever is awaited first gets the socket.
#[derive(Debug, Clone)]
pub struct UpgradeHandle(pub OnUpgrade);
