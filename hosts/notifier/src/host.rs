//! The notifier as a process of its own, and its part in a process with others.

use std::time::Duration;

use tbx_backends::{Buses, OpenHistory, check_urls, status};
use tbx_bus::consumer::Consumer;
use tbx_notify::bridge::Bridge;
use tbx_notify::hub::{Hub, HubOptions};
use tbx_service::config::BusUrl;
use tbx_service::{
    CLOSING, Config, Failure, Front, Listener, Process, ServeOptions, poem_service, serve, tell, watch_state,
};

use crate::app::{Notifier, app};
use crate::gauges::register_gauges;
use crate::intake::Intake;
use crate::pages::Sisters;

/// How many notifications are on their way into the history at a time: those that come together are stored together.
const APPENDING: usize = 256;

/// How many streams there may be: fewer than connections, so that one that comes too many is told when to come back instead of waiting unaccepted, and
/// health checks are answered meanwhile.
#[must_use]
pub fn max_streams(config: &Config) -> usize {
    let reserve = (config.max_connections / 16).clamp(1, 256);
    config.max_connections.saturating_sub(reserve).max(1)
}

/// Tells all streams to leave, spread over a quarter of the time that the drain has, and waits until they have.
pub async fn leave(hub: Hub, drain_timeout: Duration) {
    hub.drain(drain_timeout / 4).await;
}

/// Starts the fan-out of a history.
#[must_use]
pub fn start_hub(process: &Process, config: &Config, history: &OpenHistory) -> Hub {
    let hub = Hub::new(history.shared(), HubOptions::default().with_max_readers(max_streams(config)));
    process.tasks.spawn("hub", hub.clone().run(process.stops.watchers.clone()));
    hub
}

/// Starts to take notifications from the bus into the history, shown in the check `bridge`. It ends at [`Stops::consumers`](tbx_service::Stops).
pub fn start_bridge(process: &Process, history: &OpenHistory, buses: &Buses) {
    let Some(group) = buses.notifier_group().cloned() else { return };
    let bridge = Consumer::new(buses.notifications(), group, Bridge::new(history.shared()))
        .with_concurrency(APPENDING)
        .with_drain_timeout(CLOSING);
    let Process { health, tasks, stops, .. } = process;
    tasks.spawn("bridge health", watch_state(health.register("bridge"), bridge.state(), status::consumer));
    tasks.spawn("bridge", bridge.run(stops.consumers.clone()));
}

/// Runs until a signal or a failure, then ends in good order.
///
/// # Errors
///
/// When it cannot start, or a part fails.
///
/// # Cancel safety
///
/// Dropping the future ends everything at once; what was answered is stored.
pub async fn run(config: &Config) -> Result<(), Failure> {
    let mut process = Process::begin();
    let listener = Listener::bind(config.notifier_listen).map_err(|error| Failure::failed(&error))?;
    let Some((history, buses)) = process.unless_asked_to_end(Box::pin(open(config))).await? else {
        return Ok(());
    };
    let hub = start_hub(&process, config, &history);
    history.watch(&process);
    if let Some(buses) = &buses {
        start_bridge(&process, &history, buses);
        buses.watch(&process);
    }

    let address = listener.local_addr();
    tracing::info!(service = "notifier", addr = %address, "listening");
    tell(format_args!("The notifier is running: http://{address}/"));
    let ports = [config.api_listen.port(), address.port(), config.worker_listen.port()];
    let front = Front::new(config, process.health.clone(), ports);
    register_gauges(history.shared(), hub.clone(), front.metrics());
    if let Some(buses) = &buses {
        buses.measure(front.metrics());
    }
    let Process { tasks, stops, .. } = &process;
    tasks.spawn("metrics", front.metrics().clone().keep_up(stops.watchers.clone()));
    let intake = match &buses {
        Some(buses) => Intake::Bus(buses.notifications()),
        None => Intake::History(history.shared()),
    };
    let app = app(Notifier {
        hub: hub.clone(),
        intake,
        keep_alive: config.keep_alive,
        sisters: Sisters { api: ports[0], notifier: ports[1], worker: ports[2] },
        front,
    });
    let serving = serve(listener, poem_service(app), ServeOptions::from(config), stops.intake.clone());
    tasks.spawn("notifier", serving);

    let asked = process.asked_to_end().await;
    // Another notifier takes over what comes from the bus; what this one has begun to store it finishes.
    process.stops.consumers.cancel();
    process.tasks.spawn("leaving streams", leave(hub, config.drain_timeout));
    let ended = process.tasks_ended(config.drain_timeout + CLOSING).await;
    if let Some(buses) = &buses {
        buses.close().await;
    }
    history.close().await;
    // Held until here: a second signal ends at once.
    let _signal = asked.map_err(|error| Failure::failed(&error))?;
    ended.map_err(|error| Failure::failed(&error))
}

async fn open(config: &Config) -> Result<(OpenHistory, Option<Buses>), Failure> {
    check_urls(config)?;
    let history = OpenHistory::open(config).await?;
    if let BusUrl::None = config.bus_url {
        return Ok((history, None));
    }
    let buses = Buses::open(config, "tbx-notifier", None, Some(&history)).await?;
    Ok((history, Some(buses)))
}
