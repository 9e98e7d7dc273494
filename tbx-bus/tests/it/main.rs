//! Every bus passes the suite, and shows what only it can.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod consumer;
mod dead_letters;
mod harness;
mod memory;
mod model;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod testkit;
mod threads;
