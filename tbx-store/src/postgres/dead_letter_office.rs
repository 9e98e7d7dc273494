//! Deciding about dead letters.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};

use super::dead_letters::{columns, letter};
use super::{PgOutbox, store_error, within};
use crate::StoreError;
use crate::dead_letter::{FiledLetter, Replayed};

/// The dead letters of all channels, for whoever looks at them and decides. A clone is the same office.
#[derive(Debug, Clone)]
pub struct DeadLetterOffice {
    pool: PgPool,
}

impl DeadLetterOffice {
    /// The letters that `pool` reaches.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
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
        within("listing dead letters", async {
            let rows = sqlx::query(concat!(
                "SELECT ",
                columns!(),
                " FROM tbx_dead_letters WHERE id > $1 ORDER BY id LIMIT $2"
            ))
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .map_err(|error| store_error("listing dead letters", error))?;
            Ok(rows.iter().map(filed).collect())
        })
        .await
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
        within("looking for a dead letter", async {
            let row = sqlx::query(concat!("SELECT ", columns!(), " FROM tbx_dead_letters WHERE id = $1"))
                .bind(id)
                .fetch_optional(&self.pool)
                .await
                .map_err(|error| store_error("looking for a dead letter", error))?;
            Ok(row.as_ref().map(filed))
        })
        .await
    }

    /// Puts the message of a letter back into the outbox of its channel, as if it had just been appended, and takes the letter away, both or
    /// neither. Where no relay runs with `outbox`, that of another process takes the message within a second.
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
    pub async fn replay(&self, id: i64, outbox: &PgOutbox) -> Result<Replayed, StoreError> {
        within("replaying a dead letter", async {
            let failed = |error| store_error("replaying a dead letter", error);
            let mut transaction = self.pool.begin().await.map_err(failed)?;
            // Locked, so that two people replay a letter once.
            let row = sqlx::query(concat!(
                "SELECT ",
                columns!(),
                " FROM tbx_dead_letters WHERE id = $1 FOR UPDATE"
            ))
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed)?;
            let Some(filed) = row.as_ref().map(filed) else { return Ok(Replayed::Absent) };
            let Some(message) = filed.letter.message_again() else { return Ok(Replayed::Unreadable) };
            if !outbox.append_new(&mut transaction, &filed.channel, &message).await? {
                return Ok(Replayed::UnderWay);
            }
            delete(&mut transaction, id).await?;
            transaction.commit().await.map_err(failed)?;
            outbox.wake();
            Ok(Replayed::Queued)
        })
        .await
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
        within("discarding a dead letter", async {
            let mut connection =
                self.pool.acquire().await.map_err(|error| store_error("discarding a dead letter", error))?;
            delete(&mut connection, id).await
        })
        .await
    }
}

async fn delete(connection: &mut PgConnection, id: i64) -> Result<bool, StoreError> {
    let deleted = sqlx::query("DELETE FROM tbx_dead_letters WHERE id = $1")
        .bind(id)
        .execute(connection)
        .await
        .map_err(|error| store_error("taking a dead letter away", error))?;
    Ok(deleted.rows_affected() > 0)
}

fn filed(row: &PgRow) -> FiledLetter {
    let body: Vec<u8> = row.get(4);
    FiledLetter { channel: row.get(10), topic: row.get(2), body: body.into(), letter: letter(row) }
}
