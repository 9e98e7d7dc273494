//! Deciding about dead letters.

use chrono::Utc;
use tbx_bus::{DeadLetter, Message, Reason, ReasonKind};
use tbx_store::outbox::{OutboxEntry, OutboxStore, Settlement};
use tbx_store::sqlite::{DeadLetterOffice, Replayed};

use super::support::{Fixture, fixture, message};

async fn claim(fixture: &Fixture) -> Vec<OutboxEntry> {
    fixture.outbox.settle_and_claim(&[], &[("c", 100), ("d", 100)], Utc::now()).await.unwrap()
}

/// Gives a message up as the group "g" of its channel.
async fn give_up(fixture: &Fixture, channel: &str, message: &Message) {
    fixture.append(channel, message).await;
    let entry = claim(fixture).await.pop().unwrap();
    let reason = Reason::new(ReasonKind::Rejected, "no");
    let letter = DeadLetter::new(entry.message.clone().into(), "g".into(), 5, reason);
    let settlement = Settlement::Done { entry, dead_letters: vec![letter] };
    fixture.outbox.settle_and_claim(&[settlement], &[], Utc::now()).await.unwrap();
}

fn office(fixture: &Fixture) -> DeadLetterOffice {
    DeadLetterOffice::new(fixture.database.writer().clone())
}

#[tokio::test]
async fn letters_of_all_channels_are_listed_and_found() {
    let fixture = fixture().await;
    let (first, second) = (message("a.b", Some("k")), message("x", None));
    give_up(&fixture, "c", &first).await;
    give_up(&fixture, "d", &second).await;
    let office = office(&fixture);
    let all = office.list(0, 10).await.unwrap();
    let told: Vec<_> = all.iter().map(|filed| (filed.channel.as_str(), filed.topic.as_str())).collect();
    assert_eq!(told, [("c", "a.b"), ("d", "x")]);
    assert_eq!(all[0].letter.message_id, first.id().as_str());
    assert_eq!((all[0].letter.group.as_str(), all[0].letter.attempts), ("g", 5));
    assert_eq!(office.list(all[0].letter.id, 10).await.unwrap().len(), 1);
    let found = office.find(all[1].letter.id).await.unwrap().unwrap();
    assert_eq!((found.channel.as_str(), found.body.as_ref()), ("d", &b"{}"[..]));
    assert!(office.find(99).await.unwrap().is_none());
}

#[tokio::test]
async fn a_replayed_message_comes_out_of_the_outbox_again_with_fresh_attempts() {
    let fixture = fixture().await;
    let dead = message("a", Some("k")).with_header("own", "value");
    give_up(&fixture, "c", &dead).await;
    let office = office(&fixture);
    let id = office.list(0, 1).await.unwrap()[0].letter.id;
    assert_eq!(office.replay(id, &fixture.outbox).await.unwrap(), Replayed::Queued);
    assert!(office.list(0, 1).await.unwrap().is_empty());
    let entries = claim(&fixture).await;
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((&*entry.channel, entry.message.id(), entry.attempts), ("c", dead.id(), 1));
    assert_eq!((entry.message.headers(), entry.message.key()), (dead.headers(), Some("k")));
}

#[tokio::test]
async fn a_replayed_message_waits_behind_the_older_ones_of_its_key() {
    let fixture = fixture().await;
    give_up(&fixture, "c", &message("a", Some("k"))).await;
    let running = message("a", Some("k"));
    fixture.append("c", &running).await;
    let office = office(&fixture);
    let id = office.list(0, 1).await.unwrap()[0].letter.id;
    assert_eq!(office.replay(id, &fixture.outbox).await.unwrap(), Replayed::Queued);
    let entries = claim(&fixture).await;
    assert_eq!(entries.iter().map(|entry| entry.message.id()).collect::<Vec<_>>(), [running.id()]);
}

#[tokio::test]
async fn a_message_that_is_still_under_way_is_not_replayed() {
    let fixture = fixture().await;
    let dead = message("a", None);
    give_up(&fixture, "c", &dead).await;
    sqlx::query("UPDATE tbx_outbox SET state = 1").execute(fixture.database.writer()).await.unwrap();
    let office = office(&fixture);
    let id = office.list(0, 1).await.unwrap()[0].letter.id;
    assert_eq!(office.replay(id, &fixture.outbox).await.unwrap(), Replayed::UnderWay);
    assert_eq!(office.list(0, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_shown_and_can_only_be_discarded() {
    let fixture = fixture().await;
    give_up(&fixture, "c", &message("a", None)).await;
    sqlx::query("UPDATE tbx_dead_letters SET headers = 'broken', body = x'ff00'")
        .execute(fixture.database.writer())
        .await
        .unwrap();
    let office = office(&fixture);
    let filed = office.list(0, 1).await.unwrap().pop().unwrap();
    assert!(filed.letter.message.is_none() && filed.body.as_ref() == [0xff, 0]);
    assert_eq!(office.replay(filed.letter.id, &fixture.outbox).await.unwrap(), Replayed::Unreadable);
    assert!(office.discard(filed.letter.id).await.unwrap());
    assert!(!office.discard(filed.letter.id).await.unwrap());
    assert_eq!(office.replay(filed.letter.id, &fixture.outbox).await.unwrap(), Replayed::Absent);
}
