//! Partitions: the work of an ordered group shared by several consumers, each key in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Harness;
use super::steps::*;
use crate::consumer::Failure;
use crate::{Group, RetryPolicy};

const PARTITIONS: u32 = 4;

fn spread(name: &str, wanted: &str) -> Group {
    group(name, wanted).with_partitions(PARTITIONS)
}

/// Every key is handled, whichever partition it belongs to, in its order.
pub async fn one_consumer_gets_every_key_in_the_order_published(harness: &dyn Harness) {
    let mut deliveries = join(harness, &spread("readers", "spread.*").with_prefetch(7)).await;
    publish_keys(harness, 20, 0..10).await;
    let mut by_key = BTreeMap::<String, Vec<String>>::new();
    for received in handle_many(harness, &mut deliveries, 200).await {
        by_key.entry(received.key().expect("keyed").to_owned()).or_default().push(body(&received));
    }
    check_order(&by_key, 20, 10);
    nothing_comes(harness, &mut deliveries).await;
}

/// They belong to a partition as well, and to one, so that they keep their order.
pub async fn messages_without_a_key_arrive_in_the_order_published(harness: &dyn Harness) {
    let mut deliveries = join(harness, &spread("readers", "spread.*")).await;
    for n in 0..10 {
        publish(harness, message("spread.out", &n.to_string())).await;
    }
    let bodies: Vec<_> = handle_many(harness, &mut deliveries, 10).await.iter().map(|m| body(m)).collect();
    assert_eq!(bodies, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// The prefetch is that of the consumer, however many partitions it has.
pub async fn no_more_than_the_prefetch_is_unsettled_over_all_partitions(harness: &dyn Harness) {
    let mut deliveries = join(harness, &spread("readers", "spread.*").with_prefetch(3)).await;
    publish_keys(harness, 20, 0..1).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(take(harness, &mut deliveries).await);
    }
    nothing_comes(harness, &mut deliveries).await;
    for delivery in held {
        delivery.ack().await.expect("acknowledged");
    }
    handle_many(harness, &mut deliveries, 17).await;
    nothing_comes(harness, &mut deliveries).await;
}

/// A consumer that joins later gets partitions of the first, and no key loses its order when it changes hands.
pub async fn a_consumer_that_joins_gets_its_share_and_every_key_keeps_its_order(harness: &dyn Harness) {
    let readers = spread("readers", "spread.*").with_delivery_limit(100);
    let handled = Journal::new();
    let handler = |consumer: u8| {
        let handled = handled.clone();
        Handler::new(move |incoming| {
            let handled = handled.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..5))).await;
                let key = incoming.message.key().unwrap_or("").to_owned();
                handled.add((consumer, key, body(&incoming.message)));
                Ok(())
            }
        })
    };
    let first = run(harness, &readers, handler(1), |consumer| consumer.with_concurrency(4)).await;
    publish_keys(harness, 20, 0..2).await;
    let before = handled.wait(harness, |entries| entries.len() >= 40).await;
    assert!(before.iter().all(|(consumer, ..)| *consumer == 1));

    let second = run(harness, &readers, handler(2), |consumer| consumer.with_concurrency(4)).await;
    let mut each = 2;
    within(harness, "sharing", async {
        while !handled.entries().iter().any(|(consumer, ..)| *consumer == 2) {
            publish_keys(harness, 20, each..each + 1).await;
            each += 1;
            handled.wait(harness, |entries| entries.len() >= 20 * each).await;
        }
    })
    .await;
    publish_keys(harness, 20, each..each + 10).await;
    each += 10;
    let all = handled.wait(harness, |entries| entries.len() >= 20 * each).await;
    first.stop(harness).await;
    second.stop(harness).await;
    assert_eq!(all.len(), 20 * each, "a message was handled twice");
    let last: BTreeSet<u8> = all.iter().rev().take(100).map(|(consumer, ..)| *consumer).collect();
    assert_eq!(last, BTreeSet::from([1, 2]), "one of them does everything");
    check_order(&sort_by_key(all), 20, each);
}

/// When a consumer leaves, those that stay take over what it had, where it stood.
pub async fn what_a_consumer_had_goes_to_the_others_when_it_leaves(harness: &dyn Harness) {
    let readers = spread("readers", "spread.*");
    let mut first = join(harness, &readers).await;
    let mut second = join(harness, &readers).await;
    publish_keys(harness, 20, 0..2).await;
    let held = take(harness, &mut first).await;
    let (key, number) = (held.message().key().expect("keyed").to_owned(), body(held.message()));
    assert_eq!(number, "0");
    drop(first);
    let mut by_key = BTreeMap::<String, Vec<String>>::new();
    let mut count = 0;
    // The other partitions are free; that of the message held is not. How soon they are taken over is up to the backend.
    let mut next = Some(take(harness, &mut second).await);
    while let Some(delivery) = next.take() {
        assert_ne!(delivery.message().key(), Some(key.as_str()), "it overtakes what is still being handled");
        let of = by_key.entry(delivery.message().key().expect("keyed").to_owned()).or_default();
        of.push(body(delivery.message()));
        count += 1;
        delivery.ack().await.expect("acknowledged");
        if let Ok(more) = tokio::time::timeout(harness.terms().silence, second.next()).await {
            next = Some(more.expect("the connection holds").expect("the bus is open"));
        }
    }
    held.ack().await.expect("a consumer that left can settle what it holds");
    by_key.entry(key).or_default().push(number);
    for received in handle_many(harness, &mut second, 39 - count).await {
        by_key.entry(received.key().expect("keyed").to_owned()).or_default().push(body(&received));
    }
    check_order(&by_key, 20, 2);
    nothing_comes(harness, &mut second).await;
}

