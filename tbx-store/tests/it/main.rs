//! The backends of `tbx-store` against their contracts.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod database;
mod dead_letter_office;
mod housekeeping;
mod inbox;
mod outbox;
mod relay;
mod students;
mod support;
mod visit;
