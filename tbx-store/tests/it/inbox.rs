//! The inbox.

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
