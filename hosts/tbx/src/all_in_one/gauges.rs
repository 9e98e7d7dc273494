//! What the process looks at when `/metrics` asks.

use chrono::Utc;
use tbx_service::{Metrics, Sample, chain};
use tbx_store::outbox::OutboxStore;

use super::Parts;

/// Adds the numbers of outbox, cache, history and hub.
pub(super) fn register(parts: &Parts, metrics: &Metrics) {
    let outbox = parts.storage.outbox.clone();
    metrics.sample(move || {
        let outbox = outbox.clone();
        async move { of_outbox(&outbox).await }
    });
    let entries = parts.surroundings.entries.clone();
    metrics.sample(move || {
        let help = "Students at hand in the cache, those remembered as deleted included.";
        let samples = vec![Sample::count("tbx_cache_entries", help, entries.entry_count())];
        async move { samples }
    });
    tbx_notifier::register_gauges(parts.history.shared(), parts.hub.clone(), metrics);
}

async fn of_outbox(outbox: &impl OutboxStore) -> Vec<Sample> {
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
        Sample {
            name: "tbx_outbox_oldest_unsent_age_seconds",
            help: "Age of the oldest message in the outbox that is not settled; 0 without one.",
            value: age,
        },
    ]
}
