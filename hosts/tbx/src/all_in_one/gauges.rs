//! What the process looks at when `/metrics` asks.

use chrono::Utc;
use tbx_service::{Metrics, Sample, chain};
use tbx_store::outbox::OutboxStore;

use super::Parts;

/// Adds the numbers of outbox, history and hub.
pub(super) fn register(parts: &Parts, metrics: &Metrics) {
    let outbox = parts.storage.outbox.clone();
    metrics.sample(move || {
        let outbox = outbox.clone();
        async move { of_outbox(&outbox).await }
    });
    let (history, hub) = (parts.history.shared(), parts.hub.clone());
    metrics.sample(move || {
        let bounds = history.bounds();
        let kept = (bounds.newest + 1).saturating_sub(bounds.oldest);
        let samples = vec![
            count("tbx_history_entries", "Notifications kept for clients that come back.", kept),
            count("tbx_history_newest_offset", "The offset of the newest notification.", bounds.newest),
            count("tbx_notifier_connections", "Streams that are open.", hub.readers() as u64),
        ];
        async move { samples }
    });
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
        count("tbx_outbox_pending", "Messages in the outbox that wait to be handed over.", stats.pending),
        count("tbx_outbox_dead", "Dead letters.", stats.dead),
        Sample {
            name: "tbx_outbox_oldest_unsent_age_seconds",
            help: "Age of the oldest message in the outbox that is not settled; 0 without one.",
            value: age,
        },
    ]
}

fn count(name: &'static str, help: &'static str, count: u64) -> Sample {
    Sample { name, help, value: count as f64 }
}
