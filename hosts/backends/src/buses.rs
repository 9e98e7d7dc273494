//! The two channels.

use std::fmt;
use std::sync::Arc;

use tbx_bus::rabbitmq::{Exchange, RabbitMq, RabbitOptions, Topology};
use tbx_bus::{
    BusError, DeadLetterSink, Group, MemoryBus, MemoryDeadLetters, Publisher, Subscriber, Unroutable,
};
use tbx_core::published::{EVENTS_CHANNEL, NOTIFICATIONS_CHANNEL};
use tbx_service::config::{BusUrl, SecretUrl};
use tbx_service::{Config, Metrics, Process, watch_state};

use crate::gauges::{of_groups, of_link};
use crate::patience::{Opening, patiently};
use crate::{OpenError, OpenHistory, Storage, groups, status};

pub(crate) const SETTING: &str = "TBX_BUS_URL";

/// A bus, to publish on and to subscribe to.
pub trait Bus: Publisher + Subscriber {}

impl<B: Publisher + Subscriber> Bus for B {}

/// The channel of events and that of notifications. A clone is the same pair.
#[derive(Clone)]
pub struct Buses {
    events: Arc<dyn Bus>,
    notifications: Arc<dyn Bus>,
    notifier_group: Option<Group>,
    rabbit: Option<RabbitMq>,
}

impl Buses {
    /// Opens both, and declares their groups, so that nothing published from now on is lost to them. `program` is the name that a broker shows. Dead
    /// letters of a bus that keeps none go to `storage`, or stay in memory without one. A process that appends to `history` gets the group for it by
    /// [`notifier_group`](Self::notifier_group).
    ///
    /// # Errors
    ///
    /// When the bus cannot be reached or refuses; the cause names what to do.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves groups declared or not.
    pub async fn open(
        config: &Config,
        program: &str,
        storage: Option<&Storage>,
        history: Option<&OpenHistory>,
    ) -> Result<Self, OpenError> {
        let mut buses = match &config.bus_url {
            BusUrl::Memory | BusUrl::None => Self::in_memory(storage),
            BusUrl::Amqp(url) => Self::on_rabbitmq(url, program).await?,
        };
        if buses.rabbit.is_some() {
            buses.notifier_group = groups::notifier_of(config, history);
        }
        patiently(SETTING, || buses.declare()).await?;
        Ok(buses)
    }

    fn in_memory(storage: Option<&Storage>) -> Self {
        let bus = |channel| -> Arc<dyn Bus> {
            let letters = storage.map_or_else(
                || Arc::new(MemoryDeadLetters::default()) as Arc<dyn DeadLetterSink>,
                |storage| storage.dead_letters(channel),
            );
            Arc::new(MemoryBus::builder().with_dead_letters(letters).build())
        };
        Self {
            events: bus(EVENTS_CHANNEL),
            notifications: bus(NOTIFICATIONS_CHANNEL),
            notifier_group: Some(groups::notifier()),
            rabbit: None,
        }
    }

    async fn on_rabbitmq(url: &SecretUrl, program: &str) -> Result<Self, OpenError> {
        let failed = |error: BusError| OpenError::of(SETTING)(error.into());
        let options = rabbit_options(url, program)?;
        // What only a person can mend ends the start; an outage that comes later is ridden out.
        patiently(SETTING, || options.probe()).await?;
        let rabbit = RabbitMq::start(options);
        Ok(Self {
            events: Arc::new(rabbit.bus(events().map_err(failed)?)),
            notifications: Arc::new(rabbit.bus(notifications().map_err(failed)?)),
            notifier_group: None,
            rabbit: Some(rabbit),
        })
    }

    async fn declare(&self) -> Result<(), BusError> {
        self.events.declare(&groups::worker()).await?;
        match &self.notifier_group {
            Some(group) => self.notifications.declare(group).await,
            None => Ok(()),
        }
    }

    /// The channel of events.
    #[must_use]
    pub fn events(&self) -> Arc<dyn Bus> {
        Arc::clone(&self.events)
    }

    /// The channel of notifications.
    #[must_use]
    pub fn notifications(&self) -> Arc<dyn Bus> {
        Arc::clone(&self.notifications)
    }

    /// The group by which notifications come into the history that this process appends to, or that all share; `None` when each notifier has a history of
    /// its own, and this process has none.
    pub fn notifier_group(&self) -> Option<&Group> {
        self.notifier_group.as_ref()
    }

    pub(crate) fn rabbit(&self) -> Option<&RabbitMq> {
        self.rabbit.as_ref()
    }

    /// Starts to look after the connection to the broker, if there is one, in the check `bus`.
    pub fn watch(&self, process: &Process) {
        let Some(rabbit) = &self.rabbit else { return };
        let check = process.health.register("bus");
        let (stop, watching) =
            (process.stops.watchers.clone(), watch_state(check, rabbit.state(), status::link));
        // The connection is closed last, when nobody looks any more.
        process.tasks.spawn("bus health", async move {
            stop.run_until_cancelled(watching).await;
        });
    }

    /// Adds the numbers of the connection to the broker and of the groups there, if there is one.
    pub fn measure(&self, metrics: &Metrics) {
        let Some(rabbit) = &self.rabbit else { return };
        let groups: Arc<[Group]> =
            [groups::worker()].into_iter().chain(self.notifier_group.clone()).collect();
        let link = rabbit.clone();
        metrics.sample(move || std::future::ready(of_link(&link)));
        // Apart, since a broker that does not answer is when the numbers of the connection matter.
        let rabbit = rabbit.clone();
        metrics.sample(move || {
            let (rabbit, groups) = (rabbit.clone(), Arc::clone(&groups));
            async move { of_groups(&rabbit, &groups).await }
        });
    }

    /// Ends the connection to the broker, if there is one, when what was handed over is confirmed.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves it ending.
    pub async fn close(&self) {
        if let Some(rabbit) = &self.rabbit {
            rabbit.close().await;
        }
    }
}

fn events() -> Result<Exchange, BusError> {
    Exchange::new(EVENTS_CHANNEL)
}

fn notifications() -> Result<Exchange, BusError> {
    // News that nobody waits for is no error.
    Ok(Exchange::new(NOTIFICATIONS_CHANNEL)?.with_unroutable(Unroutable::Drop))
}

/// What every host declares on a broker. The queue of a notifier with a history of its own is known to that notifier alone.
pub(crate) fn topology(config: &Config) -> Result<Topology, BusError> {
    let topology = Topology::new().with_group(&events()?, &groups::worker());
    match groups::notifier_of(config, None) {
        Some(group) => Ok(topology.with_group(&notifications()?, &group)),
        None => Ok(topology),
    }
}

/// How the broker at a URL is reached.
pub(crate) fn rabbit_options(url: &SecretUrl, program: &str) -> Result<RabbitOptions, OpenError> {
    let options = RabbitOptions::new(url.reveal());
    options.map(|options| options.with_name(program)).map_err(|error| OpenError::unusable(SETTING, error))
}

impl Opening for BusError {
    fn may_pass(&self) -> bool {
        self.is_retryable()
    }
}

impl fmt::Debug for Buses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Buses")
    }
}
