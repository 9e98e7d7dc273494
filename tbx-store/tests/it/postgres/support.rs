//! A database of its own for each test.

use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use tbx_bus::{Message, Topic};
use tbx_store::conformance::Transactional;
use tbx_store::outbox::{OutboxEntry, OutboxStore};
use tbx_store::postgres::{Database, DatabaseOptions, PgOutbox, WriteTransaction};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Fixture {
    pub(crate) database: Database,
    pub(crate) outbox: PgOutbox,
    /// Dropped last: nobody is connected then.
    pub(crate) place: tbx_services::Database,
}

pub(crate) async fn fixture() -> Fixture {
    let place = tbx_services::Database::create().await;
    let options = DatabaseOptions::new(&place.url()).unwrap();
    let database = Database::open(&options, &[tbx_store::students::postgres::MIGRATIONS]).await.unwrap();
    let outbox = PgOutbox::of(&database);
    Fixture { database, outbox, place }
}

impl Fixture {
    pub(crate) async fn append(&self, channel: &str, message: &Message) {
        let mut transaction = self.database.begin().await.unwrap();
        self.outbox.append(&mut transaction, channel, message).await.unwrap();
        transaction.commit().await.unwrap();
        self.outbox.wake();
    }
}

#[async_trait]
impl Transactional for Fixture {
    type Transaction = WriteTransaction;

    async fn begin(&self) -> WriteTransaction {
        self.database.begin().await.unwrap()
    }

    async fn commit(&self, transaction: WriteTransaction) {
        transaction.commit().await.unwrap();
    }

    async fn roll_back(&self, transaction: WriteTransaction) {
        transaction.rollback().await.unwrap();
    }
}

/// An outbox that is attended to, as by a relay.
pub(crate) struct Attending {
    outbox: PgOutbox,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

pub(crate) async fn attend(outbox: &PgOutbox) -> Attending {
    let (store, stop) = (outbox.clone(), CancellationToken::new());
    let token = stop.clone();
    let task = tokio::spawn(async move { store.attend(&[], token).await });
    // A busy machine may not renew a short lease in time; it is taken again.
    let held = async {
        while outbox.left_behind(1).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, held).await.expect("a lease in time");
    Attending { outbox: outbox.clone(), stop, task }
}

impl Attending {
    pub(crate) async fn claim(&self, wanted: usize) -> Vec<OutboxEntry> {
        self.outbox.settle_and_claim(&[], &[("c", wanted)], Utc::now()).await.unwrap()
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}

pub(crate) fn message(topic: &str, key: Option<&str>) -> Message {
    let message = Message::new(Topic::new(topic).unwrap(), "Happened", "{}");
    match key {
        Some(key) => message.with_key(key).unwrap(),
        None => message,
    }
}
