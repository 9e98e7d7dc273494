//! The content coding of request bodies.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use poem::{Error, IntoResponse};

use crate::Problem;

/// Refuses a body that is encoded, such as with gzip: what is in it would be taken for what it says (RFC 9110, 8.4 and 15.5.16).
///
/// # Errors
///
/// An answer with 415 that tells with `Accept-Encoding` what is taken.
pub fn require_identity(headers: &HeaderMap) -> Result<(), Error> {
    let lines = headers.get_all(header::CONTENT_ENCODING).iter();
    let mut codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    if codings.all(|coding| coding.trim_ascii().eq_ignore_ascii_case(b"identity")) {
        return Ok(());
    }
    let detail = "The body must be sent as it is, without a Content-Encoding.";
    let mut refused =
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail).into_response();
    refused.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    Err(Error::from_response(refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_encoded_is_taken() {
        let taken = |codings: &[&'static str]| {
            let lines =
                codings.iter().map(|coding| (header::CONTENT_ENCODING, HeaderValue::from_static(coding)));
            require_identity(&lines.collect()).is_ok()
        };
        assert!(taken(&[]) && taken(&["identity"]) && taken(&["Identity, identity"]));
        for codings in [&["gzip"][..], &["br"], &["identity, gzip"], &["identity", "gzip"], &[""], &["foo"]] {
            assert!(!taken(codings), "{codings:?}");
        }
    }
}
