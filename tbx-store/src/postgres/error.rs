//! Database codes to meanings, in one place.

use super::{DatabaseOptions, certificates};
use crate::{StoreError, StoreErrorKind};

// SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html
pub(super) const INVALID_CATALOG_NAME: &str = "3D000";
pub(super) const DUPLICATE_DATABASE: &str = "42P04";
pub(super) const UNIQUE_VIOLATION: &str = "23505";
pub(super) const DUPLICATE_TABLE: &str = "42P07";
pub(super) const DUPLICATE_OBJECT: &str = "42710";
pub(super) const INSUFFICIENT_PRIVILEGE: &str = "42501";
const INVALID_PASSWORD: &str = "28P01";
const INVALID_AUTHORIZATION: &str = "28000";
const TOO_MANY_CONNECTIONS: &str = "53300";
const QUERY_CANCELED: &str = "57014";
pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";
const READ_ONLY: &str = "25006";
const IDLE_IN_TRANSACTION: &str = "25P03";
/// The classes that the first two characters name.
const CONNECTION: &str = "08";
const DATA: &str = "22";
const CONSTRAINT: &str = "23";
const ROLLBACK: &str = "40";
const RESOURCES: &str = "53";
const INTERVENTION: &str = "57";
const SYSTEM: &str = "58";
const INTERNAL: &str = "XX";

/// What a database error means; `context` says what was being done.
#[must_use]
pub fn store_error(context: &str, error: sqlx::Error) -> StoreError {
    StoreError::new(kind(&error), context).with_source(error)
}

fn kind(error: &sqlx::Error) -> StoreErrorKind {
    match error {
        sqlx::Error::Database(_) => code(error).map_or(StoreErrorKind::Unavailable, |code| kind_of(&code)),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::RowNotFound => {
            StoreErrorKind::Corrupt
        }
        sqlx::Error::ColumnNotFound(_) | sqlx::Error::TypeNotFound { .. } => StoreErrorKind::Schema,
        sqlx::Error::Configuration(_) | sqlx::Error::Encode(_) | sqlx::Error::Tls(_) => {
            StoreErrorKind::Invalid
        }
        _ => StoreErrorKind::Unavailable,
    }
}

fn kind_of(code: &str) -> StoreErrorKind {
    match code {
        INVALID_PASSWORD | INVALID_AUTHORIZATION | INSUFFICIENT_PRIVILEGE => return StoreErrorKind::Denied,
        INVALID_CATALOG_NAME => return StoreErrorKind::Missing,
        // A standby that is becoming the primary is read-only for a moment.
        QUERY_CANCELED | LOCK_NOT_AVAILABLE | READ_ONLY | IDLE_IN_TRANSACTION => {
            return StoreErrorKind::Unavailable;
        }
        _ => {}
    }
    match code.get(..2).unwrap_or_default() {
        CONNECTION | ROLLBACK | RESOURCES | INTERVENTION | SYSTEM => StoreErrorKind::Unavailable,
        DATA => StoreErrorKind::Invalid,
        CONSTRAINT => StoreErrorKind::Constraint,
        INTERNAL => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Schema,
    }
}

/// The SQLSTATE of an error that the server sent.
pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(|code| code.into_owned())
}

/// Why a connection could not be made, with what to do about it.
pub(super) fn connect_error(options: &DatabaseOptions, error: sqlx::Error) -> StoreError {
    let (role, place, database) = (options.connect.get_username(), options.place(), options.database());
    if let sqlx::Error::Io(fault) = &error
        && options.connect.get_socket().is_none()
        && certificates::is_at_fault(fault)
    {
        let context = certificates::remedy(fault, &place);
        return StoreError::new(StoreErrorKind::Invalid, context).with_source(error);
    }
    let code = code(&error);
    let context = match code.as_deref() {
        Some(INVALID_PASSWORD) => {
            format!("password of the role {role} at {place}; check the role and its password in the address")
        }
        Some(INVALID_AUTHORIZATION) => {
            format!(
                "role {role} at {place}; check that the role exists, and that pg_hba.conf lets it in from here, with TLS if it asks for it"
            )
        }
        Some(INSUFFICIENT_PRIVILEGE) => {
            format!("database {database} at {place}; grant the role {role} CONNECT on it")
        }
        Some(INVALID_CATALOG_NAME) => {
            format!(
                "{database} at {place}; create it (createdb -O {role} {database}), or start once with a role that may"
            )
        }
        Some(TOO_MANY_CONNECTIONS) => {
            format!(
                "{place} has no connection left; raise its max_connections, or let each process use fewer"
            )
        }
        Some(_) => format!("connecting to {database} at {place}"),
        None => match &error {
            sqlx::Error::Tls(_) => format!(
                "TLS with {place}; give the certificate of its authority as sslrootcert=FILE in the address, or check sslmode"
            ),
            sqlx::Error::Configuration(_) => {
                format!("settings of the connection to {place}; check the address")
            }
            _ => format!(
                "{place} does not answer; check that the server runs there and can be reached from here"
            ),
        },
    };
    StoreError::new(kind(&error), context).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_mean_what_a_caller_tells_apart() {
        for (code, kind) in [
            ("28P01", StoreErrorKind::Denied),
            ("42501", StoreErrorKind::Denied),
            ("3D000", StoreErrorKind::Missing),
            ("57014", StoreErrorKind::Unavailable),
            ("57P01", StoreErrorKind::Unavailable),
            ("40001", StoreErrorKind::Unavailable),
            ("53300", StoreErrorKind::Unavailable),
            ("55P03", StoreErrorKind::Unavailable),
            ("23505", StoreErrorKind::Constraint),
            ("22021", StoreErrorKind::Invalid),
            ("42P01", StoreErrorKind::Schema),
            ("XX001", StoreErrorKind::Corrupt),
        ] {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }
}
