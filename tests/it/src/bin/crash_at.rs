//! The parts of `tbx`, in a process that ends at a named point: `tbx-crash-at POINT [NAME…]`. Which parts is told by the settings of `tbx`.
//!
//! Enrols a student with each given last name, relays and works until nothing is left to do, and exits with 0; or aborts at the point, when
//! it handles the student `Crash`. `never` aborts nowhere, `failing` fails each attempt instead. On a broker, whose groups others work off too, it goes on
//! until it is ended.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test program fails by panicking")]

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use async_trait::async_trait;
use tbx_backends::{Bus, Buses, OpenCache, OpenHistory, Storage, groups};
use tbx_bus::consumer::{Consumer, Failure, Incoming};
use tbx_bus::{BusError, Capabilities, Finished, Message, Publisher, Receipt};
use tbx_core::published::{EVENTS_CHANNEL, NOTIFICATIONS_CHANNEL};
use tbx_core::{
    Context, CreateStudent, CreateStudentHandler, EventId, NoCache, ProcessStudentEventHandler, StudentId,
    StudentInput, SystemClock,
};
use tbx_notify::bridge::Bridge;
use tbx_service::Config;
use tbx_service::config::{BusUrl, environment};
use tbx_store::outbox::{Relay, Route};
use tbx_store::students::{BusAnnouncer, event_message};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

/// Where the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    Never,
    Failing,
    BeforeCommit,
    AfterCommit,
    AfterClaim,
    AfterPublish,
    AfterConfirm,
    InHandler,
    AfterWorkerCommit,
    BeforeHistoryAppend,
    AfterHistoryAppend,
    AfterAck,
}

impl Point {
    fn parse(text: &str) -> Self {
        match text {
            "never" => Self::Never,
            "failing" => Self::Failing,
            "before-commit" => Self::BeforeCommit,
            "after-commit" => Self::AfterCommit,
            "after-claim" => Self::AfterClaim,
            "after-publish" => Self::AfterPublish,
            "after-confirm" => Self::AfterConfirm,
            "in-handler" => Self::InHandler,
            "after-worker-commit" => Self::AfterWorkerCommit,
            "before-history-append" => Self::BeforeHistoryAppend,
            "after-history-append" => Self::AfterHistoryAppend,
            "after-ack" => Self::AfterAck,
            other => panic!("{other} is no point"),
        }
    }

