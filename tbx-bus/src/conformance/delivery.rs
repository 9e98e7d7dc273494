//! Deliveries: lent, settled once, and back when they are not.

use std::time::Duration;

use super::Harness;
use super::steps::*;

/// What is dropped, as by a panic, comes again before its successor and says that it may have been seen.
pub async fn a_dropped_delivery_comes_back_in_its_place(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "back.*").with_prefetch(1)).await;
    let first = publish(harness, keyed("back.again", "k", "1")).await;
    let second = publish(harness, keyed("back.again", "k", "2")).await;
    let delivery = take(harness, &mut deliveries).await;
    assert_eq!(*delivery.message().id(), first);
    assert!(!delivery.is_redelivered());
    drop(delivery);

    let again = take(harness, &mut deliveries).await;
    assert_eq!(*again.message().id(), first);
    assert!(again.is_redelivered());
    again.ack().await.expect("acknowledged");
    assert_eq!(*handle(harness, &mut deliveries).await.id(), second);
}

/// What is released unstarted comes again before its successor and says that it may have been seen.
pub async fn a_released_delivery_comes_back_in_its_place(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "back.*").with_prefetch(1)).await;
    let first = publish(harness, keyed("back.again", "k", "1")).await;
    let second = publish(harness, keyed("back.again", "k", "2")).await;
    take(harness, &mut deliveries).await.release().await.expect("released");

    let again = take(harness, &mut deliveries).await;
    assert_eq!(*again.message().id(), first);
    assert!(again.is_redelivered());
    again.ack().await.expect("acknowledged");
    assert_eq!(*handle(harness, &mut deliveries).await.id(), second);
}

/// A drop and a retry each count as one attempt.
pub async fn the_attempt_rises_when_a_delivery_is_dropped_or_retried(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "count.*")).await;
    publish(harness, message("count.attempts", "")).await;
    let first = take(harness, &mut deliveries).await;
    assert_eq!(first.attempt(), 1);
    drop(first);
    let second = take(harness, &mut deliveries).await;
    assert_eq!(second.attempt(), 2);
    second.retry(Duration::from_millis(10)).await.expect("retried");
    let third = take(harness, &mut deliveries).await;
    assert_eq!(third.attempt(), 3);
    assert!(third.is_redelivered());
    third.ack().await.expect("acknowledged");
}

/// What was not started was not tried, however often it is returned.
pub async fn the_attempt_does_not_rise_when_a_delivery_is_released(harness: &dyn Harness) {
    let limited = group("readers", "count.*").with_delivery_limit(3);
    let mut deliveries = join(harness, &limited).await;
    publish(harness, message("count.attempts", "")).await;
    for _ in 0..5 {
        let delivery = take(harness, &mut deliveries).await;
        assert_eq!(delivery.attempt(), 1);
        delivery.release().await.expect("released");
    }
    handle(harness, &mut deliveries).await;
}

/// Done is done, for this consumer and the next.
pub async fn an_acknowledged_message_does_not_come_back(harness: &dyn Harness) {
    let readers = group("readers", "done.*");
    let mut deliveries = join(harness, &readers).await;
    publish(harness, message("done.once", "")).await;
    handle(harness, &mut deliveries).await;
    nothing_comes(harness, &mut deliveries).await;
    drop(deliveries);
    nothing_comes(harness, &mut join(harness, &readers).await).await;
}

/// A consumer holds what it may and gets one more for each that it settles, however it settles it.
pub async fn no_more_than_the_prefetch_is_unsettled(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "hold.*").with_prefetch(3)).await;
    for n in 0..10 {
        publish(harness, message("hold.some", &n.to_string())).await;
    }
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(take(harness, &mut deliveries).await);
    }
    nothing_comes(harness, &mut deliveries).await;
    held.remove(0).ack().await.expect("acknowledged");
    held.push(take(harness, &mut deliveries).await);
    nothing_comes(harness, &mut deliveries).await;
    held.remove(0).retry(Duration::from_secs(3600)).await.expect("put off");
    held.push(take(harness, &mut deliveries).await);
    nothing_comes(harness, &mut deliveries).await;
    drop(held.remove(0));
    held.push(take(harness, &mut deliveries).await);
    nothing_comes(harness, &mut deliveries).await;
}

