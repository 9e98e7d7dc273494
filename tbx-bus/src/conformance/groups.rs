//! Groups: who gets what, and how consumers share it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Harness;
use super::steps::*;
use crate::{Broadcast, BusErrorKind, Deliveries, Group, MessageId};

/// Each group is served for itself.
pub async fn two_groups_both_get_everything(harness: &dyn Harness) {
    let mut one = join(harness, &group("one", "both.*")).await;
    let mut two = join(harness, &group("two", "both.*")).await;
    let mut published = BTreeSet::new();
    for n in 0..50 {
        published.insert(publish(harness, message("both.get", &n.to_string())).await);
    }
    for deliveries in [&mut one, &mut two] {
        let received: BTreeSet<_> =
            handle_many(harness, deliveries, 50).await.iter().map(|message| message.id().clone()).collect();
        assert_eq!(received, published);
        nothing_comes(harness, deliveries).await;
    }
}

/// Three consumers of one group get every message once between them, and none goes without.
pub async fn competing_consumers_share_without_overlap_and_each_gets_some(harness: &dyn Harness) {
    let workers = group("workers", "share.*").with_prefetch(1);
    let received = Journal::new();
    // Nobody settles the first before everybody has one: with prefetch 1 that needs three who are served.
    let all_have_one = Arc::new(Barrier::new(3));
    let mut consumers = JoinSet::new();
    for consumer in 0..3 {
        let mut deliveries = join(harness, &workers).await;
        let (received, all_have_one) = (received.clone(), Arc::clone(&all_have_one));
        consumers.spawn(async move {
            let mut first = true;
            while let Ok(Some(delivery)) = deliveries.next().await {
                if std::mem::take(&mut first) {
                    all_have_one.wait().await;
                }
                let id = delivery.message().id().clone();
                delivery.ack().await.expect("acknowledged");
                received.add((consumer, id));
            }
        });
    }
    let mut published = BTreeSet::new();
    for n in 0..60 {
        published.insert(publish(harness, message("share.work", &n.to_string())).await);
    }
    received.wait(harness, |entries| entries.len() >= 60).await;
    tokio::time::sleep(harness.terms().silence).await;
    let received = received.entries();
    assert_eq!(received.len(), 60, "a message was handled twice");
    assert_eq!(received.iter().map(|(_, id)| id.clone()).collect::<BTreeSet<_>>(), published);
    assert_eq!(received.iter().map(|(consumer, _)| *consumer).collect::<BTreeSet<_>>().len(), 3);
    consumers.shutdown().await;
}

/// Five groups on five topics see only their own.
pub async fn topics_do_not_cross_talk(harness: &dyn Harness) {
    let mut consumers = Vec::new();
    for n in 0..5 {
        consumers.push(join(harness, &group(&format!("group-{n}"), &format!("topic.{n}"))).await);
    }
    for round in 0..20 {
        for n in 0..5 {
            publish(harness, message(&format!("topic.{n}"), &round.to_string())).await;
        }
    }
    for (n, deliveries) in consumers.iter_mut().enumerate() {
        for received in handle_many(harness, deliveries, 20).await {
            assert_eq!(received.topic().as_str(), format!("topic.{n}"));
        }
        nothing_comes(harness, deliveries).await;
    }
}

/// The routing of the bus and [`TopicPattern::matches`](crate::TopicPattern::matches) are one grammar.
pub async fn wildcards_route_as_the_grammar_says(harness: &dyn Harness) {
    let patterns = [
        "a", "a.b", "*", "*.*", "a.*", "*.b", "a.#", "#.b", "#", "#.a.#", "a.#.b", "*.#", "#.*", "a.*.#.b",
        "*.b.*",
    ];
    let topics =
        ["a", "b", "a.b", "b.a", "a.b.c", "a.c.b", "b.b.b", "a.b.c.b", "c.d.e.f", "a.a", "ab", "a.bb"];
    check_group_routing(harness, &patterns, &topics).await;
}

/// No wildcard matches a word that begins with `$`, wherever it stands.
pub async fn private_words_need_writing_out(harness: &dyn Harness) {
    let patterns = [
        "#", "*", "*.*", "a.#", "a.*", "#.b", "a.#.b", "$p", "$p.#", "$p.*", "a.$p", "a.$p.#", "#.$p",
        "*.$p.b",
    ];
    let topics = ["a", "$p", "a.b", "$p.a", "a.$p", "a.$p.b", "$p.$p", "a.$q.b"];
    check_group_routing(harness, &patterns, &topics).await;
}

/// A group that carries every topic gets private ones by its wildcards.
pub async fn a_group_may_take_private_topics_by_its_wildcards(harness: &dyn Harness) {
    let mut carried = join(harness, &group("carrier", "#").with_private_topics()).await;
    for text in ["a.$p.b", "$p", "a"] {
        publish(harness, keyed(text, "k", "")).await;
    }
    for text in ["a.$p.b", "$p", "a"] {
        assert_eq!(handle(harness, &mut carried).await.topic().as_str(), text);
    }
}

