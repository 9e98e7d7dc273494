//! Migrations, each set with a table of its own, beside those of the application.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, SqlSafeStr, SqlStr};

use super::error::{DUPLICATE_OBJECT, DUPLICATE_TABLE, INSUFFICIENT_PRIVILEGE, code};
use super::{store_error, within};
use crate::{StoreError, StoreErrorKind};

/// How long one process waits for another that migrates.
const PATIENCE: Duration = Duration::from_secs(300);

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
    /// Applies what is missing. One process at a time does it; others wait, and find it done. Where nothing is missing, the role needs no right to
    /// change tables.
    ///
    /// # Errors
    ///
    /// [`Schema`](StoreErrorKind::Schema) when the database knows a migration that this version does not, or one was changed;
    /// [`Denied`](StoreErrorKind::Denied) when something is missing and the role may not add it; else when the database fails.
    ///
    /// # Cancel safety
    ///
    /// Each step is one transaction: a dropped future leaves whole steps.
    pub async fn apply(&self, connection: &mut PgConnection) -> Result<(), StoreError> {
        let applied = self.applied(connection).await?;
        self.verify(&applied)?;
        if applied.len() == self.steps.len() {
            return Ok(());
        }
        // Boxed: what migrating needs is large, and every caller would carry it.
        let migrating = Box::pin(async {
            let failed = |error| store_error("preparing to migrate", error);
            sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0")
                .execute(&mut *connection)
                .await
                .map_err(failed)?;
            self.migrator().run_direct(None, &mut *connection, false).await.map_err(|error| self.error(error))
        });
        tokio::time::timeout(PATIENCE, migrating).await.unwrap_or_else(|_| {
            let context = format!("migrating {}: another process has not come to an end with it", self.table);
            Err(StoreError::new(StoreErrorKind::Unavailable, context))
        })
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
    pub async fn status(&self, pool: &PgPool) -> Result<Vec<(&'static str, bool)>, StoreError> {
        let applied = self.applied(&mut *acquire(pool).await?).await?;
        Ok((1_i64..)
            .zip(self.steps)
            .map(|(version, (name, _))| (*name, applied.iter().any(|(known, _)| *known == version)))
            .collect())
    }

    /// Whether the database has exactly these migrations: neither fewer nor others.
    ///
    /// # Errors
    ///
    /// [`Schema`](StoreErrorKind::Schema) when it has not, with what to do about it; else when the database fails.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn check(&self, pool: &PgPool) -> Result<(), StoreError> {
        let applied = self.applied(&mut *acquire(pool).await?).await?;
        self.verify(&applied)?;
        if applied.len() < self.steps.len() {
            let context = format!(
                "{}: {} of {} migrations are applied; run `tbx migrate` with a role that may change tables",
                self.table,
                applied.len(),
                self.steps.len()
            );
            return Err(StoreError::new(StoreErrorKind::Schema, context));
        }
        Ok(())
    }

    /// Version and checksum of each applied step.
    async fn applied(&self, connection: &mut PgConnection) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        within("looking at the migrations", async {
            let failed = |error| store_error("looking at the migrations", error);
            let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
                .bind(self.table)
                .fetch_one(&mut *connection)
                .await
                .map_err(failed)?;
            if !exists {
                return Ok(Vec::new());
            }
            let sql = format!("SELECT version, checksum FROM {} WHERE success ORDER BY version", self.table);
            // The table's name is a constant of this program.
            sqlx::query_as(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(failed)
        })
        .await
    }

    /// That nobody else's steps are among those applied.
    fn verify(&self, applied: &[(i64, Vec<u8>)]) -> Result<(), StoreError> {
        let migrator = self.migrator();
        for (version, checksum) in applied {
            match migrator.iter().find(|step| step.version == *version) {
                None => return Err(self.error(MigrateError::VersionMissing(*version))),
                Some(step) if *step.checksum != **checksum => {
                    return Err(self.error(MigrateError::VersionMismatch(*version)));
                }
                Some(_) => {}
            }
        }
        Ok(())
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
        let code = match &error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => code(error),
            _ => None,
        };
        let (denied, foreign) = match code.as_deref() {
            Some(INSUFFICIENT_PRIVILEGE) => (true, false),
            Some(DUPLICATE_TABLE | DUPLICATE_OBJECT) => (false, true),
            _ => (false, false),
        };
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
            _ if denied => (
                StoreErrorKind::Denied,
                format!(
                    "{table}: migrations are missing and this role may not add them; run `tbx migrate` with the role that owns the tables, or grant this one CREATE on the schema"
                ),
            ),
            _ if foreign => (
                StoreErrorKind::Schema,
                format!(
                    "{table}: the database has tables of these names that this program has not made; name a database of its own, or a role with a schema of its own"
                ),
            ),
            _ => (StoreErrorKind::Unavailable, format!("migrating {table}")),
        };
        StoreError::new(kind, context).with_source(error)
    }
}

async fn acquire(pool: &PgPool) -> Result<PoolConnection<Postgres>, StoreError> {
    pool.acquire().await.map_err(|error| store_error("looking at the migrations", error))
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
pub async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    let connection = pool.acquire().await.map_err(|error| store_error("preparing to migrate", error))?;
    // It leaves the pool, because migrating takes its timeouts away.
    MESSAGING.apply(&mut connection.detach()).await
}
