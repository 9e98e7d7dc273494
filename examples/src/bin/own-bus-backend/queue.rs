//! What one group holds: plain state, changed under the lock of the bus.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tbx_bus::{Group, Message, Reason, ReasonKind};
use tokio::time::Instant;

/// As good as for ever, and still an instant: `Duration::MAX` is a delay that callers may ask for.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);

pub(crate) struct Queue {
    group: Group,
    name: Arc<str>,
    /// By the number of the publication. An entry stays where it is until it is settled, so what comes back is in its place already.
    entries: BTreeMap<u64, Entry>,
    /// In the order they came.
    consumers: Vec<u64>,
}

struct Entry {
    message: Arc<Message>,
    /// How many deliveries count so far.
    attempts: u32,
    redelivered: bool,
    place: Place,
}

enum Place {
    Waiting { until: Instant },
    Lent { to: u64 },
}

/// What there is for someone who waits.
pub(crate) enum Look<T> {
    Found(T),
    /// Nothing before a change, or before this instant.
    Wait(Option<Instant>),
}

/// An entry on loan.
pub(crate) struct Lent {
    pub(crate) group: Arc<str>,
    pub(crate) number: u64,
    pub(crate) message: Arc<Message>,
    pub(crate) attempt: u32,
    pub(crate) redelivered: bool,
}

/// An entry that was delivered as often as its group allows.
pub(crate) struct Exhausted {
    pub(crate) reason: Reason,
    pub(crate) attempts: u32,
}

impl Queue {
    pub(crate) fn new(group: &Group) -> Self {
        Self {
            group: group.clone(),
            name: group.name().into(),
            entries: BTreeMap::new(),
            consumers: Vec::new(),
        }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn wants(&self, message: &Message) -> bool {
        self.group.takes(message)
    }

    /// Contract of `Subscriber`: declaring the same group again is harmless, and the prefetch belongs to each consumer.
    pub(crate) fn is_declared_as(&self, group: &Group) -> bool {
        self.group.is_same_queue(group)
    }

    /// What waits, rests and is lent out.
    pub(crate) fn unsettled(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn put(&mut self, number: u64, message: Arc<Message>) {
        let place = Place::Waiting { until: Instant::now() };
        self.entries.insert(number, Entry { message, attempts: 0, redelivered: false, place });
    }

    pub(crate) fn join(&mut self, consumer: u64) {
        self.consumers.push(consumer);
    }

    pub(crate) fn leave(&mut self, consumer: u64) {
        self.consumers.retain(|other| *other != consumer);
    }

    /// Lends the oldest entry that waits.
    pub(crate) fn lend(&mut self, to: u64, prefetch: usize) -> Look<Lent> {
        let now = Instant::now();
        let borrowers: Vec<u64> = self.entries.values().filter_map(Entry::borrower).collect();
        // Contract of `Subscriber`: the consumer that came first is the active one, and a successor overtakes nothing that its
        // predecessor still holds.
        let is_active = self.consumers.first() == Some(&to) && borrowers.iter().all(|other| *other == to);
        if self.group.is_single_active() && !is_active {
            return Look::Wait(None);
        }
        // Contract of `Subscriber`: never more than `prefetch` deliveries of one consumer are unsettled.
        if borrowers.iter().filter(|other| **other == to).count() >= prefetch {
            return Look::Wait(None);
        }
        let Some((number, entry)) = self.entries.iter_mut().find(|(_, entry)| entry.is_due(now)) else {
            return Look::Wait(self.entries.values().filter_map(Entry::rests_until).min());
        };
        entry.attempts += 1;
        entry.place = Place::Lent { to };
        Look::Found(Lent {
            group: Arc::clone(&self.name),
            number: *number,
            message: Arc::clone(&entry.message),
            attempt: entry.attempts,
            redelivered: entry.redelivered,
        })
    }

    /// Contract of `Delivery`: a retry counts as an attempt. Above the delivery limit of the group there is no other.
    pub(crate) fn retry(&mut self, number: u64, delay: Duration) -> Result<(), Exhausted> {
        let limit = self.group.delivery_limit();
        let Some(entry) = self.entries.get_mut(&number) else { return Ok(()) };
        if entry.attempts >= limit {
            let reason =
                Reason::new(ReasonKind::DeliveryLimit, format!("never settled in {limit} deliveries"));
            return Err(Exhausted { reason, attempts: entry.attempts });
        }
        entry.give_back(Instant::now() + delay.min(FAR));
        Ok(())
    }

    /// Contract of `Delivery`: what is released was not started, so no attempt is counted.
    pub(crate) fn release(&mut self, number: u64) {
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.attempts -= 1;
            entry.give_back(Instant::now());
        }
    }

    pub(crate) fn remove(&mut self, number: u64) {
        self.entries.remove(&number);
    }
}

impl Entry {
    fn borrower(&self) -> Option<u64> {
        match self.place {
            Place::Lent { to } => Some(to),
            Place::Waiting { .. } => None,
        }
    }

    fn rests_until(&self) -> Option<Instant> {
        match self.place {
            Place::Waiting { until } => Some(until),
            Place::Lent { .. } => None,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.rests_until().is_some_and(|until| until <= now)
    }

    fn give_back(&mut self, until: Instant) {
        self.redelivered = true;
        self.place = Place::Waiting { until };
    }
}
