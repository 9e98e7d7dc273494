//! Migrations, each set with a table of its own, beside those of the application.

use std::borrow::Cow;

use sqlx::SqlitePool;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{SqlSafeStr, SqlStr};

use super::error::kind;
use crate::{StoreError, StoreErrorKind};

/// Migrations that belong together and remember in `table` what was applied.
#[derive(Debug, Clone, Copy)]
pub struct MigrationSet {
    /// The table; never change it once released.
    pub table: &'static str,
    /// Name and SQL, in order; the first has version 1.
    pub steps: &'static [(&'static str, &'static str)],
}

/// The tables of outbox, inbox, dead letters and idempotency keys.
pub const MESSAGING: MigrationSet = MigrationSet {
    table: "tbx_store_migrations",
    steps: &[
        ("messaging", include_str!("migrations/0001_messaging.sql")),
        ("idempotency", include_str!("migrations/0002_idempotency.sql")),
    ],
};

impl MigrationSet {
    /// Applies what is missing.
    ///
    /// # Errors
    ///
    /// [`Schema`](StoreErrorKind::Schema) when the database knows a migration that this version does not, or one was changed; else when the database fails.
    ///
    /// # Cancel safety
    ///
    /// Each step is one transaction: a dropped future leaves whole steps.
    pub async fn apply(&self, pool: &SqlitePool) -> Result<(), StoreError> {
        self.migrator().run(pool).await.map_err(|error| self.error(error))
    }

    /// Each step with whether it is applied.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn status(&self, pool: &SqlitePool) -> Result<Vec<(&'static str, bool)>, StoreError> {
        let exists: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?")
                .bind(self.table)
                .fetch_optional(pool)
                .await
                .map_err(|error| super::store_error("looking for the migrations table", error))?;
        let applied: Vec<i64> = match exists {
            None => Vec::new(),
            Some(_) => {
                let sql = format!("SELECT version FROM {} WHERE success", self.table);
                // The table's name is a constant of this program.
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                    .fetch_all(pool)
                    .await
                    .map_err(|error| super::store_error("reading the migrations table", error))?
            }
        };
        Ok((1_i64..)
            .zip(self.steps)
            .map(|(version, (name, _))| (*name, applied.contains(&version)))
            .collect())
    }

    fn migrator(&self) -> Migrator {
        let step = |(version, (name, sql)): (i64, &(&'static str, &'static str))| {
            let sql: SqlStr = (*sql).into_sql_str();
            Migration::new(version, Cow::Borrowed(*name), MigrationType::Simple, sql, false)
        };
        let mut migrator = Migrator::with_migrations((1_i64..).zip(self.steps).map(step).collect());
        migrator.dangerous_set_table_name(self.table);
        migrator
    }

    fn error(&self, error: MigrateError) -> StoreError {
        let table = self.table;
        let (kind, context) = match &error {
            MigrateError::VersionMissing(_) => (
                StoreErrorKind::Schema,
                format!(
                    "{table}: the database was migrated by a newer version of this program; use that version, or restore a backup"
                ),
            ),
            MigrateError::VersionMismatch(_) | MigrateError::Dirty(_) => (
                StoreErrorKind::Schema,
                format!(
                    "{table}: the database was migrated by another version of this program; use that version, or restore a backup"
                ),
            ),
            MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) => of_step(table, cause),
            _ => (StoreErrorKind::Unavailable, format!("migrating {table}")),
        };
        StoreError::new(kind, context).with_source(error)
    }
}

/// Why a step failed. SQLite has one code for every statement that cannot be carried out, and tells the rest in words.
fn of_step(table: &str, error: &sqlx::Error) -> (StoreErrorKind, String) {
    match kind(error) {
        StoreErrorKind::Schema if error.to_string().contains("already exists") => (
            StoreErrorKind::Schema,
            format!(
                "{table}: the file has tables of these names that this program has not made; name a file of its own"
            ),
        ),
        StoreErrorKind::Denied => (
            StoreErrorKind::Denied,
            format!(
                "{table}: migrations are missing and the file may not be written; run `tbx migrate` as the user who owns the file, or let this one write it"
            ),
        ),
        kind => (kind, format!("migrating {table}")),
    }
}

/// Creates or updates the tables of outbox, inbox, dead letters and idempotency keys.
///
/// # Errors
///
/// As [`MigrationSet::apply`].
///
/// # Cancel safety
///
/// As [`MigrationSet::apply`].
pub async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
    MESSAGING.apply(pool).await
}
