//! Who is let in: requests that are meant for this service, from pages that may call it.
//!
//! | Request | Answer |
//! |---|---|
//! | its host is a loopback name, the address it came in at, or in `TBX_ALLOWED_HOSTS` | goes on |
//! | any other host | 421 `host-not-allowed` |
//! | no `Host`, two of them, or one that cannot be read | 400 `malformed-request` |
//! | no `Origin`, that of the same host and port, of another listener of ours, or in `TBX_ALLOWED_ORIGINS` | goes on, with what the browser must be told |
//! | any other origin, whatever the method | 403 `origin-not-allowed` |
//! | `OPTIONS` to a known route, a preflight or not | 204 with `Allow` |
//!
//! Every answer has the headers of `security.rs`.

mod authority;
mod cors;
mod hosts;
mod layer;
mod origins;
mod security;

pub use hosts::AllowedHosts;
pub use layer::{Guard, GuardEndpoint};
pub use origins::AllowedOrigins;
