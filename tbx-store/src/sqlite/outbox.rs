//! The outbox table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection, SqlitePool};
use tbx_bus::{Message, ReasonKind};
use tokio::sync::Notify;

use super::dead_letters::SqliteDeadLetters;
use super::{Database, store_error};
use crate::outbox::{OutboxEntry, OutboxStats, OutboxStore, Settlement};
use crate::{StoreError, record};

const PENDING: i64 = 0;
const HANDED: i64 = 1;
const DONE: i64 = 2;
const BEHIND: i64 = 3;

/// The outbox in an SQLite database. A clone is the same outbox.
///
/// ```no_run
/// # async fn example(database: tbx_store::sqlite::Database) -> Result<(), Box<dyn std::error::Error>> {
/// use tbx_bus::{Message, Topic};
/// use tbx_store::sqlite::SqliteOutbox;
///
/// let outbox = SqliteOutbox::of(&database);
///
/// let mut transaction = database.begin().await?;
/// sqlx::query("INSERT INTO orders (number) VALUES (7)").execute(&mut *transaction).await?;
/// let event = Message::new(Topic::new("order.placed")?, "OrderPlaced", r#"{"number":7}"#).with_key("order-7")?;
/// outbox.append(&mut transaction, "orders", &event).await?;
/// transaction.commit().await?; // both or neither
/// outbox.wake();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SqliteOutbox {
    pool: SqlitePool,
    bookkeeping: Bookkeeping,
    appended: Arc<Notify>,
}

/// Whether the relay's own notes wait for the disk.
#[derive(Debug, Clone)]
enum Bookkeeping {
    Durable,
    /// They do not; the flag tells the pool to have the next user's transaction wait again.
    Relaxed(Arc<AtomicBool>),
}

