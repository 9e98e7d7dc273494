//! What goes wrong here, as problem documents.

use poem::http::StatusCode;
use tbx_core::UseCaseError;
use tbx_service::chain;
use tbx_service::problem::{FieldFault, Problem};

/// Every fault of a body that could be read.
pub(crate) fn invalid_fields(errors: Vec<FieldFault>) -> Problem {
    let detail = match errors.len() {
        1 => "One value breaks a rule.".to_owned(),
        count => format!("{count} values break rules."),
    };
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid-fields", detail);
    errors
        .into_iter()
        .fold(problem, |problem, fault| problem.with_error(fault.pointer, fault.code, fault.detail))
}

/// A body that is no JSON.
pub(crate) fn unreadable_json(error: &serde_json::Error) -> Problem {
    let detail = format!("The body is no JSON: error at line {}, column {}.", error.line(), error.column());
    Problem::new(StatusCode::BAD_REQUEST, "malformed-request", detail)
}

/// A body of another kind, or of none that is told.
pub(crate) fn not_json(told: bool, patches: bool) -> Problem {
    let detail = match (told, patches) {
        (true, false) => "The body must be sent with Content-Type: application/json, in UTF-8.",
        (true, true) => {
            "The body must be sent with Content-Type: application/merge-patch+json or application/json, in UTF-8."
        }
        (false, _) => "The request has no Content-Type; send the body with Content-Type: application/json.",
    };
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", detail)
}

/// A query that is no text.
pub(crate) fn unreadable_query() -> Problem {
    let detail = "The query cannot be decoded; escape each byte of UTF-8 as `%` and two hexadecimal digits.";
    Problem::new(StatusCode::BAD_REQUEST, "malformed-request", detail)
}

/// A header or a query parameter that cannot be read.
pub(crate) fn malformed(what: &str, rule: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "malformed-request", format!("`{what}` {rule}."))
}

/// There is no such student.
pub(crate) fn no_such_student() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "There is no such student.")
}

/// Something that should not happen; what exactly is in the log.
pub(crate) fn internal(error: &dyn std::error::Error) -> Problem {
    tracing::error!(error = %chain(error), "request failed");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Something went wrong here; it has been logged.",
    )
}

/// What a use case refused.
pub(crate) fn refused(error: &UseCaseError) -> Problem {
    match error {
        UseCaseError::NotFound => no_such_student(),
        UseCaseError::EmailTaken => {
            Problem::new(StatusCode::CONFLICT, "email-taken", "Another student has this email address.")
                .with_error("#/email", "email-taken", "belongs to another student")
        }
        UseCaseError::Conflict => Problem::new(
            StatusCode::CONFLICT,
            "conflict",
            "The student was changed by others at the same time; read it again and retry.",
        ),
        UseCaseError::KeyReused => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "key-reused",
            "Another request was carried out under this `Idempotency-Key`.",
        )
        .with_error("#", "key-reused", "is not what was sent under this key before"),
        UseCaseError::KeyInUse => Problem::new(
            StatusCode::CONFLICT,
            "key-in-use",
            "A request with this `Idempotency-Key` is being carried out; send it again in a moment.",
        )
        .with_retry_after(1),
        UseCaseError::Stale { current } => Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "stale-version",
            format!("The student is at version {}; read it again.", current.get()),
        ),
        error if error.is_retryable() => {
            tracing::warn!(error = %chain(error), "store not available");
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The store is not available now; retry.",
            )
            .with_retry_after(1)
        }
        error => internal(error),
    }
}
