//! The bus itself: publishing, declaring, joining.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use async_trait::async_trait;
use tokio::sync::{Notify, watch};

use super::config::{MemoryBusBuilder, Unroutable};
use super::consumer::GroupConsumer;
use super::faults::{Faults, Switches};
use super::group::GroupQueue;
use super::listener::{Listener, ListenerQueue};
use super::publication::Publication;
use crate::publisher::{Publisher, Receipt};
use crate::subscriber::{Broadcast, Deliveries, Group, Subscriber};
use crate::time::from_now;
use crate::{BusError, BusErrorKind, Capabilities, DeadLetterSink, Message};

/// A bus within the process. A clone is the same bus.
///
/// ```
/// use tbx_bus::{Group, MemoryBus, Message, Publisher, Subscriber, Topic, TopicPattern};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = MemoryBus::new();
/// let mut mailer = bus.consume(&Group::new("mailer", [TopicPattern::new("order.*")?])).await?;
///
/// let receipt = bus.publish(Message::new(Topic::new("order.placed")?, "OrderPlaced", "{}")).await?;
///
/// let delivery = mailer.next().await?.ok_or("closed")?;
/// assert_eq!(delivery.message().kind(), "OrderPlaced");
/// delivery.ack().await?;
/// assert!(receipt.finished().await?.into_dead_letters().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryBus(Arc<Shared>);

struct Shared {
    config: MemoryBusBuilder,
    /// Everything that changes. Held for single steps, never across an await.
    state: Mutex<State>,
    unblocked: Notify,
    version: watch::Sender<u64>,
}

pub(super) struct State {
    pub(super) groups: BTreeMap<Arc<str>, GroupQueue>,
    pub(super) listeners: BTreeMap<u64, ListenerQueue>,
    pub(super) switches: Switches,
    /// Grows with every cut; what belongs to an older one is void.
    pub(super) generation: u64,
    pub(super) closed: bool,
    next_id: u64,
}

impl State {
    /// Groups that nobody has used for longer than they are to stay. Nothing watches them: they are gone when the next one looks.
    fn forget_unused(&mut self) {
        self.groups.retain(|_, queue| {
            let expired = queue.is_expired();
            if expired {
                // Whoever holds a receipt for what was in it learns that nobody will answer.
                queue.disconnect();
            }
            !expired
        });
    }
}

impl MemoryBus {
    /// A bus with the default settings.
    #[must_use]
    pub fn new() -> Self {
        MemoryBusBuilder::default().build()
    }

    /// Settings for a bus.
    pub fn builder() -> MemoryBusBuilder {
        MemoryBusBuilder::default()
    }

    pub(super) fn from_builder(config: MemoryBusBuilder) -> Self {
        let state = State {
            groups: BTreeMap::new(),
            listeners: BTreeMap::new(),
            switches: Switches::new(config.seed),
            generation: 0,
            closed: false,
            next_id: 0,
        };
        Self(Arc::new(Shared {
            config,
            state: Mutex::new(state),
            unblocked: Notify::new(),
            version: watch::Sender::new(0),
        }))
    }

