//! Looking at letters, and deciding.

use chrono::{TimeDelta, Utc};
use tbx_bus::{Reason, ReasonKind};
use tokio_util::sync::CancellationToken;

use super::DeadLettersHarness;
use super::harness::{await_claim, give_up, letter, message};
use crate::dead_letter::Replayed;
use crate::outbox::{OutboxStore, Settlement};

/// Nothing of a message is lost with its death.
pub async fn letters_of_all_channels_are_listed_and_found(harness: impl DeadLettersHarness) {
    let first = message("a.b", Some("k")).with_header("own", "w\u{e9}rt");
    let second = message("x", None);
    give_up(&harness, "c", "g", &first).await;
    give_up(&harness, "d", "h", &second).await;
    let all = harness.list(0, 10).await;
    let told: Vec<_> = all.iter().map(|filed| (filed.channel.as_str(), filed.topic.as_str())).collect();
    assert_eq!(told, [("c", "a.b"), ("d", "x")]);
    let one = &all[0].letter;
    assert_eq!((one.message_id.as_str(), one.group.as_str(), one.attempts), (first.id().as_str(), "g", 5));
    assert_eq!(one.reason, "rejected");
    assert!(one.detail.starts_with("no ") && one.detail.ends_with(" use"), "{}", one.detail);
    assert!((Utc::now() - one.died_at).abs() < TimeDelta::minutes(5));
    let read = one.message.as_ref().expect("it can be read");
    assert_eq!((read.headers(), read.key(), read.body()), (first.headers(), Some("k"), first.body()));
    assert_eq!(harness.list(one.id, 10).await.len(), 1);
    assert_eq!(harness.list(0, 1).await.len(), 1);
    let found = harness.find(all[1].letter.id).await.expect("it is there");
    assert_eq!((found.channel.as_str(), found.body.as_ref()), ("d", &b"{}"[..]));
    assert!(harness.find(all[1].letter.id + 1).await.is_none());
    assert_eq!(harness.of_channel("d", 0, 10).await.len(), 1);
}

/// Storing a letter twice is no error, as after a crash in between; the later word counts.
pub async fn a_message_that_a_group_gives_up_again_is_one_letter(harness: impl DeadLettersHarness) {
    let dead = message("a", None);
    let id = give_up(&harness, "c", "g", &dead).await;
    let mut again = letter(&dead, "g");
    again.attempts = 7;
    again.reason = Reason::new(ReasonKind::AttemptsExhausted, "still no");
    harness.sink("c").bury(again).await.unwrap();
    let letters = harness.of_channel("c", 0, 10).await;
    let [kept] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((kept.id, kept.attempts, kept.reason.as_str()), (id, 7, "attempts-exhausted"));
    give_up(&harness, "c", "other", &dead).await;
    assert_eq!(harness.of_channel("c", 0, 10).await.len(), 2, "each group has its own");
}

/// It can be seen, byte by byte, and taken away; handing it on would help nobody.
pub async fn what_cannot_be_read_is_shown_and_can_only_be_discarded(harness: impl DeadLettersHarness) {
    let id = give_up(&harness, "c", "g", &message("a", None)).await;
    harness.damage().await;
    let filed = harness.find(id).await.expect("it is there");
    assert!(filed.letter.message.is_none() && filed.body.as_ref() == [0xff, 0]);
    assert_eq!(harness.replay(id).await.unwrap(), Replayed::Unreadable);
    assert!(harness.discard(id).await);
    assert!(!harness.discard(id).await);
    assert_eq!(harness.replay(id).await.unwrap(), Replayed::Absent);
}

/// Two people, one decision.
pub async fn a_letter_that_two_people_replay_is_replayed_once(harness: impl DeadLettersHarness) {
    let id = give_up(&harness, "c", "g", &message("a", None)).await;
    let (one, other) = tokio::join!(harness.replay(id), harness.replay(id));
    let mut outcomes = [one.unwrap(), other.unwrap()];
    outcomes.sort_by_key(|outcome| *outcome == Replayed::Absent);
    assert_eq!(outcomes, [Replayed::Queued, Replayed::Absent]);
}

