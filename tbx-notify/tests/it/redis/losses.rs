//! A server that has lost what it had.

use tbx_notify::Position;
use tbx_notify::history::History;
use tbx_notify::hub::{Gap, GapReason, Next, Reader, Start};
use tbx_services::{Keyspace, Relay};

use super::{Node, within};
use crate::support::{bodies, notification};

/// What a server held at some time: what a restart brings back when the rest was not on the disk.
pub(super) struct Copy {
    values: Vec<(String, Vec<u8>)>,
}

impl Copy {
    pub(super) fn take(keys: &Keyspace) -> Self {
        let mut connection = connection(keys);
        let mut values = Vec::new();
        for name in ["entries", "ids", "state", "trimmed"] {
            let key = format!("{{{}}}:{name}", keys.prefix());
            let value: Option<Vec<u8>> = redis::cmd("DUMP").arg(&key).query(&mut connection).unwrap();
            values.extend(value.map(|value| (key, value)));
        }
        Self { values }
    }

    pub(super) fn restore(&self, keys: &Keyspace) {
        let mut all = redis::pipe();
        all.atomic();
        for name in ["entries", "ids", "state", "trimmed"] {
            all.del(format!("{{{}}}:{name}", keys.prefix()));
        }
        for (key, value) in &self.values {
            all.cmd("RESTORE").arg(key).arg(0).arg(value);
        }
        all.exec(&mut connection(keys)).unwrap();
    }
}

fn connection(keys: &Keyspace) -> redis::Connection {
    redis::Client::open(keys.url()).unwrap().get_connection().unwrap()
}

async fn gap(reader: &mut Reader) -> Gap {
    match within(reader.next()).await {
        Next::Gap(gap) => gap,
        other => panic!("a gap was expected, not {other:?}"),
    }
}

