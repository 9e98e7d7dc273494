//! Requests that clients repeat, on PostgreSQL, pass the suite.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use std::time::Duration;
use tbx_store::StoreError;
use tbx_store::conformance::idempotency::IdempotencyHarness;
use tbx_store::idempotency::{Claim, IdempotencyKey};
use tbx_store::postgres::{PgIdempotency, WriteTransaction};

use super::support::{Fixture, fixture};

const PATIENCE: Duration = Duration::from_millis(500);

fn idempotency() -> PgIdempotency {
    PgIdempotency::new().with_patience(PATIENCE)
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
        PgIdempotency::purge(self.database.pool(), now, limit).await.unwrap()
    }
}

tbx_store::idempotency_conformance! {
    test: #[tokio::test],
    harness: fixture().await,
    claims: { side_by_side: yes }
}
