//! Several notifiers on one history.

use std::sync::Arc;
use std::time::Duration;

use tbx_notify::TopicSet;
use tbx_notify::history::{History, RedisHistory};
use tbx_notify::hub::{GapReason, Next, Start};
use tbx_services::{Keyspace, Relay};
use tokio_util::sync::CancellationToken;

use super::{Node, within};
use crate::support::{bodies, notification};

#[tokio::test(flavor = "multi_thread")]
async fn two_notifiers_see_the_same_entries_at_the_same_positions() {
    let keys = Keyspace::new();
    let (one, other) = (Node::new(&keys).await, Node::new(&keys).await);
    let mut appends = tokio::task::JoinSet::new();
    for number in 0..400 {
        let history = [&one, &other][number % 2].history.clone();
        appends.spawn(async move { history.append(notification("a", &number.to_string())).await.unwrap() });
    }
    appends.join_all().await;
    one.reached(400).await;
    other.reached(400).await;
    let seen = |entries: Vec<Arc<tbx_notify::Entry>>| {
        entries.iter().map(|entry| (entry.position(), entry.notification().clone())).collect::<Vec<_>>()
    };
    let of_one = seen(one.history.read(0, 1_000).await.unwrap());
    assert_eq!(of_one.len(), 400);
    assert_eq!(of_one, seen(other.history.read(0, 1_000).await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_that_two_notifiers_append_is_there_once() {
    let keys = Keyspace::new();
    let (one, other) = (Node::new(&keys).await, Node::new(&keys).await);
    for _ in 0..20 {
        let same = notification("a", "same");
        let (a, b) = tokio::join!(one.history.append(same.clone()), other.history.append(same));
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!(a.position, b.position);
        assert!(a.is_new != b.is_new);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_to_another_notifier_gets_exactly_what_it_missed() {
    let keys = Keyspace::new();
    let (one, other) = (Node::new(&keys).await, Node::new(&keys).await);
    let mut reader = one.read("a", Start::Head);
    one.tell("a", "seen").await;
    assert_eq!(bodies(&mut reader, 1).await, ["seen"]);
    let position = reader.position();
    drop(reader);
    for body in ["1", "2", "3"] {
        other.tell("b", "of no interest").await;
        one.tell("a", body).await;
    }
    let mut reader = other.resume("a", position);
    assert_eq!(bodies(&mut reader, 3).await, ["1", "2", "3"]);
    other.tell("a", "live").await;
    assert_eq!(bodies(&mut reader, 1).await, ["live"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn notifiers_may_speak_different_versions_of_the_protocol() {
    let keys = Keyspace::new();
    let url = format!("{}/?protocol=resp3", keys.url().trim_end_matches('/'));
    let (old, new) =
        (Node::keeping(keys.url(), &keys, 10).await, Node::keeping(url.clone(), &keys, 10).await);
    let mut readers = [old.read("a", Start::Head), new.read("a", Start::Head)];
    for number in 0..20 {
        [&old, &new][number % 2].tell("a", &number.to_string()).await;
    }
    let wanted: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    for reader in &mut readers {
        assert_eq!(bodies(reader, 20).await, wanted);
    }
    new.eventually(|history| history.bounds().oldest == 11).await;
    let reopened = Node::keeping(url, &keys, 10).await;
    assert_eq!(reopened.history.bounds(), new.history.bounds());
    assert!(reopened.history.has_trimmed(&TopicSet::parse("a").unwrap(), 9));
    assert_eq!(reopened.history.read(0, 100).await.unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_ahead_of_a_notifier_that_lags_is_waited_for() {
    let keys = Keyspace::new();
    let relay = Relay::start(keys.address()).await;
    let (one, lagging) = (Node::new(&keys).await, Node::behind(&relay, &keys).await);
    one.tell("a", "before").await;
    lagging.reached(1).await;
    relay.hold();
    one.tell("a", "seen elsewhere").await;
    let position = one.tell("a", "seen elsewhere, too").await;
    let mut reader = lagging.resume("a", position);
    assert_eq!(lagging.history.bounds().newest, 1);
    assert_eq!(reader.position(), position);
    relay.release();
    one.tell("a", "new").await;
    assert_eq!(bodies(&mut reader, 1).await, ["new"], "no gap, and nothing twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_no_notifier_has_shown_is_unknown() {
    let keys = Keyspace::new();
    let node = Node::new(&keys).await;
    let mut position = node.tell("a", "there").await;
    position.offset += 5;
    let mut reader = node.resume("a", position);
    let next = within(reader.next()).await;
    assert!(matches!(&next, Next::Gap(gap) if gap.reason == GapReason::Unknown), "{next:?}");
    node.tell("a", "new").await;
    assert_eq!(bodies(&mut reader, 1).await, ["new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_notifier_has_trimmed_is_told_to_those_who_missed_it_and_to_nobody_else() {
    let keys = Keyspace::new();
    let relay = Relay::start(keys.address()).await;
    let one = Node::keeping(keys.url(), &keys, 10).await;
    let lagging = Node::keeping(keys.url_through(&relay), &keys, 10).await;
    let quiet = one.tell("quiet", "seen").await;
    lagging.reached(1).await;
    let (mut of_busy, mut of_quiet) = (lagging.resume("busy", quiet), lagging.resume("quiet", quiet));
    relay.refuse();
    relay.cut().await;
    for number in 0..50 {
        one.tell("busy", &number.to_string()).await;
    }
    one.eventually(|history| history.bounds().oldest > 20).await;
    relay.accept();
    lagging.reached(51).await;
    let next = within(of_busy.next()).await;
    let Next::Gap(gap) = next else { panic!("a gap, not {next:?}") };
    assert_ne!(gap.reason, GapReason::Unknown);
    one.tell("quiet", "new").await;
    assert_eq!(bodies(&mut of_quiet, 1).await, ["new"]);
    let everything = TopicSet::everything();
    assert!(lagging.history.has_trimmed(&everything, 0));
    assert!(!lagging.history.has_trimmed(&TopicSet::parse("quiet").unwrap(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_trimmed_leaves_nothing_behind() {
    let keys = Keyspace::new();
    let node = Node::keeping(keys.url(), &keys, 10).await;
    for number in 0..100 {
        node.tell(&format!("topic.{}", number % 5), "").await;
    }
    node.eventually(|history| history.bounds().oldest == 91).await;
    let mut connection = redis::Client::open(keys.url()).unwrap().get_connection().unwrap();
    let mut length = |command: &str, key: &str| -> u64 {
        let key = format!("{{{}}}:{key}", keys.prefix());
        redis::cmd(command).arg(key).query(&mut connection).unwrap()
    };
    let lengths = [length("XLEN", "entries"), length("HLEN", "ids"), length("ZCARD", "trimmed")];
    assert_eq!(lengths, [10, 10, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_were_trimmed_long_ago_are_forgotten_and_told_as_a_gap_to_be_safe() {
    let keys = Keyspace::new();
    let node = Node::keeping(keys.url(), &keys, 10).await;
    // Not all at once: the last would wait for longer than an append may take.
    for begin in (0..10_200).step_by(200) {
        let append = async |number| node.history.append(notification(&format!("once.n{number}"), "")).await;
        futures_util::future::try_join_all((begin..begin + 200).map(append)).await.unwrap();
    }
    node.eventually(|history| history.bounds().oldest > 10_150).await;
    let reopened = Node::keeping(keys.url(), &keys, 10).await;
    let other = TopicSet::parse("other").unwrap();
    for node in [node, reopened] {
        node.eventually(|history| history.has_trimmed(&other, 0)).await;
        assert!(!node.history.has_trimmed(&other, node.history.bounds().newest - 10));
    }
}

/// Appends to a topic of its own each time, until told to stop. Tells where they came.
async fn write(
    history: Arc<RedisHistory>,
    name: String,
    count: u64,
    stop: CancellationToken,
) -> Vec<(TopicSet, u64)> {
    let mut written = Vec::new();
    for number in 0..count {
        let topic = format!("{name}.n{number}");
        let appended = history.append(notification(&topic, "")).await.unwrap();
        written.push((TopicSet::parse(&topic).unwrap(), appended.position.offset));
        if stop.is_cancelled() {
            break;
        }
    }
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notifier_joins_while_every_append_trims_a_full_history_and_knows_what_was_trimmed() {
    // So few in all that none of their topics is forgotten.
    const AT_ONCE: u64 = 8;
    for (kept, lowered) in [(10, 10), (300, 300), (2_500, 2_500), (2_500, 50)] {
        let keys = Keyspace::new();
        let relay = Relay::start(keys.address()).await;
        relay.delay(Duration::from_millis(5));
        let one = Node::keeping(keys.url(), &keys, kept).await;
        let stop = CancellationToken::new();
        let writers = |name: &str| {
            let mut writers = tokio::task::JoinSet::new();
            for writer in 0..AT_ONCE {
                let name = format!("{name}.w{writer}");
                writers.spawn(write(one.history.clone(), name, 500, stop.clone()));
            }
            writers
        };
        let before = writers("before").join_all().await;
        let meanwhile = writers("meanwhile");
        let (joined, _lowering) = within(async {
            tokio::join!(
                Node::keeping(keys.url_through(&relay), &keys, kept),
                Node::keeping(keys.url(), &keys, lowered)
            )
        })
        .await;
        stop.cancel();
        let meanwhile = meanwhile.join_all().await;
        let bounds = one.history.bounds();
        within(one.reached(bounds.newest)).await;
        one.eventually(|history| history.bounds().oldest + lowered == bounds.newest + 1).await;
        joined.eventually(|history| history.bounds() == one.history.bounds()).await;
        let entries = joined.history.read(0, 10_000).await.unwrap();
        assert_eq!(entries.len() as u64, lowered);
        for (topic, offset) in before.into_iter().chain(meanwhile).flatten() {
            let is_trimmed = offset < joined.history.bounds().oldest;
            assert_eq!(joined.history.has_trimmed(&topic, offset - 1), is_trimmed, "{topic:?} at {offset}");
            assert!(!joined.history.has_trimmed(&topic, offset), "{topic:?} at {offset}");
        }
    }
}
