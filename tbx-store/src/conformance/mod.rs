//! The suites that prove a backend against its contract: one function per behaviour, stamped as named tests by a macro.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a suite fails by panicking")]

#[cfg(feature = "cache")]
pub mod cache;
pub mod outbox;
