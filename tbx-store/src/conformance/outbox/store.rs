//! One process and its store.

use std::collections::HashSet;

use chrono::{TimeDelta, Utc};
use tbx_bus::{DeadLetter, Reason, ReasonKind};

use super::OutboxHarness;
use super::process::{CHANNEL, Process, done, ids, message};
use crate::outbox::Settlement;

/// What is not committed does not exist.
pub async fn what_was_rolled_back_is_never_claimed(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    process.append_to(CHANNEL, &[message(None)], false).await;
    assert!(process.claim().await.is_empty());
}

/// Attributes, headers, key and body survive.
pub async fn a_message_comes_out_as_it_went_in(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    let sent = message(Some("k\u{e9}")).with_header("own", "wért").with_subject("s").with_source("/x");
    process.append(std::slice::from_ref(&sent)).await;
    let entries = process.claim().await;
    let [entry] = &entries[..] else { panic!("{entries:?}") };
    let got = &entry.message;
    assert_eq!((got.headers(), got.key(), got.subject()), (sent.headers(), sent.key(), sent.subject()));
    assert_eq!(
        (got.id(), got.body(), got.topic(), got.source()),
        (sent.id(), sent.body(), sent.topic(), "/x")
    );
    assert_eq!((entry.attempts, &*entry.channel), (1, CHANNEL));
}

/// Appending is idempotent while the message is there.
pub async fn an_id_in_the_outbox_is_not_appended_again(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    let sent = message(None);
    process.append(std::slice::from_ref(&sent)).await;
    process.append(&[sent]).await;
    assert_eq!(process.claim().await.len(), 1);
}

/// The heart of order.
pub async fn one_message_of_a_key_is_out_at_a_time(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    let (first, second) = (message(Some("k")), message(Some("k")));
    process
        .append(&[first.clone(), second.clone(), message(Some("other")), message(None), message(None)])
        .await;
    let mut entries = process.claim().await;
    assert_eq!((entries.len(), entries[0].message.id()), (4, first.id()));
    assert!(process.claim().await.is_empty());
    process.settle(vec![done(entries.remove(0))]).await;
    assert_eq!(ids(&process.claim().await), [second.id()]);
}

/// Equal keys of two channels have nothing to do with each other.
pub async fn channels_are_apart(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    let (here, there) = (message(Some("k")), message(Some("k")));
    process.append_to("d", std::slice::from_ref(&there), true).await;
    process.append(std::slice::from_ref(&here)).await;
    assert_eq!(ids(&process.claim().await), [here.id()]);
    let claimed = process.store.settle_and_claim(&[], &[("d", 10), (CHANNEL, 10)], Utc::now()).await.unwrap();
    assert_eq!(ids(&claimed), [there.id()]);
}

/// A claim takes no more than it is asked for, and everything in the end, whatever the mixture of keys.
pub async fn everything_is_claimed_once_in_small_bites(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    let mut sent = Vec::new();
    for number in 0..300_u32 {
        let key = match number % 3 {
            0 => None,
            1 => Some(format!("few {}", number % 4)),
            _ => Some(format!("many {number}")),
        };
        sent.push(message(key.as_deref()));
    }
    process.append(&sent).await;
    let mut seen = HashSet::new();
    let mut under_way = Vec::new();
    let claiming = async {
        while seen.len() < sent.len() {
            let settlements: Vec<_> = under_way.drain(..).map(done).collect();
            let claimed =
                process.store.settle_and_claim(&settlements, &[(CHANNEL, 7)], Utc::now()).await.unwrap();
            assert!(claimed.len() <= 7);
            for entry in claimed {
                assert!(seen.insert(entry.message.id().clone()), "claimed twice");
                under_way.push(entry);
            }
        }
    };
    tokio::time::timeout(super::process::DEADLINE, claiming).await.expect("everything in time");
}

/// Order holds through a delay.
pub async fn a_message_put_off_keeps_its_key_waiting_until_it_is_due(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    let first = message(Some("k"));
    process.append(&[first.clone(), message(Some("k"))]).await;
    let entry = process.claim().await.remove(0);
    let at = Utc::now() + TimeDelta::minutes(1);
    process.settle(vec![Settlement::Later { entry, at, counts: false }]).await;
    assert!(process.claim().await.is_empty());
    let entries = process.claim_at(at + TimeDelta::seconds(1)).await;
    assert_eq!((ids(&entries), entries[0].attempts), (vec![first.id()], 1));
}

/// The letter and the settlement are one.
pub async fn a_dead_letter_is_stored_with_the_settlement_and_the_key_goes_on(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    let (first, second) = (message(Some("k")), message(Some("k")));
    process.append(&[first.clone(), second.clone()]).await;
    let entry = process.claim().await.remove(0);
    let reason = Reason::new(ReasonKind::Rejected, "no");
    let letter = DeadLetter::new(entry.message.clone().into(), "g".into(), 3, reason);
    process.settle(vec![Settlement::Done { entry, dead_letters: vec![letter] }]).await;
    let letters = harness.dead_letters(CHANNEL).await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    let told = (letter.message_id.as_str(), letter.group.as_str(), letter.attempts);
    assert_eq!(told, (first.id().as_str(), "g", 3));
    assert_eq!((letter.reason.as_str(), letter.detail.as_str()), ("rejected", "no"));
    assert_eq!(letter.message.as_ref().map(|message| message.body()), Some(first.body()));
    assert_eq!(ids(&process.claim().await), [second.id()]);
}

