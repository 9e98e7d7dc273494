//! The outbox on PostgreSQL passes the suite.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tbx_bus::{Message, MessageId};
use tbx_store::conformance::outbox::{OutboxHarness, OutboxProcess};
use tbx_store::dead_letter::StoredDeadLetter;
use tbx_store::outbox::OutboxStore;
use tbx_store::postgres::{Database, PgDeadLetters, PgOutbox};

use super::support::{Fixture, fixture};

const LEASE: Duration = Duration::from_secs(3);

struct Postgres(Fixture);

struct Process {
    database: Database,
    outbox: PgOutbox,
}

#[async_trait]
impl OutboxHarness for Postgres {
    async fn process(&self) -> Box<dyn OutboxProcess> {
        let database = self.0.database.clone();
        let outbox = PgOutbox::of(&database).with_lease(LEASE);
        Box::new(Process { database, outbox })
    }

    async fn dead_letters(&self, channel: &str) -> Vec<StoredDeadLetter> {
        PgDeadLetters::new(self.0.database.pool().clone(), channel).list(0, 100).await.unwrap()
    }

    async fn damage(&self, id: &MessageId) {
        sqlx::query("UPDATE tbx_outbox SET headers = 'no JSON' WHERE message_id = $1")
            .bind(id.as_str())
            .execute(self.0.database.pool())
            .await
            .unwrap();
    }

    fn lease(&self) -> Duration {
        LEASE
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
    harness: Postgres(fixture().await),
    claims: { relays: yes }
}
