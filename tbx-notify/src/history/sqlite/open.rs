//! Opening the file and learning what it holds.

use std::borrow::Cow;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{SqlSafeStr, SqlitePool};
use tbx_bus::Topic;

use super::super::contract::HistoryError;
use super::super::index::TopicIndex;
use super::super::recent::Recent;
use super::{Log, failed};
use crate::Epoch;

pub(super) struct Opened {
    pub(super) epoch: Epoch,
    pub(super) log: Log,
    pub(super) writer: SqlitePool,
    pub(super) readers: SqlitePool,
    pub(super) lock: File,
}

pub(super) async fn open(path: &Path) -> Result<Opened, HistoryError> {
    let lock = lock_file(path)?;
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(Duration::from_secs(5))
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = || {
        SqlitePoolOptions::new()
            .acquire_timeout(Duration::from_secs(10))
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
    };
    let writer = pool()
        .max_connections(1)
        .connect_with(connect.clone())
        .await
        .map_err(|error| failed(&format!("opening {}", path.display()), error))?;
    migrate(&writer).await?;
    let epoch = epoch(&writer).await?;
    let log = load(&writer).await?;
    let readers = pool().max_connections(2).connect_lazy_with(connect.read_only(true));
    Ok(Opened { epoch, log, writer, readers, lock })
}

async fn migrate(pool: &SqlitePool) -> Result<(), HistoryError> {
    let first = Migration::new(
        1,
        Cow::Borrowed("history"),
        MigrationType::Simple,
        include_str!("migrations/0001_history.sql").into_sql_str(),
        false,
    );
    let mut migrator = Migrator::with_migrations(vec![first]);
    migrator.dangerous_set_table_name("tbx_history_migrations");
    migrator
        .run(pool)
        .await
        .map_err(|error| HistoryError::new("bringing its tables up to date").with_source(error))
}

async fn epoch(pool: &SqlitePool) -> Result<Epoch, HistoryError> {
    let fresh = i64::try_from(Epoch::generate().get()).unwrap_or(i64::MAX);
    sqlx::query("INSERT INTO history_epoch (one, epoch) VALUES (1, ?) ON CONFLICT DO NOTHING")
        .bind(fresh)
        .execute(pool)
        .await
        .map_err(|error| failed("storing its epoch", error))?;
    let stored: i64 = sqlx::query_scalar("SELECT epoch FROM history_epoch")
        .fetch_one(pool)
        .await
        .map_err(|error| failed("reading its epoch", error))?;
    u64::try_from(stored).map(Epoch::new).map_err(|error| HistoryError::new("its epoch").with_source(error))
}

async fn load(pool: &SqlitePool) -> Result<Log, HistoryError> {
    let topic = |text: &str| {
        Topic::new(text)
            .map_err(|error| HistoryError::new(format!("stored topic {text:?}")).with_source(error))
    };
    let mut index = TopicIndex::default();
    let trimmed: Vec<(String, i64)> = sqlx::query_as("SELECT topic, through FROM history_trimmed")
        .fetch_all(pool)
        .await
        .map_err(|error| failed("reading what was trimmed", error))?;
    for (text, through) in &trimmed {
        if text.is_empty() {
            index.forget_through(offset(*through));
        } else {
            index.trim(&topic(text)?, offset(*through));
        }
    }
    let rows: Vec<(i64, String)> = sqlx::query_as("SELECT offset, topic FROM history ORDER BY offset")
        .fetch_all(pool)
        .await
        .map_err(|error| failed("reading its offsets", error))?;
    let mut last: Option<(&str, Topic)> = None;
    for (number, text) in &rows {
        let topic = match last.take() {
            Some((known, topic)) if known == text => topic,
            _ => topic(text)?,
        };
        index.add(&topic, offset(*number));
        last = Some((text, topic));
    }
    index.bound();
    // The sequence remembers the newest offset also when every entry was trimmed.
    let newest: Option<i64> = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'history'")
        .fetch_optional(pool)
        .await
        .map_err(|error| failed("reading its newest offset", error))?;
    let newest = newest.map_or(0, offset);
    let oldest = rows.first().map_or(newest + 1, |(number, _)| offset(*number));
    Ok(Log { index, recent: Recent::default(), oldest, newest })
}

fn offset(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn lock_file(path: &Path) -> Result<File, HistoryError> {
    let unusable = |error: std::io::Error| {
        HistoryError::new(format!("creating the lock file of {}", path.display())).with_source(error)
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(unusable)?;
    }
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(HistoryError::new(format!(
            "another process uses {}; stop it, or give this one a file of its own",
            path.display()
        ))),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}
