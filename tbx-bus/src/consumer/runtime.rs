//! The loop that takes deliveries, puts each on the lane of its key, and survives the loss of the bus.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::failure::Failure;
use super::incoming::Incoming;
use super::lane::{self, LaneRules};
use super::state::ConsumerState;
use super::suspects::Suspects;
use crate::{Backoff, BusError, BusErrorKind, Deliveries, Delivery, Group, RetryPolicy, Subscriber};

/// A handler service on a group.
///
/// - *Order:* messages of one key are handled one after the other, in the order delivered; different keys run side by side, up to
///   [`with_concurrency`](Self::with_concurrency). In a group with a single active consumer a failed message is retried on its lane,
///   so that its successors wait; elsewhere it is returned to the bus for later.
/// - *Prefetch:* what waits behind a busy key counts as unsettled. A key with as many messages waiting as the group's
///   [prefetch](Group::with_prefetch) holds up the other keys until one of them is settled: choose it above what one key piles up.
/// - *Failures:* an error or a panic of the handler is a failed attempt. After the policy's last one, or at once on
///   [`Failure::permanent`], the message is dead-lettered and the lane goes on. [`Failure::unavailable`] does not count: the message waits on its
///   lane until what is missing is back.
/// - *Suspects:* in a group with a single active consumer, what came back unsettled for the second time is tried one by one, after the others: a message that
///   ends its process each time then holds up nothing but its key until it is given up.
/// - *Outages:* when the subscription is lost, the consumer lets running handlers end and subscribes again, for ever, with jitter.
#[must_use = "a consumer does nothing until it is run"]
pub struct Consumer<S> {
    subscriber: Arc<dyn Subscriber>,
    group: Group,
    service: S,
    policy: RetryPolicy,
    concurrency: usize,
    drain_timeout: Duration,
    state: watch::Sender<ConsumerState>,
}

impl<S> Consumer<S>
where
    S: Service<Incoming, Response = ()> + Clone + Send + 'static,
    S::Error: Into<Failure>,
    S::Future: Send,
{
    /// A consumer with [`RetryPolicy::standard`], 32 keys at once and 10 s to drain.
    pub fn new(subscriber: Arc<dyn Subscriber>, group: Group, service: S) -> Self {
        Self {
            subscriber,
            group,
            service,
            policy: RetryPolicy::standard(),
            concurrency: 32,
            drain_timeout: Duration::from_secs(10),
            state: watch::Sender::new(ConsumerState::Connecting(None)),
        }
    }

    /// How failures are retried.
    pub fn with_retry(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// How many keys are handled at once; at least 1.
    pub fn with_concurrency(mut self, lanes: usize) -> Self {
        self.concurrency = lanes.max(1);
        self
    }

    /// How long running handlers may take after the stop before they are dropped and their messages returned.
    pub fn with_drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = timeout;
        self
    }

    /// What the consumer is doing, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ConsumerState> {
        self.state.subscribe()
    }

    /// Runs until `stop` is cancelled or the bus is closed, then drains: takes nothing new, returns what was not started, waits for what
    /// runs.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future aborts the running handlers; their messages return to the group as failed attempts.
    pub async fn run(self, stop: CancellationToken) {
        let backoff = Backoff::standard();
        let mut failures = 0;
        while !stop.is_cancelled() {
            let subscribed = tokio::select! {
                () = stop.cancelled() => break,
                subscribed = self.subscriber.consume(&self.group) => subscribed,
            };
            let lost = match subscribed {
                Ok(deliveries) => {
                    failures = 0;
                    self.state.send_replace(ConsumerState::Running);
                    let lanes = Lanes::new(&self);
                    lanes.work_off(deliveries, &stop, &self.state).await
                }
                Err(error) => Err(error),
            };
            let Err(error) = lost else { break };
            if error.kind() == BusErrorKind::Closed {
                break;
            }
            failures += 1;
            let delay = backoff.delay(failures);
            tracing::warn!(group = self.group.name(), %error, delay_ms = delay.as_millis() as u64, "subscription lost");
            self.state.send_replace(ConsumerState::Connecting(Some(error.to_string())));
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(delay) => {}
            }
        }
        self.state.send_replace(ConsumerState::Stopped);
    }
}

/// The deliveries under way, by key.
///
/// It borrows nothing of the [`Consumer`]: a borrow held over an await would ask for a service that is `Sync`.
struct Lanes<S> {
    group: Arc<str>,
    service: S,
    concurrency: usize,
    drain_timeout: Duration,
    rules: LaneRules,
    /// What waits behind the running delivery of each busy key.
    waiting: HashMap<Arc<str>, VecDeque<Delivery>>,
    /// The key that each running task belongs to.
    keys: HashMap<tokio::task::Id, Arc<str>>,
    running: JoinSet<()>,
    /// Their keys count as busy.
    returns_are_suspicious: bool,
    suspects: Suspects,
}

