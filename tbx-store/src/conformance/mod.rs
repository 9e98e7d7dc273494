//! The suites that prove a backend against its contract: one function per behaviour, stamped as named tests by a macro.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a suite fails by panicking")]

#[cfg(feature = "cache")]
pub mod cache;
pub mod dead_letters;
pub mod idempotency;
pub mod inbox;
pub mod outbox;
#[cfg(feature = "students")]
pub mod students;
mod transactional;

pub use transactional::Transactional;
