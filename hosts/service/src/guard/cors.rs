//! What a browser must be told so that it lets another page of ours read an answer, or send a request at all.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::{Request, Response};

use crate::routes::RouteInfo;

const EXPOSED: HeaderValue =
    HeaderValue::from_static("ETag, Location, Link, Stream-Position, Retry-After, Idempotency-Replayed");
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "content-type, authorization, if-match, if-none-match, last-event-id, cache-control, idempotency-key",
);
/// Seconds.
const PREFLIGHT_AGE: HeaderValue = HeaderValue::from_static("600");
const ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// An `OPTIONS` to a known route: what is allowed there, and for a preflight what a page may send.
pub(super) fn options(request: &Request, route: RouteInfo) -> Response {
    let mut response = Response::builder()
        .status(StatusCode::NO_CONTENT)
        .header(header::ALLOW, HeaderValue::from_static(route.methods))
        .finish();
    let asked = request.headers();
    if asked.contains_key(header::ORIGIN) && asked.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(route.methods));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE);
    }
    response
}

/// Lets the page at `origin` read the answer; without one it stays what it is, but for caches.
pub(super) fn share(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    // Appended: what else the answer varies by stays true.
    headers.append(header::VARY, ORIGIN);
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
