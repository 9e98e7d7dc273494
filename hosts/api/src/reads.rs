//! What the answers to all reads carry: where the history stood before, so that a client that then streams from there misses nothing; and that what
//! is kept of them must be asked about before it is used again.

use poem::http::{HeaderName, HeaderValue, Method, header};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};

use tbx_backends::HistoryHead;

use crate::app::ROUTES;

const STREAM_POSITION: HeaderName = HeaderName::from_static("stream-position");

/// Adds `Stream-Position` and `Cache-Control` to the answers of every GET of a resource, refusals included.
pub(crate) struct Reads(pub(crate) Option<HistoryHead>);

impl<E: Endpoint> Middleware<E> for Reads {
    type Output = ReadsEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        ReadsEndpoint { head: self.0.clone(), inner }
    }
}

pub(crate) struct ReadsEndpoint<E> {
    head: Option<HistoryHead>,
    inner: E,
}

impl<E: Endpoint> Endpoint for ReadsEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        if !reads_a_resource(&request) {
            return Ok(self.inner.call(request).await?.into_response());
        }
        // Read before the query: what is published while it runs comes after the position.
        let position = match &self.head {
            Some(head) => head.read().await,
            None => None,
        };
        let mut response = self.inner.call(request).await?.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Some(value) = position.and_then(|position| HeaderValue::try_from(position).ok()) {
            headers.insert(STREAM_POSITION, value);
        }
        Ok(response)
    }
}

fn reads_a_resource(request: &Request) -> bool {
    matches!(*request.method(), Method::GET | Method::HEAD)
        && ROUTES.find(request.uri().path()).is_some_and(|route| route.template.starts_with("/api/"))
}
