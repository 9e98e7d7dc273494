//! From the outbox in PostgreSQL to RabbitMQ's confirmations: beside the bare driver, from commit to confirmation, and with a large backlog.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use lapin::options::{QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use tbx_bus::rabbitmq::{Exchange, RabbitBus, RabbitMq, RabbitOptions};
use tbx_bus::{Message, MessageId, Subscriber, Topic};
use tbx_services::{Database, Vhost};
use tbx_store::StoreError;
use tbx_store::outbox::{OutboxEntry, OutboxStats, OutboxStore, Relay, Route, Settlement, Tidings};
use tbx_store::postgres::{DatabaseOptions, PgOutbox};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::publishing::{EXCHANGE, WINDOW, group, measure_bare};
use crate::report::{Report, percentile};
use crate::runtime;

const CHANNEL: &str = "events";
const RUNS: usize = 5;
/// Of each run of the comparison.
const MESSAGES: usize = 40_000;
const KEYS: usize = 1_000;

const PER_SECOND: u64 = 500;
const SECONDS: u64 = 20;
/// The first seconds warm up and do not count.
const WARM_UP: u64 = 2;

const BACKLOG: usize = 1_000_000;
const BACKLOG_KEYS: usize = 100_000;

pub(crate) fn run(report: &mut Report) {
    let (mut rates, mut shares) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        // Interleaved, because the machine drifts; each on servers without a backlog.
        let bare = runtime().block_on(measure_bare(MESSAGES, WINDOW));
        let ours = runtime().block_on(measure_sustained());
        println!("       {ours:.0} messages a second through the outbox, the bare driver {bare:.0}");
        rates.push(ours);
        shares.push(ours / bare);
    }
    report.at_least("outbox to RabbitMQ, beside the bare driver", "of it", 0.60, shares);
    report.at_least("outbox to RabbitMQ", "messages/s", 3_000.0, rates);

    let (mut medians, mut tails) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let latencies = runtime().block_on(measure_latency());
        medians.push(percentile(&latencies, 0.50));
        tails.push(percentile(&latencies, 0.99));
    }
    report.at_most("commit to confirmation, 500/s for 20 s, p50", "ms", 5.0, medians);
    report.at_most("commit to confirmation, 500/s for 20 s, p99", "ms", 50.0, tails);
}

pub(crate) fn run_backlog(report: &mut Report) {
    let (steadiness, claims) = runtime().block_on(measure_backlog());
    report.at_least(
        "1,000,000 rows, the slowest tenth beside the median one",
        "of it",
        0.70,
        vec![steadiness],
    );
    report.at_most("1,000,000 rows, settling and claiming, p99", "ms", 50.0, vec![claims]);
}

/// A database, a broker, and the relay between them.
struct Road {
    place: Database,
    database: tbx_store::postgres::Database,
    outbox: PgOutbox,
    vhost: Vhost,
    rabbit: RabbitMq,
    bus: RabbitBus,
}

impl Road {
    async fn start() -> Self {
        let (place, vhost) = (Database::create().await, Vhost::create().await);
        let options = DatabaseOptions::new(&place.url()).unwrap();
        let database = tbx_store::postgres::Database::open(&options, &[]).await.unwrap();
        let outbox = PgOutbox::of(&database);
        let rabbit = RabbitMq::start(RabbitOptions::new(&vhost.url()).unwrap().with_confirm_window(WINDOW));
        let bus = rabbit.bus(Exchange::new(EXCHANGE).unwrap());
        bus.declare(&group()).await.unwrap();
        Self { place, database, outbox, vhost, rabbit, bus }
    }

