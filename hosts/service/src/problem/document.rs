//! The document itself.

use std::fmt;

use http::{HeaderValue, StatusCode, header};
use poem::error::ResponseError;
use poem::{IntoResponse, Response};
use serde::Serialize;

use super::{codes, current_trace};

/// Media type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// What went wrong, as the client is told.
///
/// It renders with the `traceId` of the request it is rendered in; see [`RequestTrace`](super::RequestTrace).
///
/// ```
/// use http::StatusCode;
/// use tbx_service::Problem;
///
/// fn find(id: u32) -> poem::Result<&'static str> {
///     match id {
///         1 => Ok("Ada"),
///         _ => Err(Problem::new(StatusCode::NOT_FOUND, "not-found", format!("no student {id}")).into()),
///     }
/// }
/// # assert_eq!(find(2).unwrap_err().status(), StatusCode::NOT_FOUND);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// What programs compare; `/problems/<code>` is the `type`.
    pub code: &'static str,
    /// What people read first, the same for every problem of the code.
    pub title: &'static str,
    /// What is wrong this time.
    pub detail: String,
    /// Every fault found in the body, for 422.
    pub errors: Vec<FieldFault>,
    /// Seconds after which it is worth trying again, as `Retry-After`.
    pub retry_after: Option<u32>,
    /// The methods that are allowed, as `Allow`.
    pub allow: Option<String>,
}

/// One fault in a request body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldFault {
    /// Where: a JSON pointer as URI fragment, such as `#/firstName`.
    pub pointer: String,
    /// Which rule is broken, for programs.
    pub code: String,
    /// The same for people.
    pub detail: String,
}

impl Problem {
    /// A problem with the title of its code.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            title: codes::title(code, status),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            allow: None,
        }
    }

    /// What a bare status says.
    #[must_use]
    pub fn from_status(status: StatusCode) -> Self {
        Self::new(status, codes::code(status), codes::detail(status))
    }

    /// Adds a fault of the body.
    #[must_use]
    pub fn with_error(
        mut self,
        pointer: impl Into<String>,
        code: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        self.errors.push(FieldFault { pointer: pointer.into(), code: code.into(), detail: detail.into() });
        self
    }

    /// Tells the client when to come back.
    #[must_use]
    pub fn with_retry_after(mut self, secs: u32) -> Self {
        self.retry_after = Some(secs);
        self
    }

    /// Tells the client which methods are allowed.
    #[must_use]
    pub fn with_allow(mut self, methods: impl Into<String>) -> Self {
        self.allow = Some(methods.into());
        self
    }

    /// The document's text, with the trace of the request it is called in.
    #[must_use]
    pub fn to_json(&self) -> String {
        let trace = current_trace();
        let document = Document {
            r#type: format!("/problems/{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            trace_id: trace.as_ref().map(|trace| trace.trace_id()),
            errors: &self.errors,
        };
        // Strings and numbers always serialise; the text is for the reader who doubts it.
        serde_json::to_string(&document).unwrap_or_else(|_| r#"{"type":"/problems/internal"}"#.to_owned())
    }

    fn to_response(&self) -> Response {
        let mut response = Response::builder()
            .status(self.status)
            .header(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))
            .body(self.to_json());
        self.write_headers(&mut response);
        response
    }

    /// `Retry-After` and `Allow`, where the response does not have them yet.
    pub(super) fn write_headers(&self, response: &mut Response) {
        let headers = response.headers_mut();
        if let Some(secs) = self.retry_after {
            headers.entry(header::RETRY_AFTER).or_insert(HeaderValue::from(secs));
        }
        if let Some(methods) = self.allow.as_deref().and_then(|methods| HeaderValue::from_str(methods).ok()) {
            headers.entry(header::ALLOW).or_insert(methods);
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldFault],
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn as_response(&self) -> Response {
        self.to_response()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.to_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_members_of_the_contract() {
        let problem =
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-fields", "one field breaks a rule")
                .with_error("#/firstName", "too-long", "at most 100 characters");
        assert_eq!(
            problem.to_json(),
            concat!(
                r#"{"type":"/problems/invalid-fields","title":"Some fields break a rule","status":422,"#,
                r#""detail":"one field breaks a rule","code":"invalid-fields","#,
                r##""errors":[{"pointer":"#/firstName","code":"too-long","detail":"at most 100 characters"}]}"##,
            )
        );
    }

    #[test]
    fn it_is_small_enough_to_be_an_error_type() {
        assert!(size_of::<Problem>() < 128, "clippy::result_large_err in every host");
    }

    #[test]
    fn headers_say_when_to_return_and_what_is_allowed() {
        let response = Problem::from_status(StatusCode::SERVICE_UNAVAILABLE)
            .with_retry_after(3)
            .with_allow("GET, HEAD")
            .into_response();
        assert_eq!(response.header("retry-after"), Some("3"));
        assert_eq!(response.header("allow"), Some("GET, HEAD"));
        assert_eq!(response.content_type(), Some(CONTENT_TYPE));
    }
}
