//! The outbox table against the contract of `OutboxStore`.

use chrono::{TimeDelta, Utc};
use tbx_bus::{DeadLetter, Reason, ReasonKind};
use tbx_store::outbox::{OutboxEntry, OutboxStore, Settlement};
use tbx_store::sqlite::{SqliteDeadLetters, SqliteOutbox};

use super::support::{Fixture, fixture, message};

const ALL: &[(&str, usize)] = &[("c", 100)];

async fn claim(fixture: &Fixture) -> Vec<OutboxEntry> {
    fixture.outbox.settle_and_claim(&[], ALL, Utc::now()).await.unwrap()
}

async fn settle(fixture: &Fixture, settlement: Settlement) {
    fixture.outbox.settle_and_claim(&[settlement], &[], Utc::now()).await.unwrap();
}

fn done(entry: OutboxEntry) -> Settlement {
    Settlement::Done { entry, dead_letters: Vec::new() }
}

#[tokio::test]
async fn nothing_is_claimed_that_was_rolled_back() {
    let fixture = fixture().await;
    let mut transaction = fixture.database.begin().await.unwrap();
    fixture.outbox.append(&mut transaction, "c", &message("a", None)).await.unwrap();
    transaction.rollback().await.unwrap();
    assert!(claim(&fixture).await.is_empty());
}

#[tokio::test]
async fn a_message_comes_out_as_it_went_in() {
    let fixture = fixture().await;
    let sent = message("a.b", Some("k")).with_header("own", "wért").with_subject("s").with_source("/x");
    fixture.append("c", &sent).await;
    let entries = claim(&fixture).await;
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((entry.message.headers(), entry.message.key()), (sent.headers(), sent.key()));
    assert_eq!((entry.message.id(), entry.message.body(), entry.attempts), (sent.id(), sent.body(), 1));
}

#[tokio::test]
async fn an_id_is_appended_once() {
    let fixture = fixture().await;
    let sent = message("a", None);
    fixture.append("c", &sent).await;
    fixture.append("c", &sent).await;
    assert_eq!(claim(&fixture).await.len(), 1);
}

#[tokio::test]
async fn one_message_of_a_key_is_out_at_a_time() {
    let fixture = fixture().await;
    let first = message("a", Some("k"));
    let second = message("a", Some("k"));
    for sent in [&first, &second, &message("a", Some("other")), &message("a", None), &message("a", None)] {
        fixture.append("c", sent).await;
    }
    let mut entries = claim(&fixture).await;
    assert_eq!(entries.len(), 4);
    assert!(claim(&fixture).await.is_empty());
    settle(&fixture, done(entries.remove(0))).await;
    let entries = claim(&fixture).await;
    assert_eq!(entries.iter().map(|entry| entry.message.id()).collect::<Vec<_>>(), [second.id()]);
}

#[tokio::test]
async fn a_message_put_off_keeps_its_key_waiting_until_it_is_due() {
    let fixture = fixture().await;
    let first = message("a", Some("k"));
    fixture.append("c", &first).await;
    fixture.append("c", &message("a", Some("k"))).await;
    let entry = claim(&fixture).await.remove(0);
    let due = Utc::now() + TimeDelta::minutes(1);
    settle(&fixture, Settlement::Later { entry, at: due, counts: false }).await;
    assert!(claim(&fixture).await.is_empty());
    let claimed = fixture.outbox.settle_and_claim(&[], ALL, due).await.unwrap();
    let [entry] = &claimed[..] else { panic!("{claimed:?}") };
    assert_eq!((entry.message.id(), entry.attempts), (first.id(), 1));
}

