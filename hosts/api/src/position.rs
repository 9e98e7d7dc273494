//! The header `Stream-Position`: where the history stood before a GET was answered, so that a client that then streams from there misses nothing.

use std::sync::Arc;

use poem::http::{HeaderName, HeaderValue, Method};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};

const STREAM_POSITION: HeaderName = HeaderName::from_static("stream-position");

type Source = Arc<dyn Fn() -> String + Send + Sync>;

/// Adds the header to the answers of every GET, refusals included.
pub(crate) struct StreamPosition(pub(crate) Option<Source>);

impl<E: Endpoint> Middleware<E> for StreamPosition {
    type Output = StreamPositionEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        StreamPositionEndpoint { source: self.0.clone(), inner }
    }
}

pub(crate) struct StreamPositionEndpoint<E> {
    source: Option<Source>,
    inner: E,
}

impl<E: Endpoint> Endpoint for StreamPositionEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD)
            && request.uri().path().starts_with("/api/");
        // Read before the query: what is published while it runs comes after the position.
        let position = self.source.as_ref().filter(|_| reads).map(|source| source());
        let mut response = self.inner.call(request).await?.into_response();
        if let Some(value) = position.and_then(|position| HeaderValue::try_from(position).ok()) {
            response.headers_mut().insert(STREAM_POSITION, value);
        }
        Ok(response)
    }
}
