//! What can stand in address, query and headers.

use serde_json::{Map, Value, json};
use tbx_core::{Cursor, Direction, PageLimit, SearchPrefix, Sort, SortKey};
use tbx_service::openapi::each_operation;

use super::headers::ENTITY_TAG;
use crate::idempotency_key::PATTERN;

/// Gives each parameter its schema; the generator knows them as text.
pub(super) fn complete(document: &mut Value) {
    each_operation(document, |_, _, operation| {
        for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(parameter) = parameter.as_object_mut() else { continue };
            complete_one(parameter);
        }
    });
}

fn complete_one(parameter: &mut Map<String, Value>) {
    // The defaults of OpenAPI.
    parameter.remove("deprecated");
    parameter.remove("explode");
    if parameter.get("required") == Some(&Value::Bool(false)) {
        parameter.remove("required");
    }
    if let Some(schema) = parameter.get("name").and_then(Value::as_str).and_then(schema) {
        parameter.insert("schema".to_owned(), schema);
    }
}

fn schema(name: &str) -> Option<Value> {
    Some(match name {
        "id" => json!({ "oneOf": [
            { "type": "string", "format": "uuid", "examples": ["019b4e1a-7c1e-7a3b-8f00-0123456789ab"] },
            { "type": "integer", "format": "int64", "minimum": 1, "examples": [1] },
        ] }),
        "limit" => json!({
            "type": "integer",
            "minimum": 1,
            "maximum": PageLimit::MAX,
            "default": PageLimit::default().get(),
        }),
        "cursor" => json!({ "type": "string", "minLength": 1, "maxLength": Cursor::MAX_BYTES }),
        "search" => json!({
            "type": "string",
            "maxLength": SearchPrefix::MAX_CHARS,
            "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$",
            "examples": ["love"],
        }),
        "sort" => json!({ "type": "string", "enum": orders(), "default": Sort::default().to_string() }),
        // Lists are taken too; this is what a client has to send.
        "If-Match" | "If-None-Match" => json!({ "anyOf": [
            { "type": "string", "const": "*" },
            { "type": "string", "pattern": ENTITY_TAG, "examples": ["\"1.1\""] },
        ] }),
        "Idempotency-Key" => json!({
            "type": "string",
            "pattern": PATTERN,
            "examples": ["\"8e03978e-40d5-43dd-bc93-6894a57f9324\""],
        }),
        "Cache-Control" => json!({ "type": "string", "examples": ["no-cache"] }),
        _ => return None,
    })
}

fn orders() -> Vec<String> {
    let both = |key| [Direction::Ascending, Direction::Descending].map(|direction| Sort { key, direction });
    SortKey::ALL.into_iter().flat_map(both).map(|sort| sort.to_string()).collect()
}