/// Declares a group for each pattern and checks what it gets.
async fn check_group_routing(harness: &dyn Harness, patterns: &[&str], topics: &[&str]) {
    let mut consumers: Vec<(&str, Deliveries)> = Vec::new();
    for (n, wanted) in patterns.iter().enumerate() {
        let group = Group::new(&format!("group-{n}"), [pattern(wanted), pattern(THE_END)]);
        consumers.push((wanted, join(harness, &group).await));
    }
    check_routing(harness, consumers, topics).await;
}

/// A group gets one copy, however many of its patterns match.
pub async fn a_message_that_two_patterns_match_comes_once(harness: &dyn Harness) {
    let readers = Group::new("readers", [pattern("once.*"), pattern("#.only")]);
    let mut deliveries = join(harness, &readers).await;
    publish(harness, message("once.only", "")).await;
    handle(harness, &mut deliveries).await;
    nothing_comes(harness, &mut deliveries).await;
}

/// A replay is for the group that gave the message up: its patterns do not matter, and neither other groups nor listeners hear of it.
pub async fn a_message_for_one_group_reaches_no_other_and_says_that_it_is_late(harness: &dyn Harness) {
    let mut meant = join(harness, &group("meant", "other.*")).await;
    let mut not_meant = join(harness, &group("not-meant", "late.*")).await;
    let mut listener = listen(harness, &Broadcast::new([pattern("late.*")])).await;
    let first = keyed("late.message", "k", "body").with_header("own", "header");
    publish(harness, first.clone().replayed_for("meant")).await;
    let delivery = take(harness, &mut meant).await;
    let again = Arc::clone(delivery.message());
    assert!(again.is_replayed() && delivery.is_redelivered());
    assert_eq!(
        (again.id(), again.topic(), again.key(), again.body()),
        (first.id(), first.topic(), first.key(), first.body())
    );
    assert_eq!(again.headers().get("own"), first.headers().get("own"));
    delivery.retry(Duration::from_millis(50)).await.expect("put off");
    let delivery = take(harness, &mut meant).await;
    assert!(delivery.message().is_replayed(), "also in a later attempt");
    assert_eq!(delivery.attempt(), 2);
    delivery.ack().await.expect("acknowledged");
    nothing_comes(harness, &mut not_meant).await;
    nothing_comes(harness, &mut listener).await;
}

/// Whatever becomes of other messages that nobody takes: a replay must not vanish.
pub async fn a_message_for_a_group_that_is_not_there_is_unroutable(harness: &dyn Harness) {
    let _everybody = join(harness, &group("everybody", "#")).await;
    let refused = refusal(harness, message("late.message", "").replayed_for("nobody")).await;
    assert_eq!(refused, BusErrorKind::Unroutable);
}

/// A declared group collects, whether or not anyone consumes.
pub async fn what_is_published_before_the_first_consumer_is_kept(harness: &dyn Harness) {
    let sleepers = group("sleepers", "early.*");
    declare(harness, &sleepers).await;
    let mut published = Vec::new();
    for n in 0..10 {
        published.push(publish(harness, keyed("early.bird", "k", &n.to_string())).await);
    }
    let mut deliveries = join(harness, &sleepers).await;
    let received: Vec<_> =
        handle_many(harness, &mut deliveries, 10).await.iter().map(|m| m.id().clone()).collect();
    assert_eq!(received, published);
}

/// Ten consumers after each other, each leaving with deliveries in its hands.
pub async fn consumers_that_come_and_go_lose_nothing(harness: &dyn Harness) {
    let passers = group("passers", "pass.*").with_prefetch(5).with_delivery_limit(100);
    declare(harness, &passers).await;
    let mut published = BTreeSet::new();
    for n in 0..100 {
        published.insert(publish(harness, message("pass.by", &n.to_string())).await);
    }
    let mut handled = BTreeSet::<MessageId>::new();
    for _ in 0..10 {
        let mut deliveries = join(harness, &passers).await;
        for received in handle_many(harness, &mut deliveries, 7).await {
            handled.insert(received.id().clone());
        }
        let unsettled = [take(harness, &mut deliveries).await, take(harness, &mut deliveries).await];
        drop(deliveries);
        drop(unsettled);
    }
    let mut last = join(harness, &passers).await;
    while handled.len() < published.len() {
        handled.insert(handle(harness, &mut last).await.id().clone());
    }
    assert_eq!(handled, published);
    nothing_comes(harness, &mut last).await;
}

/// The others stand by, however much there is to do.
pub async fn only_the_first_consumer_of_a_single_active_group_receives(harness: &dyn Harness) {
    let lonely = group("lonely", "single.*").with_single_active().with_prefetch(2);
    let mut first = join(harness, &lonely).await;
    let mut second = join(harness, &lonely).await;
    for n in 0..10 {
        publish(harness, message("single.one", &n.to_string())).await;
    }
    nothing_comes(harness, &mut second).await;
    let held = [take(harness, &mut first).await, take(harness, &mut first).await];
    nothing_comes(harness, &mut second).await;
    drop(held);
    handle_many(harness, &mut first, 10).await;
    nothing_comes(harness, &mut second).await;
}

