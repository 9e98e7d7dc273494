//! Keys and answers in a table.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::store_error;
use crate::idempotency::{Claim, IdempotencyKey, LIFETIME, expiry};
use crate::{StoreError, StoreErrorKind};

/// Carries each request out once, however often a client repeats it; see [`idempotency`](crate::idempotency).
///
/// ```no_run
/// # async fn example(database: tbx_store::sqlite::Database) -> Result<(), Box<dyn std::error::Error>> {
/// use chrono::Utc;
/// use tbx_store::idempotency::{Claim, IdempotencyKey};
/// use tbx_store::sqlite::SqliteIdempotency;
///
/// let (idempotency, key) = (SqliteIdempotency::new(), IdempotencyKey::new("alice", "8e03978e", "order 7 apples")?);
/// let mut transaction = database.begin().await?;
/// let answer = match idempotency.claim(&mut transaction, &key, Utc::now()).await? {
///     Claim::First => {
///         sqlx::query("INSERT INTO orders (number) VALUES (7)").execute(&mut *transaction).await?;
///         idempotency.keep(&mut transaction, &key, b"ordered").await?;
///         transaction.commit().await?; // order, key and answer, or nothing
///         "ordered".into()
///     }
///     Claim::Answered(answer) => answer,
///     _ => return Err("the key is taken".into()),
/// };
/// # let _: bytes::Bytes = answer;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct SqliteIdempotency {
    lifetime: Duration,
}

impl SqliteIdempotency {
    /// Keys are remembered for 24 hours.
    #[must_use]
    pub fn new() -> Self {
        Self { lifetime: LIFETIME }
    }

    /// How long a key is remembered; longer than any client goes on repeating itself.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// What a request finds under its key. Call it first in the transaction of the effect, which has the write lock from its beginning: a second request
    /// waits for that, and never finds the first [`Running`](Claim::Running). After any answer but [`First`](Claim::First), roll back.
    ///
    /// # Errors
    ///
    /// When the database fails: roll back.
    ///
    /// # Cancel safety
    ///
    /// Belongs to the transaction.
    pub async fn claim(
        &self,
        transaction: &mut SqliteConnection,
        key: &IdempotencyKey,
        now: DateTime<Utc>,
    ) -> Result<Claim, StoreError> {
        let failed = |error| store_error("claiming an idempotency key", error);
        let claimed = sqlx::query(
            "INSERT INTO tbx_idempotency (scope, key, request, expires_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (scope, key) DO UPDATE SET request = excluded.request, answer = NULL, expires_at = excluded.expires_at \
             WHERE tbx_idempotency.expires_at <= ?5 OR tbx_idempotency.answer IS NULL",
        )
        .bind(key.scope())
        .bind(key.key())
        .bind(key.request().as_ref())
        .bind(expiry(now, self.lifetime).timestamp_millis())
        .bind(now.timestamp_millis())
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
        if claimed.rows_affected() == 1 {
            return Ok(Claim::First);
        }
        let row = sqlx::query("SELECT request, answer FROM tbx_idempotency WHERE scope = ? AND key = ?")
            .bind(key.scope())
            .bind(key.key())
            .fetch_one(transaction)
            .await
            .map_err(failed)?;
        Ok(key.judge(row.get(0), row.get(1)))
    }

    /// Keeps the answer of a request that was [first](Claim::First), in the same transaction.
    ///
    /// # Errors
    ///
    /// When the key was not claimed in this transaction, or the database fails: roll back.
    ///
    /// # Cancel safety
    ///
    /// Belongs to the transaction.
    pub async fn keep(
        &self,
        transaction: &mut SqliteConnection,
        key: &IdempotencyKey,
        answer: &[u8],
    ) -> Result<(), StoreError> {
        let kept = sqlx::query(
            "UPDATE tbx_idempotency SET answer = ?3 WHERE scope = ?1 AND key = ?2 AND request = ?4 AND answer IS NULL",
        )
        .bind(key.scope())
        .bind(key.key())
        .bind(answer)
        .bind(key.request().as_ref())
        .execute(transaction)
        .await
        .map_err(|error| store_error("keeping an answer", error))?;
        match kept.rows_affected() {
            1 => Ok(()),
            _ => Err(StoreError::new(StoreErrorKind::Invalid, "keeping an answer whose key was not claimed")),
        }
    }

    /// Forgets up to `limit` keys that have expired at `now`. [`Housekeeping`](super::Housekeeping) does this for a [`Database`](super::Database); over a
    /// pool of your own, call it now and then.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves them forgotten or not.
    pub async fn purge(pool: &SqlitePool, now: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        let deleted = sqlx::query(
            "DELETE FROM tbx_idempotency WHERE rowid IN (SELECT rowid FROM tbx_idempotency WHERE expires_at <= ? LIMIT ?)",
        )
        .bind(now.timestamp_millis())
        .bind(limit)
        .execute(pool)
        .await
        .map_err(|error| store_error("purging idempotency keys", error))?;
        Ok(deleted.rows_affected())
    }
}

impl Default for SqliteIdempotency {
    fn default() -> Self {
        Self::new()
    }
}
