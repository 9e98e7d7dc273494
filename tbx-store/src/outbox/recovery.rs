//! After a crash, of this process or of one that it takes over from: what was handed over then is tried again, one by one, before anything else.
//! What goes to a durable bus is not: such a bus takes a message without looking into it.
//!
//! Any of these messages may be what ended the process. Handed over together, a second crash would charge them all, and in the end
//! dead-letter innocent ones. Alone, only the culprit is charged again.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::Utc;
use tbx_bus::{Backoff, Reason, ReasonKind};
use tokio_util::sync::CancellationToken;

use super::relay::{Relay, RelayState};
use super::under_way::UnderWay;
use super::{OutboxEntry, Route, Settlement};
use crate::StoreError;

/// How many are looked at in one go; there are never more than the windows of all routes together.
const BATCH: usize = 4_096;

/// How long recovery may take in all before the rest goes on side by side.
const BUDGET: Duration = Duration::from_secs(30);

impl Relay {
    pub(super) async fn recover(&self, under_way: &mut UnderWay, stop: &CancellationToken) {
        let backoff = Backoff::standard();
        let mut suspects = None;
        let mut failures = 0;
        while !stop.is_cancelled() {
            match self.try_recover(&mut suspects, under_way, stop).await {
                Ok(()) => return,
                Err(error) => {
                    failures += 1;
                    let delay = backoff.delay(failures);
                    tracing::warn!(%error, cause = error.source_text(), "outbox not reachable for recovery");
                    self.report(RelayState::Failing(error.to_string()));
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(delay) => {}
                    }
                }
            }
            let lost = self.store.tidings().lost;
            under_way.forget(&lost);
            if let Some(suspects) = &mut suspects {
                suspects.retain(|suspect| !lost.contains(&suspect.id));
            }
        }
    }

    /// Works off `suspects`, which is filled when it is empty-handed, and keeps what is left when something fails.
    async fn try_recover(
        &self,
        suspects: &mut Option<VecDeque<OutboxEntry>>,
        under_way: &mut UnderWay,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        let suspects = match suspects {
            Some(suspects) => suspects,
            None => suspects.insert(self.find_suspects(under_way).await?),
        };
        let deadline = tokio::time::Instant::now() + BUDGET;
        while tokio::time::Instant::now() < deadline
            && let Some(entry) = suspects.front()
        {
            if stop.is_cancelled() {
                return Ok(());
            }
            self.report(RelayState::Recovering(suspects.len()));
            self.try_alone(entry.clone(), under_way).await?;
            suspects.pop_front();
        }
        self.release(suspects).await
    }

    async fn find_suspects(&self, under_way: &mut UnderWay) -> Result<VecDeque<OutboxEntry>, StoreError> {
        let mut left_behind = self.store.left_behind(BATCH).await?;
        left_behind.retain(|entry| self.routes.contains_key(&entry.channel) && !under_way.holds(entry.id));
        let is_suspect =
            |entry: &OutboxEntry| self.routes.get(&entry.channel).is_some_and(Route::handles_within);
        let (suspects, others): (Vec<_>, Vec<_>) = left_behind.into_iter().partition(is_suspect);
        for entry in others {
            under_way.start(&self.routes, entry);
        }
        if !suspects.is_empty() {
            tracing::info!(
                messages = suspects.len(),
                "a run ended with messages under way, trying them one by one"
            );
        }
        Ok(suspects.into())
    }

    async fn try_alone(&self, mut entry: OutboxEntry, under_way: &mut UnderWay) -> Result<(), StoreError> {
        if entry.attempts >= self.max_attempts {
            tracing::error!(message_id = %entry.message.id(), attempts = entry.attempts, "message ends the process, giving it up");
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
    async fn release(&self, rest: &VecDeque<OutboxEntry>) -> Result<(), StoreError> {
        if rest.is_empty() {
            return Ok(());
        }
        let at = Utc::now();
        tracing::warn!(messages = rest.len(), "recovery takes too long, the rest goes on side by side");
        self.settle(
            rest.iter().map(|entry| Settlement::Later { entry: entry.clone(), at, counts: true }).collect(),
        )
        .await
    }

    async fn settle(&self, settlements: Vec<Settlement>) -> Result<(), StoreError> {
        self.store.settle_and_claim(&settlements, &[], Utc::now()).await.map(drop)
    }
}
