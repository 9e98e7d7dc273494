//! The bus: one lock over everything, one signal for every change.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tbx_bus::{
    Broadcast, BusError, BusErrorKind, Capabilities, DeadLetter, Deliveries, Group, Message, Outcome,
    Publisher, Reason, Receipt, ReceiptSender, Subscriber,
};
use tokio::sync::Notify;

use crate::deliveries::{GroupConsumer, Listener};
use crate::queue::{Exhausted, Lent, Look, Queue};

/// Every queue is bounded: that of a group refuses, the dead letters forget the oldest.
pub(crate) const QUEUE_CAPACITY: usize = 1_000;
pub(crate) const MAX_BODY: usize = 1 << 20;
const LETTERS_KEPT: usize = 1_000;

/// A bus within the process. A clone is the same bus.
#[derive(Clone, Default)]
pub(crate) struct PlainBus(Arc<Shared>);

#[derive(Default)]
struct Shared {
    /// Held for single steps, never across an await.
    state: Mutex<State>,
    /// Tells everyone who waits to look again: simple, and wasteful with many consumers.
    changed: Notify,
}

#[derive(Default)]
pub(crate) struct State {
    groups: BTreeMap<Arc<str>, Queue>,
    listeners: BTreeMap<u64, ListenerQueue>,
    /// Those that a group is not done with, by number.
    publications: HashMap<u64, Publication>,
    letters: DeadLetters,
    closed: bool,
    last_number: u64,
}

/// A message on its way through its groups. Dropped with the bus, its receipt resolves as disconnected.
struct Publication {
    message: Arc<Message>,
    receipt: ReceiptSender,
    groups_left: usize,
    /// What the groups gave up while somebody held the receipt.
    letters: Vec<DeadLetter>,
}

struct ListenerQueue {
    broadcast: Broadcast,
    waiting: VecDeque<Arc<Message>>,
    missed: u64,
}

/// The dead letters that belong to no holder of a receipt. A lock of its own, because a receipt that is dropped gives back its
/// letters wherever it is dropped.
#[derive(Clone, Default)]
struct DeadLetters(Arc<Mutex<VecDeque<DeadLetter>>>);

impl PlainBus {
    /// What was given up, oldest first.
    pub(crate) fn dead_letters(&self) -> Vec<DeadLetter> {
        self.lock().letters.lock().iter().cloned().collect()
    }

    /// Ends the bus. What is queued is forgotten; receipts resolve as disconnected, because their senders are dropped.
    pub(crate) fn close(&self) {
        self.change(|state| {
            state.closed = true;
            state.groups.clear();
            state.listeners.clear();
            state.publications.clear();
        });
    }

