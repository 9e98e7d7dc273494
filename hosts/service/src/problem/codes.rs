//! The code a bare status stands for, and the words of both.

use http::StatusCode;

use super::catalogue::find;

/// The title of a code; a code of the host's own gets the status's words.
pub(super) fn title(code: &str, status: StatusCode) -> &'static str {
    find(code).map(|known| known.title).or_else(|| status.canonical_reason()).unwrap_or("Error")
}

/// What a status means when nothing more is known.
pub(super) fn code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "malformed-request",
        StatusCode::UNAUTHORIZED => "unauthenticated",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::NOT_FOUND => "not-found",
        StatusCode::METHOD_NOT_ALLOWED => "method-not-allowed",
        StatusCode::NOT_ACCEPTABLE => "not-acceptable",
        StatusCode::REQUEST_TIMEOUT => "request-timeout",
        StatusCode::CONFLICT => "conflict",
        StatusCode::PRECONDITION_FAILED => "stale-version",
        StatusCode::PAYLOAD_TOO_LARGE => "payload-too-large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported-media-type",
        StatusCode::UNPROCESSABLE_ENTITY => "invalid-fields",
        StatusCode::UPGRADE_REQUIRED => "upgrade-required",
        StatusCode::TOO_MANY_REQUESTS => "too-many-requests",
        StatusCode::SERVICE_UNAVAILABLE => "unavailable",
        status if status.is_client_error() => "refused",
        _ => "internal",
    }
}

/// A sentence for a bare status: nothing of the inside, and no more than the status says.
pub(super) fn detail(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is nothing under this address.",
        StatusCode::METHOD_NOT_ALLOWED => "This address does not take this method.",
        StatusCode::SERVICE_UNAVAILABLE => "Try again in a moment.",
        status if status.is_server_error() => {
            "The server could not answer; the trace id names what was logged."
        }
        _ => "The request was refused.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_a_status_is_known_with_this_status() {
        for status in (400..600).filter_map(|status| StatusCode::from_u16(status).ok()) {
            let code = code(status);
            let known = find(code).unwrap_or_else(|| panic!("{status} {code}"));
            let general = matches!(code, "refused" | "internal");
            assert!(general || known.status == status.as_str(), "{status} {known:?}");
        }
    }
}
