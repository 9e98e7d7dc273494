//! A database file, opened the way the outbox needs it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{MigrationSet, migrations, store_error};
use crate::{StoreError, StoreErrorKind};

/// A transaction of the one writer.
pub type WriteTransaction = sqlx::Transaction<'static, sqlx::Sqlite>;

/// How to open a [`Database`].
#[derive(Debug, Clone)]
#[must_use]
pub struct DatabaseOptions {
    path: PathBuf,
    readers: u32,
    create: bool,
}

impl DatabaseOptions {
    /// The file at `path`, created with its folder when missing, with 4 readers.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), readers: 4, create: true }
    }

    /// How many connections read at once; each costs up to 2 MiB of page cache.
    pub fn with_readers(mut self, readers: u32) -> Self {
        self.readers = readers.max(1);
        self
    }

    /// Whether a missing file is created.
    pub fn with_create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }
}

/// An SQLite file of this process alone: one writer, readers apart. A clone is the same database.
///
/// Write-ahead log with `synchronous=FULL`: a commit that was answered survives a power cut, because its event may already
/// be with others.
#[derive(Debug, Clone)]
pub struct Database {
    writer: SqlitePool,
    readers: SqlitePool,
    /// Set when the writing connection was last used without waiting for the disk.
    relaxed: Arc<AtomicBool>,
    /// Held for the life of the database: a second process would break the order of the outbox.
    _lock: Arc<File>,
}

impl Database {
    /// Opens the file and brings its messaging tables up to date, and those of `more`.
    ///
    /// # Errors
    ///
    /// [`Locked`](StoreErrorKind::Locked) when another process has it; [`Schema`](StoreErrorKind::Schema) when another version migrated it; else
    /// when the file cannot be opened.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves whole migrations.
    pub async fn open(options: &DatabaseOptions, more: &[MigrationSet]) -> Result<Self, StoreError> {
        let database = Self::connect(options).await?;
        migrations::MESSAGING.apply(&database.writer).await?;
        for set in more {
            set.apply(&database.writer).await?;
        }
        Ok(database)
    }

    /// Opens the file as it is, without migrating.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn connect(options: &DatabaseOptions) -> Result<Self, StoreError> {
        let lock = lock_file(&options.path, options.create)?;
        let connect = SqliteConnectOptions::new()
            .filename(&options.path)
            .create_if_missing(options.create)
            .busy_timeout(Duration::from_secs(5))
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let pool = || {
            SqlitePoolOptions::new()
                .acquire_timeout(Duration::from_secs(10))
                .idle_timeout(None)
                .max_lifetime(None)
                .test_before_acquire(false)
        };
        let context = || format!("opening {}", options.path.display());
        // The relay lowers `synchronous` for its own notes; nobody else may inherit that.
        let relaxed = Arc::new(AtomicBool::new(false));
        let before = Arc::clone(&relaxed);
        let writer = pool()
            .max_connections(1)
            .before_acquire(move |connection, _| {
                let lowered = before.swap(false, Ordering::AcqRel);
                Box::pin(async move {
                    if lowered {
                        sqlx::query("PRAGMA synchronous = FULL").execute(connection).await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(connect.clone())
            .await
            .map_err(|error| store_error(&context(), error))?;
        let readers = pool().max_connections(options.readers).connect_lazy_with(connect.read_only(true));
        Ok(Self { writer, readers, relaxed, _lock: Arc::new(lock) })
    }

    /// Begins a transaction of the one writer, at once with the write lock (`BEGIN IMMEDIATE`), so that it cannot fail later for having read first.
    ///
    /// Keep it short: every other writer waits. Dropped without a commit, it is rolled back.
    ///
    /// # Errors
    ///
    /// When the writer is not free within 10 s.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn begin(&self) -> Result<WriteTransaction, StoreError> {
        self.writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(|error| store_error("beginning a transaction", error))
    }

    /// The pool of exactly one writing connection.
    #[must_use]
    pub fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    pub(super) fn relaxed(&self) -> &Arc<AtomicBool> {
        &self.relaxed
    }

    /// The pool of reading connections.
    #[must_use]
    pub fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Closes every connection and folds the write-ahead log into the file.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves some connections open; nothing committed is lost.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Whether a database answers.
///
/// # Errors
///
/// Says why not.
///
/// # Cancel safety
///
/// Cancel safe.
pub async fn ping(pool: &SqlitePool) -> Result<(), StoreError> {
    let one: Result<i64, _> = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(pool).await;
    one.map(drop).map_err(|error| store_error("reading", error))
}

fn lock_file(database: &Path, create: bool) -> Result<File, StoreError> {
    let unavailable = |error: std::io::Error, what: &str| {
        StoreError::new(StoreErrorKind::Unavailable, format!("{what} {}", database.display()))
            .with_source(error)
    };
    if create && let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| unavailable(error, "creating the folder of"))?;
    }
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| unavailable(error, "creating the lock file of"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::new(
            StoreErrorKind::Locked,
            format!("{}; stop the other process, or give this one a file of its own", database.display()),
        )),
        Err(TryLockError::Error(error)) => Err(unavailable(error, "locking")),
    }
}