    /// Whether this is the point and the message is the one.
    fn is_at(self, here: Self, message: &Message) -> bool {
        let body = String::from_utf8_lossy(message.body());
        // The announcement that it was cached takes the same road and is not meant.
        self == here && message.kind() == "StudentCreated" && body.contains(r#""lastName":"Crash""#)
    }

    /// Ends the process here, when this is the point and the message is the one.
    fn reached(self, here: Self, message: &Message) {
        if self.is_at(here, message) {
            std::process::abort();
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let point = Point::parse(&arguments.next().expect("a point"));
    let names: Vec<String> = arguments.collect();
    tbx_service::install_crypto();
    let config = Config::load(&[], environment(), Path::new(".")).unwrap().config;
    let storage = Storage::open(&config, "tbx-crash-at").await.unwrap();
    let cache = OpenCache::open(&config).unwrap();
    let history = OpenHistory::open(&config).await.unwrap();
    let buses = Buses::open(&config, "tbx-crash-at", Some(&storage), Some(&history)).await.unwrap();

    enrol(point, &names, &storage).await;

    let route = |channel, bus: Arc<dyn Bus>| Route::new(channel, Arc::new(Watched { bus, point }));
    let relay = Relay::new(
        storage.outbox(),
        [route(EVENTS_CHANNEL, buses.events()), route(NOTIFICATIONS_CHANNEL, buses.notifications())],
    );
    let process = ProcessStudentEventHandler::new(
        storage.students(),
        Arc::new(cache.students()),
        Arc::new(BusAnnouncer::new(buses.notifications())),
    );
    let worker = Crashing {
        inner: tbx_worker::StudentEvents::new(process, Arc::new(SystemClock)),
        point,
        before: Point::InHandler,
        after: Point::AfterWorkerCommit,
    };
    let bridge = Crashing {
        inner: Bridge::new(history.shared()),
        point,
        before: Point::BeforeHistoryAppend,
        after: Point::AfterHistoryAppend,
    };
    let notifier_group = buses.notifier_group().unwrap().clone();
    let stop = CancellationToken::new();
    let tasks = [
        tokio::spawn(relay.run(stop.clone())),
        tokio::spawn(Consumer::new(buses.events(), groups::worker(), worker).run(stop.clone())),
        tokio::spawn(Consumer::new(buses.notifications(), notifier_group, bridge).run(stop.clone())),
    ];
    if matches!(config.bus_url, BusUrl::Amqp(_)) {
        return std::future::pending().await;
    }
    loop {
        let stats = storage.outbox().stats().await.unwrap();
        if stats.pending + stats.handed == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.cancel();
    for task in tasks {
        task.await.unwrap();
    }
    history.close().await;
    storage.close().await;
}

async fn enrol(point: Point, names: &[String], storage: &Storage) {
    let create = CreateStudentHandler::new(storage.students(), Arc::new(NoCache));
    for (number, name) in names.iter().enumerate() {
        let email = format!("{name}.{number}@example.com");
        let input = StudentInput { first_name: Some("Ada"), last_name: Some(name), email: Some(&email) };
        let (command, context) = (input.create().unwrap(), Context::new(tbx_core::Clock::now(&SystemClock)));
        if point == Point::BeforeCommit && name == "Crash" {
            end_before_commit(storage, command, &context).await;
        } else {
            create.execute(&context, command).await.unwrap();
        }
    }
    if point == Point::AfterCommit {
        std::process::abort();
    }
}

/// Does what the store does up to its commit: a row and its event in one transaction.
async fn end_before_commit(storage: &Storage, command: CreateStudent, context: &Context) {
    let now = context.now;
    let enrolment =
        tbx_core::student::enrol(command, StudentId::generate(now), EventId::generate(now), context);
    let (student, event) = enrolment.settle(tbx_core::StudentNumber::new(1).unwrap());
    let message = event_message(&event, context).unwrap();
    match storage {
        Storage::Sqlite { database, outbox, .. } => {
            let mut transaction = database.begin().await.unwrap();
            sqlx::query(
                "INSERT INTO students (id, first_name, last_name, email, first_name_key, last_name_key, email_key, \
                 version, updates, created, last_modified) VALUES (?, 'Ada', 'Crash', 'c', 'ada', 'crash', 'c', 1, 0, 0, 0)",
            )
            .bind(student.id.as_uuid().as_bytes().to_vec())
            .execute(&mut *transaction)
            .await
            .unwrap();
            outbox.append(&mut transaction, EVENTS_CHANNEL, &message).await.unwrap();
            std::process::abort();
        }
        Storage::Postgres { database, outbox, .. } => {
            let mut transaction = database.begin().await.unwrap();
            sqlx::query(
                "INSERT INTO students (id, first_name, last_name, email, first_name_key, last_name_key, email_key, \
                 version, updates, created, last_modified) VALUES ($1, 'Ada', 'Crash', 'c', 'ada', 'crash', 'c', 1, 0, now(), now())",
            )
            .bind(student.id.as_uuid())
            .execute(&mut *transaction)
            .await
            .unwrap();
            outbox.append(&mut transaction, EVENTS_CHANNEL, &message).await.unwrap();
            std::process::abort();
        }
    }
}

/// A bus whose publisher ends the process around the hand-over.
struct Watched {
    bus: Arc<dyn Bus>,
    point: Point,
}

#[async_trait]
impl Publisher for Watched {
    fn capabilities(&self) -> Capabilities {
        self.bus.capabilities()
    }

    async fn publish(&self, message: Message) -> Result<Receipt, BusError> {
        self.point.reached(Point::AfterClaim, &message);
        let receipt = self.bus.publish(message.clone()).await?;
        self.point.reached(Point::AfterPublish, &message);
        if self.point.is_at(Point::AfterConfirm, &message) {
            receipt.accepted().await?;
            std::process::abort();
        }
        if self.point != Point::AfterAck {
            return Ok(receipt);
        }
        let (mut sender, watched) = Receipt::channel();
        let point = self.point;
        tokio::spawn(async move {
            sender.accept();
            let letters = receipt.finished().await.map(Finished::into_dead_letters).unwrap_or_default();
            point.reached(Point::AfterAck, &message);
            let _ = sender.finish(letters);
        });
        Ok(watched)
    }
}

/// A handler that ends the process before or after its work, or fails.
#[derive(Clone)]
struct Crashing<S> {
    inner: S,
    point: Point,
    before: Point,
    after: Point,
}

impl<S> Service<Incoming> for Crashing<S>
where
    S: Service<Incoming, Response = (), Error = Failure>,
    S::Future: Send + 'static,
{
    type Response = ();
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Failure>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, incoming: Incoming) -> Self::Future {
        let (point, before, after) = (self.point, self.before, self.after);
        let message = Arc::clone(&incoming.message);
        let handled = self.inner.call(incoming);
        Box::pin(async move {
            point.reached(before, &message);
            if point.is_at(Point::Failing, &message) {
                return Err(Failure::transient("it fails each time"));
            }
            handled.await?;
            point.reached(after, &message);
            Ok(())
        })
    }
}
