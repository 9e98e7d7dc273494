//! Opening a database.

use tbx_store::StoreErrorKind;
use tbx_store::outbox::OutboxStore;
use tbx_store::sqlite::{Database, DatabaseOptions, MigrationSet};

use super::support::fixture;

#[tokio::test]
async fn a_second_owner_of_the_file_is_refused_with_a_remedy() {
    let fixture = fixture().await;
    let options = DatabaseOptions::new(fixture.folder.path().join("test.db"));
    let error = Database::connect(&options).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Locked);
    assert!(error.to_string().contains("stop the other process"), "{error}");
}

#[tokio::test]
async fn a_commit_is_durable_before_it_is_answered() {
    let fixture = fixture().await;
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(fixture.database.writer()).await.unwrap();
    let synchronous: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(fixture.database.writer()).await.unwrap();
    assert_eq!((mode.as_str(), synchronous), ("wal", 2));
}

#[tokio::test]
async fn a_commit_is_durable_also_after_the_relay_has_made_its_notes() {
    let fixture = fixture().await;
    fixture.outbox.settle_and_claim(&[], &[], chrono::Utc::now()).await.unwrap();
    let mut transaction = fixture.database.begin().await.unwrap();
    let synchronous: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *transaction).await.unwrap();
    assert_eq!(synchronous, 2);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let fixture = fixture().await;
    let newer = MigrationSet {
        table: "own_migrations",
        steps: &[("a", "CREATE TABLE a (x)"), ("b", "CREATE TABLE b (x)")],
    };
    let older = MigrationSet { table: "own_migrations", steps: &[("a", "CREATE TABLE a (x)")] };
    newer.apply(fixture.database.writer()).await.unwrap();
    let error = older.apply(fixture.database.writer()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Schema);
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let fixture = fixture().await;
    let one = MigrationSet { table: "own_migrations", steps: &[("a", "CREATE TABLE a (x)")] };
    let other = MigrationSet { table: "own_migrations", steps: &[("a", "CREATE TABLE a (y)")] };
    one.apply(fixture.database.writer()).await.unwrap();
    let error = other.apply(fixture.database.writer()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Schema);
    assert_eq!(one.status(fixture.database.writer()).await.unwrap(), [("a", true)]);
}
