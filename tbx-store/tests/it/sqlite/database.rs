//! Opening a database.

use tbx_store::StoreErrorKind;
use tbx_store::outbox::OutboxStore;
use tbx_store::sqlite::{Database, DatabaseOptions, MESSAGING, MigrationSet};

use super::support::{fixture, message};

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
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[tokio::test]
async fn a_file_of_an_older_version_is_brought_up_to_date_with_what_is_in_it() {
    let fixture = fixture().await;
    fixture.append("c", &message("a", None)).await;
    for sql in ["DROP TABLE tbx_idempotency", "DELETE FROM tbx_store_migrations WHERE version = 2"] {
        sqlx::query(sql).execute(fixture.database.writer()).await.unwrap();
    }
    let status = MESSAGING.status(fixture.database.writer()).await.unwrap();
    assert_eq!(status, [("messaging", true), ("idempotency", false)]);
    MESSAGING.apply(fixture.database.writer()).await.unwrap();
    let status = MESSAGING.status(fixture.database.writer()).await.unwrap();
    assert!(status.iter().all(|(_, applied)| *applied), "{status:?}");
    assert_eq!(fixture.outbox.stats().await.unwrap().pending, 1);
}

#[tokio::test]
async fn a_file_with_tables_of_somebody_else_is_refused_with_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let options = DatabaseOptions::new(folder.path().join("theirs.db"));
    let theirs = Database::connect(&options).await.unwrap();
    sqlx::query("CREATE TABLE tbx_outbox (theirs)").execute(theirs.writer()).await.unwrap();
    theirs.close().await;
    drop(theirs);
    let error = Database::open(&options, &[]).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Schema, "{error}");
    assert!(error.to_string().contains("a file of its own"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_with_a_remedy_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letter.txt");
    let text = "Dear reader, this is no database.\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = Database::open(&DatabaseOptions::new(&path), &[]).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    assert!(
        error.to_string().contains("letter.txt") && error.to_string().contains("name another"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
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
