//! The notifier as a process of its own, fed by HTTP alone (`TBX_BUS_URL=none:`).

use std::sync::Arc;
use std::time::Duration;

use tbx_notify::history::{History, HistoryError, MemoryHistory, Retention, SqliteHistory};
use tbx_notify::hub::{Hub, HubOptions};
use tbx_service::config::HistoryUrl;
use tbx_service::health::probe;
use tbx_service::{
    Config, Front, Health, Listener, ServeError, ServeOptions, ShutdownSignal, Tasks, chain, poem_service,
    serve,
};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::app::{Notifier, app};
use crate::gauges::register_gauges;
use crate::intake::Intake;
use crate::pages::Sisters;

/// What ending takes beside the drain.
const CLOSING: Duration = Duration::from_secs(5);

/// Why the notifier ended with a failure.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostError {
    /// The address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ServeError),
    /// The history cannot be opened.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The system refuses signal handlers.
    #[error("signals cannot be caught")]
    Signals(#[source] std::io::Error),
    /// A task panicked, or did not end in time.
    #[error("a task failed or did not end in time; the log says which")]
    Task,
}

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

/// Looks after a history until `stop` is cancelled, in the check `history`.
pub fn history_probe(
    history: Arc<dyn History>,
    health: &Health,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    probe(health.register("history"), stop, move || {
        let history = Arc::clone(&history);
        async move { history.check().await.map_err(|error| chain(&error)) }
    })
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
pub async fn run(config: &Config) -> Result<(), HostError> {
    let signal = tokio::spawn(ShutdownSignal::listen());
    let listener = Listener::bind(config.notifier_listen)?;
    let retention = Retention { max_count: config.history_max_count, max_age: config.history_max_age };
    let (history, file): (Arc<dyn History>, Option<Arc<SqliteHistory>>) = match &config.history_url {
        HistoryUrl::Sqlite(path) => {
            let file = Arc::new(SqliteHistory::open(path, retention).await?);
            (Arc::clone(&file) as Arc<dyn History>, Some(file))
        }
        HistoryUrl::Memory => (Arc::new(MemoryHistory::new(retention)), None),
    };
    let hub = Hub::new(Arc::clone(&history), HubOptions::default().with_max_readers(max_streams(config)));
    let health = Health::new();
    let check = health.register("tasks");
    check.pass();
    let (tasks, stop) = (Tasks::new().reporting_to(check), CancellationToken::new());
    tasks.spawn("hub", hub.clone().run(stop.clone()));
    tasks.spawn("history health", history_probe(Arc::clone(&history), &health, stop.clone()));
    tracing::info!(service = "notifier", addr = %listener.local_addr(), "listening");
    println!("The notifier is running: http://{}/", listener.local_addr());
    let ports = [config.api_listen.port(), listener.local_addr().port(), config.worker_listen.port()];
    let front = Front::new(config, health.clone(), ports);
    register_gauges(Arc::clone(&history), hub.clone(), front.metrics());
    tasks.spawn("metrics", front.metrics().clone().keep_up(stop.clone()));
    let app = app(Notifier {
        hub: hub.clone(),
        intake: Intake::History(history),
        keep_alive: config.keep_alive,
        sisters: Sisters { api: ports[0], notifier: ports[1], worker: ports[2] },
        front,
    });
    tasks.spawn("notifier", serve(listener, poem_service(app), ServeOptions::from(config), stop.clone()));

    let failed = tasks.failed();
    let signal = tokio::select! {
        signal = signal => signal.map_err(|_| HostError::Task)?.map_err(HostError::Signals).map(Some),
        () = failed.cancelled() => Err(HostError::Task),
    };
    health.drain();
    stop.cancel();
    tasks.spawn("leaving streams", leave(hub, config.drain_timeout));
    let late = tasks.wait(config.drain_timeout + CLOSING).await;
    if let Some(file) = file {
        file.close().await;
    }
    // Held until here: a second signal ends at once.
    let _signal = signal?;
    if late.is_empty() { Ok(()) } else { Err(HostError::Task) }
}
