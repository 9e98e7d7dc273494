//! Deleting, in small batches, what is no longer needed.

use std::time::Duration;

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::{Database, PgIdempotency, PgInbox};
use crate::StoreError;
use crate::housekeeping::Retention;

const BATCH: u32 = 5_000;
const INTERVAL: Duration = Duration::from_secs(60);

/// Purges inbox and idempotency keys once a minute. Each process may run its own. The outbox needs no purging: a message that is done leaves it at once.
#[derive(Debug)]
#[must_use = "housekeeping does nothing until it is run"]
pub struct Housekeeping {
    database: Database,
    retention: Retention,
}

impl Housekeeping {
    /// Housekeeping of `database`.
    pub fn new(database: Database, retention: Retention) -> Self {
        Self { database, retention }
    }

    /// Runs until `stop` is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
            if let Err(error) = self.tidy(&stop).await {
                tracing::warn!(%error, "housekeeping failed, trying again in a minute");
            }
        }
    }

    /// Purges once, batch after batch, until nothing old is left or `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// When the database fails.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves whole batches.
    pub async fn tidy(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let now = Utc::now();
        let handled_before = now - self.retention.inbox;
        let (pool, full) = (self.database.pool(), u64::from(BATCH));
        while !stop.is_cancelled() && PgInbox::purge(pool, handled_before, BATCH).await? == full {}
        while !stop.is_cancelled() && PgIdempotency::purge(pool, now, BATCH).await? == full {}
        Ok(())
    }
}
