//! The worker as a process of its own, and its part in a process with others.

use std::sync::Arc;

use tbx_backends::{Buses, Letters, OpenCache, Storage, check_urls, groups, start_relay, status};
use tbx_bus::consumer::Consumer;
use tbx_core::{Clock, ProcessStudentEventHandler, SystemClock};
use tbx_service::{
    CLOSING, Config, Failure, Front, Listener, Process, ServeOptions, poem_service, serve, tell, then_drop,
    watch_state,
};
use tbx_store::students::BusAnnouncer;

use crate::{StudentEvents, app};

/// Starts to work off events, shown in the check `worker`. It ends at [`Stops::consumers`](tbx_service::Stops), and drops `stop_next` then.
pub fn start_worker(
    process: &Process,
    storage: &Storage,
    cache: &OpenCache,
    buses: &Buses,
    stop_next: impl Send + 'static,
) {
    let handler = StudentEvents::new(
        ProcessStudentEventHandler::new(
            storage.students(),
            Arc::new(cache.students()),
            Arc::new(BusAnnouncer::new(buses.notifications())),
        ),
        Arc::new(SystemClock) as Arc<dyn Clock>,
    );
    let worker = Consumer::new(buses.events(), groups::worker(), handler).with_drain_timeout(CLOSING);
    let Process { health, tasks, stops, .. } = process;
    tasks.spawn("worker health", watch_state(health.register("worker"), worker.state(), status::consumer));
    tasks.spawn("worker", then_drop(worker.run(stops.consumers.clone()), stop_next));
}

/// Runs until a signal or a failure, then ends in good order.
///
/// # Errors
///
/// When it cannot start, or a part fails.
///
/// # Cancel safety
///
/// Dropping the future ends everything at once; what was handled is stored.
pub async fn run(config: &Config) -> Result<(), Failure> {
    let mut process = Process::begin();
    let listener = Listener::bind(config.worker_listen).map_err(|error| Failure::failed(&error))?;
    let cache = OpenCache::open(config)?;
    let Some((storage, buses)) = process.unless_asked_to_end(Box::pin(open(config))).await? else {
        return Ok(());
    };
    start_relay(&process, &storage, &buses);
    // What is being handled still appends to the outbox, so the relay ends after it.
    start_worker(&process, &storage, &cache, &buses, process.stops.relay.clone().drop_guard());
    storage.watch(&process);
    cache.watch(&process);
    buses.watch(&process);

    let address = listener.local_addr();
    tracing::info!(service = "worker", addr = %address, "listening");
    tell(format_args!("The worker is running: http://{address}/health"));
    // Pages of the notifier call here.
    let ports = [config.api_listen.port(), config.notifier_listen.port(), address.port()];
    let front = Front::new(config, process.health.clone(), ports);
    storage.measure(front.metrics());
    cache.measure(front.metrics());
    buses.measure(front.metrics());
    let Process { tasks, stops, .. } = &process;
    tasks.spawn("metrics", front.metrics().clone().keep_up(stops.watchers.clone()));
    // Nothing that comes in here goes on to the road, so both end side by side.
    tasks.spawn(
        "worker listener",
        serve(
            listener,
            poem_service(app(&front, Letters::of(&storage, &buses))),
            ServeOptions::from(config),
            stops.intake.clone(),
        ),
    );

    let asked = process.asked_to_end().await;
    process.stops.consumers.cancel();
    let ended = process.tasks_ended(config.drain_timeout + 2 * CLOSING).await;
    buses.close().await;
    storage.close().await;
    // Held until here: a second signal ends at once.
    let _signal = asked.map_err(|error| Failure::failed(&error))?;
    ended.map_err(|error| Failure::failed(&error))
}

async fn open(config: &Config) -> Result<(Storage, Buses), Failure> {
    check_urls(config)?;
    OpenCache::probe(config).await?;
    let storage = Storage::open(config, "tbx-worker").await?;
    let buses = Buses::open(config, "tbx-worker", Some(&storage), None).await?;
    Ok((storage, buses))
}