/// Whoever can never be published holds up nobody.
pub async fn a_message_given_up_becomes_a_dead_letter_and_its_key_goes_on(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    let (first, second) = (message(Some("k")), message(Some("k")));
    process.append(&[first.clone(), second.clone()]).await;
    let entry = process.claim().await.remove(0);
    let reason = Reason::new(ReasonKind::Unpublishable, "zero \0 in it");
    process.settle(vec![Settlement::GivenUp { entry, reason }]).await;
    let letters = harness.dead_letters(CHANNEL).await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.message_id.as_str(), letter.reason.as_str()), (first.id().as_str(), "unpublishable"));
    assert_eq!(ids(&process.claim().await), [second.id()]);
}

/// Nor does what cannot be read.
pub async fn a_row_that_cannot_be_read_becomes_a_dead_letter_and_its_key_goes_on(
    harness: impl OutboxHarness,
) {
    let process = Process::fresh(&harness).await;
    let (first, second) = (message(Some("k")), message(Some("k")));
    process.append(&[first.clone(), second.clone(), message(None)]).await;
    harness.damage(first.id()).await;
    assert_eq!(process.claim().await.len(), 1, "others are not held up");
    assert_eq!(ids(&process.claim().await), [second.id()]);
    let letters = harness.dead_letters(CHANNEL).await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.message_id.as_str(), letter.reason.as_str()), (first.id().as_str(), "unreadable"));
    assert!(letter.message.is_none());
}

/// Done is done, also for the next process.
pub async fn what_is_settled_does_not_come_back(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    process.append(&[message(Some("k")), message(None)]).await;
    let settlements = process.claim().await.into_iter().map(done).collect();
    process.settle(settlements).await;
    process.stop().await;
    let next = Process::fresh(&harness).await;
    assert!(next.claim().await.is_empty());
    assert_eq!(next.stats().await.pending, 0);
}

/// A stop is no crash.
pub async fn after_a_clean_stop_everything_is_as_if_nothing_had_been_handed_over(
    harness: impl OutboxHarness,
) {
    let process = Process::fresh(&harness).await;
    let sent = message(Some("k"));
    process.append(std::slice::from_ref(&sent)).await;
    let entry = process.claim().await.remove(0);
    process.settle(vec![Settlement::Later { entry, at: Utc::now(), counts: false }]).await;
    process.stop().await;
    let next = Process::fresh(&harness).await;
    let entries = next.await_claim().await;
    assert_eq!((ids(&entries), entries[0].attempts), (vec![sent.id()], 1));
}

/// Waiting is woken by an append, also by one that came first.
pub async fn an_append_wakes_whoever_waits(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    process.append(&[message(None)]).await;
    let woken = tokio::time::timeout(super::process::DEADLINE, process.store.appended());
    woken.await.expect("woken in time");
}

/// Purging is for what is done.
pub async fn purging_loses_nothing_undone(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    process.append(&[message(None), message(None), message(None)]).await;
    let entry = process.claim().await.remove(0);
    process.settle(vec![done(entry)]).await;
    process.store.purge(Utc::now() + TimeDelta::minutes(1), 10).await.unwrap();
    let stats = process.stats().await;
    assert_eq!((stats.pending, stats.handed), (0, 2));
}

/// What the gauges show.
pub async fn the_numbers_tell_what_waits_is_out_and_is_dead(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    let before = Utc::now() - TimeDelta::seconds(60);
    assert_eq!(process.stats().await.oldest, None);
    process.append(&[message(Some("k")), message(Some("k")), message(None)]).await;
    assert_eq!((process.stats().await.pending, process.stats().await.handed), (3, 0));
    let mut entries = process.claim().await;
    let stats = process.stats().await;
    assert_eq!((stats.pending, stats.handed, stats.dead), (1, 2, 0));
    assert!(
        stats.oldest.is_some_and(|oldest| oldest > before && oldest < Utc::now() + TimeDelta::seconds(60))
    );
    let reason = Reason::new(ReasonKind::Unpublishable, "no");
    process.settle(vec![Settlement::GivenUp { entry: entries.remove(0), reason }]).await;
    let stats = process.stats().await;
    assert_eq!((stats.pending, stats.handed, stats.dead), (1, 1, 1));
}

/// Whoever may have ended the process is known by its attempts; whoever was not handed over is not charged.
pub async fn after_a_crash_what_was_handed_over_is_left_behind_and_charged(harness: impl OutboxHarness) {
    let process = Process::fresh(&harness).await;
    let (handed, waiting) = (message(Some("k")), message(Some("k")));
    process.append(&[handed.clone(), waiting.clone()]).await;
    assert_eq!(process.claim().await.len(), 1);
    process.crash().await;
    for attempts in 1..=3 {
        let (next, left) = begin_with_left_behind(&harness).await;
        assert_eq!((ids(&left), left[0].attempts), (vec![handed.id()], attempts));
        assert!(next.claim().await.is_empty(), "its key waits");
        next.store.charge(left[0].id).await.unwrap();
        next.crash().await;
    }
    let (last, mut left) = begin_with_left_behind(&harness).await;
    last.settle(vec![done(left.remove(0))]).await;
    let entries = last.await_claim().await;
    assert_eq!((ids(&entries), entries[0].attempts), (vec![waiting.id()], 1));
}

/// Begins, and waits for what was left behind, which may take a lease to be found.
async fn begin_with_left_behind(harness: &impl OutboxHarness) -> (Process, Vec<crate::outbox::OutboxEntry>) {
    let (process, mut left) = Process::begin(harness).await;
    let found = async {
        while left.is_empty() {
            if process.store.tidings().left_behind {
                left = process.store.left_behind(100).await.unwrap();
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        left
    };
    let left = tokio::time::timeout(super::process::DEADLINE, found).await.expect("found in time");
    (process, left)
}
