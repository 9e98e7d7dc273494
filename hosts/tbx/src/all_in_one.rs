//! Api, worker and notifier in one process.
//!
//! ```text
//! api ──► students + outbox ──relay──► events bus ──► worker ──► outbox ──relay──► notifications bus ──► history ──► hub ──► streams
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use poem::Route;
use tbx_api::Api;
use tbx_bus::consumer::{Consumer, ConsumerState};
use tbx_notifier::{Intake, Notifier};
use tbx_notify::bridge::Bridge;
use tbx_notify::hub::{Hub, HubOptions};
use tbx_service::health::probe;
use tbx_service::{
    BodyLimit, Config, Health, Listener, Problems, RequestTrace, ServeOptions, ShutdownSignal, Status, Tasks,
    poem_service, serve, watch_state,
};
use tbx_store::outbox::RelayState;
use tbx_store::sqlite::{Housekeeping, Retention, ping};
use tokio_util::sync::CancellationToken;

use crate::embedded::{Buses, OpenHistory, Storage, Surroundings};
use crate::exit::{Failure, chain};

/// What each part behind the listeners may take to end.
const CLOSING: Duration = Duration::from_secs(5);

/// Runs until a signal or a failure, then ends in good order.
pub(crate) async fn run(config: &Config) -> Result<(), Failure> {
    let signal = tokio::spawn(ShutdownSignal::listen());
    let listeners = Listeners::bind(config)?;
    let storage = Storage::open(config).await?;
    let history = OpenHistory::open(config).await?;
    let buses = Buses::open(&storage).await?;
    let hub = Hub::new(history.shared(), HubOptions::default().with_max_readers(config.max_connections));

    let health = Health::new();
    let tasks = Tasks::new().reporting_to(passing(&health, "tasks"));
    let stops = Stops::default();
    let surroundings = Surroundings::new();
    start_background(&storage, &history, &buses, &hub, &health, &tasks, &stops, &surroundings);
    let addresses =
        listeners.serve(config, &storage, &history, &buses, &hub, &health, &tasks, &stops, &surroundings);
    announce(&addresses);

    let failed = tasks.failed();
    let outcome = tokio::select! {
        signal = signal => match signal {
            Ok(Ok(signal)) => Ok(Some(signal)),
            Ok(Err(error)) => Err(Failure::failed(&error)),
            Err(error) => Err(Failure::failed(&error)),
        },
        () = failed.cancelled() => Err(Failure::failed_because("a task failed; the log says which and why")),
    };

    health.drain();
    match &outcome {
        Ok(_) => stops.begin(&hub),
        Err(_) => stops.all(&hub),
    }
    let late = tasks.wait(config.drain_timeout + 3 * CLOSING).await;
    history.close().await;
    storage.database.close().await;
    // Held until here: a second signal ends at once.
    let _signal = outcome?;
    if late.is_empty() {
        Ok(())
    } else {
        Err(Failure::failed_because(format!("did not end in time: {}", late.join(", "))))
    }
}

/// The stop runs along the road, each part ending after the one that feeds it: no request is cut off, nothing that was handed over is left without
/// an outcome, and what is not handed over waits in the outbox for the next start.
#[derive(Debug, Default)]
struct Stops {
    /// The listeners take nothing new and drain.
    intake: CancellationToken,
    /// Api and notifier have drained: the relay hands over no more and waits for what is under way.
    relay: CancellationToken,
    /// The relay has ended: worker and bridge have nothing left to do.
    consumers: CancellationToken,
    /// What looks on.
    watchers: CancellationToken,
}

impl Stops {
    fn begin(&self, hub: &Hub) {
        // Streams are told when to come back, and end; then the drain of their listener does not wait for them.
        hub.close();
        self.intake.cancel();
        self.watchers.cancel();
    }

    /// After a failure nobody can be waited for.
    fn all(&self, hub: &Hub) {
        self.begin(hub);
        self.relay.cancel();
        self.consumers.cancel();
    }
}

/// Runs `part` to its end, then stops the next on the road, unless others hold its stop too.
async fn then_drop<S>(part: impl Future<Output = ()>, stop_next: S) {
    part.await;
    drop(stop_next);
}

