//! The api as a process of its own.

use std::sync::Arc;

use tbx_backends::{Buses, HistoryHead, OpenCache, Storage, check_urls, start_relay};
use tbx_core::SystemClock;
use tbx_service::{
    CLOSING, Config, Failure, Front, Listener, Process, ServeOptions, poem_service, serve, tell, then_drop,
};

use crate::{Api, app};

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
    let listener = Listener::bind(config.api_listen).map_err(|error| Failure::failed(&error))?;
    let (cache, head) = (OpenCache::open(config)?, HistoryHead::shared(config)?);
    let Some((storage, buses)) = process.unless_asked_to_end(Box::pin(open(config))).await? else {
        return Ok(());
    };
    start_relay(&process, &storage, &buses);
    storage.watch(&process);
    cache.watch(&process);
    buses.watch(&process);

    let address = listener.local_addr();
    tracing::info!(service = "api", addr = %address, "listening");
    tell(format_args!("The api is running: http://{address}/swagger"));
    // Pages of the notifier call here.
    let ports = [address.port(), config.notifier_listen.port(), config.worker_listen.port()];
    let front = Front::new(config, process.health.clone(), ports);
    storage.measure(front.metrics());
    cache.measure(front.metrics());
    buses.measure(front.metrics());
    let Process { tasks, stops, .. } = &process;
    tasks.spawn("metrics", front.metrics().clone().keep_up(stops.watchers.clone()));
    let app = app(Api {
        students: storage.students(),
        cache: Arc::new(cache.students()),
        clock: Arc::new(SystemClock),
        head,
        front,
    });
    // What is being answered still appends to the outbox, so the relay ends after it.
    let stop_relay = stops.relay.clone().drop_guard();
    let serving = serve(listener, poem_service(app), ServeOptions::from(config), stops.intake.clone());
    tasks.spawn("api", then_drop(serving, stop_relay));

    let asked = process.asked_to_end().await;
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
    let storage = Storage::open(config, "tbx-api").await?;
    let buses = Buses::open(config, "tbx-api", Some(&storage), None).await?;
    Ok((storage, buses))
}
