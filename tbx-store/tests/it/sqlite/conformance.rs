//! The outbox on SQLite passes the suite.

use std::sync::Arc;

use async_trait::async_trait;
use tbx_bus::{Message, MessageId};
use tbx_store::conformance::outbox::{OutboxHarness, OutboxProcess};
use tbx_store::dead_letter::StoredDeadLetter;
use tbx_store::outbox::OutboxStore;
use tbx_store::sqlite::{Database, SqliteDeadLetters, SqliteOutbox};

use super::support::{Fixture, fixture};

struct Sqlite(Fixture);

struct Process {
    database: Database,
    outbox: SqliteOutbox,
}

#[async_trait]
impl OutboxHarness for Sqlite {
    async fn process(&self) -> Box<dyn OutboxProcess> {
        let database = self.0.database.clone();
        let outbox = SqliteOutbox::of(&database);
        Box::new(Process { database, outbox })
    }

    async fn dead_letters(&self, channel: &str) -> Vec<StoredDeadLetter> {
        SqliteDeadLetters::new(self.0.database.writer().clone(), channel).list(0, 100).await.unwrap()
    }

    async fn damage(&self, id: &MessageId) {
        sqlx::query("UPDATE tbx_outbox SET headers = 'no JSON' WHERE message_id = ?")
            .bind(id.as_str())
            .execute(self.0.database.writer())
            .await
            .unwrap();
    }
}

#[async_trait]
impl OutboxProcess for Process {
    fn store(&self) -> Arc<dyn OutboxStore> {
        Arc::new(self.outbox.clone())
    }

    async fn append(&self, channel: &str, messages: &[Message], commit: bool) {
        let mut transaction = self.database.begin().await.unwrap();
        for message in messages {
            self.outbox.append(&mut transaction, channel, message).await.unwrap();
        }
        if commit {
            transaction.commit().await.unwrap();
            self.outbox.wake();
        } else {
            transaction.rollback().await.unwrap();
        }
    }
}

tbx_store::outbox_conformance! {
    test: #[tokio::test(flavor = "multi_thread", worker_threads = 2)],
    harness: Sqlite(fixture().await),
    claims: { relays: no("one process owns the file") }
}
