//! Api, worker and notifier in one process.
//!
//! ```text
//! api ──► students + outbox ──relay──► events bus ──► worker ──► outbox ──relay──► notifications bus ──► history ──► hub ──► streams
//! ```

use std::sync::Arc;

use poem::{Endpoint, Response};
use tbx_api::Api;
use tbx_backends::{Buses, Letters, OpenCache, OpenHistory, Storage, check_urls, start_relay};
use tbx_core::SystemClock;
use tbx_notifier::host::{leave, start_bridge, start_hub};
use tbx_notifier::{Intake, Notifier, Sisters};
use tbx_notify::hub::Hub;
use tbx_service::{
    CLOSING, Config, Failure, Front, Listener, Process, ServeOptions, poem_service, serve, tell, then_drop,
};
use tbx_worker::host::start_worker;

/// Runs until a signal or a failure, then ends in good order.
pub(crate) async fn run(config: &Config) -> Result<(), Failure> {
    let mut process = Process::begin();
    let listeners = Listeners::bind(config)?;
    let Some(parts) = process.unless_asked_to_end(Box::pin(Parts::open(config))).await? else {
        return Ok(());
    };
    let hub = parts.start(config, &process);
    listeners.announce();
    parts.serve(config, &process, &hub, listeners);

    let asked = process.asked_to_end().await;
    if asked.is_ok() {
        // Streams are told when to come back, and end; the drain of their listener waits for them.
        process.tasks.spawn("leaving streams", leave(hub, config.drain_timeout));
    } else {
        hub.close();
    }
    let ended = process.tasks_ended(config.drain_timeout + 3 * CLOSING).await;
    parts.close().await;
    // Held until here: a second signal ends at once.
    let _signal = asked.map_err(|error| Failure::failed(&error))?;
    ended.map_err(|error| Failure::failed(&error))
}

/// What the four URLs name.
struct Parts {
    storage: Storage,
    cache: OpenCache,
    history: OpenHistory,
    buses: Buses,
}

impl Parts {
    async fn open(config: &Config) -> Result<Self, Failure> {
        check_urls(config)?;
        let cache = OpenCache::open(config)?;
        OpenCache::probe(config).await?;
        let storage = Storage::open(config, "tbx").await?;
        let history = OpenHistory::open(config).await?;
        let buses = Buses::open(config, "tbx", Some(&storage), Some(&history)).await?;
        Ok(Self { storage, cache, history, buses })
    }

    /// The road behind the listeners, and what looks on.
    fn start(&self, config: &Config, process: &Process) -> Hub {
        let Self { storage, cache, history, buses } = self;
        start_relay(process, storage, buses);
        start_worker(process, storage, cache, buses, ());
        start_bridge(process, history, buses);
        storage.watch(process);
        cache.watch(process);
        history.watch(process);
        buses.watch(process);
        start_hub(process, config, history)
    }

    fn serve(&self, config: &Config, process: &Process, hub: &Hub, listeners: Listeners) {
        let ports @ [api, notifier, worker] = listeners.ports();
        let sisters = Sisters { api, notifier, worker };
        let front = Front::new(config, process.health.clone(), ports);
        self.measure(hub, &front);
        let Process { tasks, stops, .. } = process;
        tasks.spawn("metrics", front.metrics().clone().keep_up(stops.watchers.clone()));
        let options = || ServeOptions::from(config);
        let stop = || stops.intake.clone();
        let api = serve(listeners.api, poem_service(self.api(&front)), options(), stop());
        let notifier = self.notifier(config, hub, sisters, &front);
        let notifier = serve(listeners.notifier, poem_service(notifier), options(), stop());
        let worker = serve(
            listeners.worker,
            poem_service(tbx_worker::app(&front, Letters::of(&self.storage, &self.buses))),
            options(),
            stop(),
        );
        // Both hand something over, so the road behind them stays open until the last of them has drained.
        let stop_relay = Arc::new(stops.relay.clone().drop_guard());
        tasks.spawn("api", then_drop(api, Arc::clone(&stop_relay)));
        tasks.spawn("notifier", then_drop(notifier, stop_relay));
        tasks.spawn("worker listener", worker);
    }

    fn measure(&self, hub: &Hub, front: &Front) {
        self.storage.measure(front.metrics());
        self.cache.measure(front.metrics());
        self.buses.measure(front.metrics());
        tbx_notifier::register_gauges(self.history.shared(), hub.clone(), front.metrics());
    }

    fn api(&self, front: &Front) -> impl Endpoint<Output = Response> + use<> {
        tbx_api::app(Api {
            students: self.storage.students(),
            cache: Arc::new(self.cache.students()),
            clock: Arc::new(SystemClock),
            head: Some(self.history.head()),
            front: front.clone(),
        })
    }

    fn notifier(
        &self,
        config: &Config,
        hub: &Hub,
        sisters: Sisters,
        front: &Front,
    ) -> impl Endpoint<Output = Response> + use<> {
        tbx_notifier::app(Notifier {
            hub: hub.clone(),
            intake: Intake::Bus(self.buses.notifications()),
            keep_alive: config.keep_alive,
            sisters,
            front: front.clone(),
        })
    }

    async fn close(self) {
        self.buses.close().await;
        self.history.close().await;
        self.storage.close().await;
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
        tell(format_args!(
            "TBX is running.\n  \
             look       http://{notifier}/\n  \
             students   http://{api}/api/students\n  \
             documents  http://{api}/swagger\n  \
             stream     http://{notifier}/api/notifications/stream\n  \
             health     http://{api}/health\n\
             Ctrl-C ends it."
        ));
    }
}
