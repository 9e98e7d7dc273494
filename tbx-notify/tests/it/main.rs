//! The histories against their contract, the hub and the services from outside.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod access;
mod bridge;
mod histories;
mod hub;
mod leaving;
mod poll;
mod publish;
mod slow;
mod sse;
mod support;
mod websocket;
mod websocket_client;
mod websocket_faults;
