//! Keys and answers in a table.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool, Row};

use super::error::{LOCK_NOT_AVAILABLE, code};
use super::{store_error, within};
use crate::idempotency::{Claim, IdempotencyKey, LIFETIME, expiry};
use crate::{StoreError, StoreErrorKind};

/// How long a request waits for an earlier one of its key.
const PATIENCE: Duration = Duration::from_secs(1);

/// Carries each request out once, however often a client repeats it; see [`idempotency`](crate::idempotency).
///
/// ```no_run
/// # async fn example(database: tbx_store::postgres::Database) -> Result<(), Box<dyn std::error::Error>> {
/// use chrono::Utc;
/// use tbx_store::idempotency::{Claim, IdempotencyKey};
/// use tbx_store::postgres::PgIdempotency;
///
/// let (idempotency, key) = (PgIdempotency::new(), IdempotencyKey::new("alice", "8e03978e", "order 7 apples")?);
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
pub struct PgIdempotency {
    lifetime: Duration,
    patience: Duration,
}

impl PgIdempotency {
    /// Keys are remembered for 24 hours, and waited for 1 second.
    #[must_use]
    pub fn new() -> Self {
        Self { lifetime: LIFETIME, patience: PATIENCE }
    }

    /// How long a key is remembered; longer than any client goes on repeating itself.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// How long a request waits for an earlier one of its key before it is told [`Running`](Claim::Running), at least 1 ms. Whoever waits holds a
    /// connection.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience.max(Duration::from_millis(1));
        self
    }

    /// What a request finds under its key. Call it first in the transaction of the effect: a second request of the key waits here until the first has
    /// committed or not. After any answer but [`First`](Claim::First), roll back.
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
        transaction: &mut PgConnection,
        key: &IdempotencyKey,
        now: DateTime<Utc>,
    ) -> Result<Claim, StoreError> {
        let failed = |error| store_error("claiming an idempotency key", error);
        let usual = lock_timeout(transaction, &format!("{}ms", self.patience.as_millis())).await?;
        let claimed = sqlx::query(
            "INSERT INTO tbx_idempotency AS stored (scope, key, request, expires_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (scope, key) DO UPDATE SET request = excluded.request, answer = NULL, expires_at = excluded.expires_at \
             WHERE stored.expires_at <= $5 OR stored.answer IS NULL",
        )
        .bind(key.scope())
        .bind(key.key())
        .bind(key.request().as_ref())
        .bind(expiry(now, self.lifetime))
        .bind(now)
        .execute(&mut *transaction)
        .await;
        match claimed {
            Ok(claimed) if claimed.rows_affected() == 1 => {
                lock_timeout(transaction, &usual).await?;
                Ok(Claim::First)
            }
            // The row is locked by the attempt, so it stays as it is until the transaction ends.
            Ok(_) => {
                let row =
                    sqlx::query("SELECT request, answer FROM tbx_idempotency WHERE scope = $1 AND key = $2")
                        .bind(key.scope())
                        .bind(key.key())
                        .fetch_one(transaction)
                        .await
                        .map_err(failed)?;
                Ok(key.judge(row.get(0), row.get(1)))
            }
            Err(error) if code(&error).as_deref() == Some(LOCK_NOT_AVAILABLE) => Ok(Claim::Running),
            Err(error) => Err(failed(error)),
        }
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
        transaction: &mut PgConnection,
        key: &IdempotencyKey,
        answer: &[u8],
    ) -> Result<(), StoreError> {
        let kept = sqlx::query(
            "UPDATE tbx_idempotency SET answer = $3 WHERE scope = $1 AND key = $2 AND request = $4 AND answer IS NULL",
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

    /// Forgets up to `limit` keys that have expired at `now`. [`Housekeeping`](super::Housekeeping) does this; without it, call it now and then.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves them forgotten or not.
    pub async fn purge(pool: &PgPool, now: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        within("purging idempotency keys", async {
            let deleted = sqlx::query(
                "DELETE FROM tbx_idempotency WHERE ctid = ANY (ARRAY( \
                     SELECT ctid FROM tbx_idempotency WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED \
                 ))",
            )
            .bind(now)
            .bind(i64::from(limit))
            .execute(pool)
            .await
            .map_err(|error| store_error("purging idempotency keys", error))?;
            Ok(deleted.rows_affected())
        })
        .await
    }
}

impl Default for PgIdempotency {
    fn default() -> Self {
        Self::new()
    }
}

/// Sets for this transaction how long locks are waited for, and tells what it was.
async fn lock_timeout(transaction: &mut PgConnection, timeout: &str) -> Result<String, StoreError> {
    let row = sqlx::query(
        "WITH before AS MATERIALIZED (SELECT current_setting('lock_timeout') AS usual) \
         SELECT usual, set_config('lock_timeout', $1, true) FROM before",
    )
    .bind(timeout)
    .fetch_one(transaction)
    .await
    .map_err(|error| store_error("setting how long locks are waited for", error))?;
    Ok(row.get(0))
}
