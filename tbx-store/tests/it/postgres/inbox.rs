//! The inbox on PostgreSQL passes the suite.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tbx_bus::MessageId;
use tbx_store::conformance::inbox::InboxHarness;
use tbx_store::postgres::{PgInbox, WriteTransaction};

use super::support::{Fixture, fixture};

#[async_trait]
impl InboxHarness for Fixture {
    async fn first_time(&self, transaction: &mut WriteTransaction, consumer: &str, id: &MessageId) -> bool {
        PgInbox::new(consumer).first_time(transaction, id).await.unwrap()
    }

    async fn purge(&self, before: DateTime<Utc>, limit: u32) -> u64 {
        PgInbox::purge(self.database.pool(), before, limit).await.unwrap()
    }
}

tbx_store::inbox_conformance! {
    test: #[tokio::test],
    harness: fixture().await,
}