    /// The fault switches, for tests.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults(self.clone())
    }

    /// Ends the bus: publishing is refused, every `next` answers `None`. What is queued is forgotten; receipts resolve as disconnected.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for (_, mut queue) in std::mem::take(&mut state.groups) {
            queue.disconnect();
        }
        for (_, listener) in std::mem::take(&mut state.listeners) {
            listener.wake();
        }
        drop(state);
        self.0.unblocked.notify_waiters();
        self.changed();
    }

    /// How many messages of a group wait, rest before a retry, or are being handled.
    #[must_use]
    pub fn unsettled(&self, group: &str) -> usize {
        let mut state = self.lock();
        state.forget_unused();
        state.groups.get(group).map_or(0, GroupQueue::unsettled)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock can only come from a failed allocation; the state is whole between single steps.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sink(&self) -> &dyn DeadLetterSink {
        self.0.config.sink.as_ref()
    }

    pub(super) fn changed(&self) {
        self.0.version.send_modify(|version| *version += 1);
    }

    pub(super) fn with_switches(&self, set: impl FnOnce(&mut Switches)) {
        set(&mut self.lock().switches);
        self.0.unblocked.notify_waiters();
    }

    pub(super) fn cut(&self) {
        let mut state = self.lock();
        state.generation += 1;
        for queue in state.groups.values_mut() {
            queue.disconnect();
        }
        for (_, listener) in std::mem::take(&mut state.listeners) {
            listener.wake();
        }
        drop(state);
        self.changed();
    }

    #[cfg(feature = "testkit")]
    pub(crate) fn activity_now(&self) -> crate::testkit::Activity {
        let mut state = self.lock();
        state.forget_unused();
        let mut activity =
            crate::testkit::Activity { version: *self.0.version.borrow(), ..Default::default() };
        for queue in state.groups.values() {
            activity.queued += queue.queued();
            activity.due += queue.due();
            activity.running += queue.running();
        }
        activity
    }

    #[cfg(feature = "testkit")]
    pub(crate) fn versions(&self) -> watch::Receiver<u64> {
        self.0.version.subscribe()
    }

    /// One try to publish; `None` while the bus is blocked.
    fn try_publish(&self, message: &Arc<Message>) -> Result<Option<Receipt>, BusError> {
        let mut state = self.lock();
        let state = &mut *state;
        if state.closed {
            return Err(BusError::new(BusErrorKind::Closed, "publishing"));
        }
        if state.switches.blocked {
            return Ok(None);
        }
        state.forget_unused();
        let copies = if state.switches.deliveries_to_duplicate > 0 { 2 } else { 1 };
        let mut groups = 0;
        for queue in state.groups.values().filter(|queue| queue.wants(message)) {
            if queue.unsettled() + copies > self.0.config.queue_capacity {
                return Err(BusError::new(BusErrorKind::QueueFull, format!("group {}", queue.spec.name())));
            }
            groups += 1;
        }
        let heard = state.listeners.values().any(|listener| listener.wants(message));
        if groups == 0 && !heard {
            if let Some(group) = message.only_for() {
                return Err(BusError::new(BusErrorKind::Unroutable, format!("no group {group}")));
            }
            if self.0.config.unroutable == Unroutable::Refuse {
                return Err(BusError::new(BusErrorKind::Unroutable, format!("topic {}", message.topic())));
            }
        }
        state.switches.deliveries_to_duplicate = state.switches.deliveries_to_duplicate.saturating_sub(1);
        let (sender, receipt) = Receipt::channel();
        // Weak, since the sender lives in the queues of the bus.
        let bus = Arc::downgrade(&self.0);
        let mut sender = sender.with_give_back(move |letters| {
            if let Some(shared) = Weak::upgrade(&bus) {
                Self(shared).doom(letters);
            }
        });
        let sender = if state.switches.confirms_to_lose > 0 {
            state.switches.confirms_to_lose -= 1;
            sender.fail(BusErrorKind::ConfirmLost, "publishing");
            None
        } else {
            sender.accept();
            Some(sender)
        };
        if groups == 0 {
            if let Some(sender) = sender {
                // There is nothing to give back: no group, no dead letter.
                let _ = sender.finish(Vec::new());
            }
        } else {
            let publication = Arc::new(Publication::new(groups * copies, sender));
            for queue in state.groups.values_mut().filter(|queue| queue.wants(message)) {
                for _ in 0..copies {
                    queue.enqueue(Arc::clone(message), Arc::clone(&publication));
                }
            }
        }
        for listener in state.listeners.values_mut().filter(|listener| listener.wants(message)) {
            listener.push(Arc::clone(message));
        }
        Ok(Some(receipt))
    }

    fn declare_in(state: &mut State, group: &Group) -> Result<(), BusError> {
        if state.closed {
            return Err(BusError::new(BusErrorKind::Closed, "declaring"));
        }
        if group.patterns.is_empty() {
            return Err(BusError::new(
                BusErrorKind::Declaration,
                format!("group {} wants nothing", group.name()),
            ));
        }
        state.forget_unused();
        match state.groups.get(group.name()) {
            Some(existing) if existing.spec.is_same_queue(group) => Ok(()),
            Some(_) => Err(BusError::new(
                BusErrorKind::Declaration,
                format!("group {} exists with other settings", group.name()),
            )),
            None => {
                state.groups.insert(Arc::clone(&group.name), GroupQueue::new(group.clone()));
                Ok(())
            }
        }
    }
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBus").field("config", &self.0.config).finish_non_exhaustive()
    }
}

#[async_trait]
impl Publisher for MemoryBus {
    fn capabilities(&self) -> Capabilities {
        Capabilities::in_process()
    }

    async fn publish(&self, message: Message) -> Result<Receipt, BusError> {
        let (size, limit) = (message.body().len(), self.0.config.max_body);
        if size > limit {
            return Err(BusError::new(
                BusErrorKind::TooLarge,
                format!("{size} bytes where {limit} are allowed"),
            ));
        }
        let message = Arc::new(message);
        let deadline = from_now(self.0.config.block_timeout);
        loop {
            let mut unblocked = std::pin::pin!(self.0.unblocked.notified());
            unblocked.as_mut().enable();
            if let Some(receipt) = self.try_publish(&message)? {
                self.changed();
                return Ok(receipt);
            }
            if tokio::time::timeout_at(deadline, unblocked).await.is_err() {
                return Err(BusError::new(BusErrorKind::Blocked, "publishing"));
            }
        }
    }
}

#[async_trait]
impl Subscriber for MemoryBus {
    async fn declare(&self, group: &Group) -> Result<(), BusError> {
        Self::declare_in(&mut self.lock(), group)
    }

    async fn consume(&self, group: &Group) -> Result<Deliveries, BusError> {
        let mut state = self.lock();
        Self::declare_in(&mut state, group)?;
        let id = state.next_id;
        state.next_id += 1;
        let generation = state.generation;
        let Some(queue) = state.groups.get_mut(group.name()) else {
            return Err(BusError::new(BusErrorKind::Closed, "consuming"));
        };
        queue.join(id, group.prefetch());
        let wake = Arc::clone(&queue.wake);
        drop(state);
        Ok(Deliveries::new(GroupConsumer {
            bus: self.clone(),
            group: Arc::clone(&group.name),
            id,
            generation,
            wake,
        }))
    }

    async fn listen(&self, broadcast: &Broadcast) -> Result<Deliveries, BusError> {
        let mut state = self.lock();
        if state.closed {
            return Err(BusError::new(BusErrorKind::Closed, "listening"));
        }
        let id = state.next_id;
        state.next_id += 1;
        let generation = state.generation;
        let queue = ListenerQueue::new(broadcast.clone());
        let wake = queue.waker();
        state.listeners.insert(id, queue);
        drop(state);
        Ok(Deliveries::new(Listener { bus: self.clone(), id, generation, wake }))
    }
}
