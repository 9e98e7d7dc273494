//! The suites that prove an implementation of a port against its contract: one function per behaviour, stamped as
//! named tests by a macro.
#![expect(clippy::unwrap_used, reason = "a suite fails by panicking")]

mod concurrently;
pub mod students;
