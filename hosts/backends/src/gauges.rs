//! What a process looks at when `/metrics` asks.

use chrono::Utc;
use tbx_bus::Group;
use tbx_bus::rabbitmq::{GroupState, RabbitMq};
use tbx_service::{Metrics, Sample, chain};
use tbx_store::outbox::OutboxStore;

use crate::{OpenCache, Storage};

impl Storage {
    /// Adds the numbers of the outbox.
    pub fn measure(&self, metrics: &Metrics) {
        let outbox = self.outbox();
        metrics.sample(move || {
            let outbox = std::sync::Arc::clone(&outbox);
            async move { of_outbox(outbox.as_ref()).await }
        });
    }
}

impl OpenCache {
    /// Adds the numbers of the cache.
    pub fn measure(&self, metrics: &Metrics) {
        let cache = self.clone();
        metrics.sample(move || {
            let sample = match &cache {
                Self::Memory(cache) => Sample::count(
                    "tbx_cache_entries",
                    "Students at hand in the cache, those remembered as deleted included.",
                    cache.entry_count(),
                ),
                Self::Redis(cache) => Sample::count(
                    "tbx_cache_connected",
                    "Whether the cache answered when it was last asked.",
                    u64::from(cache.is_available()),
                ),
            };
            async move { vec![sample] }
        });
    }
}

async fn of_outbox(outbox: &dyn OutboxStore) -> Vec<Sample> {
    let stats = match outbox.stats().await {
        Ok(stats) => stats,
        Err(error) => {
            tracing::debug!(error = chain(&error), "outbox not counted");
            return Vec::new();
        }
    };
    let age = stats.oldest.map_or(0.0, |oldest| (Utc::now() - oldest).as_seconds_f64().max(0.0));
    vec![
        Sample::count(
            "tbx_outbox_pending",
            "Messages in the outbox that wait to be handed over.",
            stats.pending,
        ),
        Sample::count("tbx_outbox_dead", "Dead letters.", stats.dead),
        Sample::new(
            "tbx_outbox_oldest_unsent_age_seconds",
            "Age of the oldest message in the outbox that is not settled; 0 without one.",
            age,
        ),
    ]
}

/// Of the connection.
pub(crate) fn of_link(rabbit: &RabbitMq) -> Vec<Sample> {
    let (stats, state) = (rabbit.stats(), rabbit.state().borrow().clone());
    let (waiting, unconfirmed) = (stats.waiting as u64, stats.unconfirmed as u64);
    vec![
        Sample::count(
            "tbx_bus_connected",
            "Whether the broker is connected and takes messages.",
            u64::from(state.is_running()),
        ),
        Sample::count("tbx_bus_waiting", "Messages that wait to be sent to the broker.", waiting),
        Sample::count("tbx_bus_unconfirmed", "Messages that the broker has not confirmed yet.", unconfirmed),
        Sample::total("tbx_bus_confirmed_total", "Messages that the broker has confirmed.", stats.confirmed),
        Sample::total(
            "tbx_bus_returned_total",
            "Messages that the broker gave back because nobody takes them.",
            stats.returned,
        ),
        Sample::total(
            "tbx_bus_refused_total",
            "Messages that the broker refused because a queue is full.",
            stats.refused,
        ),
        Sample::total(
            "tbx_bus_unanswered_total",
            "Messages whose confirmation did not come in time.",
            stats.unanswered,
        ),
        Sample::total(
            "tbx_bus_disconnected_total",
            "Connections to the broker that were lost.",
            stats.disconnected,
        ),
    ]
}

/// Of the groups. A broker that is away tells nothing of them.
pub(crate) async fn of_groups(rabbit: &RabbitMq, groups: &[Group]) -> Vec<Sample> {
    if !rabbit.state().borrow().is_running() {
        return Vec::new();
    }
    let mut states = Vec::new();
    for group in groups {
        match rabbit.group_state(group).await {
            Ok(state) => states.push((group, state)),
            Err(error) => tracing::debug!(group = group.name(), error = chain(&error), "queue not counted"),
        }
    }
    let family = |name, help, number: fn(&GroupState) -> u32| {
        states.iter().map(move |(group, state)| {
            Sample::count(name, help, number(state).into()).of("group", group.name())
        })
    };
    let waiting =
        family("tbx_group_waiting", "Messages that no consumer of the group has yet.", |state| state.waiting);
    let consumers = family(
        "tbx_group_consumers",
        "Consumers of the group; of one with a single active consumer, that.",
        |state| state.consumers,
    );
    let dead = family("tbx_group_dead", "Dead letters of the group on the broker.", |state| state.dead);
    waiting.chain(consumers).chain(dead).collect()
}
