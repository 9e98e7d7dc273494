//! The service.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tbx_bus::TopicPattern;
use tower_service::Service;

use super::body;
use super::sink::NotificationSink;
use crate::access::{Access, Denied, Door};
use crate::rejection::Rejection;

/// The largest body taken unless set otherwise.
const MAX_BODY: usize = 256 << 10;

/// Takes notifications by `POST` into a [`NotificationSink`]. See the [module](super) for the protocol.
#[derive(Clone)]
pub struct PublishService {
    sink: Arc<dyn NotificationSink>,
    access: Door,
    reserved: Arc<[TopicPattern]>,
    max_body: usize,
}

impl PublishService {
    /// Takes whatever comes, of up to 256 KiB.
    #[must_use]
    pub fn new(sink: impl NotificationSink) -> Self {
        Self { sink: Arc::new(sink), access: Door::default(), reserved: Arc::new([]), max_body: MAX_BODY }
    }

    /// Decides who may publish, and on which topics: those that the [`Grant`](crate::access::Grant) allows.
    #[must_use]
    pub fn with_access(mut self, access: impl Access) -> Self {
        self.access = Door::new(access);
        self
    }

    /// Topics that cannot be published by HTTP, private words in them included.
    #[must_use]
    pub fn with_reserved_topics(mut self, patterns: impl IntoIterator<Item = TopicPattern>) -> Self {
        self.reserved = patterns.into_iter().collect();
        self
    }

    /// The largest body taken, in bytes.
    #[must_use]
    pub fn with_max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    async fn answer<B>(self, parts: Parts, body: B) -> Result<Response<Full<Bytes>>, Rejection>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if parts.method != Method::POST {
            return Err(Rejection::method("POST"));
        }
        let grant = self.access.admit(&parts).map_err(|denied| Rejection::denied(&denied))?;
        if !is_json(&parts) {
            let detail = "the body must be sent with Content-Type: application/json";
            return Err(Rejection::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail));
        }
        let body = Limited::new(body, self.max_body).collect().await;
        let body = body.map_err(|error| self.unread(error.as_ref()))?.to_bytes();
        let notification = body::read(&body, &self.reserved)?;
        if !grant.allows(notification.topic()) {
            let detail = format!("the topic `{}` is not allowed to this client", notification.topic());
            return Err(Rejection::denied(&Denied::Forbidden(detail)));
        }
        let id = notification.id().to_string();
        self.sink.take(notification, &parts).await.map_err(|error| {
            tracing::warn!(%error, cause = ?error.source(), "notification not taken");
            Rejection::unavailable("the notification could not be taken now; try again")
        })?;
        let answer = format!(r#"{{"id":"{id}"}}"#);
        let length = answer.len();
        let mut response = Response::new(Full::new(answer.into()));
        *response.status_mut() = StatusCode::ACCEPTED;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        Ok(response)
    }

    fn unread(&self, error: &(dyn Error + 'static)) -> Rejection {
        if error.is::<LengthLimitError>() {
            let detail = format!("the body may have {} bytes", self.max_body);
            return Rejection::new(StatusCode::PAYLOAD_TOO_LARGE, "payload-too-large", detail);
        }
        Rejection::query("the body did not arrive whole")
    }
}

fn is_json(parts: &Parts) -> bool {
    let content_type =
        parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next().unwrap_or_default().eq_ignore_ascii_case("application/json");
    // JSON is UTF-8 (RFC 8259, section 8.1); whoever says otherwise sends something else.
    let charset =
        parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("charset"));
    is_json && charset.is_none_or(|(_, value)| value.trim_matches('"').eq_ignore_ascii_case("utf-8"))
}

impl<B> Service<Request<B>> for PublishService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let answer = self.clone().answer(parts, body);
        Box::pin(async { Ok(answer.await.unwrap_or_else(|rejection| rejection.into_response(Full::new))) })
    }
}

impl fmt::Debug for PublishService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishService")
            .field("access", &self.access)
            .field("reserved", &self.reserved)
            .field("max_body", &self.max_body)
            .finish_non_exhaustive()
    }
}