    /// Rows as any program may insert them.
    async fn fill(&self, messages: usize, keys: usize) {
        let insert = format!(
            "INSERT INTO tbx_outbox (channel, message_id, topic, ordering_key, headers, body) \
             SELECT '{CHANNEL}', gen_random_uuid()::text, 'student.updated', 'k' || (i % {keys}), \
                    '{{\"cloudEvents_type\":\"StudentUpdated\",\"cloudEvents_source\":\"/students\"}}', repeat('x', 465)::bytea \
             FROM generate_series(1, {messages}) i"
        );
        self.place.execute(&insert).await;
        self.place.execute("ANALYZE tbx_outbox").await;
    }

    fn relay(&self) -> Relaying {
        let watched = Arc::new(Watched { store: self.outbox.clone(), seen: Mutex::default() });
        let route = Route::new(CHANNEL, Arc::new(self.bus.clone())).with_window(WINDOW);
        let stop = CancellationToken::new();
        let relay = Relay::new(Arc::clone(&watched) as Arc<dyn OutboxStore>, [route]);
        Relaying { watched, task: tokio::spawn(relay.run(stop.clone())), stop }
    }

    async fn end(self) {
        self.rabbit.close().await;
        self.database.close().await;
    }
}

struct Relaying {
    watched: Arc<Watched>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Relaying {
    async fn settles(&self, messages: usize) {
        let patience = Duration::from_secs(900);
        let settled = async {
            while self.watched.settled() < messages {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(patience, settled).await.expect("everything is confirmed");
    }

    async fn end(self) -> Seen {
        self.stop.cancel();
        self.task.await.unwrap();
        std::mem::take(&mut *self.watched.seen.lock().unwrap())
    }
}

/// Looks at what the relay asks of its store: what was confirmed, and how long the store took.
struct Watched {
    store: PgOutbox,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// When the relay settled each message, which is after its confirmation.
    confirmed: Vec<(MessageId, Instant)>,
    /// Milliseconds.
    claims: Vec<f64>,
}

impl Watched {
    fn settled(&self) -> usize {
        self.seen.lock().unwrap().confirmed.len()
    }
}

#[async_trait]
impl OutboxStore for Watched {
    async fn attend(&self, counted: &[&str], stop: CancellationToken) {
        self.store.attend(counted, stop).await;
    }

    fn tidings(&self) -> Tidings {
        self.store.tidings()
    }

    async fn left_behind(&self, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        self.store.left_behind(limit).await
    }

    async fn charge(&self, id: i64) -> Result<(), StoreError> {
        self.store.charge(id).await
    }

    async fn settle_and_claim(
        &self,
        settlements: &[Settlement],
        wanted: &[(&str, usize)],
        now: DateTime<Utc>,
    ) -> Result<Vec<OutboxEntry>, StoreError> {
        let begin = Instant::now();
        let done = settlements.iter().filter(|settlement| matches!(settlement, Settlement::Done { .. }));
        let done: Vec<_> = done.map(|settlement| (settlement.entry().message.id().clone(), begin)).collect();
        let claimed = self.store.settle_and_claim(settlements, wanted, now).await?;
        let mut seen = self.seen.lock().unwrap();
        seen.confirmed.extend(done);
        seen.claims.push(begin.elapsed().as_secs_f64() * 1e3);
        Ok(claimed)
    }

    async fn appended(&self) {
        self.store.appended().await;
    }

    async fn purge(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, StoreError> {
        self.store.purge(before, limit).await
    }

    async fn stats(&self) -> Result<OutboxStats, StoreError> {
        self.store.stats().await
    }
}

/// Messages a second from the outbox to their confirmations, settled.
async fn measure_sustained() -> f64 {
    let road = Road::start().await;
    road.fill(MESSAGES, KEYS).await;
    let begin = Instant::now();
    let relaying = road.relay();
    relaying.settles(MESSAGES).await;
    let rate = MESSAGES as f64 / begin.elapsed().as_secs_f64();
    relaying.end().await;
    road.end().await;
    rate
}

/// Milliseconds from each commit to its confirmation, sorted. Open loop: a message is due at its time.
async fn measure_latency() -> Vec<f64> {
    let road = Road::start().await;
    let relaying = road.relay();
    let total = PER_SECOND * (SECONDS + WARM_UP);
    let begin = Instant::now() + Duration::from_secs(1);
    let mut writes = JoinSet::new();
    for number in 0..total {
        tokio::time::sleep_until(begin + Duration::from_micros(number * 1_000_000 / PER_SECOND)).await;
        let (database, outbox) = (road.database.clone(), road.outbox.clone());
        writes.spawn(async move {
            let message =
                Message::new(Topic::new("student.updated").unwrap(), "StudentUpdated", vec![b'x'; 465])
                    .with_source("/students")
                    .with_key(&format!("k{}", number % KEYS as u64))
                    .unwrap();
            let mut transaction = database.begin().await.unwrap();
            outbox.append(&mut transaction, CHANNEL, &message).await.unwrap();
            transaction.commit().await.unwrap();
            let committed = Instant::now();
            outbox.wake();
            (message.id().clone(), committed)
        });
    }
    let committed: HashMap<MessageId, Instant> = writes.join_all().await.into_iter().collect();
    relaying.settles(committed.len()).await;
    let confirmed = relaying.end().await.confirmed;
    road.end().await;
    let counts = |at: &Instant| *at >= begin + Duration::from_secs(WARM_UP);
    let mut latencies: Vec<f64> = confirmed
        .into_iter()
        .map(|(id, at)| (committed[&id], at))
        .filter(|(committed, _)| counts(committed))
        .map(|(committed, at)| at.saturating_duration_since(committed).as_secs_f64() * 1e3)
        .collect();
    latencies.sort_by(f64::total_cmp);
    latencies
}

/// How fast the slowest tenth of a large backlog went beside the median one, and the 99th percentile of the store's milliseconds.
async fn measure_backlog() -> (f64, f64) {
    let road = Road::start().await;
    forget_all_but_few(&road.vhost).await;
    road.fill(BACKLOG, BACKLOG_KEYS).await;
    let begin = Instant::now();
    let relaying = road.relay();
    relaying.settles(BACKLOG).await;
    println!("       {BACKLOG} rows in {:.0} s", begin.elapsed().as_secs_f64());
    let Seen { confirmed, mut claims } = relaying.end().await;
    road.end().await;
    let mut before = begin;
    let rates: Vec<f64> = confirmed
        .chunks(BACKLOG / 10)
        .map(|tenth| {
            let end = tenth[tenth.len() - 1].1;
            let rate = tenth.len() as f64 / end.duration_since(before).as_secs_f64();
            before = end;
            rate
        })
        .collect();
    println!("       messages a second of each tenth: {rates:.0?}");
    let mut sorted = rates;
    sorted.sort_by(f64::total_cmp);
    claims.sort_by(f64::total_cmp);
    println!(
        "       settling and claiming, ms: p50 {:.1}, p99 {:.1}, at worst {:.1}, in {} calls",
        percentile(&claims, 0.50),
        percentile(&claims, 0.99),
        claims[claims.len() - 1],
        claims.len()
    );
    (sorted[0] / sorted[sorted.len() / 2], percentile(&claims, 0.99))
}

/// Puts a queue that keeps the newest few in the place of the group's: what is measured is the outbox, not how a broker keeps a million messages.
async fn forget_all_but_few(vhost: &Vhost) {
    let connection = Connection::connect(&vhost.url(), ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(10_000));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    let durable = QueueDeclareOptions { durable: true, ..Default::default() };
    channel.queue_declare("few".into(), durable, arguments).await.unwrap();
    let (bind, nothing) = (QueueBindOptions::default(), FieldTable::default());
    channel.queue_bind("few".into(), EXCHANGE.into(), "#".into(), bind, nothing).await.unwrap();
    connection.close(200, "done".into()).await.unwrap();
    vhost.delete_queue(group().name());
}