#[tokio::test]
async fn a_dead_letter_is_stored_with_the_settlement_and_the_key_goes_on() {
    let fixture = fixture().await;
    let first = message("a", Some("k"));
    fixture.append("c", &first).await;
    fixture.append("c", &message("a", Some("k"))).await;
    let entry = claim(&fixture).await.remove(0);
    let reason = Reason::new(ReasonKind::Rejected, "no");
    let letter = DeadLetter::new(entry.message.clone().into(), "g".into(), 3, reason);
    settle(&fixture, Settlement::Done { entry, dead_letters: vec![letter] }).await;
    let letters = SqliteDeadLetters::new(fixture.database.writer().clone(), "c").list(0, 10).await.unwrap();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(
        (letter.message_id.as_str(), letter.group.as_str(), letter.attempts),
        (first.id().as_str(), "g", 3)
    );
    assert_eq!((letter.reason.as_str(), letter.detail.as_str()), ("rejected", "no"));
    assert_eq!(claim(&fixture).await.len(), 1);
}

#[tokio::test]
async fn purging_touches_only_what_is_done_and_old() {
    let fixture = fixture().await;
    for _ in 0..3 {
        fixture.append("c", &message("a", None)).await;
    }
    let mut entries = claim(&fixture).await;
    settle(&fixture, done(entries.remove(0))).await;
    assert_eq!(fixture.outbox.purge(Utc::now() - TimeDelta::minutes(1), 10).await.unwrap(), 0);
    assert_eq!(fixture.outbox.purge(Utc::now() + TimeDelta::minutes(1), 10).await.unwrap(), 1);
    let stats = fixture.outbox.stats().await.unwrap();
    assert_eq!((stats.pending, stats.handed), (0, 2));
}

/// Somebody else's application: its own file, pool, table and transaction.
#[tokio::test]
async fn a_foreign_application_appends_in_its_own_transaction_beside_its_own_tables() {
    let folder = tempfile::tempdir().unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(folder.path().join("shop.db"))
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
    let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
    sqlx::query("CREATE TABLE orders (number INTEGER PRIMARY KEY)").execute(&pool).await.unwrap();
    tbx_store::sqlite::migrate(&pool).await.unwrap();
    let outbox = SqliteOutbox::new(pool.clone());
    for (number, commit) in [(1, true), (2, false)] {
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        sqlx::query("INSERT INTO orders (number) VALUES (?)")
            .bind(number)
            .execute(&mut *transaction)
            .await
            .unwrap();
        outbox.append(&mut transaction, "c", &message("order.placed", Some("k"))).await.unwrap();
        if commit {
            transaction.commit().await.unwrap();
        } else {
            transaction.rollback().await.unwrap();
        }
    }
    let orders: i64 = sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(&pool).await.unwrap();
    let claimed = outbox.settle_and_claim(&[], ALL, Utc::now()).await.unwrap();
    assert_eq!((orders, claimed.len()), (1, 1));
}

#[tokio::test]
async fn a_row_that_cannot_be_read_becomes_a_dead_letter_and_its_key_goes_on() {
    let fixture = fixture().await;
    let sent: Vec<_> = (0..3).map(|_| message("a", Some("k"))).collect();
    for message in &sent {
        fixture.append("c", message).await;
    }
    let damage = |id: &str| {
        sqlx::query("UPDATE tbx_outbox SET headers = 'no JSON' WHERE message_id = ?").bind(id.to_owned())
    };
    // One before it is claimed, one while it is under way when the process ends.
    damage(sent[0].id().as_str()).execute(fixture.database.writer()).await.unwrap();
    assert!(claim(&fixture).await.is_empty());
    assert_eq!(claim(&fixture).await[0].message.id(), sent[1].id());
    damage(sent[1].id().as_str()).execute(fixture.database.writer()).await.unwrap();
    assert!(fixture.outbox.left_behind(10).await.unwrap().is_empty());
    assert_eq!(claim(&fixture).await[0].message.id(), sent[2].id());
    let letters = SqliteDeadLetters::new(fixture.database.writer().clone(), "c").list(0, 10).await.unwrap();
    let ids: Vec<&str> = letters.iter().map(|letter| letter.message_id.as_str()).collect();
    assert_eq!(ids, [sent[0].id().as_str(), sent[1].id().as_str()]);
    assert!(letters.iter().all(|letter| letter.reason == "unreadable" && letter.message.is_none()));
}