impl SqliteOutbox {
    /// The outbox that `pool` reaches; see [`migrate`](super::migrate) for its tables. With a pool of one connection, writers queue fairly
    /// instead of polling SQLite's lock.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool, bookkeeping: Bookkeeping::Durable, appended: Arc::new(Notify::new()) }
    }

    /// The outbox of a [`Database`]. What the relay notes for itself, that a message was handed over or settled, does not wait for the disk there:
    /// if a power cut takes such a note back, the message is published again and the inbox drops it. Appending is the caller's transaction and always waits.
    #[must_use]
    pub fn of(database: &Database) -> Self {
        let bookkeeping = Bookkeeping::Relaxed(Arc::clone(database.relaxed()));
        Self { pool: database.writer().clone(), bookkeeping, appended: Arc::new(Notify::new()) }
    }

    /// Appends a message to `channel` in the caller's transaction. A message whose id the channel still remembers is not appended again.
    ///
    /// Call [`wake`](Self::wake) after the commit; without it the relay's sweep finds the message within a second.
    ///
    /// # Errors
    ///
    /// When the database fails: roll the transaction back.
    ///
    /// # Cancel safety
    ///
    /// Belongs to the transaction.
    pub async fn append(
        &self,
        transaction: &mut SqliteConnection,
        channel: &str,
        message: &Message,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO tbx_outbox (channel, message_id, topic, ordering_key, headers, body, created_at, state) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, \
                 CASE WHEN ?4 IS NOT NULL AND EXISTS ( \
                     SELECT 1 FROM tbx_outbox WHERE channel = ?1 AND ordering_key = ?4 AND ordering_key IS NOT NULL AND state <> 2 \
                 ) THEN 3 ELSE 0 END) \
             ON CONFLICT (channel, message_id) DO NOTHING",
        )
        .bind(channel)
        .bind(message.id().as_str())
        .bind(message.topic().as_str())
        .bind(message.key())
        .bind(record::headers_text(message)?)
        .bind(message.body().as_ref())
        .bind(Utc::now().timestamp_millis())
        .execute(transaction)
        .await
        .map_err(|error| store_error("appending to the outbox", error))?;
        Ok(())
    }

    /// Wakes the relay: something was committed.
    pub fn wake(&self) {
        self.appended.notify_one();
    }

    async fn settle(transaction: &mut SqliteConnection, settlement: &Settlement) -> Result<(), StoreError> {
        match settlement {
            Settlement::Done { entry, dead_letters } => {
                for letter in dead_letters {
                    SqliteDeadLetters::insert(
                        transaction,
                        &entry.channel,
                        &letter.group,
                        &entry.message,
                        letter.attempts,
                        &letter.reason,
                    )
                    .await?;
                }
                Self::finish(transaction, entry).await
            }
            Settlement::GivenUp { entry, reason } => {
                SqliteDeadLetters::insert(
                    transaction,
                    &entry.channel,
                    entry.addressee(),
                    &entry.message,
                    entry.attempts,
                    reason,
                )
                .await?;
                Self::finish(transaction, entry).await
            }
            Settlement::Later { entry, at, counts } => {
                sqlx::query(
                    "UPDATE tbx_outbox SET state = ?, next_at = ?, attempts = attempts - ? WHERE id = ?",
                )
                .bind(PENDING)
                .bind(at.timestamp_millis())
                .bind(i64::from(!counts))
                .bind(entry.id)
                .execute(transaction)
                .await
                .map_err(|error| store_error("putting a message off", error))?;
                Ok(())
            }
        }
    }

    /// The entries of rows. A row that cannot be read becomes a dead letter as it is, or it would hold up all others for ever.
    async fn readable(
        transaction: &mut SqliteConnection,
        rows: &[SqliteRow],
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            match entry(row) {
                Ok(entry) => entries.push(entry),
                Err(error) => {
                    let id: i64 = row.get(0);
                    tracing::error!(id, %error, cause = error.source_text(), "stored message cannot be read, giving it up");
                    Self::bury_row(transaction, id, &error).await?;
                }
            }
        }
        Ok(entries)
    }

    async fn bury_row(
        transaction: &mut SqliteConnection,
        id: i64,
        error: &StoreError,
    ) -> Result<(), StoreError> {
        let now = Utc::now().timestamp_millis();
        let failed = |error| store_error("giving up a message that cannot be read", error);
        sqlx::query(
            "INSERT INTO tbx_dead_letters \
             (channel, consumer, message_id, topic, headers, body, attempts, reason, detail, died_at) \
             SELECT channel, '', message_id, topic, headers, body, attempts, ?, ?, ? FROM tbx_outbox WHERE id = ? \
             ON CONFLICT (channel, consumer, message_id) DO NOTHING",
        )
        .bind(ReasonKind::Unreadable.as_str())
        .bind(error.source_text())
        .bind(now)
        .bind(id)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        let row = sqlx::query(
            "UPDATE tbx_outbox SET state = ?, done_at = ? WHERE id = ? RETURNING channel, ordering_key",
        )
        .bind(DONE)
        .bind(now)
        .bind(id)
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed)?;
        let (channel, key): (String, Option<String>) = (row.get(0), row.get(1));
        Self::release_next(transaction, &channel, key.as_deref()).await
    }

    async fn finish(transaction: &mut SqliteConnection, entry: &OutboxEntry) -> Result<(), StoreError> {
        sqlx::query("UPDATE tbx_outbox SET state = ?, done_at = ? WHERE id = ?")
            .bind(DONE)
            .bind(Utc::now().timestamp_millis())
            .bind(entry.id)
            .execute(&mut *transaction)
            .await
            .map_err(|error| store_error("settling a message", error))?;
        Self::release_next(transaction, &entry.channel, entry.message.key()).await
    }

    /// Lets the next message of a key go.
    async fn release_next(
        transaction: &mut SqliteConnection,
        channel: &str,
        key: Option<&str>,
    ) -> Result<(), StoreError> {
        let Some(key) = key else { return Ok(()) };
        sqlx::query(
            "UPDATE tbx_outbox SET state = 0 WHERE id = ( \
                 SELECT id FROM tbx_outbox \
                 WHERE channel = ? AND ordering_key = ? AND ordering_key IS NOT NULL AND state <> 2 ORDER BY id LIMIT 1 \
             ) AND state = 3",
        )
        .bind(channel)
        .bind(key)
        .execute(transaction)
        .await
        .map_err(|error| store_error("letting the next message of a key go", error))?;
        Ok(())
    }

    /// Claims for all channels in one statement: while it runs, every other writer waits.
    async fn claim(
        transaction: &mut SqliteConnection,
        wanted: &[(&str, usize)],
        now: DateTime<Utc>,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let wanted: Vec<_> = wanted.iter().filter(|(_, limit)| *limit > 0).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let of_channel = "SELECT * FROM (SELECT id FROM tbx_outbox WHERE state = 0 AND channel = ? AND next_at <= ? \
                          ORDER BY next_at, id LIMIT ?)";
        let sql = format!(
            "UPDATE tbx_outbox SET state = 1, attempts = attempts + 1 WHERE id IN ({}) \
             RETURNING id, channel, topic, headers, body, attempts",
            vec![of_channel; wanted.len()].join(" UNION ALL ")
        );
        // Only fixed text is put together; what comes from outside is bound.
        let mut claim = sqlx::query(AssertSqlSafe(sql));
        for (channel, limit) in wanted {
            claim = claim
                .bind(*channel)
                .bind(now.timestamp_millis())
                .bind(i64::try_from(*limit).unwrap_or(i64::MAX));
        }
        let rows = claim
            .fetch_all(&mut *transaction)
            .await
            .map_err(|error| store_error("claiming messages", error))?;
        let mut entries = Self::readable(transaction, &rows).await?;
        // RETURNING promises no order.
        entries.sort_unstable_by_key(|entry| entry.id);
        Ok(entries)
    }
}

