//! The histories against their contract, the hub and the event stream from outside.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bridge;
mod histories;
mod hub;
mod sse;
mod support;
