//! The queue of one group and its consumers. Plain state: the lock of the bus is held by the caller.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::faults::Switches;
use super::partitions::Partitions;
use super::publication::Publication;
use crate::time::from_now;
use crate::{DeadLetter, Group, Message, Reason, ReasonKind};

/// One copy of a message in one group.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// The order of arrival in the group, to which a returned item goes back.
    pub(super) sequence: u64,
    /// Where its key belongs, in a group that keeps an order; else 0.
    pub(super) partition: usize,
    pub(super) message: Arc<Message>,
    pub(super) publication: Arc<Publication>,
    /// Deliveries so far that count.
    pub(super) attempts: u32,
    pub(super) redelivered: bool,
}

/// A dead letter that waits for the sink: nobody holds the receipt of its message.
#[derive(Debug, Clone)]
pub(super) struct Doomed {
    pub(super) id: u64,
    pub(super) letter: DeadLetter,
    /// `None` when its copy was already counted as settled.
    publication: Option<Arc<Publication>>,
    /// When it may be tried, after the sink refused it; `None` while someone is storing it.
    due: Option<Instant>,
}

#[derive(Debug)]
struct Consumer {
    id: u64,
    prefetch: u32,
    held: u32,
    /// It has left, and stays only until what it holds is settled, so that a successor cannot overtake it.
    leaving: bool,
}

#[derive(Debug)]
pub(super) struct GroupQueue {
    pub(super) spec: Group,
    pub(super) wake: Arc<Notify>,
    ready: VecDeque<Item>,
    delayed: BTreeMap<(Instant, u64), Item>,
    doomed: VecDeque<Doomed>,
    in_flight: BTreeMap<u64, (u64, Item)>,
    consumers: Vec<Consumer>,
    /// `None` when consumers compete.
    partitions: Option<Partitions>,
    /// Since when nobody consumes.
    unused_since: Option<Instant>,
    next_sequence: u64,
    next_tag: u64,
    next_doomed: u64,
}

/// What a consumer may do next.
#[derive(Debug)]
pub(super) enum Take {
    /// Handle this, under this tag.
    Item(u64, Item),
    /// Bury this first.
    Doomed(Doomed),
    /// Wait for a wake-up, or until the instant.
    Wait(Option<Instant>),
}

impl GroupQueue {
    pub(super) fn new(spec: Group) -> Self {
        Self {
            partitions: spec.single_active.then(|| Partitions::new(spec.partitions())),
            unused_since: Some(Instant::now()),
            spec,
            wake: Arc::new(Notify::new()),
            ready: VecDeque::new(),
            delayed: BTreeMap::new(),
            doomed: VecDeque::new(),
            in_flight: BTreeMap::new(),
            consumers: Vec::new(),
            next_sequence: 0,
            next_tag: 0,
            next_doomed: 0,
        }
    }

    pub(super) fn queued(&self) -> usize {
        self.ready.len() + self.doomed.len()
    }

    pub(super) fn due(&self) -> usize {
        self.delayed.len()
    }

