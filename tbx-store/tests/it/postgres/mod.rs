//! The backend on PostgreSQL.

mod conformance;
mod database;
mod dead_letters;
mod deaf;
mod housekeeping;
mod idempotency;
mod inbox;
mod outbox;
mod students;
mod support;
mod tls;
