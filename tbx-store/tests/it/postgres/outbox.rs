//! What the outbox on PostgreSQL promises beyond the suite.

use std::time::{Duration, Instant};

use chrono::Utc;
use tbx_bus::{Message, MessageId};
use tbx_services::Relay as Cutter;
use tbx_store::outbox::{OutboxEntry, OutboxStore, Settlement};
use tbx_store::postgres::{Database, DatabaseOptions, PgDeadLetters, PgOutbox};

use super::support::{DEADLINE, Fixture, attend, fixture, message};

fn done(entries: Vec<OutboxEntry>) -> Vec<Settlement> {
    entries.into_iter().map(|entry| Settlement::Done { entry, dead_letters: Vec::new() }).collect()
}

async fn foreign(fixture: &Fixture, sql: &str) {
    fixture.place.execute(sql).await;
}

#[tokio::test]
async fn any_program_may_insert_a_row_by_plain_sql() {
    let fixture = fixture().await;
    let attending = attend(&fixture.outbox).await;
    foreign(
        &fixture,
        r#"INSERT INTO tbx_outbox (channel, message_id, topic, ordering_key, headers, body)
           VALUES ('c', 'm-1', 'order.placed', 'order-7', '{"cloudEvents_type":"OrderPlaced","own":"x"}', '{"number":7}'),
                  ('c', 'm-2', 'order.placed', 'order-7', '{"cloudEvents_type":"OrderPlaced"}', '{}');
           INSERT INTO tbx_outbox (channel, message_id, topic, headers, body)
           VALUES ('c', 'm-3', 'order.placed', '{"cloudEvents_type":"OrderPlaced"}', '{}');
           NOTIFY tbx_outbox"#,
    )
    .await;
    tokio::time::timeout(DEADLINE, fixture.outbox.appended()).await.unwrap();
    let entries = attending.claim(10).await;
    let [first, third] = &entries[..] else { panic!("{entries:?}") };
    let told = |message: &Message| {
        (message.id().clone(), message.key().map(str::to_owned), message.kind().to_owned())
    };
    let id = |text| MessageId::new(text).unwrap();
    assert_eq!(told(&first.message), (id("m-1"), Some("order-7".to_owned()), "OrderPlaced".to_owned()));
    assert_eq!(first.message.headers()["own"], "x");
    assert_eq!(first.message.body().as_ref(), br#"{"number":7}"#);
    assert_eq!(told(&third.message), (id("m-3"), None, "OrderPlaced".to_owned()));
    attending.stop().await;
}

#[tokio::test]
async fn what_waited_for_a_message_is_claimed_as_soon_as_that_is_settled() {
    let fixture = fixture().await;
    let attending = attend(&fixture.outbox).await;
    // None of these is told of by anybody.
    foreign(
        &fixture,
        r#"INSERT INTO tbx_outbox (channel, message_id, topic, ordering_key, headers, body)
           SELECT 'c', n::text, 'a', 'k' || n % 2, '{"cloudEvents_type":"X"}', '' FROM generate_series(1, 8) n"#,
    )
    .await;
    let (mut claimed, mut seen) = (attending.claim(10).await, Vec::new());
    while !claimed.is_empty() {
        let settlements = done(claimed);
        seen.push(settlements.len());
        claimed = fixture.outbox.settle_and_claim(&settlements, &[("c", 10)], Utc::now()).await.unwrap();
    }
    assert_eq!(seen, [2, 2, 2, 2]);
    attending.stop().await;
}

#[tokio::test]
async fn a_look_that_is_passed_over_after_a_settlement_is_made_up_for() {
    let fixture = fixture().await;
    let attending = attend(&fixture.outbox).await;
    let insert = |id: &'static str| {
        let sql = format!(
            r#"INSERT INTO tbx_outbox (channel, message_id, topic, headers, body) VALUES ('c', '{id}', 'a', '{{"cloudEvents_type":"X"}}', '')"#
        );
        let place = &fixture.place;
        async move { place.execute(&sql).await }
    };
    insert("m-1").await;
    let first = done(attending.claim(10).await);
    insert("m-2").await;
    let mut claimed = fixture.outbox.settle_and_claim(&first, &[("c", 10)], Utc::now()).await.unwrap();
    while claimed.is_empty() {
        tokio::time::timeout(DEADLINE, fixture.outbox.appended()).await.expect("it is looked for again");
        claimed = attending.claim(10).await;
    }
    assert_eq!(claimed[0].message.id().as_str(), "m-2");
    attending.stop().await;
}