/// The delay is kept, to the backend's tolerance.
pub async fn a_retry_comes_not_before_its_delay_and_not_long_after(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "later.*")).await;
    let id = publish(harness, message("later.please", "")).await;
    let delay = Duration::from_millis(500);
    let delivery = take(harness, &mut deliveries).await;
    let start = tokio::time::Instant::now();
    delivery.retry(delay).await.expect("put off");
    let again = take(harness, &mut deliveries).await;
    let waited = start.elapsed();
    assert_eq!(*again.message().id(), id);
    assert!(waited >= delay, "came after {waited:?} where {delay:?} were asked for");
    assert!(
        waited <= delay + harness.terms().tolerance,
        "came after {waited:?} where {delay:?} were asked for"
    );
    again.ack().await.expect("acknowledged");
}

/// `Duration::MAX` is a delay like any other: it overflows nothing and is not taken for none.
pub async fn a_retry_after_the_longest_delay_does_not_come(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "later.*")).await;
    publish(harness, message("later.never", "")).await;
    take(harness, &mut deliveries).await.retry(Duration::MAX).await.expect("put off");
    nothing_comes(harness, &mut deliveries).await;
    let second = publish(harness, message("later.please", "")).await;
    assert_eq!(*handle(harness, &mut deliveries).await.id(), second);
}

/// Others pass while a message waits, in the same key too.
pub async fn a_message_that_waits_for_its_retry_holds_up_nothing(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "later.*").with_prefetch(1)).await;
    publish(harness, keyed("later.please", "k", "1")).await;
    take(harness, &mut deliveries).await.retry(Duration::from_secs(3600)).await.expect("put off");
    let second = publish(harness, keyed("later.please", "k", "2")).await;
    assert_eq!(*handle(harness, &mut deliveries).await.id(), second);
}

/// What it took and did not settle, and what it had not taken yet, reaches the next consumer.
pub async fn what_a_leaving_consumer_held_goes_to_another(harness: &dyn Harness) {
    let readers = group("readers", "leave.*").with_prefetch(3);
    let mut first = join(harness, &readers).await;
    let mut published = Vec::new();
    for n in 0..5 {
        published.push(publish(harness, message("leave.behind", &n.to_string())).await);
    }
    let held = take(harness, &mut first).await;
    drop(first);
    drop(held);
    let mut second = join(harness, &readers).await;
    let mut received: Vec<_> =
        handle_many(harness, &mut second, 5).await.iter().map(|m| m.id().clone()).collect();
    received.sort();
    published.sort();
    assert_eq!(received, published);
    nothing_comes(harness, &mut second).await;
}

/// Waiting for a delivery can be given up at any moment, as every `select!` does.
pub async fn a_cancelled_next_loses_nothing(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "cancel.*").with_prefetch(2)).await;
    let mut published = Vec::new();
    let mut received = Vec::new();
    for round in 0..20_usize {
        published.push(publish(harness, message("cancel.next", &round.to_string())).await);
        for polls in 0..5 {
            tokio::select! {
                biased;
                () = yields(polls) => {}
                next = deliveries.next() => {
                    let delivery = next.expect("the connection holds").expect("the bus is open");
                    assert!(!delivery.is_redelivered(), "a cancelled wait counts as a delivery");
                    received.push(delivery.message().id().clone());
                    delivery.ack().await.expect("acknowledged");
                }
            }
        }
    }
    let rest = published.len() - received.len();
    received.extend(handle_many(harness, &mut deliveries, rest).await.iter().map(|m| m.id().clone()));
    received.sort();
    published.sort();
    assert_eq!(received, published);
}
