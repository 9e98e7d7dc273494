//! What the notifier looks at when `/metrics` asks.

use std::sync::Arc;

use tbx_notify::history::History;
use tbx_notify::hub::Hub;
use tbx_service::{Metrics, Sample};

/// Adds the numbers of history and hub.
pub fn register_gauges(history: Arc<dyn History>, hub: Hub, metrics: &Metrics) {
    metrics.sample(move || {
        let bounds = history.bounds();
        let kept = (bounds.newest + 1).saturating_sub(bounds.oldest);
        let samples = vec![
            Sample::count("tbx_history_entries", "Notifications kept for clients that come back.", kept),
            Sample::count(
                "tbx_history_newest_offset",
                "The offset of the newest notification.",
                bounds.newest,
            ),
            Sample::count("tbx_notifier_connections", "Streams that are open.", hub.readers() as u64),
        ];
        async move { samples }
    });
}
