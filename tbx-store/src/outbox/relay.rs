//! The relay: takes what was appended to the bus, and settles it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use tbx_bus::Backoff;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::under_way::UnderWay;
use super::{OutboxStore, Route, Settlement};

/// How long the relay sleeps when nobody wakes it: the net under lost wake-ups and appends by other programs.
pub(super) const SWEEP: Duration = Duration::from_secs(1);

/// How long settlements are gathered while much is under way, to be written together.
const GATHER: Duration = Duration::from_millis(2);

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
        let handled_within: Vec<&str> = self
            .routes
            .values()
            .filter(|route| route.handles_within())
            .map(|route| &*route.channel)
            .collect();
        let done = CancellationToken::new();
        let work = async {
            let mut under_way = UnderWay::default();
            self.recover(&mut under_way, &stop).await;
            self.relay(&mut under_way, &stop).await;
            self.drain(under_way).await;
            done.cancel();
        };
        tokio::join!(Box::pin(work), self.store.attend(&handled_within, done.clone()));
        self.state.send_replace(RelayState::Stopped);
    }

    async fn relay(&self, under_way: &mut UnderWay, stop: &CancellationToken) {
        let backoff = Backoff::standard();
        let mut settlements = Vec::new();
        let mut failures = 0;
        while !stop.is_cancelled() {
            let tidings = self.store.tidings();
            under_way.forget(&tidings.lost);
            if tidings.left_behind {
                self.recover(under_way, stop).await;
            }
            under_way.collect_ended(&mut settlements);
            let free = self.free_places(under_way);
            match self.store.settle_and_claim(&settlements, &free, Utc::now()).await {
                Ok(entries) => {
                    failures = 0;
                    settlements.clear();
                    self.report(RelayState::Running);
                    under_way.start_again(&self.routes);
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
        let pause = under_way.next_due(Utc::now()).map_or(SWEEP, |pause| pause.min(SWEEP));
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.store.appended() => {}
            Some(settlement) = under_way.ended() => {
                settlements.push(settlement);
                self.gather(under_way, settlements).await;
            }
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// While more than half of what may be under way is, waits a moment for more that ends: one transaction then settles it all. Nobody waits for
    /// that, as long as there are enough others under way.
    async fn gather(&self, under_way: &mut UnderWay, settlements: &mut Vec<Settlement>) {
        let window: usize = self.routes.values().map(|route| route.window).sum();
        let deadline = tokio::time::Instant::now() + GATHER;
        while under_way.len() * 2 > window && settlements.len() * 4 < window {
            match tokio::time::timeout_at(deadline, under_way.ended()).await {
                Ok(Some(settlement)) => settlements.push(settlement),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// What may be claimed. A few free places are not worth a look: they are taken together with the next ones.
    fn free_places(&self, under_way: &UnderWay) -> Vec<(&str, usize)> {
        self.routes
            .values()
            .map(|route| {
                let free = route.window.saturating_sub(under_way.count(&route.channel));
                (&*route.channel, if free * 8 >= route.window { free } else { 0 })
            })
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
                left = under_way.len(),
                "stopping with messages under way, they will be relayed again"
            );
        }
        let now = Utc::now();
        let rest = under_way.abandon().await;
        settlements.extend(rest.into_iter().map(|entry| Settlement::Later { entry, at: now, counts: false }));
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
