//! The relay: takes what was appended to the bus, and settles it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tbx_bus::Backoff;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::route::Carried;
use super::{OutboxEntry, OutboxStore, Route, Settlement};

/// How long the relay sleeps when nobody wakes it: the net under lost wake-ups and appends by other programs.
const SWEEP: Duration = Duration::from_secs(1);

/// Takes messages from an outbox to the buses of their channels.
///
/// Woken after each commit, with a sweep every second beneath. Survives any outage of bus and database, and says so in
/// [`state`](Self::state). A channel without a route is left alone.
#[must_use = "a relay does nothing until it is run"]
pub struct Relay {
    pub(super) store: Arc<dyn OutboxStore>,
    pub(super) routes: HashMap<Arc<str>, Route>,
    pub(super) max_attempts: u32,
    pub(super) suspect_grace: Duration,
    drain_timeout: Duration,
    state: watch::Sender<RelayState>,
}

/// What a relay is doing, for health checks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayState {
    /// Tries again, one by one, what a crash left handed over; so many are left.
    Recovering(usize),
    /// Relays.
    Running,
    /// The database fails; the text says how.
    Failing(String),
    /// Has ended.
    Stopped,
}

impl Relay {
    /// A relay from `store` over `routes`, with 5 attempts for a message that ends the process and 5 s to drain.
    pub fn new(store: Arc<dyn OutboxStore>, routes: impl IntoIterator<Item = Route>) -> Self {
        Self {
            store,
            routes: routes.into_iter().map(|route| (Arc::clone(&route.channel), route)).collect(),
            max_attempts: 5,
            suspect_grace: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(5),
            state: watch::Sender::new(RelayState::Recovering(0)),
        }
    }

    /// How often a message may be handed over without an outcome before it counts as what ends the process.
    pub fn with_max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts.max(1);
        self
    }

    /// How long a message that was under way in a crash is watched alone before the others go on.
    pub fn with_suspect_grace(mut self, grace: Duration) -> Self {
        self.suspect_grace = grace;
        self
    }

    /// How long to wait, after the stop, for messages under way.
    pub fn with_drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// What the relay is doing, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<RelayState> {
        self.state.subscribe()
    }

    /// Runs until `stop` is cancelled, then waits for what is under way and gives back the rest, uncharged.
    ///
    /// *Before the start,* declare every group that is to have the messages: the bus routes a message to those that exist when it is published,
    /// and one that is declared later does not get it. Where nobody but a listener takes it, its row is done all the same.
    ///
    /// *At the stop,* end the relay before the consumers that it feeds: on a bus that settles on *finished*, what is under way waits for them.
    /// Were they to end first, the relay would wait until its drain timeout, and the next run would relay the rest again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is like a crash: what was handed over is tried again by the next run.
    pub async fn run(self, stop: CancellationToken) {
        let mut under_way = UnderWay::default();
        self.recover(&mut under_way, &stop).await;
        self.relay(&mut under_way, &stop).await;
        self.drain(under_way).await;
        self.state.send_replace(RelayState::Stopped);
    }

    async fn relay(&self, under_way: &mut UnderWay, stop: &CancellationToken) {
        let backoff = Backoff::standard();
        let mut settlements = Vec::new();
        let mut failures = 0;
        while !stop.is_cancelled() {
            under_way.collect_ended(&mut settlements);
            let free = self.free_places(under_way);
            match self.store.settle_and_claim(&settlements, &free, Utc::now()).await {
                Ok(entries) => {
                    failures = 0;
                    settlements.clear();
                    self.report(RelayState::Running);
                    for entry in entries {
                        under_way.start(&self.routes, entry);
                    }
                    // A full window stays full until something ends, so there is nothing to claim before the next reason to look.
                    self.wait(under_way, &mut settlements, stop).await;
                }
                Err(error) => {
                    failures += 1;
                    let delay = backoff.delay(failures);
                    tracing::warn!(%error, cause = error.source_text(), delay_ms = delay.as_millis() as u64, "outbox not reachable");
                    self.report(RelayState::Failing(error.to_string()));
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(delay) => {}
                    }
                }
            }
        }
        under_way.unsettled = settlements;
    }

    /// Waits for a reason to look again.
    async fn wait(
        &self,
        under_way: &mut UnderWay,
        settlements: &mut Vec<Settlement>,
        stop: &CancellationToken,
    ) {
        let now = Utc::now();
        under_way.put_off.retain(|due| *due > now);
        let next_due = under_way.put_off.iter().min();
        let pause = next_due.map_or(SWEEP, |due| (*due - now).to_std().unwrap_or_default().min(SWEEP));
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.store.appended() => {}
            Some(settlement) = under_way.ended() => settlements.push(settlement),
            () = tokio::time::sleep(pause) => {}
        }
    }

    fn free_places(&self, under_way: &UnderWay) -> Vec<(&str, usize)> {
        self.routes
            .values()
            .map(|route| (&*route.channel, route.window.saturating_sub(under_way.count(&route.channel))))
            .collect()
    }

    /// Waits for what is under way, then gives back the rest without charging it: a clean stop is no crash.
    async fn drain(&self, mut under_way: UnderWay) {
        let mut settlements = std::mem::take(&mut under_way.unsettled);
        let all_ended = async {
            while let Some(settlement) = under_way.ended().await {
                settlements.push(settlement);
            }
        };
        let in_time = tokio::time::timeout(self.drain_timeout, all_ended).await.is_ok();
        if !in_time {
            tracing::info!(
                left = under_way.entries.len(),
                "stopping with messages under way, they will be relayed again"
            );
        }
        under_way.tasks.shutdown().await;
        let now = Utc::now();
        let given_back =
            under_way.entries.into_values().map(|entry| Settlement::Later { entry, at: now, counts: false });
        settlements.extend(given_back);
        if settlements.is_empty() {
            return;
        }
        if let Err(error) = self.store.settle_and_claim(&settlements, &[], now).await {
            // They stay handed over, and the next run finds them there.
            tracing::warn!(%error, "outbox not settled at the stop");
        }
    }

    pub(super) fn report(&self, state: RelayState) {
        self.state.send_if_modified(|current| {
            let differs = *current != state;
            *current = state;
            differs
        });
    }
}

