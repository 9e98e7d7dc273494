//! Database codes to meanings, in one place.

use crate::{StoreError, StoreErrorKind};

// Primary result codes, https://www.sqlite.org/rescode.html
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const CONSTRAINT: i32 = 19;
const NOTADB: i32 = 26;

/// What a database error means; `context` says what was being done.
#[must_use]
pub fn store_error(context: &str, error: sqlx::Error) -> StoreError {
    let context = match &error {
        sqlx::Error::Database(database) if primary(database.as_ref()) == NOTADB => {
            format!("{context}, which is no SQLite file; name another, or move it away")
        }
        _ => context.to_owned(),
    };
    StoreError::new(kind(&error), context).with_source(error)
}

pub(super) fn kind(error: &sqlx::Error) -> StoreErrorKind {
    match error {
        sqlx::Error::Database(database) => match primary(database.as_ref()) {
            READONLY => StoreErrorKind::Denied,
            BUSY | LOCKED | IOERR | FULL | CANTOPEN => StoreErrorKind::Unavailable,
            CORRUPT | NOTADB => StoreErrorKind::Corrupt,
            CONSTRAINT => StoreErrorKind::Constraint,
            _ => StoreErrorKind::Schema,
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
            StoreErrorKind::Corrupt
        }
        sqlx::Error::ColumnNotFound(_) | sqlx::Error::TypeNotFound { .. } => StoreErrorKind::Schema,
        sqlx::Error::Configuration(_) => StoreErrorKind::Invalid,
        _ => StoreErrorKind::Unavailable,
    }
}

fn primary(error: &dyn sqlx::error::DatabaseError) -> i32 {
    let extended: i32 = error.code().and_then(|code| code.parse().ok()).unwrap_or_default();
    extended & 0xff
}
