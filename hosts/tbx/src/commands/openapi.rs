//! `openapi`: the documents of the APIs, for tools and for `docs/openapi/`.

use std::io::Write as _;

use tbx_service::Failure;

/// Prints the document of a host.
pub(crate) fn run(host: Host) -> Result<(), Failure> {
    let document = match host {
        Host::Api => tbx_api::openapi(),
        Host::Notifier => tbx_notifier::openapi(),
    };
    std::io::stdout().write_all(document.as_bytes()).map_err(|error| Failure::failed(&error))
}

/// A host with an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    Api,
    Notifier,
}

impl Host {
    /// The names, the first unless one is given.
    pub(crate) const NAMES: [&str; 2] = ["api", "notifier"];

    pub(crate) fn named(name: &str) -> Self {
        if name == "notifier" { Self::Notifier } else { Self::Api }
    }
}
