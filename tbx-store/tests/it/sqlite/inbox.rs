//! The inbox.

use chrono::{TimeDelta, Utc};
use tbx_bus::MessageId;
use tbx_store::sqlite::SqliteInbox;

use super::support::fixture;

#[tokio::test]
async fn a_message_is_new_once_for_each_consumer() {
    let fixture = fixture().await;
    let (one, other, id) = (SqliteInbox::new("one"), SqliteInbox::new("other"), MessageId::generate());
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
    let (inbox, id) = (SqliteInbox::new("one"), MessageId::generate());
    let mut transaction = fixture.database.begin().await.unwrap();
    assert!(inbox.first_time(&mut transaction, &id).await.unwrap());
    transaction.rollback().await.unwrap();
    let mut transaction = fixture.database.begin().await.unwrap();
    assert!(inbox.first_time(&mut transaction, &id).await.unwrap());
}

/// A pool is enough: no `Database`, no housekeeping.
#[tokio::test]
async fn what_is_old_is_forgotten_up_to_the_limit() {
    let fixture = fixture().await;
    let (one, other, id) = (SqliteInbox::new("one"), SqliteInbox::new("other"), MessageId::generate());
    let mut transaction = fixture.database.begin().await.unwrap();
    for inbox in [&one, &other] {
        inbox.first_time(&mut transaction, &id).await.unwrap();
    }
    transaction.commit().await.unwrap();

    let pool = fixture.database.writer();
    let (past, future) = (Utc::now() - TimeDelta::minutes(1), Utc::now() + TimeDelta::minutes(1));
    assert_eq!(SqliteInbox::purge(pool, past, 10).await.unwrap(), 0);
    assert_eq!(SqliteInbox::purge(pool, future, 1).await.unwrap(), 1);
    assert_eq!(SqliteInbox::purge(pool, future, 10).await.unwrap(), 1);
    let mut transaction = fixture.database.begin().await.unwrap();
    assert!(one.first_time(&mut transaction, &id).await.unwrap());
}
