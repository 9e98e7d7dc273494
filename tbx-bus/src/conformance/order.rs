//! Order: the messages of a key one after the other, and no key in the way of another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::Harness;
use super::steps::*;
use crate::consumer::Failure;
use crate::{Backoff, RetryPolicy};

/// Without any runtime on top: one consumer sees each key as it was published.
pub async fn one_consumer_receives_a_key_in_the_order_published(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "order.*").with_prefetch(7)).await;
    publish_keys(harness, 10, 20).await;
    let mut by_key = BTreeMap::<String, Vec<String>>::new();
    for received in handle_many(harness, &mut deliveries, 200).await {
        by_key.entry(received.key().expect("keyed").to_owned()).or_default().push(body(&received));
    }
    check_order(&by_key, 10, 20);
}

/// Eight lanes and handlers that take a random time: keys run side by side, each in order.
pub async fn a_key_is_handled_in_order_with_concurrent_lanes(harness: &dyn Harness) {
    let ordered = group("ordered", "order.*").with_single_active().with_prefetch(64);
    let handled = Journal::new();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let handler = {
        let (handled, running, most) = (handled.clone(), Arc::clone(&running), Arc::clone(&most));
        Handler::new(move |incoming| {
            let (handled, running, most) = (handled.clone(), Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..5))).await;
                running.fetch_sub(1, Ordering::SeqCst);
                handled.add((incoming.message.key().unwrap_or("").to_owned(), body(&incoming.message)));
                Ok(())
            }
        })
    };
    let consumer = run(harness, &ordered, handler, |consumer| consumer.with_concurrency(8)).await;
    publish_keys(harness, 10, 20).await;
    let handled = handled.wait(harness, |entries| entries.len() >= 200).await;
    consumer.stop(harness).await;
    check_order(&sort_by_key(handled), 10, 20);
    let most = most.load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most} handlers at once where 8 are allowed");
}

/// A failed message is tried again before its successor, in a group with one active consumer.
pub async fn the_order_of_a_key_is_kept_through_retries(harness: &dyn Harness) {
    let ordered = group("ordered", "order.*").with_single_active();
    let handled = Journal::new();
    let handler = {
        let handled = handled.clone();
        Handler::new(move |incoming| {
            let handled = handled.clone();
            async move {
                let text = body(&incoming.message);
                // Every third message fails twice.
                if text.ends_with(['0', '3', '6', '9']) && incoming.attempt < 3 {
                    return Err(Failure::transient("not yet"));
                }
                handled.add((incoming.message.key().unwrap_or("").to_owned(), text));
                Ok(())
            }
        })
    };
    let consumer = run(harness, &ordered, handler, |consumer| {
        consumer.with_retry(RetryPolicy::for_test()).with_concurrency(8)
    })
    .await;
    publish_keys(harness, 5, 20).await;
    let handled = handled.wait(harness, |entries| entries.len() >= 100).await;
    consumer.stop(harness).await;
    check_order(&sort_by_key(handled), 5, 20);
    assert_eq!(harness.dead_letters("ordered").await, []);
}

/// A message without hope leaves a hole, and its successors follow in order.
pub async fn a_key_goes_on_after_a_message_was_given_up(harness: &dyn Harness) {
    let ordered = group("ordered", "order.*").with_single_active();
    let handled = Journal::new();
    let handler = {
        let handled = handled.clone();
        Handler::new(move |incoming| {
            let handled = handled.clone();
            async move {
                if body(&incoming.message) == "1" {
                    return Err(Failure::transient("never"));
                }
                handled.add(body(&incoming.message));
                Ok(())
            }
        })
    };
    let consumer =
        run(harness, &ordered, handler, |consumer| consumer.with_retry(RetryPolicy::for_test())).await;
    publish_keys(harness, 1, 5).await;
    assert_eq!(handled.wait(harness, |entries| entries.len() >= 4).await, ["0", "2", "3", "4"]);
    let letters = letters(harness, "ordered", 1).await;
    assert_eq!(body(&letters[0].message), "1");
    consumer.stop(harness).await;
}

/// One key that fails for an hour does not delay the others.
pub async fn a_failing_key_does_not_hold_up_others(harness: &dyn Harness) {
    let ordered = group("ordered", "order.*").with_single_active();
    let handled = Journal::new();
    let handler = {
        let handled = handled.clone();
        Handler::new(move |incoming| {
            let handled = handled.clone();
            async move {
                if incoming.message.key() == Some("key-0") {
                    return Err(Failure::transient("broken"));
                }
                handled.add((incoming.message.key().unwrap_or("").to_owned(), body(&incoming.message)));
                Ok(())
            }
        })
    };
    let hour = Duration::from_secs(3600);
    let policy = RetryPolicy::standard().with_backoff(Backoff::between(hour, hour));
    let consumer =
        run(harness, &ordered, handler, |consumer| consumer.with_retry(policy).with_concurrency(4)).await;
    publish_keys(harness, 10, 5).await;
    let handled = handled.wait(harness, |entries| entries.len() >= 45).await;
    assert!(handled.iter().all(|(key, _)| key != "key-0"));
    consumer.stop(harness).await;
}

/// Publishes `each` messages for each of `keys` keys, taking turns.
async fn publish_keys(harness: &dyn Harness, keys: usize, each: usize) {
    for n in 0..each {
        for key in 0..keys {
            publish(harness, keyed("order.kept", &format!("key-{key}"), &n.to_string())).await;
        }
    }
}

fn sort_by_key(handled: Vec<(String, String)>) -> BTreeMap<String, Vec<String>> {
    let mut by_key = BTreeMap::<String, Vec<String>>::new();
    for (key, body) in handled {
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
