//! Who the process is.

use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use tbx_bus::MessageId;

/// What the SDK calls a process that nobody has given a name.
const UNNAMED: &str = "unknown_service";

/// `said` with name, version and instance, unless it has them.
pub(super) fn resource(service: &'static str, said: &Resource) -> Resource {
    let known = |name: &'static str| said.get(&Key::from_static_str(name));
    let mut missing = Vec::new();
    if known("service.name").is_none_or(|name| name.as_str().starts_with(UNNAMED)) {
        missing.push(KeyValue::new("service.name", service));
    }
    if known("service.version").is_none() {
        missing.push(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    }
    if known("service.instance.id").is_none() {
        missing.push(KeyValue::new("service.instance.id", MessageId::generate().as_str().to_owned()));
    }
    let said = said.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty().with_attributes(said.chain(missing)).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(resource: &Resource, name: &'static str) -> String {
        resource.get(&Key::from_static_str(name)).unwrap().as_str().into_owned()
    }

    #[test]
    fn what_was_said_is_kept_and_the_rest_is_added() {
        let unnamed = Resource::builder_empty().with_service_name("unknown_service:tbx").build();
        let ours = resource("tbx-api", &unnamed);
        assert_eq!(text(&ours, "service.name"), "tbx-api");
        assert_eq!(text(&ours, "service.version"), env!("CARGO_PKG_VERSION"));

        let said = [KeyValue::new("service.instance.id", "seven"), KeyValue::new("zone", "b")];
        let named = Resource::builder_empty().with_service_name("mine").with_attributes(said).build();
        let theirs = resource("tbx-api", &named);
        for (name, value) in [("service.name", "mine"), ("service.instance.id", "seven"), ("zone", "b")] {
            assert_eq!(text(&theirs, name), value);
        }
    }
}
