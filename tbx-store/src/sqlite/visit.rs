//! Looking into a file without owning it.

use std::ffi::OsString;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use super::store_error;
use crate::{StoreError, StoreErrorKind};

/// A look into an SQLite file, beside the process that may own it. It changes nothing and holds up nobody: the write-ahead log lets one write while
/// others read.
#[derive(Debug, Clone)]
pub struct Visit {
    pool: SqlitePool,
}

impl Visit {
    /// Opens the file at `path` for reading. It must be there.
    ///
    /// # Errors
    ///
    /// When it is not there or cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn to(path: &Path) -> Result<Self, StoreError> {
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .read_only(true)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(connect).await;
        let pool = pool.map_err(|error| store_error(&format!("opening {}", path.display()), error))?;
        Ok(Self { pool })
    }

    /// Whether a process owns the file at `path` now, as [`Database`](super::Database) and the history of notifications do.
    ///
    /// # Errors
    ///
    /// When that cannot be found out.
    pub fn finds_owner(path: &Path) -> Result<bool, StoreError> {
        let lock = lock_path(path);
        let failed = |error: std::io::Error| {
            StoreError::new(StoreErrorKind::Unavailable, format!("looking at {}", lock.display()))
                .with_source(error)
        };
        let file = match File::open(&lock) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error)),
        };
        // Shared and at once given back, so that visitors do not take each other for owners.
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// The one connection, which only reads.
    #[must_use]
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// How the file keeps its journal: `wal` once a [`Database`](super::Database) has opened it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is no SQLite file.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn journal_mode(&self) -> Result<String, StoreError> {
        sqlx::query_scalar("PRAGMA journal_mode")
            .fetch_one(&self.pool)
            .await
            .map_err(|error| store_error("reading the journal mode", error))
    }

    /// Closes it.
    ///
    /// # Cancel safety
    ///
    /// A dropped future may leave the connection open for a moment.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut lock = OsString::from(path);
    lock.push(".lock");
    lock.into()
}