/// As long as the message is on its way it would be there twice.
pub async fn a_message_that_is_still_under_way_is_not_replayed(harness: impl DeadLettersHarness) {
    let dead = message("a", None);
    let id = give_up(&harness, "c", "g", &dead).await;
    harness.append("c", &dead).await;
    assert_eq!(harness.replay(id).await.unwrap(), Replayed::UnderWay);
    assert!(harness.find(id).await.is_some());
}

/// Fresh attempts, and a mark: for whom, and that it is late.
pub async fn a_replayed_message_comes_out_of_the_outbox_again_for_its_group(
    harness: impl DeadLettersHarness,
) {
    let dead = message("a", Some("k")).with_header("own", "value");
    let id = give_up(&harness, "c", "g", &dead).await;
    assert_eq!(harness.replay(id).await.unwrap(), Replayed::Queued);
    assert!(harness.list(0, 10).await.is_empty());
    attended(&harness, async |store| {
        let entries = await_claim(store, "c").await;
        let [entry] = &entries[..] else { panic!("{entries:?}") };
        let again = dead.clone().replayed_for("g");
        assert_eq!((&*entry.channel, entry.message.id(), entry.attempts), ("c", dead.id(), 1));
        assert_eq!((entry.message.headers(), entry.message.key()), (again.headers(), Some("k")));
        assert!(entry.message.only_for() == Some("g") && entry.message.is_replayed());
    })
    .await;
}

/// A letter that stands for the whole channel is for the whole channel again.
pub async fn a_letter_that_no_group_gave_up_is_replayed_to_all(harness: impl DeadLettersHarness) {
    let dead = message("a", Some("k"));
    let id = give_up(&harness, "c", "", &dead).await;
    assert_eq!(harness.replay(id).await.unwrap(), Replayed::Queued);
    attended(&harness, async |store| {
        let entry = await_claim(store, "c").await.remove(0);
        assert!(entry.message.only_for().is_none() && entry.message.is_replayed());
    })
    .await;
}

/// The outbox may remember what it is done with; that is no reason to refuse.
pub async fn a_message_that_the_outbox_is_done_with_can_be_replayed(harness: impl DeadLettersHarness) {
    let dead = message("a", Some("k"));
    harness.append("c", &dead).await;
    attended(&harness, async |store| {
        let entry = await_claim(store, "c").await.remove(0);
        let settlement = Settlement::Done { entry, dead_letters: vec![letter(&dead, "g")] };
        store.settle_and_claim(&[settlement], &[], Utc::now()).await.unwrap();
        let id = harness.list(0, 1).await[0].letter.id;
        assert_eq!(harness.replay(id).await.unwrap(), Replayed::Queued);
        let entry = await_claim(store, "c").await.remove(0);
        assert_eq!((entry.message.id(), entry.attempts), (dead.id(), 1));
    })
    .await;
}

/// Late, but not before its turn.
pub async fn a_replayed_message_waits_behind_the_older_ones_of_its_key(harness: impl DeadLettersHarness) {
    let id = give_up(&harness, "c", "g", &message("a", Some("k"))).await;
    let running = message("a", Some("k"));
    harness.append("c", &running).await;
    assert_eq!(harness.replay(id).await.unwrap(), Replayed::Queued);
    attended(&harness, async |store| {
        let entries = await_claim(store, "c").await;
        assert_eq!(entries.iter().map(|entry| entry.message.id()).collect::<Vec<_>>(), [running.id()]);
    })
    .await;
}

/// Runs a test with somebody who attends to the outbox, as a relay does.
async fn attended(harness: &impl DeadLettersHarness, test: impl AsyncFnOnce(&dyn OutboxStore)) {
    let (store, stop) = (harness.store(), CancellationToken::new());
    let work = async {
        store.left_behind(1).await.unwrap();
        test(&*store).await;
        stop.cancel();
    };
    tokio::join!(work, store.attend(&[], stop.clone()));
}
