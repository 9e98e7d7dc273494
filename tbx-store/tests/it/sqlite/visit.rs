//! Looking into a file that another owns.

use tbx_store::StoreErrorKind;
use tbx_store::sqlite::{MESSAGING, Visit};

use super::support::{fixture, message};

#[tokio::test]
async fn a_visitor_reads_beside_the_owner_and_tells_that_there_is_one() {
    let fixture = fixture().await;
    let path = fixture.folder.path().join("test.db");
    assert!(Visit::finds_owner(&path).unwrap());
    let visit = Visit::to(&path).await.unwrap();
    fixture.append("c", &message("a", None)).await;
    let appended: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tbx_outbox").fetch_one(visit.pool()).await.unwrap();
    assert_eq!(appended, 1, "the owner goes on writing");
    assert_eq!(visit.journal_mode().await.unwrap(), "wal");
    assert!(MESSAGING.status(visit.pool()).await.unwrap().iter().all(|(_, applied)| *applied));
    assert!(sqlx::query("DELETE FROM tbx_outbox").execute(visit.pool()).await.is_err());
    visit.close().await;
    fixture.database.close().await;
    let folder = fixture.folder;
    drop((fixture.outbox, fixture.database));
    assert!(!Visit::finds_owner(&path).unwrap());
    let again = Visit::to(&path).await.unwrap();
    assert_eq!(again.journal_mode().await.unwrap(), "wal", "also when nobody has it open");
    drop(folder);
}

#[tokio::test]
async fn a_visitor_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent.db");
    assert!(!Visit::finds_owner(&path).unwrap());
    assert_eq!(Visit::to(&path).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
