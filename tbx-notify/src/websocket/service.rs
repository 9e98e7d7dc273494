//! The service.

use std::convert::Infallible;
use std::future::Ready;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Full;
use tower_service::Service;

use super::close::CloseCode;
use super::handshake::{Accepted, accept};
use super::origin::Origins;
use super::pace::Pace;
use super::session::{Beginning, Session};
use super::socket::WebSocketOptions;
use crate::access::{Access, Denied, Door};
use crate::hub::{Hub, SlowPolicy, Transport};
use crate::rejection::Rejection;
use crate::request::{self, Query, Refused};
use crate::{DEFAULT_KEEP_ALIVE, InvalidTopicSet, TopicSet};

/// How long the server may take to hand a connection over.
const UPGRADE: Duration = Duration::from_secs(10);

/// Sends notifications of a [`Hub`] over WebSocket. See the [module](super) for the protocol.
///
/// Each connection is a task that the hub owns: [`Hub::drain`] closes them and waits for them. What is wrong with a query is told by a close code
/// after the handshake, because browsers do not show why a handshake failed.
#[derive(Debug, Clone)]
pub struct WebSocketService {
    hub: Hub,
    topics: Option<TopicSet>,
    access: Door,
    origins: Origins,
    keep_alive: Duration,
    options: WebSocketOptions,
    pace: Pace,
}

impl WebSocketService {
    /// Sends what clients ask for, with a checkpoint after 15 s of silence, to pages of its own host and to programs.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        Self {
            hub,
            topics: None,
            access: Door::default(),
            origins: Origins::default(),
            keep_alive: DEFAULT_KEEP_ALIVE,
            options: WebSocketOptions::default(),
            pace: Pace::default(),
        }
    }

    /// Sends these topics, whatever the query says; clients may subscribe to no others.
    #[must_use]
    pub fn with_topics(mut self, topics: TopicSet) -> Self {
        self.topics = Some(topics);
        self
    }

    /// Decides what a client may see.
    #[must_use]
    pub fn with_access(mut self, access: impl Access) -> Self {
        self.access = Door::new(access);
        self
    }

    /// From which pages a browser may connect.
    #[must_use]
    pub fn with_origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// How long a connection may be silent before a checkpoint and a ping are sent, from 1 s to a day. A client that does not answer three pings is
    /// taken for gone.
    #[must_use]
    pub fn with_keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = crate::bounded_keep_alive(interval);
        self
    }

    /// Bounds of each connection.
    #[must_use]
    pub fn with_options(mut self, options: WebSocketOptions) -> Self {
        self.options = options;
        self
    }

    /// How many messages a client may send: `burst` at once, and then `per_second`. Who sends more is closed with 4429. 128 and 16 unless set.
    #[must_use]
    pub fn with_message_rate(mut self, burst: u32, per_second: u32) -> Self {
        self.pace = Pace { burst, per_second };
        self
    }

    fn answer(&self, mut parts: Parts) -> Result<Response<Full<Bytes>>, Rejection> {
        let accepted = accept(&mut parts, &self.origins)?;
        let response = accepted.response();
        let begun = self.begin(&parts);
        let connection = connect(accepted, self.options, begun);
        self.hub.connections().spawn(connection);
        Ok(response)
    }

    /// What the client gets, or the code that it is closed with.
    fn begin(&self, parts: &Parts) -> Result<Beginning, (CloseCode, String)> {
        let bad_request = |rejection: Rejection| (CloseCode::BAD_REQUEST, rejection.detail().to_owned());
        let query = Query::read(parts, "after").map_err(bad_request)?;
        // None yet: the client will say.
        let none = TopicSet::none();
        let fixed = match query.topics() {
            Some("") => self.topics.as_ref().or(Some(&none)),
            _ => self.topics.as_ref(),
        };
        let (grant, topics) = request::admit(&self.access, parts, fixed, query.topics()).map_err(refusal)?;
        let grant = self.topics.as_ref().map_or(grant.clone(), |fixed| grant.bounded_by(fixed.clone()));
        // Before the reader begins: what is published meanwhile is no replay.
        let newest = self.hub.newest();
        let reader = self.hub.read_as(Transport::WebSocket, topics, query.start()).map_err(|full| {
            let code = if self.hub.is_closing() { CloseCode::RESTART } else { CloseCode::OVERLOAD };
            (code, full.to_string())
        })?;
        let reader = reader.with_slow_policy(SlowPolicy::Close);
        Ok(Beginning { reader, grant, keep_alive: self.keep_alive, pace: self.pace, newest })
    }
}

async fn connect(
    accepted: Accepted,
    options: WebSocketOptions,
    begun: Result<Beginning, (CloseCode, String)>,
) {
    let upgrading = tokio::time::timeout(UPGRADE, accepted.socket(options));
    let socket = match upgrading.await {
        Ok(Ok(socket)) => socket,
        Err(_) => return,
        Ok(Err(error)) => {
            tracing::debug!(%error, cause = ?std::error::Error::source(&error), "no websocket came of a handshake");
            return;
        }
    };
    match begun {
        Ok(mut beginning) => {
            beginning.reader.settle().await;
            Session::new(socket, beginning).run().await;
        }
        Err((code, reason)) => socket.close(code, &reason).await,
    }
}

fn refusal(refused: Refused) -> (CloseCode, String) {
    let code = match &refused {
        Refused::Denied(Denied::Unauthenticated(_)) => CloseCode::UNAUTHORIZED,
        Refused::Denied(Denied::Forbidden(_)) => CloseCode::FORBIDDEN,
        Refused::Topics(InvalidTopicSet::TooMany) => CloseCode::TOO_MANY,
        Refused::Topics(_) => CloseCode::BAD_REQUEST,
    };
    (code, Rejection::from(refused).detail().to_owned())
}

impl<B> Service<Request<B>> for WebSocketService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.answer(request.into_parts().0);
        std::future::ready(Ok(answer.unwrap_or_else(|rejection| rejection.into_response(Full::new))))
    }
}
