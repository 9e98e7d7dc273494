//! Housekeeping.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tbx_bus::MessageId;
use tbx_store::idempotency::{Claim, IdempotencyKey};
use tbx_store::outbox::{OutboxStore, Settlement};
use tbx_store::sqlite::{Housekeeping, Retention, SqliteIdempotency, SqliteInbox};
use tokio_util::sync::CancellationToken;

use super::support::{Fixture, fixture, message};

/// More than one batch.
const MANY: usize = 1_200;

async fn used() -> Fixture {
    let fixture = fixture().await;
    let mut transaction = fixture.database.begin().await.unwrap();
    for _ in 0..MANY {
        fixture.outbox.append(&mut transaction, "c", &message("a", None)).await.unwrap();
        SqliteInbox::new("one").first_time(&mut transaction, &MessageId::generate()).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let claimed = fixture.outbox.settle_and_claim(&[], &[("c", MANY)], Utc::now()).await.unwrap();
    let settlements: Vec<_> =
        claimed.into_iter().map(|entry| Settlement::Done { entry, dead_letters: Vec::new() }).collect();
    fixture.outbox.settle_and_claim(&settlements, &[], Utc::now()).await.unwrap();
    fixture
}

async fn rows(fixture: &Fixture) -> (i64, i64) {
    sqlx::query_as("SELECT (SELECT count(*) FROM tbx_outbox), (SELECT count(*) FROM tbx_inbox)")
        .fetch_one(fixture.database.readers())
        .await
        .unwrap()
}

async fn tidy(fixture: &Fixture, retention: Retention) {
    let housekeeping = Housekeeping::new(fixture.database.clone(), fixture.outbox.clone(), retention);
    // What is old was done in an earlier millisecond.
    while Utc::now().timestamp_millis() == newest(fixture).await {
        tokio::task::yield_now().await;
    }
    housekeeping.tidy(&CancellationToken::new()).await.unwrap();
}

async fn newest(fixture: &Fixture) -> i64 {
    sqlx::query_scalar("SELECT max(done_at) FROM tbx_outbox")
        .fetch_one(fixture.database.readers())
        .await
        .unwrap()
}

#[tokio::test]
async fn everything_old_goes_batch_after_batch() {
    let fixture = used().await;
    tidy(&fixture, Retention { outbox: Duration::ZERO, inbox: Duration::ZERO }).await;
    assert_eq!(rows(&fixture).await, (0, 0));
}

#[tokio::test]
async fn keys_that_have_expired_go_and_others_stay() {
    let fixture = used().await;
    for (key, now) in [("old", Utc::now() - TimeDelta::hours(25)), ("young", Utc::now())] {
        let key = IdempotencyKey::new("", key, "x").unwrap();
        let mut transaction = fixture.database.begin().await.unwrap();
        let claim = SqliteIdempotency::new().claim(&mut transaction, &key, now).await.unwrap();
        assert_eq!(claim, Claim::First);
        transaction.commit().await.unwrap();
    }
    tidy(&fixture, Retention::default()).await;
    let left: Vec<String> = sqlx::query_scalar("SELECT key FROM tbx_idempotency")
        .fetch_all(fixture.database.readers())
        .await
        .unwrap();
    assert_eq!(left, ["young"]);
}

#[tokio::test]
async fn what_is_within_its_time_stays() {
    let fixture = used().await;
    tidy(&fixture, Retention { outbox: Duration::ZERO, ..Retention::default() }).await;
    assert_eq!(rows(&fixture).await, (0, i64::try_from(MANY).unwrap()));
}
