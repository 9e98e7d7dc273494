//! What the document says about itself.

use serde_json::{Value, json};

const DESCRIPTION: &str = "\
Student records whose every change reaches every browser at once.

**Errors** are problem documents (RFC 9457) with a stable `code`; their `type` leads to a page that says what to do. For a body that can be read and breaks \
rules, `errors` names every fault at once. A request that is not HTTP at all, or whose head is larger than 64 KiB, is answered by the layer below, \
with 400, 414 or 431 and no body.

**Conditions.** The entity tag of a student is `\"<version>.<updates>\"`. `If-None-Match` compares it whole, `If-Match` its version part alone, since what \
the workers count concerns nobody who writes. Without `If-Match` a write is applied to whatever is there.

**Repeating.** A POST with an `Idempotency-Key` of the client's choice may be sent again when its answer was lost: it is carried out once, and the answer is given \
again with `Idempotency-Replayed: true`, for 24 hours. The same key with another body is refused. What was refused is not remembered. The other writes need no key: `If-Match` \
makes them safe to repeat.

**Reading and then streaming.** Each answer to a GET has a `Stream-Position` that was taken before the data was read: whoever opens the stream of \
notifications with it as `Last-Event-ID` misses nothing.

**Bodies** are JSON in UTF-8 without a content coding. Unknown members are ignored, and of two with one name the last counts. Answers are JSON whatever \
`Accept` says.";

/// Moves the document to 3.1 and tells what it is, whose it is and where it is served.
pub(super) fn complete(document: &mut Value) {
    document["openapi"] = json!("3.1.0");
    document["info"]["description"] = json!(DESCRIPTION);
    document["info"]["license"] =
        json!({ "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") });
    document["info"]["contact"] =
        json!({ "name": env!("CARGO_PKG_AUTHORS"), "url": env!("CARGO_PKG_REPOSITORY") });
    document["servers"] = json!([
        { "url": "/api", "description": "The current version." },
        { "url": "/api/v1", "description": "Version 1, for clients that want to stay with it." },
    ]);
    // Who may do what is not asked yet.
    document["security"] = json!([]);
}
