//! What requests bring.

use serde_json::Value;
use tbx_service::openapi::each_operation;

use crate::media_type::MERGE_PATCH;

/// A PATCH is a merge patch, by its own media type or as plain JSON.
pub(super) fn complete(document: &mut Value) {
    each_operation(document, |_, method, operation| {
        let content = operation.get_mut("requestBody").and_then(|body| body.get_mut("content"));
        if let (Some(content), "patch") = (content, method) {
            content[MERGE_PATCH] = content["application/json"].clone();
        }
    });
}
