//! Housekeeping.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tbx_store::idempotency::{Claim, IdempotencyKey};
use tbx_store::postgres::{Housekeeping, PgIdempotency, Retention};
use tokio_util::sync::CancellationToken;

use super::support::{Fixture, fixture};

async fn rows(fixture: &Fixture) -> (i64, i64) {
    sqlx::query_as("SELECT (SELECT count(*) FROM tbx_inbox), (SELECT count(*) FROM tbx_idempotency)")
        .fetch_one(fixture.database.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn what_is_old_is_forgotten_and_what_is_within_its_time_stays() {
    let fixture = fixture().await;
    // More than one batch.
    sqlx::query(
        "INSERT INTO tbx_inbox (consumer, message_id) SELECT 'one', n::text FROM generate_series(1, 11000) n",
    )
    .execute(fixture.database.pool())
    .await
    .unwrap();
    for (key, now) in [("old", Utc::now() - TimeDelta::hours(25)), ("young", Utc::now())] {
        let key = IdempotencyKey::new("", key, "x").unwrap();
        let mut transaction = fixture.database.begin().await.unwrap();
        let claim = PgIdempotency::new().claim(&mut transaction, &key, now).await.unwrap();
        assert_eq!(claim, Claim::First);
        transaction.commit().await.unwrap();
    }
    let stop = CancellationToken::new();
    let tidy = |retention| Housekeeping::new(fixture.database.clone(), retention);
    tidy(Retention::default()).tidy(&stop).await.unwrap();
    assert_eq!(rows(&fixture).await, (11_000, 1));
    tidy(Retention { inbox: Duration::ZERO, ..Retention::default() }).tidy(&stop).await.unwrap();
    assert_eq!(rows(&fixture).await, (0, 1));
}
