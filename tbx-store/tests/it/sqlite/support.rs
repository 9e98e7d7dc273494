//! A database of its own for each test.

use async_trait::async_trait;
use tbx_bus::{Message, Topic};
use tbx_store::conformance::Transactional;
use tbx_store::sqlite::{Database, DatabaseOptions, SqliteOutbox, WriteTransaction};
use tempfile::TempDir;

pub(crate) struct Fixture {
    pub(crate) folder: TempDir,
    pub(crate) database: Database,
    pub(crate) outbox: SqliteOutbox,
}

pub(crate) async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let options = DatabaseOptions::new(folder.path().join("test.db"));
    let database = Database::open(&options, &[tbx_store::students::sqlite::MIGRATIONS]).await.unwrap();
    let outbox = SqliteOutbox::of(&database);
    Fixture { folder, database, outbox }
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

pub(crate) fn message(topic: &str, key: Option<&str>) -> Message {
    let message = Message::new(Topic::new(topic).unwrap(), "Happened", "{}");
    match key {
        Some(key) => message.with_key(key).unwrap(),
        None => message,
    }
}