#[expect(clippy::too_many_arguments, reason = "the one place where every part meets")]
fn start_background(
    storage: &Storage,
    history: &OpenHistory,
    buses: &Buses,
    hub: &Hub,
    health: &Health,
    tasks: &Tasks,
    stops: &Stops,
    surroundings: &Surroundings,
) {
    let relay = buses.relay(&storage.outbox).with_drain_timeout(CLOSING);
    tasks.spawn("relay health", watch_state(health.register("relay"), relay.state(), relay_status));
    tasks.spawn("relay", then_drop(relay.run(stops.relay.clone()), stops.consumers.clone().drop_guard()));

    let worker = Consumer::new(
        Arc::new(buses.events.clone()),
        tbx_worker::group(),
        surroundings.worker(storage, buses),
    )
    .with_drain_timeout(CLOSING);
    tasks.spawn("worker health", watch_state(health.register("worker"), worker.state(), consumer_status));
    tasks.spawn("worker", worker.run(stops.consumers.clone()));

    let bridge = Consumer::new(
        Arc::new(buses.notifications.clone()),
        tbx_notifier::group(),
        Bridge::new(history.shared()),
    )
    .with_concurrency(256)
    .with_drain_timeout(CLOSING);
    tasks.spawn("bridge health", watch_state(health.register("bridge"), bridge.state(), consumer_status));
    tasks.spawn("bridge", bridge.run(stops.consumers.clone()));

    let stop = || stops.watchers.clone();
    tasks.spawn("hub", hub.clone().run(stop()));
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

struct Listeners {
    api: Listener,
    notifier: Listener,
    worker: Listener,
}

struct Addresses {
    api: SocketAddr,
    notifier: SocketAddr,
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

    #[expect(clippy::too_many_arguments, reason = "the one place where every part meets")]
    fn serve(
        self,
        config: &Config,
        storage: &Storage,
        history: &OpenHistory,
        buses: &Buses,
        hub: &Hub,
        health: &Health,
        tasks: &Tasks,
        stops: &Stops,
        surroundings: &Surroundings,
    ) -> Addresses {
        let addresses = Addresses { api: self.api.local_addr(), notifier: self.notifier.local_addr() };
        let options = || ServeOptions::from(config);
        let positions = history.shared();
        let api = tbx_api::app(Api {
            students: Arc::new(storage.students.clone()),
            cache: Arc::new(surroundings.cache.clone()),
            clock: Arc::clone(&surroundings.clock),
            health: health.clone(),
            stream_position: Some(Arc::new(move || positions.bounds().head().to_string())),
            body_limit: config.body_limit,
        });
        let notifier = tbx_notifier::app(Notifier {
            hub: hub.clone(),
            intake: Intake::Bus(Arc::new(buses.notifications.clone())),
            keep_alive: config.keep_alive,
            health: health.clone(),
            body_limit: config.body_limit,
        });
        let worker = poem::EndpointExt::with(
            poem::EndpointExt::with(
                poem::EndpointExt::with(health.mount(Route::new()), BodyLimit(config.body_limit)),
                Problems::new().with_allow(|_| Some("GET, HEAD")),
            ),
            RequestTrace,
        );
        for (service, listener) in
            [("api", &self.api), ("notifier", &self.notifier), ("worker", &self.worker)]
        {
            tracing::info!(service, addr = %listener.local_addr(), "listening");
        }
        let stop = || stops.intake.clone();
        let api = serve(self.api, poem_service(api), options(), stop());
        let notifier = serve(self.notifier, poem_service(notifier), options(), stop());
        // Both hand something over, so the road behind them stays open until the last of them has drained.
        let stop_relay = Arc::new(stops.relay.clone().drop_guard());
        tasks.spawn("api", then_drop(api, Arc::clone(&stop_relay)));
        tasks.spawn("notifier", then_drop(notifier, stop_relay));
        tasks.spawn("worker listener", serve(self.worker, poem_service(worker), options(), stop()));
        addresses
    }
}

fn announce(addresses: &Addresses) {
    let Addresses { api, notifier } = addresses;
    println!("TBX is running.");
    println!("  students   http://{api}/api/students");
    println!("  documents  http://{api}/swagger");
    println!("  stream     http://{notifier}/api/notifications/stream");
    println!("  health     http://{api}/health");
    println!("Ctrl-C ends it.");
}

fn passing(health: &Health, name: &str) -> tbx_service::Check {
    let check = health.register(name);
    check.pass();
    check
}

fn relay_status(state: &RelayState) -> Status {
    match state {
        RelayState::Running => Status::Pass,
        RelayState::Recovering(left) => {
            Status::Fail(format!("recovering, {left} messages to try one by one"))
        }
        RelayState::Failing(why) => Status::Fail(why.clone()),
        _ => Status::Fail("stopped".to_owned()),
    }
}

fn consumer_status(state: &ConsumerState) -> Status {
    match state {
        ConsumerState::Running => Status::Pass,
        ConsumerState::Connecting(Some(why)) => Status::Fail(why.clone()),
        ConsumerState::Connecting(None) => Status::Fail("connecting".to_owned()),
        ConsumerState::Draining => Status::Warn("draining".to_owned()),
        _ => Status::Fail("stopped".to_owned()),
    }
}
