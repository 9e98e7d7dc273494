//! The service.

use std::convert::Infallible;
use std::future::Ready;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use tower_service::Service;

use super::body::SseBody;
use super::request::{RejectionKind, SseRejection, SseRequest};
use crate::TopicSet;
use crate::hub::Hub;

/// Streams notifications of a [`Hub`] as Server-Sent Events. See the [module](super) for the protocol.
#[derive(Debug, Clone)]
pub struct SseService {
    hub: Hub,
    topics: Option<TopicSet>,
    keep_alive: Duration,
}

impl SseService {
    /// Streams what the request's `topics` want, or everything, with a keep-alive every 15 s.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        Self { hub, topics: None, keep_alive: Duration::from_secs(15) }
    }

    /// Streams these topics, whatever the request says.
    #[must_use]
    pub fn with_topics(mut self, topics: TopicSet) -> Self {
        self.topics = Some(topics);
        self
    }

    /// How long a stream may be silent before a checkpoint is sent. Shorter finds dead connections sooner and costs a write each time.
    #[must_use]
    pub fn with_keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = interval;
        self
    }

    fn answer(&self, parts: &http::request::Parts) -> Response<SseBody> {
        let request = match SseRequest::read(parts) {
            Ok(request) => request,
            Err(rejection) => return reject(rejection),
        };
        let topics = self.topics.clone().or(request.topics).unwrap_or_else(TopicSet::everything);
        let body = if parts.method == Method::HEAD {
            SseBody::empty()
        } else {
            match self.hub.read(topics, request.start) {
                Ok(reader) => SseBody::stream(reader, self.keep_alive),
                Err(_) => SseBody::come_back(),
            }
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
        // Proxies that buffer would hold events back; nginx and those that copied it listen to this.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

fn reject(rejection: SseRejection) -> Response<SseBody> {
    let (status, title) = match rejection.kind() {
        RejectionKind::Method => (StatusCode::METHOD_NOT_ALLOWED, "Method not allowed"),
        RejectionKind::Query => (StatusCode::BAD_REQUEST, "Malformed request"),
    };
    let mut response = Response::new(SseBody::problem(status, title, rejection.detail()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if rejection.kind() == RejectionKind::Method {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response.extensions_mut().insert(rejection);
    response
}

impl<B> Service<Request<B>> for SseService {
    type Response = Response<SseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        std::future::ready(Ok(self.answer(&request.into_parts().0)))
    }
}