impl<S> Lanes<S>
where
    S: Service<Incoming, Response = ()> + Clone + Send + 'static,
    S::Error: Into<Failure>,
    S::Future: Send,
{
    fn new(consumer: &Consumer<S>) -> Self {
        let rules = LaneRules {
            policy: consumer.policy,
            keep_order: consumer.group.is_single_active(),
            stop: CancellationToken::new(),
        };
        Self {
            group: Arc::clone(&consumer.group.name),
            service: consumer.service.clone(),
            concurrency: consumer.concurrency,
            drain_timeout: consumer.drain_timeout,
            rules,
            waiting: HashMap::new(),
            keys: HashMap::new(),
            running: JoinSet::new(),
            // Where failures return to the bus, or partitions change hands, to have come back often is nothing unusual.
            returns_are_suspicious: consumer.group.is_single_active() && consumer.group.partitions() == 1,
            suspects: Suspects::new(),
        }
    }

    async fn work_off(
        mut self,
        mut deliveries: Deliveries,
        stop: &CancellationToken,
        state: &watch::Sender<ConsumerState>,
    ) -> Result<(), BusError> {
        let ended = loop {
            let (has_room, suspect) = (self.has_room(), self.suspects.due());
            tokio::select! {
                biased;
                () = stop.cancelled() => break Ok(()),
                Some(finished) = self.running.join_next_with_id() => self.finished(finished),
                () = until(suspect), if has_room => self.try_suspect(),
                delivery = deliveries.next(), if has_room => match delivery {
                    Ok(Some(delivery)) => self.put(delivery),
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                },
            }
        };
        state.send_replace(match &ended {
            Ok(()) => ConsumerState::Draining,
            Err(error) => ConsumerState::Connecting(Some(error.to_string())),
        });
        // After a lost connection too: a handler that still runs must end before its message can come again.
        self.drain().await;
        ended
    }

    /// What waits behind a busy key is bounded by the prefetch of the group.
    fn has_room(&self) -> bool {
        self.running.len() < self.concurrency
    }

    fn put(&mut self, delivery: Delivery) {
        let Some(key) = delivery.message().key() else {
            self.begin(delivery, None);
            return;
        };
        if let Some(queue) = self.waiting.get_mut(key) {
            queue.push_back(delivery);
            return;
        }
        let key: Arc<str> = key.into();
        self.waiting.insert(Arc::clone(&key), VecDeque::new());
        self.begin(delivery, Some(key));
    }

    /// Starts a delivery whose turn it is, unless it should rather wait.
    fn begin(&mut self, delivery: Delivery, key: Option<Arc<str>>) {
        if self.returns_are_suspicious && Suspects::is_one(&delivery) {
            self.suspects.put(delivery, key);
        } else {
            self.start(delivery, key);
        }
    }

    fn try_suspect(&mut self) {
        if let Some((delivery, key)) = self.suspects.take() {
            let id = self.start(delivery, key);
            self.suspects.trying(id);
        }
    }

    fn start(&mut self, delivery: Delivery, key: Option<Arc<str>>) -> tokio::task::Id {
        let mut rules = self.rules.clone();
        rules.keep_order &= key.is_some();
        // A clone for each delivery: readiness belongs to the clone that is called.
        let task = self.running.spawn(lane::work(self.service.clone(), delivery, rules));
        let id = task.id();
        if let Some(key) = key {
            self.keys.insert(id, key);
        }
        id
    }

    fn finished(&mut self, finished: Result<(tokio::task::Id, ()), tokio::task::JoinError>) {
        let id = match &finished {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        if let Some(key) = self.keys.remove(&id) {
            let next = self.waiting.get_mut(&key).and_then(VecDeque::pop_front);
            match next {
                Some(delivery) => self.begin(delivery, Some(key)),
                None => {
                    self.waiting.remove(&key);
                }
            }
        }
        // After the next of the key was put there, or each of them would have a head start to wait for.
        self.suspects.ended(id);
    }

    async fn drain(mut self) {
        self.rules.stop.cancel();
        let all_ended = async {
            let waiting = self.waiting.drain().flat_map(|(_, queue)| queue);
            for delivery in self.suspects.take_all().chain(waiting) {
                // An error means that the bus is gone, and the message with it or back in its group.
                let _ = delivery.release().await;
            }
            while self.running.join_next().await.is_some() {}
        };
        if tokio::time::timeout(self.drain_timeout, all_ended).await.is_err() {
            tracing::warn!(group = &*self.group, left = self.running.len(), "handlers did not end in time");
            self.running.shutdown().await;
        }
    }
}

/// Waits for that moment; for ever without one.
async fn until(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

impl<S> fmt::Debug for Consumer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("group", &self.group)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
