//! The backend on PostgreSQL, for any number of processes.
//!
//! The tables live in the application's own database, so that they take part in its transactions. Open it with [`Database`], or bring a pool of
//! your own and call [`migrate`] once.
//!
//! The outbox table is open to everyone: a program in any language may insert into it in its own transaction; see the guide
//! `docs/guides/write-into-the-outbox.md`. How several processes share the work is told in [`PgOutbox`].
//!
//! TLS uses `rustls` with the provider *ring*. `sslmode` in the URL says how strictly: `prefer`, unless set, takes it when the server has it and believes any
//! certificate; `require` insists on it and believes any; `verify-ca` wants one that a trusted authority has signed, and `verify-full` also that it is for the host
//! of the URL. Trusted are the authorities of the system, and those in the PEM file that `sslrootcert` names.

mod certificates;
mod database;
mod dead_letter_office;
mod dead_letters;
mod error;
mod housekeeping;
mod idempotency;
mod inbox;
mod link;
mod migrations;
mod options;
mod outbox;

pub use crate::dead_letter::{FiledLetter, Replayed, StoredDeadLetter};
pub use crate::housekeeping::Retention;
pub use database::{Database, WriteTransaction, ping};
pub use dead_letter_office::DeadLetterOffice;
pub use dead_letters::PgDeadLetters;
pub use error::store_error;
pub use housekeeping::Housekeeping;
pub use idempotency::PgIdempotency;
pub use inbox::PgInbox;
pub use migrations::{MESSAGING, MigrationSet, migrate};
pub use options::DatabaseOptions;
pub use outbox::PgOutbox;

pub(crate) use link::within;
