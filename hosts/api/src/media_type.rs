//! What kind of body a request brings.

use poem::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use poem::{Error, IntoResponse, Request};
use tbx_service::require_identity;

use crate::problems;

/// JSON merge patch, RFC 7396.
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";
const JSON: &str = "application/json";

/// Refuses a body that is not plain JSON in UTF-8 (or, with PATCH, a merge patch): another type would mean another thing, though it could be read.
pub(crate) fn require_json(request: &Request) -> Result<(), Error> {
    require_identity(request.headers())?;
    let patches = *request.method() == Method::PATCH;
    let fits = content_type(request.headers())
        .is_some_and(|(kind, utf8)| utf8 && (kind == JSON || patches && kind == MERGE_PATCH));
    if fits {
        return Ok(());
    }
    let sent = request.headers().contains_key(header::CONTENT_TYPE);
    let mut refused = problems::not_json(sent, patches).into_response();
    let taken = if patches { "application/merge-patch+json, application/json" } else { JSON };
    for name in told_in(request.method()) {
        refused.headers_mut().insert(name, HeaderValue::from_static(taken));
    }
    Err(Error::from_response(refused))
}

/// The media type in lower case, and whether its text is UTF-8. `None` when there is none, or more than one.
fn content_type(headers: &HeaderMap) -> Option<(String, bool)> {
    let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
    let (line, None) = (lines.next()?.to_str().ok()?, lines.next()) else { return None };
    let mut parts = line.split(';').map(str::trim);
    let kind = parts.next()?.to_ascii_lowercase();
    let utf8 = parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
        !name.eq_ignore_ascii_case("charset") || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    Some((kind, utf8))
}

/// Where the types that are taken are told: RFC 9110, 15.5.16, and the headers that RFC 5789 and the Linked Data Platform have for it.
fn told_in(method: &Method) -> impl Iterator<Item = HeaderName> {
    let own = match *method {
        Method::PATCH => Some(HeaderName::from_static("accept-patch")),
        Method::POST => Some(HeaderName::from_static("accept-post")),
        _ => None,
    };
    [header::ACCEPT].into_iter().chain(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(method: Method, content_type: &str) -> bool {
        let request = Request::builder().method(method).header("content-type", content_type);
        require_json(&request.finish()).is_ok()
    }

    #[test]
    fn only_json_in_utf_8_is_taken_and_merge_patches_where_they_belong() {
        for kind in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
            "application/json; x=y",
        ] {
            assert!(takes(Method::POST, kind) && takes(Method::PATCH, kind), "{kind}");
        }
        assert!(takes(Method::PATCH, MERGE_PATCH));
        assert!(!takes(Method::PUT, MERGE_PATCH));
        for kind in [
            "",
            "json",
            "text/json",
            "application/json; charset=latin1",
            "application/json; charset=utf-8; charset=utf-16",
            "application/problem+json",
            "application/json-patch+json",
            "application/json, text/plain",
        ] {
            assert!(!takes(Method::POST, kind) && !takes(Method::PATCH, kind), "{kind}");
        }
    }
}
