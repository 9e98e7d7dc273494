//! The inbox and its housekeeping.

use std::time::Duration;

use tbx_bus::MessageId;
use tbx_store::postgres::{Housekeeping, PgInbox, Retention};
use tokio_util::sync::CancellationToken;

use super::support::fixture;

#[tokio::test]
async fn a_message_is_new_once_for_each_consumer() {
    let fixture = fixture().await;
    let (one, other, id) = (PgInbox::new("one"), PgInbox::new("other"), MessageId::generate());
    let mut transaction = fixture.database.begin().await.unwrap();
    assert!(one.first_time(&mut transaction, &id).await.unwrap());
    assert!(!one.first_time(&mut transaction, &id).await.unwrap());
    assert!(other.first_time(&mut transaction, &id).await.unwrap());
    transaction.commit().await.unwrap();
    let mut transaction = fixture.database.begin().await.unwrap();
    assert!(!one.first_time(&mut transaction, &id).await.unwrap());
}

#[tokio::test]
async fn a_rolled_back_effect_is_not_remembered() {
    let fixture = fixture().await;
    let (inbox, id) = (PgInbox::new("one"), MessageId::generate());
    let mut transaction = fixture.database.begin().await.unwrap();
    assert!(inbox.first_time(&mut transaction, &id).await.unwrap());
    transaction.rollback().await.unwrap();
    let mut transaction = fixture.database.begin().await.unwrap();
    assert!(inbox.first_time(&mut transaction, &id).await.unwrap());
}

#[tokio::test]
async fn a_second_process_waits_until_the_first_has_committed_and_finds_it_done() {
    let fixture = fixture().await;
    let (inbox, id) = (PgInbox::new("one"), MessageId::generate());
    let mut first = fixture.database.begin().await.unwrap();
    assert!(inbox.first_time(&mut first, &id).await.unwrap());
    let second = async {
        let mut second = fixture.database.begin().await.unwrap();
        inbox.first_time(&mut second, &id).await.unwrap()
    };
    let commit = async {
        // The second is at the row by then, or will be; either way it finds the first's.
        tokio::task::yield_now().await;
        first.commit().await.unwrap();
    };
    assert_eq!(tokio::join!(second, commit), (false, ()));
}

#[tokio::test]
async fn what_is_old_is_forgotten_and_what_is_within_its_time_stays() {
    let fixture = fixture().await;
    let rows = || async {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM tbx_inbox")
            .fetch_one(fixture.database.pool())
            .await
            .unwrap()
    };
    // More than one batch.
    sqlx::query(
        "INSERT INTO tbx_inbox (consumer, message_id) SELECT 'one', n::text FROM generate_series(1, 11000) n",
    )
    .execute(fixture.database.pool())
    .await
    .unwrap();
    let stop = CancellationToken::new();
    let tidy = |retention| Housekeeping::new(fixture.database.clone(), retention);
    tidy(Retention::default()).tidy(&stop).await.unwrap();
    assert_eq!(rows().await, 11_000);
    tidy(Retention { inbox: Duration::ZERO, ..Retention::default() }).tidy(&stop).await.unwrap();
    assert_eq!(rows().await, 0);
}
