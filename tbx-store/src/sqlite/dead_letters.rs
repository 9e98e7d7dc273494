//! Dead letters in a table.

use async_trait::async_trait;
use chrono::Utc;
use sqlx::{Row, SqliteConnection, SqlitePool};
use tbx_bus::{DeadLetter, DeadLetterSink, Message, Reason};

use super::store_error;
use crate::dead_letter::StoredDeadLetter;
use crate::{StoreError, record};

/// The dead letters of one channel. Also a sink for a bus.
#[derive(Debug, Clone)]
pub struct SqliteDeadLetters {
    pool: SqlitePool,
    channel: String,
}

impl SqliteDeadLetters {
    /// The dead letters of `channel`, written through `pool`.
    #[must_use]
    pub fn new(pool: SqlitePool, channel: &str) -> Self {
        Self { pool, channel: channel.to_owned() }
    }

    /// Up to `limit` letters with a number above `after`, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn list(&self, after: i64, limit: u32) -> Result<Vec<StoredDeadLetter>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, consumer, topic, headers, body, attempts, reason, detail, died_at, message_id \
             FROM tbx_dead_letters WHERE channel = ? AND id > ? ORDER BY id LIMIT ?",
        )
        .bind(&self.channel)
        .bind(after)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(|error| store_error("listing dead letters", error))?;
        let letter = |row: &sqlx::sqlite::SqliteRow| {
            let id = row.get(0);
            Ok(StoredDeadLetter {
                id,
                group: row.get(1),
                message_id: row.get(9),
                message: record::message(id, row.get(2), row.get(3), row.get(4)).ok(),
                attempts: row.get(5),
                reason: row.get(6),
                detail: row.get(7),
                died_at: record::instant(row.get(8))?,
            })
        };
        rows.iter().map(letter).collect()
    }

    pub(super) async fn insert(
        transaction: &mut SqliteConnection,
        channel: &str,
        group: &str,
        message: &Message,
        attempts: u32,
        reason: &Reason,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO tbx_dead_letters \
             (channel, consumer, message_id, topic, headers, body, attempts, reason, detail, died_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (channel, consumer, message_id) DO UPDATE \
             SET attempts = excluded.attempts, reason = excluded.reason, detail = excluded.detail, died_at = excluded.died_at",
        )
        .bind(channel)
        .bind(group)
        .bind(message.id().as_str())
        .bind(message.topic().as_str())
        .bind(record::headers_text(message)?)
        .bind(message.body().as_ref())
        .bind(attempts)
        .bind(reason.kind.as_str())
        .bind(&reason.detail)
        .bind(Utc::now().timestamp_millis())
        .execute(transaction)
        .await
        .map_err(|error| store_error("storing a dead letter", error))?;
        Ok(())
    }
}

#[async_trait]
impl DeadLetterSink for SqliteDeadLetters {
    async fn bury(&self, letter: DeadLetter) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut connection =
            self.pool.acquire().await.map_err(|error| store_error("storing a dead letter", error))?;
        Self::insert(
            &mut connection,
            &self.channel,
            &letter.group,
            &letter.message,
            letter.attempts,
            &letter.reason,
        )
        .await?;
        Ok(())
    }
}
