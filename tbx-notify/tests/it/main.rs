//! The histories against their contract, the hub and the services from outside.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod access;
mod bridge;
mod covers;
mod expiry;
mod floods;
mod gaps;
mod histories;
mod hub;
mod lag;
mod lagging;
mod leaving;
mod lulls;
mod poll;
mod publish;
mod redis;
mod replays;
mod slow;
mod sse;
mod support;
mod wakeups;
mod websocket;
mod websocket_client;
mod websocket_faults;
