//! The backend on SQLite.

mod conformance;
mod database;
mod dead_letter_office;
mod housekeeping;
mod inbox;
mod outbox;
mod relay;
mod students;
mod support;
mod visit;