#[tokio::test]
async fn a_row_that_is_no_message_is_given_up_as_it_is() {
    let fixture = fixture().await;
    let attending = attend(&fixture.outbox).await;
    foreign(
        &fixture,
        r"INSERT INTO tbx_outbox (channel, message_id, topic, headers, body)
          VALUES ('c', 'm', '..', '[]', '\xff00')",
    )
    .await;
    assert!(attending.claim(10).await.is_empty());
    let letters = PgDeadLetters::new(fixture.database.pool().clone(), "c").list(0, 10).await.unwrap();
    assert_eq!((letters.len(), letters[0].reason.as_str()), (1, "unreadable"));
    attending.stop().await;
}

#[tokio::test]
async fn a_claim_that_fails_half_way_leaves_nothing_stuck() {
    let fixture = fixture().await;
    let attending = attend(&fixture.outbox).await;
    let good = message("a", Some("k"));
    fixture.append("c", &good).await;
    foreign(
        &fixture,
        "INSERT INTO tbx_outbox (channel, message_id, topic, headers, body) VALUES ('c', 'm', '..', '[]', '')",
    )
    .await;
    // The unreadable one cannot be given up while this lasts.
    let mut lock = fixture.database.begin().await.unwrap();
    sqlx::query("LOCK TABLE tbx_dead_letters").execute(&mut *lock).await.unwrap();
    let claiming = fixture.outbox.settle_and_claim(&[], &[("c", 10)], Utc::now());
    assert!(claiming.await.unwrap_err().is_retryable());
    lock.rollback().await.unwrap();
    let claimed = attending.claim(10).await;
    assert_eq!(claimed.iter().map(|entry| entry.message.id()).collect::<Vec<_>>(), [good.id()]);
    attending.stop().await;
}

#[tokio::test]
async fn a_row_with_a_time_that_is_none_is_handed_over_like_any_other() {
    let fixture = fixture().await;
    let attending = attend(&fixture.outbox).await;
    assert_eq!(fixture.outbox.stats().await.unwrap().oldest, None);
    for infinity in ["infinity", "-infinity"] {
        foreign(
            &fixture,
            &format!(
                "INSERT INTO tbx_outbox (channel, message_id, topic, headers, body, created_at) \
                 VALUES ('c', '{infinity}', 'a', '{{\"cloudEvents_type\":\"X\"}}', '', '{infinity}')"
            ),
        )
        .await;
    }
    assert!(fixture.outbox.stats().await.unwrap().oldest.is_some());
    assert_eq!(attending.claim(10).await.len(), 2);
    attending.stop().await;
}

#[tokio::test]
async fn the_few_messages_of_one_estate_do_not_wait_for_the_many_of_another() {
    let fixture = fixture().await;
    let attending = attend(&fixture.outbox).await;
    for number in 0..100 {
        fixture.append("c", &message("own", Some(&format!("own{number}")))).await;
    }
    foreign(
        &fixture,
        r#"INSERT INTO tbx_outbox (channel, message_id, topic, ordering_key, headers, body)
           VALUES ('c', 'm', 'foreign', 'k', '{"cloudEvents_type":"X"}', '')"#,
    )
    .await;
    let claimed = attending.claim(10).await;
    assert_eq!(claimed.len(), 10);
    assert!(claimed.iter().any(|entry| entry.message.topic().as_str() == "foreign"), "{claimed:?}");
    attending.stop().await;
}

#[tokio::test]
async fn rows_whose_estate_nobody_knows_are_found() {
    let fixture = fixture().await;
    let outbox = fixture.outbox.clone().with_lease(Duration::from_secs(3));
    foreign(
        &fixture,
        r#"INSERT INTO tbx_outbox (channel, message_id, topic, headers, body, owner)
           VALUES ('c', 'm', 'a', '{"cloudEvents_type":"X"}', '', 'ffffffff-0000-4000-8000-000000000000')"#,
    )
    .await;
    let attending = attend(&outbox).await;
    let found = async {
        while attending.claim(1).await.is_empty() {
            outbox.appended().await;
        }
    };
    tokio::time::timeout(DEADLINE, found).await.unwrap();
    attending.stop().await;
}

