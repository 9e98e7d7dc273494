//! Bodies up to a size.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use poem::{Body, Endpoint, IntoResponse, Middleware, Request, Response};

use crate::Problem;

/// poem middleware that refuses bodies of more bytes with problem 413: at once when `Content-Length` says so,
/// else when the byte too many is read. A length is not demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimit(pub usize);

impl<E: Endpoint> Middleware<E> for BodyLimit {
    type Output = BodyLimitEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        BodyLimitEndpoint { inner, limit: self.0 }
    }
}

/// Endpoint of [`BodyLimit`].
#[derive(Debug)]
pub struct BodyLimitEndpoint<E> {
    inner: E,
    limit: usize,
}

impl<E: Endpoint> Endpoint for BodyLimitEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        if announced_length(&request).is_some_and(|length| length > self.limit as u64) {
            return Err(too_large(self.limit).into());
        }
        let exceeded = Arc::new(AtomicBool::new(false));
        let body = limited(request.take_body(), self.limit, Arc::clone(&exceeded));
        request.set_body(body);
        let result = self.inner.call(request).await.map(IntoResponse::into_response);
        // Extractors turn the error of the body into errors of their own, so the fact is kept beside it.
        let refused = result.as_ref().map_or(true, |response| response.status().is_client_error());
        if refused && exceeded.load(Ordering::Relaxed) {
            return Err(too_large(self.limit).into());
        }
        result
    }
}

fn announced_length(request: &Request) -> Option<u64> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn limited(body: Body, limit: usize, exceeded: Arc<AtomicBool>) -> Body {
    let body: BoxBody<Bytes, io::Error> = body.into();
    let limited = Limited::new(body, limit).map_err(move |error| {
        if error.is::<LengthLimitError>() {
            exceeded.store(true, Ordering::Relaxed);
        }
        io::Error::other(error)
    });
    limited.boxed().into()
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "payload-too-large",
        format!("A body may have at most {limit} bytes."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn status_of(body: Body, announced: Option<usize>) -> StatusCode {
        let echo = poem::endpoint::make(|mut request: Request| async move {
            request.take_body().into_bytes().await.map_err(poem::Error::from)
        });
        let mut request = Request::builder();
        if let Some(length) = announced {
            request = request.header(header::CONTENT_LENGTH, length.to_string());
        }
        BodyLimit(10).transform(echo).get_response(request.body(body)).await.status()
    }

    fn streamed(pieces: &'static [&'static str]) -> Body {
        Body::from_bytes_stream(futures_util::stream::iter(
            pieces.iter().map(|piece| Ok::<_, io::Error>(Bytes::from_static(piece.as_bytes()))),
        ))
    }

    #[tokio::test]
    async fn the_limit_itself_is_allowed() {
        assert_eq!(status_of(Body::from("0123456789"), Some(10)).await, StatusCode::OK);
        assert_eq!(status_of(streamed(&["01234", "56789"]), None).await, StatusCode::OK);
        assert_eq!(status_of(Body::empty(), None).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn one_byte_more_is_refused_announced_or_counted() {
        assert_eq!(status_of(Body::empty(), Some(11)).await, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(status_of(streamed(&["01234", "567890"]), None).await, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
