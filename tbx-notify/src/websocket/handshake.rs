//! The opening handshake ([RFC 6455, section 4.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2)).

use std::fmt;

use http::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};

use super::origin::Origins;
use super::socket::{WebSocket, WebSocketOptions};
use crate::rejection::Rejection;
use crate::upgrade::{Upgrade, UpgradeError, Upgrading};

/// A handshake that went well: send [`response`](Self::response), then the connection is there.
#[must_use]
pub struct Accepted {
    accept: HeaderValue,
    upgrading: Upgrading,
}

/// Takes a WebSocket over from a request whose server hands over its connection (see [`upgrade`](crate::upgrade)). Pages of other hosts are refused
/// as `origins` says.
///
/// # Errors
///
/// When the request opens no WebSocket.
pub fn accept(parts: &mut Parts, origins: &Origins) -> Result<Accepted, Rejection> {
    let key = check(parts)?;
    if !origins.allow(&parts.headers) {
        let detail =
            "pages of this origin may not connect; list it in the origins of the service if they should";
        return Err(Rejection::new(StatusCode::FORBIDDEN, "origin-not-allowed", detail));
    }
    let Some(upgrading) = Upgrade::of(parts) else {
        tracing::error!("the server does not hand its connections over; see tbx_notify::upgrade");
        let detail = "this server does not hand its connections over";
        return Err(Rejection::new(StatusCode::NOT_IMPLEMENTED, "internal", detail));
    };
    Ok(Accepted { accept: key, upgrading })
}

/// Checks the request and answers with the value of `Sec-WebSocket-Accept`.
fn check(parts: &Parts) -> Result<HeaderValue, Rejection> {
    if parts.method != Method::GET {
        return Err(Rejection::method("GET"));
    }
    let headers = &parts.headers;
    if !names(headers, &CONNECTION, "upgrade") || !names(headers, &UPGRADE, "websocket") {
        return Err(upgrade_required("this address speaks WebSocket"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(upgrade_required("only version 13 of WebSocket is spoken here")
            .with_header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    }
    // 16 bytes in base64 ([4.1, 7](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)).
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24 && key.as_bytes().ends_with(b"=="));
    let accept = key.map(|key| tungstenite::handshake::derive_accept_key(key.as_bytes()));
    accept
        .and_then(|accept| HeaderValue::from_str(&accept).ok())
        .ok_or_else(|| Rejection::query("`Sec-WebSocket-Key` must be 16 bytes in base64"))
}

fn upgrade_required(detail: &str) -> Rejection {
    Rejection::new(StatusCode::UPGRADE_REQUIRED, "upgrade-required", detail)
        .with_header(UPGRADE, HeaderValue::from_static("websocket"))
        .with_header(CONNECTION, HeaderValue::from_static("Upgrade"))
}

/// Whether a header holds a word in one of its comma lists.
fn names(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(word))
}

impl Accepted {
    /// The answer, without a body.
    #[must_use]
    pub fn response<B: Default>(&self) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        response
    }

    /// Waits for the connection, which comes after the answer.
    ///
    /// # Errors
    ///
    /// When the server does not hand it over, as when the client is gone.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the connection is closed as soon as it comes.
    pub async fn socket(self, options: WebSocketOptions) -> Result<WebSocket, UpgradeError> {
        Ok(WebSocket::new(self.upgrading.await?, options))
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted").finish_non_exhaustive()
    }
}
