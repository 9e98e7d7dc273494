//! After a crash: what was handed over then is tried again, one by one, before anything else.
//!
//! Any of these messages may be what ended the process. Handed over together, a second crash would charge them all, and in the end
//! dead-letter innocent ones. Alone, only the culprit is charged again.

use std::time::Duration;

use chrono::Utc;
use tbx_bus::{Backoff, Reason, ReasonKind};
use tokio_util::sync::CancellationToken;

use super::relay::{Relay, RelayState, UnderWay};
use super::{OutboxEntry, Settlement};
use crate::StoreError;

/// How many are looked at in one go; there are never more than the windows of all routes together.
const BATCH: usize = 4_096;

/// How long recovery may take in all before the rest goes on side by side.
const BUDGET: Duration = Duration::from_secs(30);

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
        let deadline = tokio::time::Instant::now() + BUDGET;
        let mut suspects = suspects.into_iter();
        while tokio::time::Instant::now() < deadline
            && let Some(entry) = suspects.next()
        {
            if stop.is_cancelled() {
                return Ok(());
            }
            self.report(RelayState::Recovering(left));
            self.try_alone(entry, under_way).await?;
            left -= 1;
        }
        self.release(suspects).await
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

    /// Gives the rest back, still charged: whoever is that slow does not end the process in a hurry, and the others have waited long enough.
    async fn release(&self, rest: impl Iterator<Item = OutboxEntry>) -> Result<(), StoreError> {
        let at = Utc::now();
        let settlements: Vec<_> = rest.map(|entry| Settlement::Later { entry, at, counts: true }).collect();
        if settlements.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            messages = settlements.len(),
            "recovery takes too long, the rest goes on side by side"
        );
        self.settle(settlements).await
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        self.store.settle_and_claim(&settlements, &[], Utc::now()).await.map(drop)
    }
}