/// The one that waited longest is next; one that left meanwhile is not missed.
pub async fn the_next_takes_over_when_the_active_consumer_leaves(harness: &dyn Harness) {
    let lonely = group("lonely", "single.*").with_single_active();
    let mut first = join(harness, &lonely).await;
    let gone = join(harness, &lonely).await;
    let mut third = join(harness, &lonely).await;
    publish(harness, message("single.one", "1")).await;
    assert_eq!(body(&*handle(harness, &mut first).await), "1");
    drop(gone);
    nothing_comes(harness, &mut third).await;
    let (one_waits, ()) = tokio::join!(take(harness, &mut third), async {
        drop(first);
        publish(harness, message("single.one", "2")).await;
    });
    assert_eq!(body(one_waits.message()), "2");
    one_waits.ack().await.expect("acknowledged");
}

/// A successor overtakes nothing that is still being handled.
pub async fn the_takeover_waits_until_what_the_first_held_is_settled(harness: &dyn Harness) {
    let lonely = group("lonely", "single.*").with_single_active();
    let mut first = join(harness, &lonely).await;
    let mut second = join(harness, &lonely).await;
    for n in 1..=3 {
        publish(harness, keyed("single.one", "k", &n.to_string())).await;
    }
    let done = take(harness, &mut first).await;
    let dropped = take(harness, &mut first).await;
    drop(first);
    nothing_comes(harness, &mut second).await;
    done.ack().await.expect("a consumer that left can settle what it holds");
    nothing_comes(harness, &mut second).await;
    drop(dropped);
    let bodies: Vec<_> =
        handle_many(harness, &mut second, 2).await.iter().map(|message| body(message)).collect();
    assert_eq!(bodies, ["2", "3"]);
    nothing_comes(harness, &mut second).await;
}

/// Every process declares what it needs when it starts.
pub async fn declaring_the_same_group_twice_is_harmless(harness: &dyn Harness) {
    let readers = group("readers", "again.*").with_single_active().with_delivery_limit(7);
    declare(harness, &readers).await;
    let id = publish(harness, message("again.and", "")).await;
    declare(harness, &readers).await;
    let mut deliveries = join(harness, &readers).await;
    declare(harness, &readers).await;
    assert_eq!(*handle(harness, &mut deliveries).await.id(), id);
    nothing_comes(harness, &mut deliveries).await;
}

/// Two consumers of one group may hold different numbers of messages.
pub async fn the_prefetch_belongs_to_each_consumer(harness: &dyn Harness) {
    let readers = group("readers", "hold.*");
    let mut modest = join(harness, &readers.clone().with_prefetch(1)).await;
    for n in 0..5 {
        publish(harness, message("hold.some", &n.to_string())).await;
    }
    let held = take(harness, &mut modest).await;
    nothing_comes(harness, &mut modest).await;
    let mut greedy = join(harness, &readers.with_prefetch(3)).await;
    let much = [
        take(harness, &mut greedy).await,
        take(harness, &mut greedy).await,
        take(harness, &mut greedy).await,
    ];
    nothing_comes(harness, &mut greedy).await;
    drop((held, much));
}

/// A group is not changed behind the back of those who rely on it.
pub async fn declaring_a_group_with_other_patterns_is_refused(harness: &dyn Harness) {
    declare(harness, &group("readers", "again.*")).await;
    refused(harness, &group("readers", "other.*")).await;
    let mut deliveries = join(harness, &group("readers", "again.*")).await;
    let id = publish(harness, message("again.and", "")).await;
    assert_eq!(*handle(harness, &mut deliveries).await.id(), id);
}

/// Nor is its mode.
pub async fn declaring_a_group_with_another_mode_is_refused(harness: &dyn Harness) {
    declare(harness, &group("readers", "again.*")).await;
    refused(harness, &group("readers", "again.*").with_single_active()).await;
    refused(harness, &group("readers", "again.*").with_delivery_limit(7)).await;
}

/// What a group wants is a set.
pub async fn declaring_a_group_with_its_patterns_in_another_order_is_harmless(harness: &dyn Harness) {
    let (one, other) = (pattern("again.*"), pattern("other.*"));
    declare(harness, &Group::new("readers", [one.clone(), other.clone()])).await;
    let id = publish(harness, message("other.and", "")).await;
    let mut deliveries = join(harness, &Group::new("readers", [other, one])).await;
    assert_eq!(*handle(harness, &mut deliveries).await.id(), id);
}

/// Nor is what its wildcards stand for.
pub async fn declaring_a_group_with_another_answer_to_private_topics_is_refused(harness: &dyn Harness) {
    declare(harness, &group("readers", "again.*")).await;
    refused(harness, &group("readers", "again.*").with_private_topics()).await;
    declare(harness, &group("carrier", "again.*").with_private_topics()).await;
    refused(harness, &group("carrier", "again.*")).await;
}

/// It would collect nothing, and nobody can have meant that.
pub async fn declaring_a_group_without_patterns_is_refused(harness: &dyn Harness) {
    refused(harness, &Group::new("readers", [])).await;
    // The name is free.
    declare(harness, &group("readers", "again.*")).await;
}
