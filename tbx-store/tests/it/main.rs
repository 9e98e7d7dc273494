//! The backends of `tbx-store` against their contracts.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod cache;
mod postgres;
mod sqlite;