fn entry(row: &SqliteRow) -> Result<OutboxEntry, StoreError> {
    let id: i64 = row.get(0);
    let channel: String = row.get(1);
    Ok(OutboxEntry {
        id,
        channel: channel.into(),
        message: record::message(id, row.get(2), row.get(3), row.get(4))?,
        attempts: row.get(5),
    })
}

#[async_trait]
impl OutboxStore for SqliteOutbox {
    async fn left_behind(&self, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        let failed = |error| store_error("looking for messages under way", error);
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let rows = sqlx::query(
            "SELECT id, channel, topic, headers, body, attempts FROM tbx_outbox WHERE state = 1 ORDER BY id LIMIT ?",
        )
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *transaction)
        .await
        .map_err(failed)?;
        let entries = Self::readable(&mut transaction, &rows).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(entries)
    }

    async fn charge(&self, id: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE tbx_outbox SET attempts = attempts + 1 WHERE id = ? AND state = ?")
            .bind(id)
            .bind(HANDED)
            .execute(&self.pool)
            .await
            .map_err(|error| store_error("counting an attempt", error))?;
        Ok(())
    }

    async fn settle_and_claim(
        &self,
        settlements: &[Settlement],
        wanted: &[(&str, usize)],
        now: DateTime<Utc>,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let mut connection =
            self.pool.acquire().await.map_err(|error| store_error("beginning to settle", error))?;
        // While the connection is ours: taking it from the pool resets the flag.
        let begin = match &self.bookkeeping {
            Bookkeeping::Durable => "BEGIN IMMEDIATE",
            Bookkeeping::Relaxed(relaxed) => {
                relaxed.store(true, Ordering::Release);
                "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE"
            }
        };
        let mut transaction =
            connection.begin_with(begin).await.map_err(|error| store_error("beginning to settle", error))?;
        for settlement in settlements {
            Self::settle(&mut transaction, settlement).await?;
        }
        let claimed = Self::claim(&mut transaction, wanted, now).await?;
        transaction.commit().await.map_err(|error| store_error("settling", error))?;
        Ok(claimed)
    }

    async fn appended(&self) {
        self.appended.notified().await;
    }

    async fn purge(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let deleted = sqlx::query(
            "DELETE FROM tbx_outbox WHERE id IN (SELECT id FROM tbx_outbox WHERE state = 2 AND done_at < ? LIMIT ?)",
        )
        .bind(before.timestamp_millis())
        .bind(limit)
        .execute(&self.pool)
        .await
        .map_err(|error| store_error("purging the outbox", error))?;
        Ok(deleted.rows_affected())
    }

    async fn stats(&self) -> Result<OutboxStats, StoreError> {
        let row = sqlx::query(
            // The last condition of the second count is what the index of open keys is found by.
            "SELECT (SELECT count(*) FROM tbx_outbox WHERE state = 0) \
                  + (SELECT count(*) FROM tbx_outbox WHERE state = 3 AND state <> 2 AND ordering_key IS NOT NULL), \
                    (SELECT count(*) FROM tbx_outbox WHERE state = 1), \
                    (SELECT count(*) FROM tbx_dead_letters), \
                    (SELECT min(created_at) FROM tbx_outbox WHERE state IN (0, 1))",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(|error| store_error("counting the outbox", error))?;
        let count = |index| u64::try_from(row.get::<i64, _>(index)).unwrap_or_default();
        let oldest: Option<i64> = row.get(3);
        Ok(OutboxStats {
            pending: count(0),
            handed: count(1),
            dead: count(2),
            oldest: oldest.map(record::instant).transpose()?,
        })
    }
}

// The states appear as numbers in the SQL text, which partial indexes match by form.
const _: () = assert!(PENDING == 0 && HANDED == 1 && DONE == 2 && BEHIND == 3);
