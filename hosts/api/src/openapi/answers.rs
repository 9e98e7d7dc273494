//! What is answered when all is well.

use serde_json::{Value, json};
use tbx_service::openapi::each_operation;

/// Links lead from the student that was created to what can be done with it.
pub(super) fn complete(document: &mut Value) {
    let mut with_one = Vec::new();
    each_operation(document, |path, _, operation| {
        if path.ends_with("/{id}") {
            with_one.extend(operation.get("operationId").cloned());
        }
    });
    each_operation(document, |_, _, operation| {
        let created = operation.get_mut("responses").and_then(|answers| answers.get_mut("201"));
        let Some(created) = created else { return };
        for id in &with_one {
            let link = json!({ "operationId": id, "parameters": { "id": "$response.body#/id" } });
            created["links"][id.as_str().unwrap_or_default()] = link;
        }
    });
}
