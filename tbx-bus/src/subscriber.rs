//! Subscribing: durable groups that share their messages, and broadcasts that everyone hears.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{BusError, Delivery, Message, Topic, TopicPattern};

/// Gives out what groups and broadcasts receive.
///
/// # Contract
///
/// - A *group* is durable for as long as the bus is: once declared, it collects matching messages whether or not anyone consumes.
///   Its consumers compete; with [`Group::with_single_active`] only the one that came first gets messages and the others stand by.
///   When it leaves, the next takes over as soon as everything that the first held is settled, so that it overtakes nothing.
/// - [`Group::with_partitions`] is the same for each of several partitions, over which the keys are spread: what is true of the one active consumer
///   holds for each partition by itself. A message that is retried stays in the partition of its key. Messages without a key share one partition.
///   The consumers of the group share the partitions: when one more comes, those that have more than their share (the partitions by the
///   consumers, rounded up) hand some over, each once everything that they held of it is settled.
/// - A group with an [expiry](Group::with_expiry) that no consumer has used for so long may be gone, with all that waits in it and with its dead letters. One with
///   consumers stays.
/// - A *broadcast* lives as long as its [`Deliveries`] and receives its own copy of what is published meanwhile. Nothing waits for
///   it: its queue drops the oldest when it is full, and the next delivery tells how many were lost. What it hears is neither retried
///   nor dead-lettered: both are [`Unsupported`](crate::BusErrorKind::Unsupported), and acknowledging and releasing do nothing.
/// - Declaring the same group again is harmless; with other patterns, another mode, another number of partitions, another expiry, another
///   delivery limit or another answer to [private topics](Group::with_private_topics) it is refused. The prefetch may differ: it belongs to each
///   consumer. The patterns are a set: their order means nothing. [`Group::is_same_queue`] is this rule.
/// - A bus that cannot do what a group asks refuses it; it never ignores it.
/// - A group without patterns wants nothing, and is refused.
/// - Never more than `prefetch` deliveries of one consumer are unsettled.
#[async_trait]
pub trait Subscriber: Send + Sync {
    /// Makes a group exist, so that nothing published from now on is lost to it.
    ///
    /// # Errors
    ///
    /// [`Declaration`](crate::BusErrorKind::Declaration) when it exists with other settings or has no patterns.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the group declared or not.
    async fn declare(&self, group: &Group) -> Result<(), BusError>;

    /// Joins a group as one of its consumers, declaring it when needed.
    ///
    /// # Errors
    ///
    /// As [`declare`](Self::declare), or when the bus cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has not joined.
    async fn consume(&self, group: &Group) -> Result<Deliveries, BusError>;

    /// Listens in, from now on.
    ///
    /// # Errors
    ///
    /// When the bus cannot be reached.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not listen.
    async fn listen(&self, broadcast: &Broadcast) -> Result<Deliveries, BusError>;
}

/// A durable group of competing consumers.
///
/// ```
/// use tbx_bus::{Group, TopicPattern};
///
/// let group = Group::new("mailer", [TopicPattern::new("order.*")?]).with_prefetch(16);
/// # Ok::<(), tbx_bus::TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct Group {
    pub(crate) name: Arc<str>,
    pub(crate) patterns: Vec<TopicPattern>,
    pub(crate) single_active: bool,
    pub(crate) partitions: NonZeroU32,
    pub(crate) expiry: Option<Duration>,
    pub(crate) prefetch: NonZeroU32,
    pub(crate) delivery_limit: NonZeroU32,
    pub(crate) private_too: bool,
}

const DEFAULT_PREFETCH: NonZeroU32 = NonZeroU32::new(64).unwrap();
const DEFAULT_DELIVERY_LIMIT: NonZeroU32 = NonZeroU32::new(20).unwrap();

impl Group {
    /// A group of competing consumers, prefetch 64, delivery limit 20.
    pub fn new(name: &str, patterns: impl IntoIterator<Item = TopicPattern>) -> Self {
        Self {
            name: name.into(),
            patterns: patterns.into_iter().collect(),
            single_active: false,
            partitions: NonZeroU32::MIN,
            expiry: None,
            prefetch: DEFAULT_PREFETCH,
            delivery_limit: DEFAULT_DELIVERY_LIMIT,
            private_too: false,
        }
    }

    /// Only the consumer that came first is active; the next takes over when it leaves. Keeps the order of each key.
    pub fn with_single_active(mut self) -> Self {
        self.single_active = true;
        self
    }

    /// Spreads the keys over so many partitions, at least 1, each with one active consumer, so that several processes share the work and the order of
    /// each key is kept all the same. One partition is [`with_single_active`](Self::with_single_active).
    ///
    /// More than there will ever be processes is good, since a consumer has whole partitions; each costs a queue, on a broker one with a disk
    /// behind it. The number can be changed only when the group is empty: keys move with it.
    ///
    /// When a partition changes hands, a broker may count what had been sent ahead to its old consumer as delivered once more. Let
    /// [`with_delivery_limit`](Self::with_delivery_limit) leave room for that: more than the processes that will be started side by side.
    pub fn with_partitions(mut self, partitions: u32) -> Self {
        self.partitions = NonZeroU32::new(partitions).unwrap_or(NonZeroU32::MIN);
        self.with_single_active()
    }

    /// It may go, with what waits in it and with its dead letters, when no consumer has used it for so long; without this it stays for ever. For what belongs to
    /// one process, which may never come back.
    pub fn with_expiry(mut self, unused: Duration) -> Self {
        self.expiry = Some(unused);
        self
    }

