//! What is handed over and not settled.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::task::{AbortHandle, JoinError, JoinSet};

use super::relay::SWEEP;
use super::route::Carried;
use super::{OutboxEntry, Route, Settlement};

/// The messages that are handed over and not settled.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    tasks: JoinSet<Carried>,
    entries: HashMap<i64, OutboxEntry>,
    task_ids: HashMap<tokio::task::Id, i64>,
    aborts: HashMap<i64, AbortHandle>,
    by_channel: HashMap<Arc<str>, usize>,
    /// How often the bus refused a message in a row, to spread its tries.
    failures: HashMap<i64, u32>,
    /// Messages that wait for a bus that takes nothing now. They keep their place: beyond them the bus takes nothing either.
    parked: Vec<(i64, DateTime<Utc>)>,
    /// When messages that were put off are due; the sweep finds those of earlier runs.
    put_off: Vec<DateTime<Utc>>,
    pub(super) unsettled: Vec<Settlement>,
}

impl UnderWay {
    /// Hands a message over. One that was already, and was lost and claimed anew unnoticed, counts once.
    pub(super) fn start(&mut self, routes: &HashMap<Arc<str>, Route>, entry: OutboxEntry) {
        self.let_go(entry.id);
        *self.by_channel.entry(Arc::clone(&entry.channel)).or_default() += 1;
        self.entries.insert(entry.id, entry.clone());
        self.carry(routes, entry);
    }

    fn carry(&mut self, routes: &HashMap<Arc<str>, Route>, entry: OutboxEntry) {
        let Some(route) = routes.get(&entry.channel).cloned() else { return };
        let (id, failures) = (entry.id, self.failures.get(&entry.id).copied().unwrap_or_default());
        let task = self.tasks.spawn(async move { route.carry(entry, failures).await });
        self.task_ids.insert(task.id(), id);
        self.aborts.insert(id, task);
    }

    /// Hands over again what waited long enough for its bus.
    pub(super) fn start_again(&mut self, routes: &HashMap<Arc<str>, Route>) {
        if self.parked.is_empty() {
            return;
        }
        let now = Utc::now();
        for (id, _) in self.parked.extract_if(.., |(_, due)| *due <= now).collect::<Vec<_>>() {
            if let Some(entry) = self.entries.get(&id).cloned() {
                self.carry(routes, entry);
            }
        }
    }

    /// Lets go of messages that another has taken over. Whether the bus has them is unknown; the other publishes them in any case.
    pub(super) fn forget(&mut self, lost: &[i64]) {
        for id in lost {
            if self.let_go(*id) {
                tracing::warn!(id, "another relay has taken over a message under way");
            }
        }
    }

    fn let_go(&mut self, id: i64) -> bool {
        if let Some(abort) = self.aborts.remove(&id) {
            abort.abort();
        }
        self.parked.retain(|(parked, _)| *parked != id);
        self.remove(id)
    }

    /// The next message that came to an end; `None` when nothing is with a bus.
    pub(super) async fn ended(&mut self) -> Option<Settlement> {
        loop {
            let ended = self.tasks.join_next_with_id().await?;
            if let Some(settlement) = self.conclude(ended) {
                return Some(settlement);
            }
        }
    }

    pub(super) fn collect_ended(&mut self, settlements: &mut Vec<Settlement>) {
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            settlements.extend(self.conclude(ended));
        }
    }

    fn conclude(&mut self, ended: Result<(tokio::task::Id, Carried), JoinError>) -> Option<Settlement> {
        let (task, carried) = match ended {
            Ok((task, carried)) => (task, Some(carried)),
            Err(error) => {
                // A message that was let go, or a panic in a publisher: what came of the message is unknown, so it is published again.
                if error.is_panic() {
                    tracing::error!(%error, "publishing ended without an answer");
                }
                (error.id(), None)
            }
        };
        let id = self.task_ids.remove(&task)?;
        // A message that was let go, and perhaps claimed anew, is not this task's any more.
        if self.aborts.get(&id).is_none_or(|abort| abort.id() != task) {
            return None;
        }
        self.aborts.remove(&id);
        match carried {
            Some(carried) => self.take(carried),
            None => {
                let entry = self.entries.get(&id).cloned()?;
                self.take(Carried::Refused { entry, delay: SWEEP })
            }
        }
    }

    fn take(&mut self, carried: Carried) -> Option<Settlement> {
        let now = Utc::now();
        match carried {
            Carried::Settled(settlement) => {
                let id = settlement.entry().id;
                self.remove(id);
                self.failures.remove(&id);
                Some(settlement)
            }
            Carried::Refused { entry, delay } => {
                *self.failures.entry(entry.id).or_default() += 1;
                self.remove(entry.id);
                let at = now + delay;
                self.put_off.push(at);
                Some(Settlement::Later { entry, at, counts: false })
            }
            Carried::Unreached { id, delay } => {
                *self.failures.entry(id).or_default() += 1;
                self.parked.push((id, now + delay));
                None
            }
        }
    }

    fn remove(&mut self, id: i64) -> bool {
        let Some(entry) = self.entries.remove(&id) else { return false };
        if let Some(count) = self.by_channel.get_mut(&entry.channel) {
            *count = count.saturating_sub(1);
        }
        true
    }

    /// How long until something that was parked or put off is due.
    pub(super) fn next_due(&mut self, now: DateTime<Utc>) -> Option<Duration> {
        self.put_off.retain(|due| *due > now);
        let parked = self.parked.iter().map(|(_, due)| *due);
        let next = self.put_off.iter().copied().chain(parked).min()?;
        Some((next - now).to_std().unwrap_or_default())
    }

    pub(super) fn holds(&self, id: i64) -> bool {
        self.entries.contains_key(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn count(&self, channel: &str) -> usize {
        self.by_channel.get(channel).copied().unwrap_or_default()
    }

    /// Ends every task, and gives back what was not settled.
    pub(super) async fn abandon(mut self) -> Vec<OutboxEntry> {
        self.tasks.shutdown().await;
        self.entries.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use tbx_bus::{MemoryBus, Message, Topic};

    use super::*;

    #[tokio::test]
    async fn a_message_that_is_claimed_anew_while_it_is_under_way_counts_once() {
        let route = Route::new("c", Arc::new(MemoryBus::new()));
        let routes = HashMap::from([(Arc::<str>::from("c"), route)]);
        let message = Message::new(Topic::new("a").unwrap(), "X", "");
        let entry = OutboxEntry { id: 7, channel: "c".into(), message, attempts: 1 };
        let mut under_way = UnderWay::default();
        under_way.start(&routes, entry.clone());
        under_way.start(&routes, entry);
        assert_eq!((under_way.len(), under_way.count("c")), (1, 1));
        assert!(under_way.ended().await.is_some());
        assert_eq!((under_way.len(), under_way.count("c")), (0, 0));
        assert!(under_way.ended().await.is_none());
    }
}
