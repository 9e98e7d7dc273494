//! The operations of a document.

use serde_json::{Map, Value};

/// Calls `visit` with path, method and content of every operation.
pub fn each_operation(document: &mut Value, mut visit: impl FnMut(&str, &str, &mut Map<String, Value>)) {
    let paths = document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten();
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            if let (true, Some(operation)) = (is_method(method), operation.as_object_mut()) {
                visit(path, method, operation);
            }
        }
    }
}

/// A path has other members too, such as `parameters`.
fn is_method(name: &str) -> bool {
    matches!(name, "get" | "put" | "post" | "delete" | "options" | "head" | "patch" | "trace")
}
