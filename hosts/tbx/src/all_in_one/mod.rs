//! Api, worker and notifier in one process.
//!
//! ```text
//! api ──► students + outbox ──relay──► events bus ──► worker ──► outbox ──relay──► notifications bus ──► history ──► hub ──► streams
//! ```

mod gauges;
mod status;
mod stops;

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use poem::{Endpoint, Response};
use tbx_api::Api;
use tbx_bus::consumer::Consumer;
use tbx_notifier::host::leave;
use tbx_notifier::{Intake, Notifier, Sisters};
use tbx_notify::bridge::Bridge;
use tbx_notify::hub::{Hub, HubOptions};
use tbx_service::health::probe;
use tbx_service::{
    Config, Front, Health, Listener, ServeOptions, ShutdownSignal, Tasks, chain, poem_service, serve,
    watch_state,
};
use tbx_store::sqlite::{Housekeeping, Retention, ping};

use self::stops::{Stops, then_drop};
use crate::embedded::{Buses, OpenHistory, Storage, Surroundings};
use crate::exit::Failure;

/// What each part behind the listeners may take to end.
const CLOSING: Duration = Duration::from_secs(5);

/// Runs until a signal or a failure, then ends in good order.
pub(crate) async fn run(config: &Config) -> Result<(), Failure> {
    let signal = tokio::spawn(ShutdownSignal::listen());
    let listeners = Listeners::bind(config)?;
    let parts = Parts::open(config).await?;
    parts.start_road();
    parts.start_watchers();
    listeners.announce();
    parts.serve(config, listeners);

    let failed = parts.tasks.failed();
    let outcome = tokio::select! {
        signal = signal => match signal {
            Ok(signal) => signal.map_err(|error| Failure::failed(&error)),
            Err(error) => Err(Failure::failed(&error)),
        },
        () = failed.cancelled() => Err(Failure::failed_because("a task failed; the log says which and why")),
    };
    let late = parts.end(config, outcome.is_ok()).await;
    // Held until here: a second signal ends at once.
    let _signal = outcome?;
    if late.is_empty() {
        Ok(())
    } else {
        Err(Failure::failed_because(format!("did not end in time: {}", late.join(", "))))
    }
}

/// Everything that runs.
struct Parts {
    storage: Storage,
    history: OpenHistory,
    buses: Buses,
    hub: Hub,
    surroundings: Surroundings,
    health: Health,
    tasks: Tasks,
    stops: Stops,
}

impl Parts {
    async fn open(config: &Config) -> Result<Self, Failure> {
        let storage = Storage::open(config).await?;
        let history = OpenHistory::open(config).await?;
        let buses = Buses::open(&storage).await?;
        let hub = Hub::new(
            history.shared(),
            HubOptions::default().with_max_readers(tbx_notifier::host::max_streams(config)),
        );
        let health = Health::new();
        let tasks = Tasks::new().reporting_to(passing(&health, "tasks"));
        let (surroundings, stops) = (Surroundings::new(), Stops::default());
        Ok(Self { storage, history, buses, hub, surroundings, health, tasks, stops })
    }

    /// The road behind the listeners: relay, worker, bridge and hub.
    fn start_road(&self) {
        let Self { storage, history, buses, health, tasks, stops, .. } = self;
        let relay = buses.relay(&storage.outbox).with_drain_timeout(CLOSING);
        tasks.spawn("relay health", watch_state(health.register("relay"), relay.state(), status::relay));
        let stop_consumers = stops.consumers.clone().drop_guard();
        tasks.spawn("relay", then_drop(relay.run(stops.relay.clone()), stop_consumers));

        let handler = self.surroundings.worker(storage, buses);
        let worker = Consumer::new(Arc::new(buses.events.clone()), tbx_worker::group(), handler)
            .with_drain_timeout(CLOSING);
        tasks
            .spawn("worker health", watch_state(health.register("worker"), worker.state(), status::consumer));
        tasks.spawn("worker", worker.run(stops.consumers.clone()));

        let handler = Bridge::new(history.shared());
        let bridge = Consumer::new(Arc::new(buses.notifications.clone()), tbx_notifier::group(), handler)
            .with_concurrency(256)
            .with_drain_timeout(CLOSING);
        tasks
            .spawn("bridge health", watch_state(health.register("bridge"), bridge.state(), status::consumer));
        tasks.spawn("bridge", bridge.run(stops.consumers.clone()));

        tasks.spawn("hub", self.hub.clone().run(stops.watchers.clone()));
    }

