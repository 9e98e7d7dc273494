//! Requests that clients repeat, on SQLite, pass the suite.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tbx_store::StoreError;
use tbx_store::conformance::idempotency::IdempotencyHarness;
use tbx_store::idempotency::{Claim, IdempotencyKey};
use tbx_store::sqlite::{SqliteIdempotency, WriteTransaction};

use super::support::{Fixture, fixture};

fn idempotency() -> SqliteIdempotency {
    SqliteIdempotency::new()
}

#[async_trait]
impl IdempotencyHarness for Fixture {
    async fn claim(
        &self,
        transaction: &mut WriteTransaction,
        key: &IdempotencyKey,
        now: DateTime<Utc>,
    ) -> Result<Claim, StoreError> {
        idempotency().claim(transaction, key, now).await
    }

    async fn keep(
        &self,
        transaction: &mut WriteTransaction,
        key: &IdempotencyKey,
        answer: &[u8],
    ) -> Result<(), StoreError> {
        idempotency().keep(transaction, key, answer).await
    }

    async fn purge(&self, now: DateTime<Utc>, limit: u32) -> u64 {
        SqliteIdempotency::purge(self.database.writer(), now, limit).await.unwrap()
    }
}

tbx_store::idempotency_conformance! {
    test: #[tokio::test],
    harness: fixture().await,
    claims: { side_by_side: no("one writer at a time: a second request waits at the beginning of its transaction") }
}