    /// Its wildcards stand for private words too. For infrastructure that carries every topic and leaves the rule of private words to whoever
    /// delivers them.
    pub fn with_private_topics(mut self) -> Self {
        self.private_too = true;
        self
    }

    /// Whether it wants a topic.
    #[must_use]
    pub fn wants(&self, topic: &Topic) -> bool {
        self.patterns.iter().any(|pattern| match self.private_too {
            true => pattern.matches_private_too(topic),
            false => pattern.matches(topic),
        })
    }

    /// Whether it is to have a message: because it wants the topic, or because the message is [for it alone](Message::only_for).
    #[must_use]
    pub fn takes(&self, message: &Message) -> bool {
        match message.only_for() {
            Some(group) => group == self.name(),
            None => self.wants(message.topic()),
        }
    }

    /// How many deliveries one consumer may hold unsettled; at least 1. More hides latency and costs memory.
    pub fn with_prefetch(mut self, prefetch: u32) -> Self {
        self.prefetch = NonZeroU32::new(prefetch).unwrap_or(NonZeroU32::MIN);
        self
    }

    /// How often a message is delivered before the bus itself dead-letters it: the net under the consumer's own
    /// [`RetryPolicy`](crate::RetryPolicy), so keep it above that. At least 1.
    pub fn with_delivery_limit(mut self, limit: u32) -> Self {
        self.delivery_limit = NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN);
        self
    }

    /// Whether a bus keeps one queue for both: everything is equal but the prefetch, which each consumer chooses for itself, and perhaps the
    /// order of the patterns. A backend refuses to declare a group when another of its name exists that is not the same queue.
    #[must_use]
    pub fn is_same_queue(&self, other: &Self) -> bool {
        let Self {
            name,
            patterns,
            single_active,
            partitions,
            expiry,
            prefetch: _,
            delivery_limit,
            private_too,
        } = self;
        *name == other.name
            && patterns.iter().collect::<BTreeSet<_>>() == other.patterns.iter().collect()
            && *single_active == other.single_active
            && *partitions == other.partitions
            && *expiry == other.expiry
            && *delivery_limit == other.delivery_limit
            && *private_too == other.private_too
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it wants.
    #[must_use]
    pub fn patterns(&self) -> &[TopicPattern] {
        &self.patterns
    }

    /// Whether its wildcards stand for private words too.
    #[must_use]
    pub fn takes_private_topics(&self) -> bool {
        self.private_too
    }

    /// Whether only one consumer is active at a time, in each partition if there are several.
    #[must_use]
    pub fn is_single_active(&self) -> bool {
        self.single_active
    }

    /// Over how many partitions its keys are spread; 1 unless set.
    #[must_use]
    pub fn partitions(&self) -> u32 {
        self.partitions.get()
    }

    /// How long it stays without a consumer; `None` is for ever.
    #[must_use]
    pub fn expiry(&self) -> Option<Duration> {
        self.expiry
    }

    /// How many deliveries one consumer may hold unsettled.
    #[must_use]
    pub fn prefetch(&self) -> u32 {
        self.prefetch.get()
    }

    /// How often a message is delivered at most.
    #[must_use]
    pub fn delivery_limit(&self) -> u32 {
        self.delivery_limit.get()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.name)
            .field("patterns", &self.patterns)
            .finish_non_exhaustive()
    }
}

/// A subscription of its own that ends with its [`Deliveries`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Broadcast {
    pub(crate) patterns: Vec<TopicPattern>,
    pub(crate) capacity: usize,
}

impl Broadcast {
    /// Hears what matches, holding at most 1,024 messages for a slow listener.
    pub fn new(patterns: impl IntoIterator<Item = TopicPattern>) -> Self {
        Self { patterns: patterns.into_iter().collect(), capacity: 1_024 }
    }

    /// Whether it wants a topic. Its wildcards never stand for private words.
    #[must_use]
    pub fn wants(&self, topic: &Topic) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(topic))
    }

    /// How many messages wait for a slow listener before the oldest is dropped; at least 1.
    pub fn with_capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity.max(1);
        self
    }

    /// What it wants.
    #[must_use]
    pub fn patterns(&self) -> &[TopicPattern] {
        &self.patterns
    }

    /// How many messages wait at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

/// The deliveries of one consumer or listener. Dropping it leaves the group; what it prefetched and nobody took is returned.
#[must_use]
pub struct Deliveries(Box<dyn DeliverySource>);

impl Deliveries {
    /// Wraps a backend's source.
    pub fn new(source: impl DeliverySource + 'static) -> Self {
        Self(Box::new(source))
    }

    /// Waits for the next delivery; `None` when the bus was closed.
    ///
    /// # Errors
    ///
    /// When the connection is lost. The source is spent then: subscribe again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: no delivery is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Delivery>, BusError> {
        self.0.next().await
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deliveries")
    }
}

/// What a backend implements behind [`Deliveries`].
#[async_trait]
pub trait DeliverySource: Send {
    /// Waits for the next delivery; `None` when the bus was closed.
    ///
    /// # Errors
    ///
    /// When the connection is lost; and again at every later call.
    ///
    /// # Cancel safety
    ///
    /// Must be cancel safe: no delivery is lost when the future is dropped. One that was already received waits for the next call or
    /// returns to its group.
    async fn next(&mut self) -> Result<Option<Delivery>, BusError>;
}