/// The messages that are handed over and not settled.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    tasks: JoinSet<Carried>,
    entries: HashMap<i64, OutboxEntry>,
    task_ids: HashMap<tokio::task::Id, i64>,
    by_channel: HashMap<Arc<str>, usize>,
    /// How often the bus refused a message in a row, to spread its tries.
    failures: HashMap<i64, u32>,
    /// When messages that were put off are due; the sweep finds those of earlier runs.
    put_off: Vec<DateTime<Utc>>,
    unsettled: Vec<Settlement>,
}

impl UnderWay {
    pub(super) fn start(&mut self, routes: &HashMap<Arc<str>, Route>, entry: OutboxEntry) {
        let Some(route) = routes.get(&entry.channel).cloned() else { return };
        let failures = self.failures.get(&entry.id).copied().unwrap_or_default();
        *self.by_channel.entry(Arc::clone(&entry.channel)).or_default() += 1;
        self.entries.insert(entry.id, entry.clone());
        let id = entry.id;
        let task = self.tasks.spawn(async move { route.carry(entry, failures).await });
        self.task_ids.insert(task.id(), id);
    }

    /// The next message that came to an end; `None` when none is under way.
    pub(super) async fn ended(&mut self) -> Option<Settlement> {
        loop {
            let ended = self.tasks.join_next_with_id().await?;
            if let Some(settlement) = self.conclude(ended) {
                return Some(settlement);
            }
        }
    }

    fn collect_ended(&mut self, settlements: &mut Vec<Settlement>) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            settlements.extend(self.conclude(ended));
        }
    }

    fn conclude(&mut self, ended: Result<(tokio::task::Id, Carried), JoinError>) -> Option<Settlement> {
        match ended {
            Ok((task, carried)) => {
                self.task_ids.remove(&task);
                Some(self.take(carried))
            }
            Err(error) => {
                // Only a panic in a publisher gets here. What came of the message is unknown, so it is published again.
                tracing::error!(%error, "publishing ended without an answer");
                let id = self.task_ids.remove(&error.id())?;
                let entry = self.entries.get(&id).cloned()?;
                Some(self.take(Carried::Failed { entry, delay: SWEEP }))
            }
        }
    }

    fn take(&mut self, carried: Carried) -> Settlement {
        let id = carried.id();
        if let Some(entry) = self.entries.remove(&id)
            && let Some(count) = self.by_channel.get_mut(&entry.channel)
        {
            *count = count.saturating_sub(1);
        }
        match carried {
            Carried::Failed { .. } => *self.failures.entry(id).or_default() += 1,
            Carried::Settled(_) => {
                self.failures.remove(&id);
            }
        }
        let settlement = carried.into_settlement(Utc::now());
        if let Settlement::Later { at, .. } = &settlement {
            self.put_off.push(*at);
        }
        settlement
    }

    pub(super) fn holds(&self, id: i64) -> bool {
        self.entries.contains_key(&id)
    }

    fn count(&self, channel: &str) -> usize {
        self.by_channel.get(channel).copied().unwrap_or_default()
    }
}

impl crate::StoreError {
    /// The text of the cause, for a log line.
    pub(crate) fn source_text(&self) -> String {
        std::error::Error::source(self).map(ToString::to_string).unwrap_or_default()
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").field("routes", &self.routes).finish_non_exhaustive()
    }
}
