//! Dead letters in a table.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use tbx_bus::{DeadLetter, DeadLetterSink, Message, Reason};

use super::{store_error, within};
use crate::dead_letter::StoredDeadLetter;
use crate::{StoreError, record};

/// The dead letters of one channel. Also a sink for a bus.
#[derive(Debug, Clone)]
pub struct PgDeadLetters {
    pool: PgPool,
    channel: String,
}

/// The columns that [`letter`] reads, in its order.
macro_rules! columns {
    () => {
        "id, consumer, topic, headers, body, attempts, reason, detail, died_at, message_id, channel"
    };
}
pub(super) use columns;

impl PgDeadLetters {
    /// The dead letters of `channel`, written through `pool`.
    #[must_use]
    pub fn new(pool: PgPool, channel: &str) -> Self {
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
        within("listing dead letters", async {
            let rows = sqlx::query(concat!(
                "SELECT ",
                columns!(),
                " FROM tbx_dead_letters WHERE channel = $1 AND id > $2 ORDER BY id LIMIT $3"
            ))
            .bind(&self.channel)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(|error| store_error("listing dead letters", error))?;
            Ok(rows.iter().map(letter).collect())
        })
        .await
    }

    pub(super) async fn insert(
        transaction: &mut PgConnection,
        channel: &str,
        group: &str,
        message: &Message,
        attempts: u32,
        reason: &Reason,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO tbx_dead_letters (channel, consumer, message_id, topic, headers, body, attempts, reason, detail) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (channel, consumer, message_id) DO UPDATE \
             SET attempts = excluded.attempts, reason = excluded.reason, detail = excluded.detail, died_at = excluded.died_at",
        )
        .bind(channel)
        .bind(group)
        .bind(message.id().as_str())
        .bind(message.topic().as_str())
        .bind(record::headers_text(message)?)
        .bind(message.body().as_ref())
        .bind(i32::try_from(attempts).unwrap_or(i32::MAX))
        .bind(reason.kind.as_str())
        // A detail may quote anything, and text holds no zero character.
        .bind(reason.detail.replace('\0', "\u{fffd}"))
        .execute(transaction)
        .await
        .map_err(|error| store_error("storing a dead letter", error))?;
        Ok(())
    }
}

/// The letter of a row.
pub(super) fn letter(row: &PgRow) -> StoredDeadLetter {
    let id = row.get(0);
    let attempts: i32 = row.get(5);
    StoredDeadLetter {
        id,
        group: row.get(1),
        message_id: row.get(9),
        message: record::message(id, row.get(2), row.get(3), row.get(4)).ok(),
        attempts: u32::try_from(attempts).unwrap_or_default(),
        reason: row.get(6),
        detail: row.get(7),
        died_at: row.get(8),
    }
}

#[async_trait]
impl DeadLetterSink for PgDeadLetters {
    async fn bury(&self, letter: DeadLetter) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        within("storing a dead letter", async {
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
            .await
        })
        .await?;
        Ok(())
    }
}