/// A failed message is tried again before its successor, and what is given up is in the one place for the letters of the group.
pub async fn the_order_of_a_key_in_a_partition_is_kept_through_failures(harness: &dyn Harness) {
    let readers = spread("readers", "spread.*");
    let handled = Journal::new();
    let handler = {
        let handled = handled.clone();
        Handler::new(move |incoming| {
            let handled = handled.clone();
            async move {
                let (key, text) = (incoming.message.key().unwrap_or("").to_owned(), body(&incoming.message));
                match text.as_str() {
                    "1" if incoming.attempt < 3 => return Err(Failure::transient("not yet")),
                    "2" => return Err(Failure::permanent("never")),
                    _ => handled.add((0, key, text)),
                }
                Ok(())
            }
        })
    };
    let consumer = run(harness, &readers, handler, |consumer| {
        consumer.with_retry(RetryPolicy::for_test()).with_concurrency(8)
    })
    .await;
    publish_keys(harness, 10, 0..4).await;
    let all = handled.wait(harness, |entries| entries.len() >= 30).await;
    let buried = letters(harness, "readers", 10).await;
    consumer.stop(harness).await;
    for (key, bodies) in sort_by_key(all) {
        assert_eq!(bodies, ["0", "1", "3"], "the order of {key}");
    }
    assert!(buried.iter().all(|letter| body(&letter.message) == "2"));
}

/// What is put off comes again to whoever has its key, and to no other group.
pub async fn a_retry_stays_with_its_key(harness: &dyn Harness) {
    let mut readers = join(harness, &spread("readers", "spread.*")).await;
    let mut others = join(harness, &group("others", "spread.*")).await;
    publish_keys(harness, 8, 0..1).await;
    handle_many(harness, &mut others, 8).await;
    let mut first = Vec::new();
    for _ in 0..8 {
        first.push(take(harness, &mut readers).await);
    }
    for delivery in first {
        assert_eq!(delivery.attempt(), 1);
        delivery.retry(Duration::from_millis(10)).await.expect("put off");
    }
    let mut again = BTreeSet::new();
    for _ in 0..8 {
        let delivery = take(harness, &mut readers).await;
        assert_eq!((delivery.attempt(), delivery.is_redelivered()), (2, true));
        again.insert(delivery.message().key().expect("keyed").to_owned());
        delivery.ack().await.expect("acknowledged");
    }
    assert_eq!(again.len(), 8);
    nothing_comes(harness, &mut others).await;
}

/// Keys would change their partitions behind the back of those who rely on it.
pub async fn declaring_a_group_with_another_number_of_partitions_is_refused(harness: &dyn Harness) {
    let readers = group("readers", "again.*");
    declare(harness, &readers.clone().with_partitions(3)).await;
    declare(harness, &readers.clone().with_partitions(3)).await;
    for other in [readers.clone().with_partitions(4), readers.clone().with_partitions(2)] {
        refused(harness, &other).await;
    }
    refused(harness, &readers.with_single_active()).await;
    let single = group("single", "again.*").with_single_active();
    declare(harness, &single).await;
    declare(harness, &single.clone().with_partitions(1)).await;
    refused(harness, &single.with_partitions(2)).await;
}

/// A bus that has no partitions says so, where it matters.
pub async fn a_group_with_partitions_is_refused(harness: &dyn Harness) {
    refused(harness, &spread("readers", "spread.*")).await;
}

/// Publishes the messages of those numbers for each of `keys` keys, taking turns.
async fn publish_keys(harness: &dyn Harness, keys: usize, numbers: std::ops::Range<usize>) {
    for n in numbers {
        for key in 0..keys {
            publish(harness, keyed("spread.out", &format!("key-{key}"), &n.to_string())).await;
        }
    }
}

fn sort_by_key(handled: Vec<(u8, String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut by_key = BTreeMap::<String, Vec<String>>::new();
    for (_, key, body) in handled {
        by_key.entry(key).or_default().push(body);
    }
    by_key
}

fn check_order(by_key: &BTreeMap<String, Vec<String>>, keys: usize, each: usize) {
    assert_eq!(by_key.len(), keys);
    let expected: Vec<String> = (0..each).map(|n| n.to_string()).collect();
    for (key, bodies) in by_key {
        assert_eq!(*bodies, expected, "the order of {key}");
    }
}
