//! Deciding about dead letters.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};
use tbx_bus::Message;

use super::{SqliteOutbox, store_error};
use crate::dead_letter::{FiledLetter, Replayed, StoredDeadLetter};
use crate::{StoreError, record};

/// The dead letters of all channels, for whoever looks at them and decides. A clone is the same office.
#[derive(Debug, Clone)]
pub struct DeadLetterOffice {
    pool: SqlitePool,
}

const COLUMNS: &str =
    "id, consumer, topic, headers, body, attempts, reason, detail, died_at, message_id, channel";

impl DeadLetterOffice {
    /// The letters that `pool` reaches. To replay and discard, it must be the pool of the one writer.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        Self { pool }
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
    pub async fn list(&self, after: i64, limit: u32) -> Result<Vec<FiledLetter>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM tbx_dead_letters WHERE id > ? ORDER BY id LIMIT ?");
        // The columns are a constant of this file.
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(|error| store_error("listing dead letters", error))?;
        rows.iter().map(filed).collect()
    }

    /// The letter with this number.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn find(&self, id: i64) -> Result<Option<FiledLetter>, StoreError> {
        let mut connection =
            self.pool.acquire().await.map_err(|error| store_error("looking for a dead letter", error))?;
        find(&mut connection, id).await
    }

    /// Puts the message of a letter back into the outbox of its channel, as if it had just been appended, and takes the letter away, both or neither.
    ///
    /// The bus gives it to the group that gave it up and to no other, [marked](tbx_bus::Message::is_replayed) as one that comes late. A letter that no
    /// group gave up goes to every group of the channel; those that handled it drop it by their inbox, as long as that remembers it.
    ///
    /// # Errors
    ///
    /// When the database fails: nothing has changed.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has done it or not.
    pub async fn replay(&self, id: i64, outbox: &SqliteOutbox) -> Result<Replayed, StoreError> {
        let failed = |error| store_error("replaying a dead letter", error);
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
        let Some(filed) = find(&mut transaction, id).await? else { return Ok(Replayed::Absent) };
        let Some(message) = filed.letter.message_again() else { return Ok(Replayed::Unreadable) };
        if !forget_done(&mut transaction, &filed.channel, &message).await? {
            return Ok(Replayed::UnderWay);
        }
        outbox.append(&mut transaction, &filed.channel, &message).await?;
        delete(&mut transaction, id).await?;
        transaction.commit().await.map_err(failed)?;
        outbox.wake();
        Ok(Replayed::Queued)
    }

    /// Takes a letter away for good. Tells whether there was one.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has done it or not.
    pub async fn discard(&self, id: i64) -> Result<bool, StoreError> {
        let mut connection =
            self.pool.acquire().await.map_err(|error| store_error("discarding a dead letter", error))?;
        delete(&mut connection, id).await
    }
}

/// Lets the outbox forget a message it is done with, so that it can be appended again. `false` when it is not done with it.
async fn forget_done(
    transaction: &mut SqliteConnection,
    channel: &str,
    message: &Message,
) -> Result<bool, StoreError> {
    let failed = |error| store_error("looking for the message in the outbox", error);
    sqlx::query("DELETE FROM tbx_outbox WHERE channel = ? AND message_id = ? AND state = 2")
        .bind(channel)
        .bind(message.id().as_str())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tbx_outbox WHERE channel = ? AND message_id = ?")
            .bind(channel)
            .bind(message.id().as_str())
            .fetch_one(transaction)
            .await
            .map_err(failed)?;
    Ok(left == 0)
}

async fn find(connection: &mut SqliteConnection, id: i64) -> Result<Option<FiledLetter>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM tbx_dead_letters WHERE id = ?");
    // The columns are a constant of this file.
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .fetch_optional(connection)
        .await
        .map_err(|error| store_error("looking for a dead letter", error))?;
    row.as_ref().map(filed).transpose()
}

async fn delete(connection: &mut SqliteConnection, id: i64) -> Result<bool, StoreError> {
    let deleted = sqlx::query("DELETE FROM tbx_dead_letters WHERE id = ?")
        .bind(id)
        .execute(connection)
        .await
        .map_err(|error| store_error("taking a dead letter away", error))?;
    Ok(deleted.rows_affected() > 0)
}

fn filed(row: &SqliteRow) -> Result<FiledLetter, StoreError> {
    let (id, topic, body): (i64, String, Vec<u8>) = (row.get(0), row.get(2), row.get(4));
    let letter = StoredDeadLetter {
        id,
        message_id: row.get(9),
        message: record::message(id, &topic, row.get(3), body.clone()).ok(),
        group: row.get(1),
        attempts: row.get(5),
        reason: row.get(6),
        detail: row.get(7),
        died_at: record::instant(row.get(8))?,
    };
    Ok(FiledLetter { channel: row.get(10), topic, body: body.into(), letter })
}
