//! Dead letters on SQLite pass the suite.

use std::sync::Arc;

use async_trait::async_trait;
use tbx_bus::{DeadLetterSink, Message};
use tbx_store::StoreError;
use tbx_store::conformance::dead_letters::DeadLettersHarness;
use tbx_store::dead_letter::{FiledLetter, Replayed, StoredDeadLetter};
use tbx_store::outbox::OutboxStore;
use tbx_store::sqlite::{DeadLetterOffice, SqliteDeadLetters};

use super::support::{Fixture, fixture};

impl Fixture {
    fn office(&self) -> DeadLetterOffice {
        DeadLetterOffice::new(self.database.writer().clone())
    }

    fn letters(&self, channel: &str) -> SqliteDeadLetters {
        SqliteDeadLetters::new(self.database.writer().clone(), channel)
    }
}

#[async_trait]
impl DeadLettersHarness for Fixture {
    fn store(&self) -> Arc<dyn OutboxStore> {
        Arc::new(self.outbox.clone())
    }

    async fn append(&self, channel: &str, message: &Message) {
        Fixture::append(self, channel, message).await;
    }

    fn sink(&self, channel: &str) -> Arc<dyn DeadLetterSink> {
        Arc::new(self.letters(channel))
    }

    async fn of_channel(&self, channel: &str, after: i64, limit: u32) -> Vec<StoredDeadLetter> {
        self.letters(channel).list(after, limit).await.unwrap()
    }

    async fn list(&self, after: i64, limit: u32) -> Vec<FiledLetter> {
        self.office().list(after, limit).await.unwrap()
    }

    async fn find(&self, id: i64) -> Option<FiledLetter> {
        self.office().find(id).await.unwrap()
    }

    async fn replay(&self, id: i64) -> Result<Replayed, StoreError> {
        self.office().replay(id, &self.outbox).await
    }

    async fn discard(&self, id: i64) -> bool {
        self.office().discard(id).await.unwrap()
    }

    async fn damage(&self) {
        sqlx::query("UPDATE tbx_dead_letters SET headers = 'broken', body = x'ff00'")
            .execute(self.database.writer())
            .await
            .unwrap();
    }
}

tbx_store::dead_letters_conformance! {
    test: #[tokio::test],
    harness: fixture().await,
}
