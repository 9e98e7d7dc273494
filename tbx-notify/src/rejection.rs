//! What cannot be served, and the answer to it.

use std::fmt;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use crate::access::Denied;
use crate::json;

/// A request that cannot be served. The answer is a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)); the rejection is also in its
/// extensions, for hosts that word their errors themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    status: StatusCode,
    code: &'static str,
    detail: String,
    headers: Vec<(http::HeaderName, HeaderValue)>,
    faults: Vec<FieldFault>,
}

/// What is wrong with one field of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldFault {
    /// Which field, as a JSON pointer in a URI fragment ([RFC 6901, section 6](https://www.rfc-editor.org/rfc/rfc6901#section-6)).
    pub pointer: &'static str,
    /// What kind of fault it is.
    pub code: &'static str,
    /// What exactly is wrong.
    pub detail: String,
}

impl Rejection {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), headers: Vec::new(), faults: Vec::new() }
    }

    /// 400: a query parameter cannot be read.
    pub(crate) fn query(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed-request", detail)
    }

    /// 405.
    pub(crate) fn method(allowed: &'static str) -> Self {
        let detail = format!("this address is used with {allowed}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
            .with_header(ALLOW, HeaderValue::from_static(allowed))
    }

    pub(crate) fn denied(denied: &Denied) -> Self {
        match denied {
            Denied::Unauthenticated(detail) => {
                Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail.as_str())
                    .with_header(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            Denied::Forbidden(detail) => {
                Self::new(StatusCode::FORBIDDEN, "topic-not-allowed", detail.as_str())
            }
        }
    }

    pub(crate) fn with_header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// 422: a body that can be read and breaks rules.
    #[cfg(feature = "publish")]
    pub(crate) fn fields(faults: Vec<FieldFault>) -> Self {
        let detail = "some fields break a rule";
        Self { faults, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-fields", detail) }
    }

    /// 503: come back in a moment, not all at the same one.
    #[cfg(any(feature = "poll", feature = "publish"))]
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
            .with_header(http::header::RETRY_AFTER, HeaderValue::from(fastrand::u16(1..=10)))
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What kind of problem it is, as a word in kebab case.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// What exactly is wrong.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What is wrong with the fields of a body.
    #[must_use]
    pub fn faults(&self) -> &[FieldFault] {
        &self.faults
    }

    /// The headers of the answer beside its content type.
    #[must_use]
    pub fn headers(&self) -> &[(http::HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The answer.
    pub(crate) fn into_response<B>(self, body: impl FnOnce(Bytes) -> B) -> Response<B> {
        let document = format!(
            r#"{{"type":"about:blank","title":{},"status":{},"code":"{}","detail":{}{}}}"#,
            json::quoted(self.status.canonical_reason().unwrap_or("Error")),
            self.status.as_u16(),
            self.code,
            json::quoted(&self.detail),
            self.errors_member()
        );
        let length = document.len();
        let mut response = Response::new(body(document.into()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // Said here, because not every host finds it out from the body.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl Rejection {
    fn errors_member(&self) -> String {
        if self.faults.is_empty() {
            return String::new();
        }
        let fault = |FieldFault { pointer, code, detail }: &FieldFault| {
            format!(r#"{{"pointer":"{pointer}","code":"{code}","detail":{}}}"#, json::quoted(detail))
        };
        format!(r#","errors":[{}]"#, self.faults.iter().map(fault).collect::<Vec<_>>().join(","))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Rejection {}
