//! The headers of answers.

use serde_json::{Map, Value, json};
use tbx_service::openapi::each_operation;

/// An entity tag of ours.
pub(super) const ENTITY_TAG: &str = r#"^"[1-9][0-9]*[.](0|[1-9][0-9]*)"$"#;

/// The generated names are in capitals.
const SPELLED: [&str; 4] = ["ETag", "Idempotency-Replayed", "Link", "Location"];
/// What the layer around the operations adds to the answers of a GET.
const OF_READS: [&str; 2] = ["Cache-Control", "Stream-Position"];

/// Names the headers as they are written, and says what is in them.
pub(super) fn complete(document: &mut Value) {
    each_operation(document, |_, method, operation| {
        for (_, answer) in operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten()
        {
            let generated = answer.get_mut("headers").and_then(Value::as_object_mut);
            let mut headers: Map<String, Value> =
                generated.map(std::mem::take).into_iter().flatten().map(spelled).collect();
            if method == "get" {
                headers.extend(OF_READS.map(reference));
            }
            if !headers.is_empty() {
                answer["headers"] = headers.into();
            }
        }
    });
    document["components"]["headers"] = components();
}

fn spelled((name, generated): (String, Value)) -> (String, Value) {
    match SPELLED.into_iter().find(|known| known.eq_ignore_ascii_case(&name)) {
        Some(known) => reference(known),
        None => (name, generated),
    }
}

fn reference(name: &str) -> (String, Value) {
    (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }))
}

fn components() -> Value {
    json!({
        "ETag": {
            "description": "The entity tag of the student: its `version` and its `updates`.",
            "required": true,
            "schema": { "type": "string", "pattern": ENTITY_TAG, "examples": ["\"1.1\""] },
        },
        "Location": {
            "description": "Where the student is, on the server that was asked.",
            "required": true,
            "schema": {
                "type": "string",
                "format": "uri-reference",
                "pattern": "^/api(/v1)?/students/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
            },
        },
        "Link": {
            "description": "The next page (RFC 8288), when there is one.",
            "schema": { "type": "string", "pattern": r#"^</api(/v1)?/students\?.+>; rel="next"$"# },
        },
        "Idempotency-Replayed": {
            "description": "`true` when this is the answer of an earlier request with the same `Idempotency-Key`.",
            "schema": { "type": "string", "const": "true" },
        },
        "Stream-Position": {
            "description": "Where the history of notifications stood before the data was read.",
            "required": true,
            "schema": { "type": "string", "pattern": "^[!-~]{1,64}$" },
        },
        "Cache-Control": {
            "description": "`no-cache`: what is kept may be used again when the entity tag still holds.",
            "required": true,
            "schema": { "type": "string", "const": "no-cache" },
        },
    })
}
