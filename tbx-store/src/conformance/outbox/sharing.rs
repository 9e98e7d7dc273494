//! Several processes with the same tables.

use std::time::Instant;

use tbx_bus::{Message, Publisher};

use super::OutboxHarness;
use super::order::mixed;
use super::process::{CHANNEL, Process, done, ids, message};
use super::publisher::Recorder;
use super::relaying::Relaying;
use crate::outbox::Settlement;

/// No detour over another process.
pub async fn a_process_relays_what_it_appended(harness: impl OutboxHarness) {
    let (one, other) = (Process::fresh(&harness).await, Process::fresh(&harness).await);
    let (of_one, of_other) = (message(None), message(Some("k")));
    one.append(std::slice::from_ref(&of_one)).await;
    other.append(std::slice::from_ref(&of_other)).await;
    assert_eq!(ids(&other.claim().await), [of_other.id()]);
    assert_eq!(ids(&one.claim().await), [of_one.id()]);
}

/// Order across processes.
pub async fn a_message_waits_for_an_older_one_of_its_key_in_another_process(harness: impl OutboxHarness) {
    let (one, other) = (Process::fresh(&harness).await, Process::fresh(&harness).await);
    let (first, second) = (message(Some("k")), message(Some("k")));
    one.append(std::slice::from_ref(&first)).await;
    other.append(std::slice::from_ref(&second)).await;
    assert!(other.claim().await.is_empty());
    let entry = one.claim().await.remove(0);
    assert!(other.claim().await.is_empty());
    one.settle(vec![done(entry)]).await;
    // Told, or by looking again soon.
    tokio::time::timeout(super::process::DEADLINE, other.store.appended()).await.expect("woken in time");
    assert_eq!(ids(&other.await_claim().await), [second.id()]);
}

/// Nothing of the dead is lost, and nothing of theirs is taken while they may live.
pub async fn a_process_that_is_gone_is_taken_over_from_when_its_lease_ends(harness: impl OutboxHarness) {
    let (gone, heir) = (Process::fresh(&harness).await, Process::fresh(&harness).await);
    let sent = [message(Some("k")), message(Some("k")), message(None)];
    gone.append(&sent).await;
    assert_eq!(gone.claim().await.len(), 2);
    let began = Instant::now();
    gone.crash().await;
    let first = heir.await_claim().await;
    assert!(began.elapsed() * 2 > harness.lease(), "not at once");
    assert_eq!(ids(&first), [sent[0].id(), sent[2].id()]);
    heir.settle(first.into_iter().map(done).collect()).await;
    assert_eq!(ids(&heir.await_claim().await), [sent[1].id()]);
}

/// Who says goodbye is not waited for.
pub async fn a_process_that_stops_is_taken_over_from_at_once(harness: impl OutboxHarness) {
    let (leaving, heir) = (Process::fresh(&harness).await, Process::fresh(&harness).await);
    let sent = message(Some("k"));
    leaving.append(std::slice::from_ref(&sent)).await;
    leaving.stop().await;
    let began = Instant::now();
    let entries = heir.await_claim().await;
    assert!(began.elapsed() < harness.lease(), "{:?}", began.elapsed());
    assert_eq!((ids(&entries), entries[0].attempts), (vec![sent.id()], 1));
}

/// The fence: a process that was paused for too long harms nobody when it goes on.
pub async fn a_process_paused_past_its_lease_settles_nothing_and_is_told(harness: impl OutboxHarness) {
    let (mut paused, heir) = (Process::fresh(&harness).await, Process::fresh(&harness).await);
    let (first, second) = (message(Some("k")), message(Some("k")));
    paused.append(&[first.clone(), second.clone()]).await;
    let stale = paused.claim().await.remove(0);
    paused.pause().await;
    let fresh = heir.await_claim().await.remove(0);
    assert_eq!(fresh.message.id(), first.id());
    // Refused or ignored, but without effect: the claim is the heir's.
    let settlements = [done(stale)];
    let settling = paused.store.settle_and_claim(&settlements, &[(CHANNEL, 10)], chrono::Utc::now());
    assert!(settling.await.map_or(true, |claimed| claimed.is_empty()), "it hands over nothing");
    assert!(heir.claim().await.is_empty(), "the next of its key still waits");
    let at = chrono::Utc::now();
    heir.settle(vec![Settlement::Later { entry: fresh, at, counts: false }]).await;
    let again = heir.await_claim().await.remove(0);
    assert_eq!(again.message.id(), first.id(), "it was still there");
    heir.settle(vec![done(again)]).await;
    assert_eq!(ids(&heir.await_claim().await), [second.id()]);
}

/// What a process appends while nobody attends to its store is for anyone.
pub async fn a_process_without_a_relay_appends_for_the_others(harness: impl OutboxHarness) {
    let relaying = Process::fresh(&harness).await;
    let appending = harness.process().await;
    let sent = message(None);
    appending.append(CHANNEL, std::slice::from_ref(&sent), true).await;
    assert_eq!(ids(&relaying.await_claim().await), [sent.id()]);
}

/// Two relays, one order.
pub async fn two_relays_publish_everything_once_and_in_the_order_of_its_keys(harness: impl OutboxHarness) {
    let bus = Recorder::default();
    let relays = [Relaying::begin(&harness, &bus).await, Relaying::begin(&harness, &bus).await];
    let sent = mixed(200);
    for (number, part) in sent.chunks(5).enumerate() {
        relays[number % 2].process.append(CHANNEL, part, true).await;
    }
    bus.await_all(&sent).await;
    relays[0].await_nothing_undone().await;
    bus.assert_order(&sent);
    assert_eq!(bus.published().len(), sent.len(), "nothing twice");
    assert!(!bus.overlapped(), "two messages of a key were unconfirmed at once");
    for relay in relays {
        relay.stop().await;
    }
}

/// One relay dies, the other does its work as well.
pub async fn the_other_relay_publishes_what_a_dead_one_left_in_order(harness: impl OutboxHarness) {
    let bus = Recorder::default();
    let (dying, living) = (Relaying::begin(&harness, &bus).await, Relaying::begin(&harness, &bus).await);
    let sent = mixed(120);
    for (number, part) in sent.chunks(6).enumerate() {
        let relay = if number % 2 == 0 { &dying } else { &living };
        relay.process.append(CHANNEL, part, true).await;
    }
    dying.crash().await;
    bus.await_all(&sent).await;
    living.await_nothing_undone().await;
    bus.assert_order(&sent);
    living.stop().await;
}

/// A later message of a key does not overtake one whose owner is away.
pub async fn a_key_waits_for_its_message_of_a_dead_process(harness: impl OutboxHarness) {
    let bus = Recorder::default();
    let gone = Process::fresh(&harness).await;
    let (first, second) = (message(Some("k")), message(Some("k")));
    gone.append(std::slice::from_ref(&first)).await;
    gone.crash().await;
    let living = Relaying::begin(&harness, &bus).await;
    let free: Message = message(Some("free"));
    living.process.append(CHANNEL, &[second.clone(), free.clone()], true).await;
    bus.await_all(&[free]).await;
    bus.await_all(&[first.clone(), second.clone()]).await;
    bus.assert_order(&[first, second]);
    assert!(bus.capabilities().settles_on == tbx_bus::SettlesOn::Accepted);
    living.stop().await;
}