    pub(super) fn running(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn unsettled(&self) -> usize {
        self.queued() + self.due() + self.running()
    }

    pub(super) fn wants(&self, message: &Message) -> bool {
        self.spec.takes(message)
    }

    /// Whether nobody has consumed for as long as the group is to stay.
    pub(super) fn is_expired(&self) -> bool {
        let unused = self.spec.expiry.zip(self.unused_since);
        unused.is_some_and(|(expiry, since)| since.elapsed() >= expiry)
    }

    pub(super) fn enqueue(&mut self, message: Arc<Message>, publication: Arc<Publication>) {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let partition = self.partitions.as_ref().map_or(0, |partitions| partitions.of(message.key()));
        let item = Item { sequence, partition, message, publication, attempts: 0, redelivered: false };
        self.ready.push_back(item);
        self.wake.notify_waiters();
    }

    pub(super) fn join(&mut self, id: u64, prefetch: u32) {
        self.consumers.push(Consumer { id, prefetch, held: 0, leaving: false });
        self.unused_since = None;
        self.share_out();
    }

    pub(super) fn leave(&mut self, id: u64) {
        if let Some(consumer) = self.consumers.iter_mut().find(|consumer| consumer.id == id) {
            consumer.leaving = true;
        }
        self.let_leavers_go();
    }

    pub(super) fn take(&mut self, consumer_id: u64, now: Instant, switches: &mut Switches) -> Take {
        self.bring_due(now);
        let Some(position) = self.consumers.iter().position(|consumer| consumer.id == consumer_id) else {
            return Take::Wait(None);
        };
        if self.partitions.as_ref().is_some_and(|partitions| !partitions.has_any(consumer_id)) {
            return Take::Wait(None);
        }
        if let Some(doomed) = self.take_doomed(now) {
            return Take::Doomed(doomed);
        }
        let next_letter = self.doomed.iter().filter_map(|doomed| doomed.due).min();
        if self.consumers[position].held >= self.consumers[position].prefetch {
            return Take::Wait(next_letter);
        }
        let index = self.next_for(consumer_id, switches);
        let Some(mut item) = index.and_then(|index| self.ready.remove(index)) else {
            let next_retry = self.delayed.keys().next().map(|(due, _)| *due);
            return Take::Wait(next_letter.into_iter().chain(next_retry).min());
        };
        item.attempts += 1;
        self.consumers[position].held += 1;
        if let Some(partitions) = &mut self.partitions {
            partitions.lend(item.partition);
        }
        let tag = self.next_tag;
        self.next_tag += 1;
        self.in_flight.insert(tag, (consumer_id, item.clone()));
        Take::Item(tag, item)
    }

    /// Which of the waiting items a consumer gets next.
    fn next_for(&self, consumer_id: u64, switches: &mut Switches) -> Option<usize> {
        let is_its = |item: &Item| {
            self.partitions.as_ref().is_none_or(|partitions| partitions.may_take(item.partition, consumer_id))
        };
        let mut its = self.ready.iter().enumerate().filter(|(_, item)| is_its(item)).map(|(index, _)| index);
        if switches.reorder_window <= 1 {
            return its.next();
        }
        let window: Vec<usize> = its.take(switches.reorder_window).collect();
        if window.is_empty() { None } else { Some(window[switches.random.usize(..window.len())]) }
    }

    /// The item under `tag`, when it is still lent out.
    pub(super) fn lent(&self, tag: u64) -> Option<&Item> {
        self.in_flight.get(&tag).map(|(_, item)| item)
    }

    /// Ends the loan of `tag`.
    pub(super) fn reclaim(&mut self, tag: u64) -> Option<Item> {
        let (consumer_id, item) = self.in_flight.remove(&tag)?;
        if let Some(consumer) = self.consumers.iter_mut().find(|consumer| consumer.id == consumer_id) {
            consumer.held = consumer.held.saturating_sub(1);
        }
        let is_handed_over =
            self.partitions.as_mut().is_some_and(|partitions| partitions.give_back(item.partition));
        if is_handed_over || self.consumers.iter().any(|consumer| consumer.leaving) {
            self.let_leavers_go();
        }
        self.wake.notify_waiters();
        Some(item)
    }

    /// Puts an item back as a failed attempt, or gives it up when it was delivered as often as allowed. Returns the publication that
    /// the caller has to count as settled, once it has left the lock: the holder of the receipt has the letter then.
    #[must_use]
    pub(super) fn give_back(&mut self, mut item: Item, delay: Option<Duration>) -> Option<Arc<Publication>> {
        if item.attempts >= self.spec.delivery_limit.get() {
            let reason =
                Reason::new(ReasonKind::DeliveryLimit, "returned unsettled as often as the group allows");
            let letter = DeadLetter::new(item.message, Arc::clone(&self.spec.name), item.attempts, reason);
            return match item.publication.attach(letter) {
                Ok(()) => Some(item.publication),
                Err(letter) => {
                    self.doom(letter, Some(item.publication));
                    None
                }
            };
        }
        item.redelivered = true;
        match delay {
            Some(delay) if !delay.is_zero() => {
                self.delayed.insert((from_now(delay), item.sequence), item);
            }
            _ => self.put_in_order(item),
        }
        self.wake.notify_waiters();
        None
    }

    /// Puts an item back untouched.
    pub(super) fn release(&mut self, mut item: Item) {
        item.attempts = item.attempts.saturating_sub(1);
        item.redelivered = true;
        self.put_in_order(item);
        self.wake.notify_waiters();
    }

    /// Lets a letter wait for the sink; `publication` when its copy still counts as unsettled.
    pub(super) fn doom(&mut self, letter: DeadLetter, publication: Option<Arc<Publication>>) {
        let id = self.next_doomed;
        self.next_doomed += 1;
        self.doomed.push_back(Doomed { id, letter, publication, due: Some(Instant::now()) });
        self.wake.notify_waiters();
    }

    /// Gives out the first letter that may be tried, to one caller only.
    pub(super) fn take_doomed(&mut self, now: Instant) -> Option<Doomed> {
        let doomed = self.doomed.iter_mut().find(|doomed| doomed.due.is_some_and(|due| due <= now))?;
        doomed.due = None;
        Some(doomed.clone())
    }

    /// The letter was not stored.
    pub(super) fn bury_again(&mut self, id: u64, pause: Duration) {
        if let Some(doomed) = self.doomed.iter_mut().find(|doomed| doomed.id == id) {
            doomed.due = Some(from_now(pause));
            self.wake.notify_waiters();
        }
    }

    /// The letter is stored. Returns the publication that the caller has to count as settled.
    pub(super) fn buried(&mut self, id: u64) -> Option<Arc<Publication>> {
        let index = self.doomed.iter().position(|doomed| doomed.id == id)?;
        self.doomed.remove(index)?.publication
    }

    /// The connection is lost: everything lent returns, everyone has left.
    pub(super) fn disconnect(&mut self) {
        for item in
            self.in_flight.values().map(|(_, item)| item).chain(&self.ready).chain(self.delayed.values())
        {
            item.publication.disconnect();
        }
        for (_, (_, item)) in std::mem::take(&mut self.in_flight) {
            // No receipt is left to answer, so there is nothing for us to count.
            let _ = self.give_back(item, None);
        }
        self.consumers.clear();
        self.unused_since.get_or_insert_with(Instant::now);
        if let Some(partitions) = &mut self.partitions {
            partitions.clear();
        }
        self.wake.notify_waiters();
    }

    fn bring_due(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let item = entry.remove();
            self.put_in_order(item);
        }
    }

    fn put_in_order(&mut self, item: Item) {
        let index =
            self.ready.iter().position(|other| other.sequence > item.sequence).unwrap_or(self.ready.len());
        self.ready.insert(index, item);
    }

    fn let_leavers_go(&mut self) {
        self.consumers.retain(|consumer| !consumer.leaving || consumer.held > 0);
        if self.consumers.is_empty() {
            self.unused_since.get_or_insert_with(Instant::now);
        }
        self.share_out();
        self.wake.notify_waiters();
    }

    fn share_out(&mut self) {
        if let Some(partitions) = &mut self.partitions {
            let staying: Vec<u64> = self
                .consumers
                .iter()
                .filter(|consumer| !consumer.leaving)
                .map(|consumer| consumer.id)
                .collect();
            partitions.share_out(&staying);
        }
    }
}
