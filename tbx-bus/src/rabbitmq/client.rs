//! The broker as a process knows it: two connections and the tasks that look after them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::bus::RabbitBus;
use super::mail::Rungs;
use super::outbox::Outbox;
use super::publisher::PublisherTask;
use super::released::Released;
use super::state::{Counters, LinkState, RabbitStats, Role, States};
use super::supervisor::{Links, Supervisor};
use super::{Exchange, RabbitOptions};

/// A RabbitMQ broker. A clone is the same; the last one dropped ends the connections without waiting, [`close`](Self::close) waits.
///
/// ```no_run
/// use tbx_bus::rabbitmq::{Exchange, RabbitMq, RabbitOptions};
/// use tbx_bus::{Message, Publisher, Topic};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rabbit = RabbitMq::start(RabbitOptions::new("amqp://user:password@broker/shop")?.with_name("shop-api"));
/// let events = rabbit.bus(Exchange::new("shop.events")?);
/// events.publish(Message::new(Topic::new("order.placed")?, "OrderPlaced", "{}")).await?.accepted().await?;
/// rabbit.close().await;
/// # Ok(())
/// # }
/// ```
///
/// # Two connections
///
/// One publishes and one consumes: a broker that is short of memory stops reading from connections that publish, and consumers must go on so that
/// it recovers. Each is looked after by a task that connects again for ever, with jitter. What only a person can mend (credentials, virtual host,
/// certificate) is tried again slowly and told by the [`state`](Self::state). Whoever looks at [dead letters](Self::dead_letters) does it over a third, for as long as it takes.
#[derive(Clone)]
pub struct RabbitMq(pub(super) Arc<Broker>);

pub(super) struct Broker {
    pub(super) options: Arc<RabbitOptions>,
    pub(super) consuming: Links,
    pub(super) outbox: Outbox,
    pub(super) counters: Arc<Counters>,
    pub(super) released: Arc<Released>,
    pub(super) rungs: Arc<Rungs>,
    /// Whoever looks at dead letters; one at a time.
    pub(super) looks: tokio::sync::Mutex<()>,
    /// Cancelled when the bus is closed: nothing new is taken, every consumer ends.
    pub(super) closed: CancellationToken,
    /// The tasks of consumers and listeners, and the one that publishes.
    pub(super) tasks: TaskTracker,
    states: Arc<States>,
    supervisors: TaskTracker,
    stop: CancellationToken,
    /// Everything ends with the last handle.
    _end: [DropGuard; 2],
}

impl RabbitMq {
    /// Begins to connect, and returns at once. It must be called within a tokio runtime.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn start(options: RabbitOptions) -> Self {
        let options = Arc::new(options);
        let (states, counters) = (Arc::new(States::new()), Arc::new(Counters::default()));
        let (closed, stop) = (CancellationToken::new(), CancellationToken::new());
        let (tasks, supervisors) = (TaskTracker::new(), TaskTracker::new());
        let supervise = |role| {
            let (supervisor, links) = Supervisor::new(
                Arc::clone(&options),
                role,
                Arc::clone(&states),
                Arc::clone(&counters),
                stop.clone(),
            );
            supervisors.spawn(supervisor.run());
            links
        };
        let (publishing, consuming) = (supervise(Role::Publishing), supervise(Role::Consuming));
        let (publisher, outbox) =
            PublisherTask::new(Arc::clone(&options), publishing, Arc::clone(&counters), closed.clone());
        tasks.spawn(publisher.run());
        let end = [closed.clone().drop_guard(), stop.clone().drop_guard()];
        Self(Arc::new(Broker {
            options,
            consuming,
            outbox,
            counters,
            released: Arc::default(),
            rungs: Arc::new(Mutex::new(HashMap::new())),
            looks: tokio::sync::Mutex::default(),
            closed,
            tasks,
            states,
            supervisors,
            stop,
            _end: end,
        }))
    }

    /// The bus on one exchange. Buses of one broker share its connections; groups of the same name on two exchanges are refused.
    #[must_use]
    pub fn bus(&self, exchange: Exchange) -> RabbitBus {
        RabbitBus { broker: self.clone(), exchange }
    }

    /// What the connections are doing, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.0.states.watch()
    }

    /// What the connection that publishes is doing.
    #[must_use]
    pub fn publishing_state(&self) -> watch::Receiver<LinkState> {
        self.0.states.watch_one(Role::Publishing)
    }

    /// What the connection that consumes is doing.
    #[must_use]
    pub fn consuming_state(&self) -> watch::Receiver<LinkState> {
        self.0.states.watch_one(Role::Consuming)
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> RabbitStats {
        let mut stats = self.0.counters.read();
        stats.waiting += self.0.outbox.waiting();
        stats
    }

    /// Ends the bus: nothing more is taken, what was handed over is still confirmed (for at most 5 s), every `next` answers `None`, and the
    /// connections are closed. Harmless when repeated.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the bus ending.
    pub async fn close(&self) {
        self.0.closed.cancel();
        self.0.tasks.close();
        // Each task has a deadline of its own; this one is for what cannot be.
        let _ = tokio::time::timeout(TASKS_END, self.0.tasks.wait()).await;
        self.0.stop.cancel();
        self.0.supervisors.close();
        self.0.supervisors.wait().await;
    }
}

const TASKS_END: Duration = Duration::from_secs(10);

impl fmt::Debug for RabbitMq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitMq")
            .field("options", &self.0.options)
            .field("state", &*self.0.states.watch().borrow())
            .finish_non_exhaustive()
    }
}
