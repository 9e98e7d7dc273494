//! The inbox: an effect happens once, however often its message comes.

use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, SqlitePool};
use tbx_bus::MessageId;

use super::store_error;
use crate::StoreError;

/// Remembers, by consumer and message, what was handled.
///
/// ```no_run
/// # async fn example(database: tbx_store::sqlite::Database, id: tbx_bus::MessageId) -> Result<(), Box<dyn std::error::Error>> {
/// use tbx_store::sqlite::SqliteInbox;
///
/// let mut transaction = database.begin().await?;
/// if SqliteInbox::new("mailer").first_time(&mut transaction, &id).await? {
///     sqlx::query("UPDATE letters SET sent = sent + 1").execute(&mut *transaction).await?;
/// }
/// transaction.commit().await?; // the effect and the memory of it, or neither
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SqliteInbox {
    consumer: String,
}

impl SqliteInbox {
    /// The inbox of `consumer`. Several consumers of one process have inboxes of their own.
    #[must_use]
    pub fn new(consumer: &str) -> Self {
        Self { consumer: consumer.to_owned() }
    }

    /// Whether the message is handled for the first time; remembers it in the given transaction. Call it first in the transaction of the effect.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// Belongs to the transaction.
    pub async fn first_time(
        &self,
        transaction: &mut SqliteConnection,
        id: &MessageId,
    ) -> Result<bool, StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO tbx_inbox (consumer, message_id, received_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(&self.consumer)
        .bind(id.as_str())
        .bind(Utc::now().timestamp_millis())
        .execute(transaction)
        .await
        .map_err(|error| store_error("entering a message into the inbox", error))?;
        Ok(inserted.rows_affected() == 1)
    }

    /// Forgets up to `limit` messages, of every consumer, that were handled before `before`. What is forgotten counts as new when it comes
    /// again, so keep it for longer than that can take.
    ///
    /// [`Housekeeping`](super::Housekeeping) does this for a [`Database`](super::Database); over a pool of your own, call it now and then.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves them forgotten or not.
    pub async fn purge(pool: &SqlitePool, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let deleted = sqlx::query(
            "DELETE FROM tbx_inbox WHERE (consumer, message_id) IN \
             (SELECT consumer, message_id FROM tbx_inbox WHERE received_at < ? LIMIT ?)",
        )
        .bind(before.timestamp_millis())
        .bind(limit)
        .execute(pool)
        .await
        .map_err(|error| store_error("purging the inbox", error))?;
        Ok(deleted.rows_affected())
    }
}
