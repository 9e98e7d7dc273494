//! Where a database is and how it is used.

use std::fmt;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

use crate::{StoreError, StoreErrorKind};

/// Longest wait of one statement, on the server.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a lock, on the server.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server bears a transaction whose client is silent: what it has locked is free then.
const IDLE_IN_TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);

/// How to open a [`Database`](super::Database). Its `Debug` shows no password.
#[derive(Clone)]
#[must_use]
pub struct DatabaseOptions {
    pub(super) connect: PgConnectOptions,
    pub(super) connections: u32,
}

impl DatabaseOptions {
    /// The database at `url`, such as `postgres://role:password@host:5432/name?sslmode=verify-full`, with 10 connections and the application name `tbx`.
    ///
    /// Without a password in it, the file that `PGPASSFILE` names, or `~/.pgpass`, is looked into.
    ///
    /// # Errors
    ///
    /// [`Invalid`](StoreErrorKind::Invalid) when it is no such address, or names no database.
    pub fn new(url: &str) -> Result<Self, StoreError> {
        let invalid = |what: &str| StoreError::new(StoreErrorKind::Invalid, what.to_owned());
        let (scheme, _) = url.split_once("://").unwrap_or_default();
        if !matches!(scheme, "postgres" | "postgresql") {
            return Err(invalid("the address of a database begins with postgres://"));
        }
        // The cause may quote parts of the address, but never the password.
        let connect: PgConnectOptions = url
            .parse()
            .map_err(|error: sqlx::Error| invalid("the address of the database").with_source(error))?;
        if connect.get_database().is_none_or(str::is_empty) {
            return Err(invalid("the address of the database names no database: postgres://role@host/NAME"));
        }
        let connect = connect.options([
            ("statement_timeout", milliseconds(STATEMENT_TIMEOUT)),
            ("lock_timeout", milliseconds(LOCK_TIMEOUT)),
            ("idle_in_transaction_session_timeout", milliseconds(IDLE_IN_TRANSACTION_TIMEOUT)),
        ]);
        Ok(Self { connect, connections: 10 }.with_application_name("tbx"))
    }

    /// How many connections serve the application at once, at least 1. The outbox relay uses three more of its own.
    pub fn with_connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// What the server calls these connections, in `pg_stat_activity` and its log. An `application_name` in the URL is overwritten.
    pub fn with_application_name(mut self, name: &str) -> Self {
        self.connect = self.connect.application_name(name);
        self
    }

    /// The name of the database.
    #[must_use]
    pub fn database(&self) -> &str {
        self.connect.get_database().unwrap_or_default()
    }

    /// Host and port, for people.
    pub(super) fn place(&self) -> String {
        match self.connect.get_socket() {
            Some(path) => path.display().to_string(),
            None => format!("{}:{}", self.connect.get_host(), self.connect.get_port()),
        }
    }
}

fn milliseconds(duration: Duration) -> String {
    duration.as_millis().to_string()
}

impl fmt::Debug for DatabaseOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseOptions")
            .field("place", &self.place())
            .field("database", &self.database())
            .field("role", &self.connect.get_username())
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_shown_nowhere() {
        let options = DatabaseOptions::new("postgres://role:s3cret@host/name").unwrap();
        assert!(!format!("{options:?}").contains("s3cret"));
        for bad in [
            "postgres://role:s3cret@host:notaport/name",
            "postgres://role:s3cret@host",
            "mysql://role:s3cret@h/n",
        ] {
            let error = DatabaseOptions::new(bad).unwrap_err();
            let told = format!("{error} {:?} {:?}", error, std::error::Error::source(&error));
            assert!(!told.contains("s3cret"), "{told}");
        }
    }
}
