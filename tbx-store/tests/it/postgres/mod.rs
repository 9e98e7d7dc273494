//! The backend on PostgreSQL.

mod conformance;
mod database;
mod dead_letter_office;
mod inbox;
mod outbox;
mod students;
mod support;