/// Waits until both have left the epoch of `position`, for the same one.
async fn in_another_epoch(nodes: [&Node; 2], position: Position) {
    within(async {
        loop {
            let [one, other] = nodes.map(|node| node.history.bounds().epoch);
            if one == other && one != position.epoch {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_is_lost_readers_go_on_and_old_positions_are_unknown() {
    let keys = Keyspace::new();
    let (one, other) = (Node::new(&keys).await, Node::new(&keys).await);
    let mut readers = [one.read("a", Start::Head), other.read("a", Start::Head)];
    let position = one.tell("a", "before").await;
    for reader in &mut readers {
        assert_eq!(bodies(reader, 1).await, ["before"]);
    }
    keys.clear();
    in_another_epoch([&one, &other], position).await;
    let after = one.tell("a", "after").await;
    for reader in &mut readers {
        assert_eq!(bodies(reader, 1).await, ["after"], "no gap: nothing was missed");
        assert_eq!(reader.position(), after);
    }
    assert!(after.offset > position.offset && after.epoch != position.epoch);
    for node in [&one, &other] {
        let mut old = node.resume("a", position);
        assert_eq!(gap(&mut old).await.reason, GapReason::Unknown);
        let mut new = node.resume("a", after);
        node.tell("a", "later").await;
        assert_eq!(bodies(&mut new, 1).await, ["later"]);
        assert_eq!(bodies(&mut old, 1).await, ["later"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_notices_a_loss_by_itself() {
    let keys = Keyspace::new();
    let node = Node::new(&keys).await;
    let mut reader = node.read("a", Start::Head);
    let mut newest = 0;
    for round in 0..5 {
        let body = round.to_string();
        let position = node.tell("a", &body).await;
        assert!(position.offset > newest, "no offset is given twice");
        newest = position.offset;
        assert_eq!(bodies(&mut reader, 1).await, [body]);
        keys.clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_is_lost_unread_is_made_again_whatever_stands_in_its_place() {
    let keys = Keyspace::new();
    let earlier = Node::new(&keys).await;
    let mut copies = Vec::new();
    for body in ["kept", "next", "in its place"] {
        earlier.tell("a", body).await;
        copies.push(Copy::take(&keys));
    }
    // Nobody is left who has seen it.
    within(earlier.history.close()).await;
    copies[0].restore(&keys);
    let relay = Relay::start(keys.address()).await;
    let node = Node::behind(&relay, &keys).await;
    let mut reader = node.read("a", Start::Head);
    // Whoever follows the stream is answered once more at most, before the append, and asks again only after it has come and gone.
    relay.hold_requests("XREAD");
    copies[1].restore(&keys);
    let (history, appended) = (node.history.clone(), notification("a", "appended"));
    let id = appended.id().as_str().to_owned();
    let appending = tokio::spawn(async move { history.append(appended).await });
    let mut server = connection(&keys);
    within(async {
        let ids = format!("{{{}}}:ids", keys.prefix());
        while !redis::cmd("HEXISTS").arg(&ids).arg(&id).query::<bool>(&mut server).unwrap() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    copies[2].restore(&keys);
    relay.release();
    assert!(within(appending).await.unwrap().unwrap().is_new);
    assert_eq!(bodies(&mut reader, 3).await, ["next", "in its place", "appended"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_newest_are_lost_readers_that_had_them_go_on() {
    let keys = Keyspace::new();
    let (one, other) = (Node::new(&keys).await, Node::new(&keys).await);
    let mut readers = [one.read("a", Start::Head), other.read("a", Start::Head)];
    one.tell("a", "kept").await;
    let copy = Copy::take(&keys);
    let position = other.tell("a", "lost").await;
    for reader in &mut readers {
        assert_eq!(bodies(reader, 2).await, ["kept", "lost"]);
    }
    copy.restore(&keys);
    in_another_epoch([&one, &other], position).await;
    one.tell("a", "after").await;
    for reader in &mut readers {
        assert_eq!(bodies(reader, 1).await, ["after"], "no gap: nothing was missed");
    }
}

/// Two notifiers of which one, behind a relay that refuses, does not know yet that the other has begun a new epoch over a loss.
async fn one_begins_anew(keys: &Keyspace, relay: &Relay) -> (Node, Node, Reader) {
    let (one, late) = (Node::new(keys).await, Node::behind(relay, keys).await);
    let mut reader = late.read("a", Start::Head);
    one.tell("a", "seen by both").await;
    assert_eq!(bodies(&mut reader, 1).await, ["seen by both"]);
    let copy = Copy::take(keys);
    relay.refuse();
    relay.cut().await;
    let position = one.tell("a", "seen by one, and lost").await;
    copy.restore(keys);
    one.eventually(|history| history.bounds().epoch != position.epoch).await;
    (one, late, reader)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_have_missed_what_was_lost_is_told() {
    let keys = Keyspace::new();
    let relay = Relay::start(keys.address()).await;
    let (one, _late, mut reader) = one_begins_anew(&keys, &relay).await;
    relay.accept();
    let gap = gap(&mut reader).await;
    assert_eq!(gap.reason, GapReason::Unknown);
    assert_eq!(gap.resumes_after.epoch, one.history.bounds().epoch);
    one.tell("a", "after").await;
    assert_eq!(bodies(&mut reader, 1).await, ["after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_in_a_new_epoch_before_a_notifier_noticed_it_reaches_its_readers() {
    let keys = Keyspace::new();
    let relay = Relay::start(keys.address()).await;
    let (one, _late, mut reader) = one_begins_anew(&keys, &relay).await;
    for body in ["first", "second"] {
        one.tell("a", body).await;
    }
    relay.accept();
    assert_eq!(gap(&mut reader).await.reason, GapReason::Unknown);
    assert_eq!(bodies(&mut reader, 2).await, ["first", "second"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notifier_that_had_seen_all_comes_late_to_a_new_epoch_without_a_gap() {
    let keys = Keyspace::new();
    let relay = Relay::start(keys.address()).await;
    let (one, late) = (Node::new(&keys).await, Node::behind(&relay, &keys).await);
    let mut reader = late.read("a", Start::Head);
    one.tell("a", "kept").await;
    let copy = Copy::take(&keys);
    let position = one.tell("a", "lost").await;
    assert_eq!(bodies(&mut reader, 2).await, ["kept", "lost"]);
    relay.refuse();
    relay.cut().await;
    copy.restore(&keys);
    one.eventually(|history| history.bounds().epoch != position.epoch).await;
    for body in ["first", "second"] {
        one.tell("a", body).await;
    }
    relay.accept();
    assert_eq!(bodies(&mut reader, 2).await, ["first", "second"]);
    assert_eq!(reader.position().epoch, one.history.bounds().epoch);
}

/// A notifier, behind a relay that refuses now, with a reader of all that it has seen, the newest of which only it has seen: the copy, which was
/// restored, does not hold it.
async fn one_is_away_with_what_is_lost(keys: &Keyspace, relay: &Relay) -> (Node, Reader, Copy) {
    let absent = Node::behind(relay, keys).await;
    let mut reader = absent.read("a", Start::Head);
    absent.tell("a", "kept").await;
    let copy = Copy::take(keys);
    absent.tell("a", "lost").await;
    assert_eq!(bodies(&mut reader, 2).await, ["kept", "lost"]);
    relay.refuse();
    relay.cut().await;
    copy.restore(keys);
    (absent, reader, copy)
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_that_came_in_place_of_the_lost_are_not_taken_for_them() {
    let keys = Keyspace::new();
    let relay = Relay::start(keys.address()).await;
    let (absent, mut reader, _copy) = one_is_away_with_what_is_lost(&keys, &relay).await;
    let position = reader.position();
    // It has never seen what was lost, and goes on at the same offsets.
    let fresh = Node::new(&keys).await;
    for body in ["in its place", "and one more"] {
        fresh.tell("a", body).await;
    }
    assert_eq!(fresh.history.bounds().epoch, position.epoch);
    relay.accept();
    assert_eq!(gap(&mut reader).await.reason, GapReason::Unknown);
    in_another_epoch([&absent, &fresh], position).await;
    fresh.tell("a", "after").await;
    assert_eq!(bodies(&mut reader, 1).await, ["after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_notifiers_that_saw_other_entries_in_one_place_are_both_told_when_both_are_lost() {
    let keys = Keyspace::new();
    let relay = Relay::start(keys.address()).await;
    let (absent, mut absent_reader, copy) = one_is_away_with_what_is_lost(&keys, &relay).await;
    let fresh = Node::new(&keys).await;
    let mut fresh_reader = fresh.read("a", Start::Head);
    let position = fresh.tell("a", "in its place").await;
    assert_eq!(bodies(&mut fresh_reader, 1).await, ["in its place"]);
    copy.restore(&keys);
    fresh.eventually(|history| history.bounds().epoch != position.epoch).await;
    fresh.tell("a", "after").await;
    assert_eq!(bodies(&mut fresh_reader, 1).await, ["after"]);
    relay.accept();
    for reader in [&mut absent_reader, &mut fresh_reader] {
        assert_eq!(gap(reader).await.reason, GapReason::Unknown);
    }
    in_another_epoch([&absent, &fresh], position).await;
    fresh.tell("a", "at last").await;
    for reader in [&mut absent_reader, &mut fresh_reader] {
        assert_eq!(bodies(reader, 1).await, ["at last"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_still_known_in_a_new_epoch_when_it_was_not_lost() {
    let keys = Keyspace::new();
    let node = Node::new(&keys).await;
    let kept = notification("a", "kept");
    node.history.append(kept.clone()).await.unwrap();
    let copy = Copy::take(&keys);
    let position = node.tell("a", "lost").await;
    copy.restore(&keys);
    node.eventually(|history| history.bounds().epoch != position.epoch).await;
    assert!(!node.history.append(kept).await.unwrap().is_new);
}
