//! The one writer: stores what waits, all at once, and trims.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::{Row, SqliteConnection, SqlitePool};
use tbx_bus::Topic;
use tokio::sync::{mpsc, oneshot};

use super::super::contract::{Appended, HistoryError};
use super::{Shared, failed};
use crate::{Entry, Notification, Position};

/// The most appends of one transaction.
const BATCH: usize = 256;
/// The most entries trimmed in one transaction, so that appends hardly wait.
const TRIM_BATCH: u64 = 500;
/// How often age is looked at.
const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// One append and whoever waits for it.
pub(super) struct Append {
    pub(super) notification: Notification,
    pub(super) answer: oneshot::Sender<Result<Appended, HistoryError>>,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    pool: SqlitePool,
    queue: mpsc::Receiver<Append>,
    /// Held until the writer has ended.
    _lock: File,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        pool: SqlitePool,
        lock: File,
        queue: mpsc::Receiver<Append>,
    ) -> Self {
        Self { shared, pool, queue, _lock: lock }
    }

    /// Runs until every sender is gone and the queue is empty.
    pub(super) async fn run(mut self) {
        let mut trims = tokio::time::interval(TRIM_INTERVAL);
        trims.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH);
        let mut more_to_trim = false;
        loop {
            tokio::select! {
                biased;
                received = self.queue.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        break;
                    }
                    self.append(std::mem::take(&mut batch)).await;
                }
                () = std::future::ready(()), if more_to_trim => more_to_trim = self.trim().await,
                _ = trims.tick() => more_to_trim = self.trim().await,
            }
            more_to_trim |= self.excess() > TRIM_BATCH;
        }
        self.pool.close().await;
    }

    async fn append(&self, batch: Vec<Append>) {
        match self.store(&batch).await {
            Ok(stored) => {
                self.publish(&batch, &stored);
                for (append, appended) in batch.into_iter().zip(stored) {
                    // Whoever stopped waiting finds the notification there when it comes again.
                    let _ = append.answer.send(Ok(appended));
                }
            }
            Err(error) => {
                tracing::warn!(%error, cause = ?std::error::Error::source(&error), "notifications not stored");
                for append in batch {
                    let _ = append.answer.send(Err(HistoryError::new(error.to_string())));
                }
            }
        }
    }

    async fn store(&self, batch: &[Append]) -> Result<Vec<Appended>, HistoryError> {
        let now = milliseconds((self.shared.clock)());
        let mut transaction = self
            .pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(|error| failed("beginning to append", error))?;
        let mut stored = Vec::with_capacity(batch.len());
        for append in batch {
            stored.push(self.insert(&mut transaction, &append.notification, now).await?);
        }
        transaction.commit().await.map_err(|error| failed("storing", error))?;
        Ok(stored)
    }

    async fn insert(
        &self,
        transaction: &mut SqliteConnection,
        notification: &Notification,
        now: i64,
    ) -> Result<Appended, HistoryError> {
        let known: Option<i64> = sqlx::query_scalar("SELECT offset FROM history WHERE message_id = ?")
            .bind(notification.id().as_str())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(|error| failed("looking for a repetition", error))?;
        // Looked up first, because a refused insert would use up an offset and leave a hole.
        let (offset, is_new) = match known {
            Some(offset) => (offset, false),
            None => {
                let inserted = sqlx::query(
                    "INSERT INTO history (message_id, topic, event, body, appended_at) VALUES (?, ?, ?, ?, ?)",
                )
                .bind(notification.id().as_str())
                .bind(notification.topic().as_str())
                .bind(notification.event().as_str())
                .bind(notification.body().as_ref())
                .bind(now)
                .execute(transaction)
                .await
                .map_err(|error| failed("appending", error))?;
                (inserted.last_insert_rowid(), true)
            }
        };
        let offset =
            u64::try_from(offset).map_err(|error| HistoryError::new("an offset").with_source(error))?;
        Ok(Appended { position: Position::new(self.shared.epoch, offset), is_new })
    }

    /// Makes what was stored visible to readers.
    fn publish(&self, batch: &[Append], stored: &[Appended]) {
        let mut log = self.shared.lock();
        for (append, appended) in batch.iter().zip(stored).filter(|(_, appended)| appended.is_new) {
            let offset = appended.position.offset;
            log.index.add(append.notification.topic(), offset);
            log.recent.push(Arc::new(Entry::new(appended.position, append.notification.clone())));
            log.newest = offset;
        }
        let newest = log.newest;
        drop(log);
        self.shared.newest.send_if_modified(|current| {
            let grows = newest > *current;
            *current = newest;
            grows
        });
    }

    fn excess(&self) -> u64 {
        let log = self.shared.lock();
        (log.newest + 1).saturating_sub(log.oldest).saturating_sub(self.shared.retention.max_count)
    }

    /// Trims one batch. Tells whether there may be more to trim.
    async fn trim(&self) -> bool {
        match self.try_trim().await {
            Ok(trimmed) => trimmed == TRIM_BATCH,
            Err(error) => {
                tracing::warn!(%error, "history not trimmed, trying again");
                false
            }
        }
    }

    async fn try_trim(&self) -> Result<u64, HistoryError> {
        let first = self.shared.lock().oldest;
        let excess = self.excess();
        let age = self.shared.retention.max_age;
        let horizon = (self.shared.clock)().checked_sub(age).map_or(i64::MIN, milliseconds);
        let mut transaction = self
            .pool
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(|error| failed("beginning to trim", error))?;
        let too_old: Option<i64> =
            sqlx::query_scalar("SELECT max(offset) FROM history WHERE offset < ? AND appended_at < ?")
                .bind(signed(first + TRIM_BATCH))
                .bind(horizon)
                .fetch_one(&mut *transaction)
                .await
                .map_err(|error| failed("looking for what is too old", error))?;
        let too_many = (excess > 0).then(|| signed(first + excess.min(TRIM_BATCH) - 1));
        let Some(last) = too_old.max(too_many) else { return Ok(0) };
        // One cut at the old end, whatever the clock did: what is kept has no holes.
        let rows = sqlx::query("DELETE FROM history WHERE offset <= ? RETURNING offset, topic")
            .bind(last)
            .fetch_all(&mut *transaction)
            .await
            .map_err(|error| failed("trimming", error))?;
        let mut trimmed = Vec::with_capacity(rows.len());
        for row in &rows {
            let (offset, text): (i64, &str) = (row.get(0), row.get(1));
            sqlx::query(
                "INSERT INTO history_trimmed (topic, through) VALUES (?, ?) \
                 ON CONFLICT (topic) DO UPDATE SET through = max(through, excluded.through)",
            )
            .bind(text)
            .bind(offset)
            .execute(&mut *transaction)
            .await
            .map_err(|error| failed("remembering what was trimmed", error))?;
            let topic =
                Topic::new(text).map_err(|error| HistoryError::new("a stored topic").with_source(error))?;
            trimmed.push((topic, u64::try_from(offset).unwrap_or_default()));
        }
        transaction.commit().await.map_err(|error| failed("trimming", error))?;
        let (forgotten, through) = {
            let mut log = self.shared.lock();
            for (topic, offset) in &trimmed {
                log.index.trim(topic, *offset);
                log.oldest = log.oldest.max(offset + 1);
            }
            (log.index.bound(), log.index.forgotten_through())
        };
        if !forgotten.is_empty() {
            self.forget(&forgotten, through).await?;
        }
        Ok(rows.len() as u64)
    }
}

impl Writer {
    /// Deletes what is remembered of topics. Left undone by a crash, it is done again: opening the file forgets the same ones.
    async fn forget(&self, topics: &[Topic], through: u64) -> Result<(), HistoryError> {
        let failed = |error| failed("forgetting topics", error);
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        sqlx::query("INSERT INTO history_trimmed (topic, through) VALUES ('', ?1) ON CONFLICT (topic) DO UPDATE SET through = ?1")
            .bind(signed(through))
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
        for topic in topics {
            sqlx::query("DELETE FROM history_trimmed WHERE topic = ?")
                .bind(topic.as_str())
                .execute(&mut *transaction)
                .await
                .map_err(failed)?;
        }
        transaction.commit().await.map_err(failed)
    }
}

fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn signed(offset: u64) -> i64 {
    i64::try_from(offset).unwrap_or(i64::MAX)
}
