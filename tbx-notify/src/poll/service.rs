//! The service.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::Full;
use tower_service::Service;

use super::answer::Answer;
use super::request::read;
use crate::access::{Access, Door};
use crate::hub::{Hub, Transport};
use crate::rejection::Rejection;
use crate::{TopicSet, request};

/// How long the hub may take to hear of what is in the history, which is a moment unless the history fails.
const HEARING: Duration = Duration::from_secs(1);

/// Answers with notifications of a [`Hub`] as JSON. See the [module](super) for the protocol.
#[derive(Debug, Clone)]
pub struct PollService {
    hub: Hub,
    topics: Option<TopicSet>,
    access: Door,
}

impl PollService {
    /// Answers with what the request's `topics` want, or everything that its [`Grant`](crate::access::Grant) allows.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        Self { hub, topics: None, access: Door::default() }
    }

    /// Answers with these topics, whatever the request says.
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

    async fn answer(self, parts: Parts) -> Result<Response<Full<Bytes>>, Rejection> {
        if parts.method != Method::GET && parts.method != Method::HEAD {
            return Err(Rejection::method("GET, HEAD"));
        }
        let (query, patience) = read(&parts)?;
        let (grant, topics) =
            request::admit(&self.access, &parts, self.topics.as_ref(), query.some_topics())?;
        let answer = if parts.method == Method::HEAD {
            None
        } else {
            // What the hub does not hear of in time comes with the next answer.
            let _ = tokio::time::timeout(HEARING, self.hub.catch_up()).await;
            let reader = self.hub.read_as(Transport::Poll, topics, query.start());
            let reader = reader.map_err(|full| Rejection::unavailable(full.to_string()))?;
            Some(Answer::gather(reader, &grant, &patience).await.to_json())
        };
        let length = answer.as_ref().map(String::len);
        let mut response = Response::new(answer.map(|json| Full::new(json.into())).unwrap_or_default());
        let headers = response.headers_mut();
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

impl<B> Service<Request<B>> for PollService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.clone().answer(request.into_parts().0);
        Box::pin(async { Ok(answer.await.unwrap_or_else(|rejection| rejection.into_response(Full::new))) })
    }
}