    /// What looks after the files.
    fn start_watchers(&self) {
        let Self { storage, history, health, tasks, stops, .. } = self;
        let stop = || stops.watchers.clone();
        let housekeeping =
            Housekeeping::new(storage.database.clone(), storage.outbox.clone(), Retention::default());
        tasks.spawn("housekeeping", housekeeping.run(stop()));
        let database = storage.database.clone();
        let look = move || {
            let database = database.clone();
            async move { ping(database.readers()).await.map_err(|error| chain(&error)) }
        };
        tasks.spawn("database health", probe(health.register("database"), stop(), look));
        tasks.spawn("history health", tbx_notifier::host::history_probe(history.shared(), health, stop()));
    }

    fn serve(&self, config: &Config, listeners: Listeners) {
        let Self { tasks, stops, .. } = self;
        let ports @ [api, notifier, worker] = listeners.ports();
        let sisters = Sisters { api, notifier, worker };
        let front = Front::new(config, self.health.clone(), ports);
        gauges::register(self, front.metrics());
        tasks.spawn("metrics", front.metrics().clone().keep_up(stops.watchers.clone()));
        let options = || ServeOptions::from(config);
        let stop = || stops.intake.clone();
        let api = serve(listeners.api, poem_service(self.api(&front)), options(), stop());
        let notifier = serve(
            listeners.notifier,
            poem_service(self.notifier(config, sisters, &front)),
            options(),
            stop(),
        );
        let worker = serve(listeners.worker, poem_service(tbx_worker::app(&front)), options(), stop());
        // Both hand something over, so the road behind them stays open until the last of them has drained.
        let stop_relay = Arc::new(stops.relay.clone().drop_guard());
        tasks.spawn("api", then_drop(api, Arc::clone(&stop_relay)));
        tasks.spawn("notifier", then_drop(notifier, stop_relay));
        tasks.spawn("worker listener", worker);
    }

    fn api(&self, front: &Front) -> impl Endpoint<Output = Response> + use<> {
        let positions = self.history.shared();
        tbx_api::app(Api {
            students: Arc::new(self.storage.students.clone()),
            cache: Arc::new(self.surroundings.cache.clone()),
            clock: Arc::clone(&self.surroundings.clock),
            stream_position: Some(Arc::new(move || positions.bounds().head().to_string())),
            front: front.clone(),
        })
    }

    fn notifier(
        &self,
        config: &Config,
        sisters: Sisters,
        front: &Front,
    ) -> impl Endpoint<Output = Response> + use<> {
        tbx_notifier::app(Notifier {
            hub: self.hub.clone(),
            intake: Intake::Bus(Arc::new(self.buses.notifications.clone())),
            keep_alive: config.keep_alive,
            sisters,
            front: front.clone(),
        })
    }

    /// Ends in good order; gives the names of what did not end in time.
    async fn end(self, config: &Config, in_good_order: bool) -> Vec<String> {
        self.health.drain();
        if in_good_order {
            // Streams are told when to come back, and end; the drain of their listener waits for them.
            self.stops.begin();
            self.tasks.spawn("leaving streams", leave(self.hub.clone(), config.drain_timeout));
        } else {
            self.hub.close();
            self.stops.all();
        }
        let late = self.tasks.wait(config.drain_timeout + 3 * CLOSING).await;
        self.history.close().await;
        self.storage.database.close().await;
        late
    }
}

struct Listeners {
    api: Listener,
    notifier: Listener,
    worker: Listener,
}

impl Listeners {
    fn bind(config: &Config) -> Result<Self, Failure> {
        let bind = |address| Listener::bind(address).map_err(|error| Failure::failed(&error));
        Ok(Self {
            api: bind(config.api_listen)?,
            notifier: bind(config.notifier_listen)?,
            worker: bind(config.worker_listen)?,
        })
    }

    fn ports(&self) -> [u16; 3] {
        [&self.api, &self.notifier, &self.worker].map(|listener| listener.local_addr().port())
    }

    /// For machines in the log, for people on stdout.
    fn announce(&self) {
        for (service, listener) in
            [("api", &self.api), ("notifier", &self.notifier), ("worker", &self.worker)]
        {
            tracing::info!(service, addr = %listener.local_addr(), "listening");
        }
        let (api, notifier) = (self.api.local_addr(), self.notifier.local_addr());
        // Nobody may be reading, and that is no reason not to run.
        let _ = writeln!(
            std::io::stdout(),
            "TBX is running.\n  \
             look       http://{notifier}/\n  \
             students   http://{api}/api/students\n  \
             documents  http://{api}/swagger\n  \
             stream     http://{notifier}/api/notifications/stream\n  \
             health     http://{api}/health\n\
             Ctrl-C ends it."
        );
    }
}

fn passing(health: &Health, name: &str) -> tbx_service::Check {
    let check = health.register(name);
    check.pass();
    check
}
