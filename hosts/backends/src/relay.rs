//! From the outbox to the buses.

use std::sync::Arc;

use tbx_core::published::{EVENTS_CHANNEL, NOTIFICATIONS_CHANNEL};
use tbx_service::{CLOSING, Process, then_drop, watch_state};
use tbx_store::outbox::{Relay, Route};

use crate::{Buses, Storage, status};

/// Starts the relay of this process, shown in the check `relay`. It ends at [`Stops::relay`](tbx_service::Stops), and its end stops the consumers.
pub fn start_relay(process: &Process, storage: &Storage, buses: &Buses) {
    let routes = [
        Route::new(EVENTS_CHANNEL, buses.events()),
        Route::new(NOTIFICATIONS_CHANNEL, buses.notifications()),
    ];
    let relay = Relay::new(storage.outbox(), routes).with_drain_timeout(CLOSING);
    let Process { health, tasks, stops, .. } = process;
    tasks.spawn("relay health", watch_state(health.register("relay"), relay.state(), status::relay));
    let stop_consumers = Arc::new(stops.consumers.clone().drop_guard());
    tasks.spawn("relay", then_drop(relay.run(stops.relay.clone()), stop_consumers));
}
