//! Deciding about dead letters.

use tbx_bus::{DeadLetter, DeadLetterSink, Message, Reason, ReasonKind};
use tbx_store::postgres::{DeadLetterOffice, PgDeadLetters, Replayed};

use super::support::{Fixture, attend, fixture, message};

/// Gives a message up as the group "g" of its channel.
async fn give_up(fixture: &Fixture, channel: &str, message: &Message) {
    let reason = Reason::new(ReasonKind::Rejected, "no");
    let letter = DeadLetter::new(message.clone().into(), "g".into(), 5, reason);
    PgDeadLetters::new(fixture.database.pool().clone(), channel).bury(letter).await.unwrap();
}

fn office(fixture: &Fixture) -> DeadLetterOffice {
    DeadLetterOffice::new(fixture.database.pool().clone())
}

#[tokio::test]
async fn letters_of_all_channels_are_listed_and_found() {
    let fixture = fixture().await;
    let (first, second) = (message("a.b", Some("k")), message("x", None));
    give_up(&fixture, "c", &first).await;
    give_up(&fixture, "d", &second).await;
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
    let attending = attend(&fixture.outbox).await;
    let dead = message("a", Some("k")).with_header("own", "value");
    give_up(&fixture, "c", &dead).await;
    let office = office(&fixture);
    let id = office.list(0, 1).await.unwrap()[0].letter.id;
    assert_eq!(office.replay(id, &fixture.outbox).await.unwrap(), Replayed::Queued);
    assert!(office.list(0, 1).await.unwrap().is_empty());
    let entries = attending.claim(10).await;
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((&*entry.channel, entry.message.id(), entry.attempts), ("c", dead.id(), 1));
    assert_eq!((entry.message.headers(), entry.message.key()), (dead.headers(), Some("k")));
    attending.stop().await;
}

#[tokio::test]
async fn a_letter_that_two_people_replay_is_replayed_once() {
    let fixture = fixture().await;
    give_up(&fixture, "c", &message("a", None)).await;
    let office = office(&fixture);
    let id = office.list(0, 1).await.unwrap()[0].letter.id;
    let (one, other) = tokio::join!(office.replay(id, &fixture.outbox), office.replay(id, &fixture.outbox));
    let mut outcomes = [one.unwrap(), other.unwrap()];
    outcomes.sort_by_key(|outcome| *outcome == Replayed::Absent);
    assert_eq!(outcomes, [Replayed::Queued, Replayed::Absent]);
}

#[tokio::test]
async fn a_message_that_is_still_under_way_is_not_replayed() {
    let fixture = fixture().await;
    let dead = message("a", None);
    give_up(&fixture, "c", &dead).await;
    fixture.append("c", &dead).await;
    let office = office(&fixture);
    let id = office.list(0, 1).await.unwrap()[0].letter.id;
    assert_eq!(office.replay(id, &fixture.outbox).await.unwrap(), Replayed::UnderWay);
    assert_eq!(office.list(0, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_shown_and_can_only_be_discarded() {
    let fixture = fixture().await;
    give_up(&fixture, "c", &message("a", None)).await;
    fixture.place.execute(r"UPDATE tbx_dead_letters SET headers = 'broken', body = '\xff00'").await;
    let office = office(&fixture);
    let filed = office.list(0, 1).await.unwrap().pop().unwrap();
    assert!(filed.letter.message.is_none() && filed.body.as_ref() == [0xff, 0]);
    assert_eq!(office.replay(filed.letter.id, &fixture.outbox).await.unwrap(), Replayed::Unreadable);
    assert!(office.discard(filed.letter.id).await.unwrap());
    assert!(!office.discard(filed.letter.id).await.unwrap());
    assert_eq!(office.replay(filed.letter.id, &fixture.outbox).await.unwrap(), Replayed::Absent);
}