/// Statistics of an empty table must not make a plan that a full one suffers from.
#[tokio::test]
async fn claims_cost_the_same_whatever_the_backlog_is_like() {
    for keys in [20_000, 5, 1] {
        let fixture = fixture().await;
        let attending = attend(&fixture.outbox).await;
        foreign(&fixture, "VACUUM ANALYZE tbx_outbox").await;
        assert!(attending.claim(256).await.is_empty());
        foreign(
            &fixture,
            &format!(
                r#"INSERT INTO tbx_outbox (channel, message_id, topic, ordering_key, headers, body)
                   SELECT 'c', n::text, 'a', 'k' || n % {keys}, '{{"cloudEvents_type":"X"}}', '' FROM generate_series(1, 40000) n"#
            ),
        )
        .await;
        let began = Instant::now();
        let mut settlements = Vec::new();
        for _ in 0..10 {
            let claimed =
                fixture.outbox.settle_and_claim(&settlements, &[("c", 256)], Utc::now()).await.unwrap();
            assert_eq!(claimed.len(), keys.min(256));
            settlements = done(claimed);
        }
        // Ten times settling and claiming; by scanning the table each would take longer than this.
        assert!(began.elapsed() < Duration::from_secs(3), "{keys} keys: {:?}", began.elapsed());
        attending.stop().await;
    }
}

#[tokio::test]
async fn a_relay_whose_network_is_silent_hands_over_nothing_and_goes_on_when_it_is_back() {
    let place = tbx_services::Database::create().await;
    let cutter = Cutter::start(place.address()).await;
    let options = DatabaseOptions::new(&place.url_through(&cutter)).unwrap();
    let database = Database::open(&options, &[]).await.unwrap();
    let outbox = PgOutbox::of(&database).with_lease(Duration::from_secs(2));
    let attending = attend(&outbox).await;
    let append = || async {
        let mut transaction = database.begin().await.unwrap();
        outbox.append(&mut transaction, "c", &message("a", None)).await.unwrap();
        transaction.commit().await.unwrap();
    };
    append().await;
    let entry = attending.claim(1).await.remove(0);
    append().await;
    cutter.hold();
    // The lease runs out on this side, whatever the network does.
    let refused = async {
        loop {
            let claiming = outbox.settle_and_claim(&[], &[("c", 1)], Utc::now());
            if let Ok(Err(error)) = tokio::time::timeout(Duration::from_millis(200), claiming).await {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(DEADLINE, refused).await.unwrap();
    assert!(error.is_retryable(), "{error}");
    cutter.release();
    cutter.cut().await;
    let again = async {
        loop {
            if let Ok(claimed) = outbox.settle_and_claim(&[], &[("c", 10)], Utc::now()).await
                && !claimed.is_empty()
            {
                return claimed;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let claimed = tokio::time::timeout(DEADLINE, again).await.unwrap();
    assert!(!claimed.iter().any(|other| other.id == entry.id), "nobody took over, so it is still under way");
    outbox.settle_and_claim(&done(vec![entry]), &[], Utc::now()).await.unwrap();
    attending.stop().await;
}

#[tokio::test]
async fn large_backlogs_are_estimated() {
    let fixture = fixture().await;
    foreign(
        &fixture,
        r#"INSERT INTO tbx_outbox (channel, message_id, topic, headers, body)
           SELECT 'c', n::text, 'a', '{"cloudEvents_type":"X"}', '' FROM generate_series(1, 30000) n"#,
    )
    .await;
    for sql in ["SELECT 1", "VACUUM ANALYZE tbx_outbox"] {
        foreign(&fixture, sql).await;
        let pending = fixture.outbox.stats().await.unwrap().pending;
        assert!((20_000..=40_000).contains(&pending), "{pending}");
    }
}

#[tokio::test]
async fn the_tables_keep_nothing_of_relays_that_stopped() {
    let fixture = fixture().await;
    for _ in 0..3 {
        let attending = attend(&PgOutbox::of(&fixture.database)).await;
        attending.stop().await;
    }
    let estates: i64 = sqlx::query_scalar("SELECT count(*) FROM tbx_estates")
        .fetch_one(fixture.database.pool())
        .await
        .unwrap();
    assert_eq!(estates, 1, "the one of rows that other programs write");
}
