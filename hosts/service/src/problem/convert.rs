//! Other people's errors and bare responses as problems.

use std::error::Error as _;
use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::Body as _;
use http_body_util::combinators::BoxBody;
use poem::error::{NotFoundError, ParsePathError, ParseQueryError, ReadBodyError};
use poem::{Error, Response};

use super::{CONTENT_TYPE, Problem};

/// Longest text taken over from another error or a plain answer.
const MAX_DETAIL_BYTES: usize = 500;

/// A problem for an error that is no response. Errors of the server are logged here, since this is the last
/// place that knows them; the client learns nothing of them.
pub(super) fn from_error(error: Error) -> Problem {
    if error.is::<Problem>() {
        return error.downcast::<Problem>().unwrap_or_else(|error| Problem::from_status(error.status()));
    }
    let status = error.status();
    if status.is_server_error() {
        tracing::error!(error = chain(&error), status = status.as_u16(), "request failed");
        return Problem::from_status(status);
    }
    if error.is::<NotFoundError>() || error.is::<ParsePathError>() {
        // An id that cannot exist is an id that does not exist.
        return Problem::from_status(StatusCode::NOT_FOUND);
    }
    let mut problem = Problem::from_status(status);
    if let Some(detail) = detail(&error) {
        problem.detail = detail;
    }
    problem
}

/// What the client can do something with: the words of the errors that speak of its request.
fn detail(error: &Error) -> Option<String> {
    if error.status() == StatusCode::METHOD_NOT_ALLOWED {
        return None;
    }
    if let Some(error) = error.downcast_ref::<ReadBodyError>() {
        let what = match error {
            ReadBodyError::Utf8(_) => "The body is not UTF-8.",
            _ => "The body did not arrive completely.",
        };
        return Some(what.to_owned());
    }
    if let Some(error) = error.downcast_ref::<ParseQueryError>() {
        return Some(sentence(&format!("the query cannot be read: {error}")));
    }
    // An error made from a bare status says no more than the status.
    let text = error.to_string();
    (text != error.status().to_string()).then(|| sentence(&text))
}

/// Completes a 4xx or 5xx without a document: an empty one, or a line of plain text. Anything else is an answer
/// somebody meant, such as the JSON of a health check.
pub(super) async fn complete(mut response: Response) -> Response {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let plain = response.content_type().is_none_or(|kind| kind.starts_with("text/plain"));
    if !plain {
        return response;
    }
    let body: BoxBody<Bytes, std::io::Error> = response.take_body().into();
    let short = body.size_hint().upper().is_some_and(|length| length <= MAX_DETAIL_BYTES as u64);
    if !short {
        response.set_body(poem::Body::from(body));
        return response;
    }
    let text = poem::Body::from(body).into_string().await.unwrap_or_default();
    let mut problem = Problem::from_status(status);
    let text = text.trim();
    if !text.is_empty() {
        if status.is_server_error() {
            tracing::error!(error = text, status = status.as_u16(), "request failed");
        } else {
            problem.detail = sentence(text);
        }
    }
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    response.set_body(problem.to_json());
    response
}

/// Other people's words as a detail: of bounded length, and as a sentence, though errors are worded as parts of one.
#[must_use]
pub fn sentence(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(MAX_DETAIL_BYTES)];
    let mut rest = text.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    let stop = if text.ends_with(['.', '!', '?']) { "" } else { "." };
    first.into_iter().chain(rest).chain(stop.chars()).collect()
}

/// An error with its causes. poem's wrapper shows the error it wraps and names it as its source too.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source().and_then(|inner| inner.source());
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_a_bounded_sentence() {
        assert_eq!(sentence("the query is odd"), "The query is odd.");
        assert_eq!(sentence("`from` is odd!"), "`from` is odd!");
        assert!(sentence(&"é".repeat(1000)).len() <= MAX_DETAIL_BYTES + 1);
    }
}
