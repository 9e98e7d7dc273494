//! The backend on SQLite.

mod conformance;
mod database;
mod dead_letters;
mod housekeeping;
mod idempotency;
mod inbox;
mod outbox;
mod relay;
mod students;
mod support;
mod visit;
