//! The OpenAPI document.
//!
//! poem-openapi tells which operations there are, with their parameters, bodies and answers: it cannot forget one. What it cannot say is added to that once,
//! in the order of the steps below. Nothing is added to an operation that is not there; a test sees that nothing was left unsaid, and another
//! that `docs/openapi/api.json` is this document.

mod answers;
mod bodies;
mod generated;
mod headers;
mod info;
mod parameters;
mod schemas;

use serde_json::Value;
use tbx_service::openapi::add_refusals;

/// The document, OpenAPI 3.1, as it is served.
#[must_use]
pub fn openapi() -> String {
    // Keys are text and numbers are finite, so it always serialises.
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

fn document() -> Value {
    let mut document = generated::document();
    info::complete(&mut document);
    schemas::complete(&mut document);
    parameters::complete(&mut document);
    bodies::complete(&mut document);
    answers::complete(&mut document);
    headers::complete(&mut document);
    add_refusals(&mut document, |method, _| match method {
        "post" => &["email-taken", "key-in-use", "key-reused"],
        "put" | "patch" => &["conflict", "email-taken"],
        "delete" => &["conflict"],
        _ => &[],
    });
    document
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;
    use tbx_service::openapi::each_operation;

    use super::*;
    use crate::ROUTES;

    /// Every value of the document under its JSON pointer.
    fn walk(value: &Value, at: &str, visit: &mut impl FnMut(&str, &Value)) {
        visit(at, value);
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(key, value)| {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    walk(value, &format!("{at}/{key}"), visit);
                });
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(n, value)| walk(value, &format!("{at}/{n}"), visit));
            }
            _ => {}
        }
    }

    #[test]
    fn the_document_and_the_table_of_routes_name_the_same_operations_on_every_server() {
        let mut document = document();
        let servers: Vec<String> = document["servers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|server| server["url"].as_str().unwrap().to_owned())
            .collect();
        let mut described = BTreeSet::new();
        each_operation(&mut document, |path, method, _| {
            for server in &servers {
                described.insert(format!("{} {server}{path}", method.to_ascii_uppercase()));
            }
        });
        let of_the_api = ROUTES.0.iter().filter(|(template, _)| template.starts_with("/api/"));
        let routed: BTreeSet<String> = of_the_api
            .flat_map(|(template, methods)| methods.split(", ").map(move |method| (template, method)))
            .filter(|(_, method)| !matches!(*method, "HEAD" | "OPTIONS"))
            .map(|(template, method)| format!("{method} {template}"))
            .collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn nothing_of_the_generator_is_left_unsaid() {
        let document = document();
        assert_eq!(document["openapi"], "3.1.0");
        walk(&document, "", &mut |at, value| {
            assert!(value.get("nullable").is_none(), "{at}");
            assert_ne!(value["format"], "uint64", "{at}");
            if value.get("in").is_some() {
                assert_ne!(value["schema"], json!({ "type": "string" }), "{at}: add it to parameters.rs");
            }
            for key in value.as_object().into_iter().flatten().map(|(key, _)| key) {
                assert!(!key.contains("; charset"), "{at}: {key}");
                let shouted = at.ends_with("/headers") && key.len() > 1 && *key == key.to_ascii_uppercase();
                assert!(!shouted, "{at}: add {key} to headers.rs");
            }
        });
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_component_is_used() {
        let document = document();
        let mut referred = BTreeSet::new();
        walk(&document, "", &mut |at, value| {
            if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{at}: {reference}");
                referred.insert(pointer.to_owned());
            }
        });
        for (kind, components) in document["components"].as_object().unwrap() {
            for name in components.as_object().unwrap().keys() {
                assert!(referred.contains(&format!("/components/{kind}/{name}")), "{kind} {name}");
            }
        }
    }

    #[test]
    fn every_operation_says_what_it_does_and_how_it_can_be_refused() {
        let mut document = document();
        each_operation(&mut document, |path, method, operation| {
            let at = format!("{method} {path}");
            for text in ["summary", "description", "operationId"] {
                assert!(operation[text].as_str().is_some_and(|text| !text.is_empty()), "{at}: {text}");
            }
            let statuses: Vec<&str> =
                operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
            for status in ["400", "403", "421", "500", "503"] {
                assert!(statuses.contains(&status), "{at}: {status}");
            }
            assert_eq!(statuses.contains(&"404"), path.contains('{'), "{at}");
            assert_eq!(statuses.contains(&"409"), method != "get", "{at}");
            assert_eq!(statuses.contains(&"422"), matches!(method, "post" | "put" | "patch"), "{at}");
            assert_eq!(statuses.contains(&"412"), path.contains('{') && method != "get", "{at}");
        });
    }
}