    /// Changes the state and tells everyone.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.0.changed.notify_waiters();
        changed
    }

    /// Looks until there is an answer: now, after every change, and when something falls due.
    pub(crate) async fn wait_for<T>(&self, mut look: impl FnMut(&mut State) -> Look<T>) -> T {
        loop {
            // Enabled before looking, so that what changes in between wakes us.
            let mut changed = pin!(self.0.changed.notified());
            changed.as_mut().enable();
            let seen = look(&mut self.lock());
            match seen {
                Look::Found(found) => return found,
                Look::Wait(None) => changed.await,
                Look::Wait(Some(due)) => {
                    // That it is due is as good a reason to look again as a change.
                    let _ = tokio::time::timeout_at(due, changed).await;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Publisher for PlainBus {
    /// What this bus holds is gone with the process, so a message is safe only once it is *finished*: that an outbox in front of the
    /// bus must know.
    fn capabilities(&self) -> Capabilities {
        Capabilities::in_process()
    }

    async fn publish(&self, message: Message) -> Result<Receipt, BusError> {
        self.change(|state| state.publish(message))
    }
}

#[async_trait]
impl Subscriber for PlainBus {
    async fn declare(&self, group: &Group) -> Result<(), BusError> {
        self.change(|state| state.declare(group).map(drop))
    }

    async fn consume(&self, group: &Group) -> Result<Deliveries, BusError> {
        let (id, name) = self.change(|state| {
            let id = state.next_number();
            let queue = state.declare(group)?;
            queue.join(id);
            Ok::<_, BusError>((id, Arc::clone(queue.name())))
        })?;
        let prefetch = group.prefetch() as usize;
        Ok(Deliveries::new(GroupConsumer { bus: self.clone(), group: name, id, prefetch }))
    }

    async fn listen(&self, broadcast: &Broadcast) -> Result<Deliveries, BusError> {
        let id = self.change(|state| {
            state.check_open("listening")?;
            let id = state.next_number();
            let broadcast = broadcast.clone();
            state.listeners.insert(id, ListenerQueue { broadcast, waiting: VecDeque::new(), missed: 0 });
            Ok::<_, BusError>(id)
        })?;
        Ok(Deliveries::new(Listener { bus: self.clone(), id }))
    }
}

impl State {
    fn check_open(&self, doing: &str) -> Result<(), BusError> {
        if self.closed { Err(BusError::new(BusErrorKind::Closed, doing)) } else { Ok(()) }
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Contract of `Publisher`: all or nothing. Everything that can refuse the message comes before anything that takes it.
    fn publish(&mut self, message: Message) -> Result<Receipt, BusError> {
        self.check_open("publishing")?;
        if message.body().len() > MAX_BODY {
            return Err(BusError::new(BusErrorKind::TooLarge, format!("a body above {MAX_BODY} bytes")));
        }
        let takers = || self.groups.values().filter(|queue| queue.wants(&message));
        if let Some(full) = takers().find(|queue| queue.unsettled() >= QUEUE_CAPACITY) {
            return Err(BusError::new(BusErrorKind::QueueFull, format!("group {}", full.name())));
        }
        let groups_left = takers().count();
        let is_heard = self.listeners.values().any(|listener| listener.wants(&message));
        if groups_left == 0 && !is_heard {
            return Err(BusError::new(BusErrorKind::Unroutable, format!("topic {}", message.topic())));
        }

        // Contract of `Publisher`: the order of a key is that of the numbers, and those are given out under the lock.
        let number = self.next_number();
        let message = Arc::new(message);
        for queue in self.groups.values_mut().filter(|queue| queue.wants(&message)) {
            queue.put(number, Arc::clone(&message));
        }
        for listener in self.listeners.values_mut().filter(|listener| listener.wants(&message)) {
            listener.push(Arc::clone(&message));
        }
        let (sender, receipt) = Receipt::channel();
        let letters = self.letters.clone();
        let mut sender = sender.with_give_back(move |unread| letters.keep(unread));
        sender.accept();
        let publication = Publication { message, receipt: sender, groups_left, letters: Vec::new() };
        self.publications.insert(number, publication);
        self.finish_if_done(number);
        Ok(receipt)
    }

    /// Contract of `Subscriber`: the same again is harmless; anything else is refused, and so is a group that wants nothing, or what this bus does
    /// not have.
    fn declare(&mut self, group: &Group) -> Result<&mut Queue, BusError> {
        self.check_open("declaring")?;
        if group.patterns().is_empty() {
            let context = format!("group {} wants nothing", group.name());
            return Err(BusError::new(BusErrorKind::Declaration, context));
        }
        if group.partitions() > 1 || group.expiry().is_some() {
            let context =
                format!("group {} wants partitions or an expiry, which this bus has not", group.name());
            return Err(BusError::new(BusErrorKind::Declaration, context));
        }
        let queue = self.groups.entry(group.name().into()).or_insert_with(|| Queue::new(group));
        if !queue.is_declared_as(group) {
            let context = format!("group {} exists with other settings", group.name());
            return Err(BusError::new(BusErrorKind::Declaration, context));
        }
        Ok(queue)
    }

    /// The next delivery of a consumer; `None` when the bus was closed.
    pub(crate) fn lend(&mut self, group: &str, to: u64, prefetch: usize) -> Look<Option<Lent>> {
        match self.groups.get_mut(group).map(|queue| queue.lend(to, prefetch)) {
            Some(Look::Found(lent)) => Look::Found(Some(lent)),
            Some(Look::Wait(until)) => Look::Wait(until),
            None => Look::Found(None),
        }
    }

    /// What becomes of what was lent.
    pub(crate) fn settle(&mut self, group: &Arc<str>, number: u64, outcome: Outcome) -> Result<(), BusError> {
        self.check_open("settling")?;
        let Some(queue) = self.groups.get_mut(group) else { return Ok(()) };
        match outcome {
            Outcome::Ack => self.done(group, number),
            Outcome::Release => queue.release(number),
            Outcome::Retry { delay } => {
                if let Err(Exhausted { reason, attempts }) = queue.retry(number, delay) {
                    self.give_up(group, number, reason, attempts);
                }
            }
            Outcome::DeadLetter { reason, attempts } => self.give_up(group, number, reason, attempts),
            _ => return Err(BusError::new(BusErrorKind::Unsupported, format!("{outcome:?}"))),
        }
        Ok(())
    }

    /// Contract of `Receipt`: a dead letter is for whoever holds the receipt, and only else for the sink.
    fn give_up(&mut self, group: &Arc<str>, number: u64, reason: Reason, attempts: u32) {
        if let Some(publication) = self.publications.get_mut(&number) {
            let message = Arc::clone(&publication.message);
            let letter = DeadLetter::new(message, Arc::clone(group), attempts, reason);
            if publication.receipt.is_held() {
                publication.letters.push(letter);
            } else {
                self.letters.keep(vec![letter]);
            }
        }
        self.done(group, number);
    }

    fn done(&mut self, group: &str, number: u64) {
        if let Some(queue) = self.groups.get_mut(group) {
            queue.remove(number);
        }
        if let Some(publication) = self.publications.get_mut(&number) {
            publication.groups_left -= 1;
        }
        self.finish_if_done(number);
    }

    /// Contract of `Receipt`: it is finished when every group is done. Was it dropped meanwhile, its letters come back.
    fn finish_if_done(&mut self, number: u64) {
        if self.publications.get(&number).is_some_and(|publication| publication.groups_left > 0) {
            return;
        }
        if let Some(Publication { receipt, letters, .. }) = self.publications.remove(&number)
            && let Err(letters) = receipt.finish(letters)
        {
            self.letters.keep(letters);
        }
    }

    pub(crate) fn leave(&mut self, group: &str, consumer: u64) {
        if let Some(queue) = self.groups.get_mut(group) {
            queue.leave(consumer);
        }
    }

    /// The next message of a listener and how many it lost before; `None` when the bus was closed.
    pub(crate) fn hear(&mut self, listener: u64) -> Look<Option<(Arc<Message>, u64)>> {
        let Some(queue) = self.listeners.get_mut(&listener) else { return Look::Found(None) };
        match queue.waiting.pop_front() {
            Some(message) => Look::Found(Some((message, std::mem::take(&mut queue.missed)))),
            None => Look::Wait(None),
        }
    }

    pub(crate) fn stop_listening(&mut self, listener: u64) {
        self.listeners.remove(&listener);
    }
}

impl ListenerQueue {
    fn wants(&self, message: &Message) -> bool {
        message.only_for().is_none() && self.broadcast.wants(message.topic())
    }

    /// Contract of `Subscriber`: nothing waits for a broadcast; the oldest gives way and is counted.
    fn push(&mut self, message: Arc<Message>) {
        if self.waiting.len() == self.broadcast.capacity() {
            self.waiting.pop_front();
            self.missed += 1;
        }
        self.waiting.push_back(message);
    }
}

impl DeadLetters {
    fn keep(&self, new: Vec<DeadLetter>) {
        let mut letters = self.lock();
        letters.extend(new);
        let too_many = letters.len().saturating_sub(LETTERS_KEPT);
        letters.drain(..too_many);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<DeadLetter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
