//! The inbox: an effect happens once, however often its message comes.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use tbx_bus::MessageId;

use super::{store_error, within};
use crate::StoreError;

/// Remembers, by consumer and message, what was handled.
///
/// ```no_run
/// # async fn example(database: tbx_store::postgres::Database, id: tbx_bus::MessageId) -> Result<(), Box<dyn std::error::Error>> {
/// use tbx_store::postgres::PgInbox;
///
/// let mut transaction = database.begin().await?;
/// if PgInbox::new("mailer").first_time(&mut transaction, &id).await? {
///     sqlx::query("UPDATE letters SET sent = sent + 1").execute(&mut *transaction).await?;
/// }
/// transaction.commit().await?; // the effect and the memory of it, or neither
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PgInbox {
    consumer: String,
}

impl PgInbox {
    /// The inbox of `consumer`. Several consumers of one process have inboxes of their own.
    #[must_use]
    pub fn new(consumer: &str) -> Self {
        Self { consumer: consumer.to_owned() }
    }

    /// Whether the message is handled for the first time; remembers it in the given transaction. Call it first in the transaction of the effect: a
    /// second process that handles the same message then waits here until the first has committed or not.
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
        transaction: &mut PgConnection,
        id: &MessageId,
    ) -> Result<bool, StoreError> {
        let inserted = sqlx::query(
            "INSERT INTO tbx_inbox (consumer, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(&self.consumer)
        .bind(id.as_str())
        .execute(transaction)
        .await
        .map_err(|error| store_error("entering a message into the inbox", error))?;
        Ok(inserted.rows_affected() == 1)
    }

    /// Forgets up to `limit` messages, of every consumer, that were handled before `before`. What is forgotten counts as new when it comes
    /// again, so keep it for longer than that can take.
    ///
    /// [`Housekeeping`](super::Housekeeping) does this; without it, call it now and then.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves them forgotten or not.
    pub async fn purge(pool: &PgPool, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        within("purging the inbox", async {
            // Rows that another process is about to delete are passed over rather than waited for.
            let deleted = sqlx::query(
                "DELETE FROM tbx_inbox WHERE ctid = ANY (ARRAY( \
                     SELECT ctid FROM tbx_inbox WHERE received_at < $1 ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED \
                 ))",
            )
            .bind(before)
            .bind(i64::from(limit))
            .execute(pool)
            .await
            .map_err(|error| store_error("purging the inbox", error))?;
            Ok(deleted.rows_affected())
        })
        .await
    }
}
