//! The parts of `tbx`, in a process that ends at a named point: `tbx-crash-at POINT [NAME…]`.
//!
//! Enrols a student with each given last name, relays and works until nothing is left to do, and exits with 0; or aborts at the point, when
//! it handles the student `Crash`. `never` aborts nowhere.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test program fails by panicking")]

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use async_trait::async_trait;
use tbx_bus::consumer::{Consumer, Failure, Incoming};
use tbx_bus::{BusError, Capabilities, Finished, MemoryBus, Message, Publisher, Receipt, Subscriber};
use tbx_core::published::{EVENTS_CHANNEL, NOTIFICATIONS_CHANNEL};
use tbx_core::{
    Context, CreateStudentHandler, EventId, NoCache, ProcessStudentEventHandler, StudentId, StudentInput,
    SystemClock,
};
use tbx_notify::bridge::Bridge;
use tbx_notify::history::{Retention, SqliteHistory};
use tbx_store::cache::MemoryCache;
use tbx_store::outbox::{OutboxStore, Relay, Route};
use tbx_store::sqlite::{Database, DatabaseOptions, SqliteOutbox};
use tbx_store::students::sqlite::{MIGRATIONS, SqliteStudents};
use tbx_store::students::{BusAnnouncer, CachedStudents, event_message};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

/// Where the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    Never,
    BeforeCommit,
    AfterCommit,
    AfterClaim,
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
            "before-commit" => Self::BeforeCommit,
            "after-commit" => Self::AfterCommit,
            "after-claim" => Self::AfterClaim,
            "in-handler" => Self::InHandler,
            "after-worker-commit" => Self::AfterWorkerCommit,
            "before-history-append" => Self::BeforeHistoryAppend,
            "after-history-append" => Self::AfterHistoryAppend,
            "after-ack" => Self::AfterAck,
            other => panic!("{other} is no point"),
        }
    }

    /// Ends the process here, when this is the point and the message is the one.
    fn reached(self, here: Self, message: &Message) {
        let body = String::from_utf8_lossy(message.body());
        // The announcement that it was cached takes the same road and is not meant.
        let is_the_one = message.kind() == "StudentCreated" && body.contains(r#""lastName":"Crash""#);
        if self == here && is_the_one {
            std::process::abort();
        }
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let point = Point::parse(&arguments.next().expect("a point"));
    let names: Vec<String> = arguments.collect();
    let options = DatabaseOptions::new("data/tbx.db");
    let database = Database::open(&options, &[MIGRATIONS]).await.unwrap();
    let outbox = SqliteOutbox::of(&database);
    let students = Arc::new(SqliteStudents::new(database.clone(), outbox.clone()));
    let history =
        Arc::new(SqliteHistory::open(Path::new("data/tbx-history.db"), Retention::default()).await.unwrap());

    enrol(point, &names, &database, &outbox, &students).await;

    let (events, notifications) = (MemoryBus::new(), MemoryBus::new());
    events.declare(&tbx_backends::groups::worker()).await.unwrap();
    notifications.declare(&tbx_backends::groups::notifier()).await.unwrap();
    let route = |channel, bus: &MemoryBus| Route::new(channel, Arc::new(Watched { bus: bus.clone(), point }));
    let relay = Relay::new(
        Arc::new(outbox.clone()),
        [route(EVENTS_CHANNEL, &events), route(NOTIFICATIONS_CHANNEL, &notifications)],
    );
    let process = ProcessStudentEventHandler::new(
        students.clone(),
        Arc::new(CachedStudents::new(Arc::new(MemoryCache::new(1 << 20)))),
        Arc::new(BusAnnouncer::new(Arc::new(notifications.clone()))),
    );
    let worker = Crashing {
        inner: tbx_worker::StudentEvents::new(process, Arc::new(SystemClock)),
        point,
        before: Point::InHandler,
        after: Point::AfterWorkerCommit,
    };
    let bridge = Crashing {
        inner: Bridge::new(history.clone()),
        point,
        before: Point::BeforeHistoryAppend,
        after: Point::AfterHistoryAppend,
    };
    let stop = CancellationToken::new();
    let tasks = [
        tokio::spawn(relay.run(stop.clone())),
        tokio::spawn(
            Consumer::new(Arc::new(events), tbx_backends::groups::worker(), worker).run(stop.clone()),
        ),
        tokio::spawn(
            Consumer::new(Arc::new(notifications), tbx_backends::groups::notifier(), bridge)
                .run(stop.clone()),
        ),
    ];
    loop {
        let stats = outbox.stats().await.unwrap();
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
    database.close().await;
}

async fn enrol(
    point: Point,
    names: &[String],
    database: &Database,
    outbox: &SqliteOutbox,
    students: &Arc<SqliteStudents>,
) {
    let create = CreateStudentHandler::new(students.clone(), Arc::new(NoCache));
    for (number, name) in names.iter().enumerate() {
        let email = format!("{name}.{number}@example.com");
        let input = StudentInput { first_name: Some("Ada"), last_name: Some(name), email: Some(&email) };
        let (command, context) = (input.create().unwrap(), Context::new(tbx_core::Clock::now(&SystemClock)));
        if point == Point::BeforeCommit && name == "Crash" {
            // What the store does up to its commit: a row and its event in one transaction.
            let enrolment = tbx_core::student::enrol(
                command,
                StudentId::generate(context.now),
                EventId::generate(context.now),
                &context,
            );
            let mut transaction = database.begin().await.unwrap();
            let number = tbx_core::StudentNumber::new(1).unwrap();
            let (student, event) = enrolment.settle(number);
            sqlx::query(
                "INSERT INTO students (id, first_name, last_name, email, first_name_key, last_name_key, email_key, \
                 version, updates, created, last_modified) VALUES (?, 'Ada', 'Crash', 'c', 'ada', 'crash', 'c', 1, 0, 0, 0)",
            )
            .bind(student.id.as_uuid().as_bytes().to_vec())
            .execute(&mut *transaction)
            .await
            .unwrap();
            let message = event_message(&event, &context).unwrap();
            outbox.append(&mut transaction, EVENTS_CHANNEL, &message).await.unwrap();
            std::process::abort();
        }
        create.execute(&context, command).await.unwrap();
    }
    if point == Point::AfterCommit {
        std::process::abort();
    }
}

/// A bus whose publisher ends the process around the hand-over.
#[derive(Debug)]
struct Watched {
    bus: MemoryBus,
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

/// A handler that ends the process before or after its work.
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
            handled.await?;
            point.reached(after, &message);
            Ok(())
        })
    }
}
