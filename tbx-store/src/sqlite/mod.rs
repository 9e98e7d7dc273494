//! The backend on SQLite.
//!
//! The tables live in the application's own database file, so that they take part in its transactions. Open the file with
//! [`Database`], which sets SQLite up for this (write-ahead log, `synchronous=FULL`, one writer, readers apart, one process), or bring your own pool
//! with the same settings. Two things do not come with it: the file lock that keeps a second process away is part of [`Database`] alone, so see to it
//! yourself that one process, and one relay in it, works on the file; and [`Housekeeping`] works on a [`Database`], so call
//! [`OutboxStore::purge`](crate::outbox::OutboxStore::purge), [`SqliteInbox::purge`] and [`SqliteIdempotency::purge`] yourself.

mod database;
mod dead_letter_office;
mod dead_letters;
mod error;
mod housekeeping;
mod idempotency;
mod inbox;
mod migrations;
mod outbox;
mod visit;

pub use crate::dead_letter::{FiledLetter, Replayed, StoredDeadLetter};
pub use crate::housekeeping::Retention;
pub use database::{Database, DatabaseOptions, WriteTransaction, ping};
pub use dead_letter_office::DeadLetterOffice;
pub use dead_letters::SqliteDeadLetters;
pub use error::store_error;
pub use housekeeping::Housekeeping;
pub use idempotency::SqliteIdempotency;
pub use inbox::SqliteInbox;
pub use migrations::{MESSAGING, MigrationSet, migrate};
pub use outbox::SqliteOutbox;
pub use visit::Visit;
