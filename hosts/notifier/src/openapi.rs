//! The OpenAPI document: written by hand in `assets/openapi.json`, since the services of `tbx-notify` are no poem operations, and completed with what all
//! hosts have in common. Tests hold it against the routes and the limits of the library, and `docs/openapi/notifier.json` against it.

use serde_json::{Map, Value, json};
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
    // A test reads it, so it can be read.
    let mut document: Value =
        serde_json::from_str(include_str!("../assets/openapi.json")).unwrap_or_default();
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["info"]["license"] =
        json!({ "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") });
    document["info"]["contact"] =
        json!({ "name": env!("CARGO_PKG_AUTHORS"), "url": env!("CARGO_PKG_REPOSITORY") });
    add_refusals(&mut document, own_refusals);
    document
}

fn own_refusals(_: &str, operation: &Map<String, Value>) -> &'static [&'static str] {
    let upgrades = operation.get("operationId").is_some_and(|id| id == "openWebSocket");
    if upgrades { &["upgrade-required"] } else { &[] }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tbx_notify::MAX_PATTERNS;
    use tbx_notify::publish::RESERVED_EVENTS;
    use tbx_service::openapi::each_operation;

    use super::*;
    use crate::ROUTES;

    #[test]
    fn the_document_and_the_table_of_routes_name_the_same_operations() {
        let mut described = BTreeSet::new();
        each_operation(&mut document(), |path, method, _| {
            described.insert(format!("{} {path}", method.to_ascii_uppercase()));
        });
        let programs = |template: &str| {
            template != "/openapi.json"
                && ["/api/", "/health", "/metrics"].iter().any(|begin| template.starts_with(begin))
        };
        let routed: BTreeSet<String> = ROUTES
            .all()
            .filter(|route| programs(route.template))
            .flat_map(|route| route.methods.split(", ").map(move |method| (route.template, method)))
            .filter(|(_, method)| !matches!(*method, "HEAD" | "OPTIONS"))
            .map(|(template, method)| format!("{method} {template}"))
            .collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn the_limits_in_the_document_are_those_of_the_library() {
        let document = document();
        let at = |pointer: &str| document.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")).clone();
        assert_eq!(at("/components/parameters/Topics/schema/maxItems"), json!(MAX_PATTERNS));
        let event = "/components/schemas/NewNotification/properties/event/allOf/1/not/enum";
        assert_eq!(at(event), json!(RESERVED_EVENTS));
        for schema in ["Topic", "TopicPattern"] {
            assert_eq!(
                at(&format!("/components/schemas/{schema}/maxLength")),
                json!(tbx_bus::MAX_TOPIC_BYTES)
            );
        }
    }
}
