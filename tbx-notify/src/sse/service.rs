//! The service.

use std::convert::Infallible;
use std::future::Ready;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response};
use tower_service::Service;

use super::body::SseBody;
use crate::access::{Access, Door};
use crate::hub::{Hub, Transport};
use crate::rejection::Rejection;
use crate::request::{self, Query};
use crate::{DEFAULT_KEEP_ALIVE, TopicSet};

/// Streams notifications of a [`Hub`] as Server-Sent Events. See the [module](super) for the protocol.
#[derive(Debug, Clone)]
pub struct SseService {
    hub: Hub,
    topics: Option<TopicSet>,
    access: Door,
    keep_alive: Duration,
}

impl SseService {
    /// Streams what the request's `topics` want, or everything that its [`Grant`](crate::access::Grant) allows, with a keep-alive every 15 s.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        Self { hub, topics: None, access: Door::default(), keep_alive: DEFAULT_KEEP_ALIVE }
    }

    /// Streams these topics, whatever the request says.
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

    /// How long a stream may be silent before a checkpoint is sent, from 1 s to a day. Shorter finds dead connections sooner and costs a write each time.
    #[must_use]
    pub fn with_keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = crate::bounded_keep_alive(interval);
        self
    }

    fn answer(&self, parts: &http::request::Parts) -> Result<Response<SseBody>, Rejection> {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Err(Rejection::method("GET, HEAD"));
        }
        let mut query = Query::read(parts, "lastEventId")?;
        if let Some(header) = parts.headers.get("last-event-id") {
            query.set_position(String::from_utf8_lossy(header.as_bytes()).into_owned());
        }
        let (grant, topics) = request::admit(&self.access, parts, self.topics.as_ref(), query.some_topics())?;
        let body = if parts.method == Method::HEAD {
            SseBody::empty()
        } else {
            match self.hub.read_as(Transport::Sse, topics, query.start()) {
                Ok(reader) => SseBody::stream(reader, grant, self.keep_alive),
                Err(_) => SseBody::come_back(),
            }
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
        // Proxies that buffer would hold events back; nginx and those that copied it listen to this.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        Ok(response)
    }
}

impl<B> Service<Request<B>> for SseService {
    type Response = Response<SseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.answer(&request.into_parts().0);
        std::future::ready(Ok(answer.unwrap_or_else(|rejection| rejection.into_response(SseBody::whole))))
    }
}
