//! After a crash: what was handed over then is tried again, one by one, before anything else.
//!
//! Any of these messages may be what ended the process. Handed over together, a second crash would charge them all, and in the end
//! dead-letter innocent ones. Alone, only the culprit is charged again.

use chrono::Utc;
use tbx_bus::{Backoff, Reason, ReasonKind};
use tokio_util::sync::CancellationToken;

use super::relay::{Relay, RelayState, UnderWay};
use super::{OutboxEntry, Settlement};
use crate::StoreError;

/// How many are looked at in one go; there are never more than the windows of all routes together.
const BATCH: usize = 4_096;

impl Relay {
    pub(super) async fn recover(&self, under_way: &mut UnderWay, stop: &CancellationToken) {
        let backoff = Backoff::standard();
        let mut failures = 0;
        while !stop.is_cancelled() {
            match self.try_recover(under_way, stop).await {
                Ok(()) => return,
                Err(error) => {
                    failures += 1;
                    let delay = backoff.delay(failures);
                    tracing::warn!(%error, cause = error.source_text(), "outbox not reachable at the start");
                    self.report(RelayState::Failing(error.to_string()));
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(delay) => {}
                    }
                }
            }
        }
    }

    async fn try_recover(
        &self,
        under_way: &mut UnderWay,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let mut suspects = self.store.left_behind(BATCH).await?;
        suspects.retain(|entry| self.routes.contains_key(&entry.channel) && !under_way.holds(entry.id));
        let mut left = suspects.len();
        if left > 0 {
            tracing::info!(
                messages = left,
                "the last run ended with messages under way, trying them one by one"
            );
        }
        for entry in suspects {
            if stop.is_cancelled() {
                return Ok(());
            }
            self.report(RelayState::Recovering(left));
            self.try_alone(entry, under_way).await?;
            left -= 1;
        }
        Ok(())
    }

    async fn try_alone(&self, mut entry: OutboxEntry, under_way: &mut UnderWay) -> Result<(), StoreError> {
        if entry.attempts >= self.max_attempts {
            tracing::error!(message = %entry.message.id(), attempts = entry.attempts, "message ends the process, giving it up");
            let detail =
                format!("the process ended {} times while this message was under way", entry.attempts);
            let reason = Reason::new(ReasonKind::Crashed, detail);
            return self.settle(vec![Settlement::GivenUp { entry, reason }]).await;
        }
        self.store.charge(entry.id).await?;
        entry.attempts += 1;
        let id = entry.id;
        under_way.start(&self.routes, entry);
        // Past the grace it has not ended the process: it is slow or being retried, and the others may go on.
        let deadline = tokio::time::Instant::now() + self.suspect_grace;
        while under_way.holds(id) {
            match tokio::time::timeout_at(deadline, under_way.ended()).await {
                Ok(Some(settlement)) => self.settle(vec![settlement]).await?,
                Ok(None) | Err(_) => break,
            }
        }
        Ok(())
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        self.store.settle_and_claim(&settlements, &[], Utc::now()).await.map(drop)
    }
}
