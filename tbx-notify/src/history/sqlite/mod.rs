//! The durable history in an SQLite file of its own.

mod open;
mod reader;
mod writer;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use sqlx::SqlitePool;
use tbx_bus::Topic;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use self::writer::{Append, Writer};
use super::contract::{Appended, Bounds, History, HistoryError, Matching, Retention};
use super::index::TopicIndex;
use super::recent::Recent;
use crate::{Entry, Epoch, Notification, Position, TopicSet};

/// How many appends may wait for the writer before the next caller waits for a place.
const QUEUE: usize = 1_024;
/// How often a read is repeated because trimming got in between.
const MAX_LOOKS: usize = 1_000;

/// A history that survives its process. Appends that wait for the disk together are stored together, in one transaction.
///
/// One process owns the file. Bodies live on disk; in memory are the latest entries and, for each entry, its offset by topic.
pub struct SqliteHistory {
    shared: Arc<Shared>,
    appends: Mutex<Option<mpsc::Sender<Append>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    readers: SqlitePool,
}

/// What writer and readers share.
struct Shared {
    epoch: Epoch,
    retention: Retention,
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
    /// Held for single steps, never across an await.
    log: Mutex<Log>,
    newest: watch::Sender<u64>,
}

/// What is known without asking the file.
struct Log {
    index: TopicIndex,
    recent: Recent,
    oldest: u64,
    newest: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SqliteHistory {
    /// Opens the history in the file at `path`, created with its folder when missing.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, another process has it, or it is no history of this version.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves whole migrations.
    pub async fn open(path: &Path, retention: Retention) -> Result<Self, HistoryError> {
        Self::open_with_clock(path, retention, SystemTime::now).await
    }

    /// As [`open`](Self::open), with the time from `clock`, for tests.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As [`open`](Self::open).
    pub async fn open_with_clock(
        path: &Path,
        retention: Retention,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Result<Self, HistoryError> {
        let opened = open::open(path).await?;
        let newest = opened.log.newest;
        let shared = Arc::new(Shared {
            epoch: opened.epoch,
            retention,
            clock: Box::new(clock),
            log: Mutex::new(opened.log),
            newest: watch::Sender::new(newest),
        });
        let (appends, queue) = mpsc::channel(QUEUE);
        let writer = Writer::new(Arc::clone(&shared), opened.writer, opened.lock, queue);
        Ok(Self {
            shared,
            appends: Mutex::new(Some(appends)),
            writer: Mutex::new(Some(tokio::spawn(writer.run()))),
            readers: opened.readers,
        })
    }

    /// Stores what was appended and closes the file. Later appends fail.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the writer ending by itself.
    pub async fn close(&self) {
        // The last connection to close folds the write-ahead log into the file, and readers may not.
        self.readers.close().await;
        drop(self.appends.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            // A panic of the writer was reported by the runtime; there is nothing left to close then.
            let _ = writer.await;
        }
    }
}

#[async_trait]
impl History for SqliteHistory {
    async fn append(&self, notification: Notification) -> Result<Appended, HistoryError> {
        let closed = || HistoryError::new("it is closed");
        let appends =
            self.appends.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        appends.send(Append { notification, answer }).await.map_err(|_| closed())?;
        // A sender kept here would keep the writer from ending at a close.
        drop(appends);
        answered.await.map_err(|_| closed())?
    }

    fn bounds(&self) -> Bounds {
        let log = self.shared.lock();
        Bounds { epoch: self.shared.epoch, oldest: log.oldest, newest: log.newest }
    }

    fn newest(&self) -> watch::Receiver<u64> {
        self.shared.newest.subscribe()
    }

    fn position_at(&self, offset: u64) -> Position {
        Position::new(self.shared.epoch, offset)
    }

    async fn read(&self, after: u64, limit: usize) -> Result<Vec<Arc<Entry>>, HistoryError> {
        let (found, newest) = {
            let log = self.shared.lock();
            (log.recent.after(after, limit), log.newest)
        };
        match found {
            Some(entries) => Ok(entries),
            None => reader::range(&self.readers, self.shared.epoch, after, newest, limit).await,
        }
    }

    async fn read_matching(
        &self,
        topics: &TopicSet,
        after: u64,
        through: u64,
        limit: usize,
    ) -> Result<Matching, HistoryError> {
        for _ in 0..MAX_LOOKS {
            let (offsets, some_trimmed) = {
                let log = self.shared.lock();
                (log.index.find(topics, after, through, limit), log.index.has_trimmed(topics, after))
            };
            if offsets.is_empty() {
                return Ok(Matching { entries: Vec::new(), some_trimmed });
            }
            let entries = reader::at(&self.readers, self.shared.epoch, &offsets).await?;
            if entries.len() == offsets.len() {
                return Ok(Matching { entries, some_trimmed });
            }
            // Some were trimmed between the two looks, and the index is about to learn of it. Handing out the rest now would hide the gap.
            tokio::task::yield_now().await;
        }
        Err(HistoryError::new("entries that it should hold are missing from its file"))
    }

    fn has_trimmed(&self, topics: &TopicSet, after: u64) -> bool {
        self.shared.lock().index.has_trimmed(topics, after)
    }

    fn newest_of(&self, topic: &Topic) -> Option<u64> {
        self.shared.lock().index.newest_of(topic)
    }

    async fn check(&self) -> Result<(), HistoryError> {
        let closed = self
            .writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .is_none_or(JoinHandle::is_finished);
        if closed {
            return Err(HistoryError::new("its writer has ended"));
        }
        reader::probe(&self.readers).await
    }
}

impl fmt::Debug for SqliteHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteHistory").field("bounds", &self.bounds()).finish_non_exhaustive()
    }
}

/// An error of the database as one of the history.
fn failed(context: &str, error: sqlx::Error) -> HistoryError {
    HistoryError::new(context).with_source(error)
}
