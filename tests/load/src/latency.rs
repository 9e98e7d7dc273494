//! From the POST to the bytes of its event, in the real binary, and through real servers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde_json::json;
use tbx_it::{Client, Setup, Tbx, within};
use tbx_services::{Database, Keyspace, Vhost};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::report::{Report, percentile};
use crate::runtime;

const RUNS: usize = 3;
const PER_SECOND: u64 = 200;
const SECONDS: u64 = 30;
const CONNECTIONS: u64 = 16;
/// The first seconds warm caches up and do not count.
const WARM_UP: u64 = 2;

pub(crate) fn run(report: &mut Report) {
    let (medians, tails) = repeat(Embedded::start, 25.0);
    report.at_most("POST to event, 200/s for 30 s, p50", "ms", 5.0, medians);
    report.at_most("POST to event, 200/s for 30 s, p99", "ms", 25.0, tails);
}

/// Three hosts as processes of their own on PostgreSQL, RabbitMQ and Redis.
pub(crate) fn run_through_servers(report: &mut Report) {
    let (medians, tails) = repeat(OnServers::start, 120.0);
    report.at_most(
        "POST to event through PostgreSQL, RabbitMQ and Redis, 200/s for 30 s, p50",
        "ms",
        20.0,
        medians,
    );
    report.at_most(
        "POST to event through PostgreSQL, RabbitMQ and Redis, 200/s for 30 s, p99",
        "ms",
        120.0,
        tails,
    );
}

/// Medians and tails of several runs.
fn repeat<R: Road>(start: impl AsyncFn() -> R, bar: f64) -> (Vec<f64>, Vec<f64>) {
    let (mut medians, mut tails) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let timeline = runtime().block_on(async { measure(start().await).await });
        describe(&timeline, bar);
        let mut latencies: Vec<f64> = timeline.into_iter().map(|(_, latency)| latency).collect();
        latencies.sort_by(f64::total_cmp);
        medians.push(percentile(&latencies, 0.50));
        tails.push(percentile(&latencies, 0.99));
    }
    (medians, tails)
}

/// A running system.
trait Road {
    fn api(&self) -> Client;
    fn notifier(&self) -> &Tbx;
}

struct Embedded(Tbx);

impl Embedded {
    async fn start() -> Self {
        Self(Setup::new().with("TBX_LOG", "warn,tbx=info").start().await)
    }
}

impl Road for Embedded {
    fn api(&self) -> Client {
        self.0.api()
    }

    fn notifier(&self) -> &Tbx {
        &self.0
    }
}

struct OnServers {
    api: Tbx,
    _worker: Tbx,
    notifier: Tbx,
    _vhost: Vhost,
    _database: Database,
    _keyspace: Keyspace,
}

impl OnServers {
    async fn start() -> Self {
        let (vhost, database, keyspace) = (Vhost::create().await, Database::absent(), Keyspace::database());
        let setup = Setup::new()
            .with("TBX_LOG", "warn,tbx=info")
            .with("TBX_DATABASE_URL", &database.url())
            .with("TBX_BUS_URL", &vhost.url())
            .with("TBX_CACHE_URL", &keyspace.url())
            .with("TBX_HISTORY_URL", &keyspace.url());
        Self {
            api: setup.start_host("api").await,
            _worker: setup.start_host("worker").await,
            notifier: setup.start_host("notifier").await,
            _vhost: vhost,
            _database: database,
            _keyspace: keyspace,
        }
    }
}

impl Road for OnServers {
    fn api(&self) -> Client {
        self.api.api()
    }

    fn notifier(&self) -> &Tbx {
        &self.notifier
    }
}

/// Tells a stall of the machine, which is one moment, from a slow road, which is all of them.
fn describe(timeline: &[(f64, f64)], bar: f64) {
    let slow: Vec<_> = timeline.iter().filter(|(_, latency)| *latency > bar).collect();
    let seconds: std::collections::BTreeSet<u64> = slow.iter().map(|(second, _)| *second as u64).collect();
    let worst = timeline.iter().map(|(_, latency)| *latency).fold(0.0, f64::max);
    println!(
        "       {} of {} over {bar} ms, in the seconds {seconds:?}, the worst {worst:.0} ms",
        slow.len(),
        timeline.len()
    );
}

/// The second each write was due in, and the milliseconds to its event. Open loop: a write is due at its time, and waiting for the one before counts.
async fn measure(road: impl Road) -> Vec<(f64, f64)> {
    let path = "/api/notifications/stream?topics=student.created";
    let mut stream = road.notifier().stream(path, None).await;
    within("connected", stream.next()).await.unwrap();
    let due = Arc::new(Mutex::new(HashMap::new()));
    let total = PER_SECOND * (SECONDS + WARM_UP);
    let begin = Instant::now() + Duration::from_millis(100);
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..CONNECTIONS {
        writers.spawn(write(road.api(), writer, total, begin, Arc::clone(&due)));
    }
    let mut arrivals = HashMap::new();
    let reading = async {
        while arrivals.len() < usize::try_from(total).unwrap() {
            let event = stream.next().await.expect("the stream goes on");
            let now = Instant::now();
            if event.event == "StudentCreated" {
                let body = event.json();
                arrivals.insert(body["student"]["email"].as_str().unwrap().to_owned(), now);
            }
        }
    };
    let patience = Duration::from_secs(SECONDS + WARM_UP + 30);
    tokio::time::timeout(patience, reading).await.expect("every event arrives");
    writers.join_all().await;
    let due = due.lock().await;
    let counts = |due: &Instant| *due >= begin + Duration::from_secs(WARM_UP);
    due.iter()
        .filter(|(_, due)| counts(due))
        .map(|(email, due)| {
            let latency = arrivals[email].duration_since(*due).as_secs_f64() * 1e3;
            (due.duration_since(begin).as_secs_f64(), latency)
        })
        .collect()
}

async fn write(
    mut api: Client,
    writer: u64,
    total: u64,
    begin: Instant,
    due: Arc<Mutex<HashMap<String, Instant>>>,
) {
    for number in (writer..total).step_by(usize::try_from(CONNECTIONS).unwrap()) {
        let at = begin + Duration::from_micros(number * 1_000_000 / PER_SECOND);
        tokio::time::sleep_until(at).await;
        let email = format!("n{number}@example.com");
        due.lock().await.insert(email.clone(), at);
        let student = json!({ "firstName": "Ada", "lastName": "Lovelace", "email": email });
        let answer = api.json(Method::POST, "/api/students", &student).await.unwrap();
        assert_eq!(answer.status, 201);
    }
}
