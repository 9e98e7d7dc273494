//! Deleting, in small batches, what is no longer needed.

use std::time::Duration;

use chrono::Utc;
use tokio_util::sync::CancellationToken;

use super::{Database, SqliteIdempotency, SqliteInbox, SqliteOutbox};
use crate::StoreError;
use crate::housekeeping::Retention;
use crate::outbox::OutboxStore;

/// Few enough that a writer behind a batch hardly waits.
const BATCH: u32 = 500;
const INTERVAL: Duration = Duration::from_secs(60);

/// Purges outbox, inbox and idempotency keys once a minute. Whoever does not run it calls [`OutboxStore::purge`], [`SqliteInbox::purge`] and
/// [`SqliteIdempotency::purge`] now and then, or the tables grow for ever.
#[derive(Debug)]
#[must_use = "housekeeping does nothing until it is run"]
pub struct Housekeeping {
    database: Database,
    outbox: SqliteOutbox,
    retention: Retention,
}

impl Housekeeping {
    /// Housekeeping of `database`.
    pub fn new(database: Database, outbox: SqliteOutbox, retention: Retention) -> Self {
        Self { database, outbox, retention }
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
        let (done_before, handled_before) = (now - self.retention.outbox, now - self.retention.inbox);
        let (writer, full) = (self.database.writer(), u64::from(BATCH));
        while !stop.is_cancelled() && self.outbox.purge(done_before, BATCH).await? == full {}
        while !stop.is_cancelled() && SqliteInbox::purge(writer, handled_before, BATCH).await? == full {}
        while !stop.is_cancelled() && SqliteIdempotency::purge(writer, now, BATCH).await? == full {}
        Ok(())
    }
}
