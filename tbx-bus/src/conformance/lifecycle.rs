//! Life cycle: starting, stopping, losing the connection, ending.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Harness;
use super::steps::*;
use crate::consumer::{ConsumerState, Failure};
use crate::{Backoff, Broadcast, BusError, BusErrorKind, RetryPolicy};

/// A health check reads whether it takes messages and when it has ended.
pub async fn a_consumer_tells_what_it_is_doing(harness: &dyn Harness) {
    let handler = Handler::new(|_| async { Ok(()) });
    let consumer = run(harness, &group("workers", "work.*"), handler, |consumer| consumer).await;
    let mut state = consumer.state.clone();
    assert!(state.borrow().is_running());
    consumer.stop(harness).await;
    let stopped = within(harness, "stopping", state.wait_for(|state| *state == ConsumerState::Stopped)).await;
    assert!(stopped.is_ok(), "the state ended before it was told");
}

/// A stop takes nothing new, lets the running handler end, and returns what waited behind it, untried and in order.
pub async fn a_stopping_consumer_finishes_what_runs_and_returns_the_rest(harness: &dyn Harness) {
    let ordered = group("ordered", "work.*").with_single_active();
    let started = Journal::new();
    let handled = Journal::new();
    let gate = Arc::new(Semaphore::new(0));
    let handler = {
        let (started, handled, gate) = (started.clone(), handled.clone(), Arc::clone(&gate));
        Handler::new(move |incoming| {
            let (started, handled, gate) = (started.clone(), handled.clone(), Arc::clone(&gate));
            async move {
                started.add(body(&incoming.message));
                gate.acquire().await.expect("the gate stays").forget();
                handled.add(body(&incoming.message));
                Ok(())
            }
        })
    };
    let mut consumer = run(harness, &ordered, handler, |consumer| consumer).await;
    for n in 1..=3 {
        publish(harness, keyed("work.todo", "k", &n.to_string())).await;
    }
    publish(harness, keyed("work.todo", "other", "other")).await;
    // The other key came last, so by now the rest waits behind the first.
    started.wait(harness, |entries| entries.len() == 2).await;

    consumer.stop.cancel();
    publish(harness, keyed("work.todo", "late", "late")).await;
    within(harness, "draining", consumer.state.wait_for(|state| *state == ConsumerState::Draining))
        .await
        .expect("the consumer lives");
    gate.add_permits(2);
    consumer.ended(harness).await;
    let mut handled = handled.entries();
    handled.sort();
    assert_eq!(handled, ["1", "other"]);

    let mut next = join(harness, &ordered).await;
    for expected in ["2", "3", "late"] {
        let delivery = take(harness, &mut next).await;
        assert_eq!((body(delivery.message()).as_str(), delivery.attempt()), (expected, 1));
        delivery.ack().await.expect("acknowledged");
    }
    nothing_comes(harness, &mut next).await;
}

/// The drain has a deadline; what did not end by then comes again as a failed attempt.
pub async fn a_handler_that_does_not_end_is_dropped_at_the_deadline(harness: &dyn Harness) {
    let workers = group("workers", "work.*");
    let started = Journal::new();
    let handler = {
        let started = started.clone();
        Handler::new(move |_| {
            started.add(());
            std::future::pending()
        })
    };
    let drain = Duration::from_millis(300);
    let consumer = run(harness, &workers, handler, |consumer| consumer.with_drain_timeout(drain)).await;
    let id = publish(harness, message("work.endless", "")).await;
    started.wait(harness, |entries| entries.len() == 1).await;
    let start = Instant::now();
    consumer.stop(harness).await;
    let took = start.elapsed();
    assert!(took >= drain && took <= drain + harness.terms().tolerance, "drained for {took:?}");
    let delivery = take(harness, &mut join(harness, &workers).await).await;
    assert_eq!(*delivery.message().id(), id);
    assert_eq!(delivery.attempt(), 2);
    delivery.ack().await.expect("acknowledged");
}

/// A lane that waits for its next attempt gives the message back at once.
pub async fn a_stop_does_not_wait_out_a_retry_delay(harness: &dyn Harness) {
    let ordered = group("ordered", "work.*").with_single_active();
    let tried = Journal::new();
    let handler = {
        let tried = tried.clone();
        Handler::new(move |_| {
            tried.add(());
            async { Err(Failure::transient("not yet")) }
        })
    };
    let hour = Duration::from_secs(3600);
    let policy = RetryPolicy::standard().with_backoff(Backoff::between(hour, hour));
    let consumer = run(harness, &ordered, handler, |consumer| consumer.with_retry(policy)).await;
    let id = publish(harness, keyed("work.todo", "k", "")).await;
    tried.wait(harness, |entries| entries.len() == 1).await;
    let start = Instant::now();
    consumer.stop(harness).await;
    assert!(start.elapsed() <= harness.terms().tolerance, "stopped after {:?}", start.elapsed());
    assert_eq!(*handle(harness, &mut join(harness, &ordered).await).await.id(), id);
}

/// A delivery from before the cut can no longer be settled, in whatever way, and is delivered again.
pub async fn after_a_cut_settling_fails_and_the_message_comes_again(harness: &dyn Harness) {
    let readers = group("readers", "cut.*");
    let mut deliveries = join(harness, &readers).await;
    let mut published = BTreeSet::new();
    for n in 0..4 {
        published.insert(publish(harness, message("cut.short", &n.to_string())).await);
    }
    let acked = take(harness, &mut deliveries).await;
    let retried = take(harness, &mut deliveries).await;
    let released = take(harness, &mut deliveries).await;
    let dropped = take(harness, &mut deliveries).await;
    harness.cut().await;
    check_disconnected(acked.ack().await);
    check_disconnected(retried.retry(Duration::from_secs(3600)).await);
    check_disconnected(released.release().await);
    drop(dropped);
    check_disconnected(within(harness, "being told", deliveries.next()).await);

    let mut again = join(harness, &readers).await;
    let mut received = BTreeSet::new();
    for _ in 0..4 {
        let delivery = take(harness, &mut again).await;
        assert!(delivery.is_redelivered());
        received.insert(delivery.message().id().clone());
        delivery.ack().await.expect("acknowledged");
    }
    assert_eq!(received, published);
    nothing_comes(harness, &mut again).await;
}

/// Waiting ends with an error, not in silence.
pub async fn a_waiting_consumer_is_told_of_a_cut_and_can_come_back(harness: &dyn Harness) {
    let readers = group("readers", "cut.*").with_single_active();
    let mut deliveries = join(harness, &readers).await;
    let (next, ()) = tokio::join!(within(harness, "being told", deliveries.next()), async {
        yields(10).await;
        harness.cut().await;
    });
    check_disconnected(next);
    check_disconnected(within(harness, "being told again", deliveries.next()).await);
    // The spent one is still there and must not stand in the way.
    let mut again = join(harness, &readers).await;
    let id = publish(harness, message("cut.over", "")).await;
    assert_eq!(*handle(harness, &mut again).await.id(), id);
    drop(deliveries);
    let id = publish(harness, message("cut.over", "")).await;
    assert_eq!(*handle(harness, &mut again).await.id(), id);
}

/// A broadcast ends with its connection, and its listener knows.
pub async fn a_listener_is_told_of_a_cut_and_can_come_back(harness: &dyn Harness) {
    declare(harness, &group("archive", "cut.*")).await;
    let news = Broadcast::new([pattern("cut.*")]);
    let mut deliveries = listen(harness, &news).await;
    let (next, ()) = tokio::join!(within(harness, "being told", deliveries.next()), async {
        yields(10).await;
        harness.cut().await;
    });
    check_disconnected(next);
    let mut again = listen(harness, &news).await;
    let id = publish(harness, message("cut.over", "")).await;
    assert_eq!(*handle(harness, &mut again).await.id(), id);
}

/// Groups keep what they have, in order, and what waits for a retry.
pub async fn what_was_queued_survives_a_cut(harness: &dyn Harness) {
    let readers = group("readers", "cut.*").with_prefetch(1);
    let mut deliveries = join(harness, &readers).await;
    let put_off = publish(harness, message("cut.short", "put off")).await;
    take(harness, &mut deliveries).await.retry(Duration::from_millis(500)).await.expect("put off");
    let mut published = Vec::new();
    for n in 0..10 {
        published.push(publish(harness, keyed("cut.short", "k", &n.to_string())).await);
    }
    harness.cut().await;
    let mut again = join(harness, &readers).await;
    let mut received = Vec::new();
    for message in handle_many(harness, &mut again, 11).await {
        received.push(message.id().clone());
    }
    assert!(received.contains(&put_off));
    received.retain(|id| *id != put_off);
    assert_eq!(received, published);
}

/// Whoever waits for the finished moment learns that it will not come, and does not wait for ever.
pub async fn an_unfinished_receipt_is_answered_at_a_cut(harness: &dyn Harness) {
    let readers = group("readers", "cut.*");
    let mut deliveries = join(harness, &readers).await;
    let held = harness.publisher().publish(message("cut.short", "held")).await.expect("the message is taken");
    let lent = take(harness, &mut deliveries).await;
    let queued =
        harness.publisher().publish(message("cut.short", "queued")).await.expect("the message is taken");
    // Accepted after the others, so they are accepted too: what was not may be lost in a cut.
    publish(harness, message("cut.short", "accepted")).await;
    harness.cut().await;
    for receipt in [held, queued] {
        check_unfinished(harness, within(harness, "being told", receipt.finished()).await);
    }
    drop(lent);
    handle_many(harness, &mut join(harness, &readers).await, 3).await;
}

/// Nobody has to restart it: two cuts while it works, and everything is handled.
pub async fn a_running_consumer_survives_cuts_and_handles_everything(harness: &dyn Harness) {
    let workers = group("workers", "cut.*").with_prefetch(16);
    let handled = Journal::new();
    let handler = {
        let handled = handled.clone();
        Handler::new(move |incoming| {
            let handled = handled.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(fastrand::u64(0..5))).await;
                handled.add(incoming.message.id().clone());
                Ok(())
            }
        })
    };
    let consumer = run(harness, &workers, handler, |consumer| consumer.with_concurrency(4)).await;
    let mut published = BTreeSet::new();
    for round in 0..3_usize {
        for n in 0..30 {
            let key = format!("key-{}", n % 5);
            published.insert(publish(harness, keyed("cut.short", &key, &n.to_string())).await);
        }
        handled.wait(harness, |entries| entries.len() >= 10 * (round + 1)).await;
        if round < 2 {
            harness.cut().await;
        }
    }
    let handled = handled
        .wait(harness, |entries| entries.len() >= 90 && entries.iter().collect::<BTreeSet<_>>().len() >= 90)
        .await;
    assert_eq!(handled.into_iter().collect::<BTreeSet<_>>(), published);
    assert!(consumer.state.borrow().is_running());
    consumer.stop(harness).await;
}

/// Consumers, stand-bys and listeners that wait are told, and those that ask later too.
pub async fn closing_ends_every_next(harness: &dyn Harness) {
    let lonely = group("lonely", "close.*").with_single_active();
    let mut active = join(harness, &lonely).await;
    let mut standing_by = join(harness, &lonely).await;
    let mut listener = listen(harness, &Broadcast::new([pattern("close.*")])).await;
    let (active_ends, standing_by_ends, listener_ends, ()) = tokio::join!(
        within(harness, "the end", active.next()),
        within(harness, "the end", standing_by.next()),
        within(harness, "the end", listener.next()),
        async {
            yields(10).await;
            harness.close().await;
        },
    );
    for ended in [active_ends, standing_by_ends, listener_ends] {
        assert!(ended.expect("closing is no error").is_none());
    }
    assert!(within(harness, "the end", active.next()).await.expect("closing is no error").is_none());
}

/// Nothing goes on as if nothing had happened, and closing twice is harmless.
pub async fn a_closed_bus_refuses_everything(harness: &dyn Harness) {
    let readers = group("readers", "close.*");
    let mut deliveries = join(harness, &readers).await;
    publish(harness, message("close.soon", "")).await;
    let held = take(harness, &mut deliveries).await;
    harness.close().await;
    harness.close().await;
    check_closed(held.ack().await);
    assert_eq!(refusal(harness, message("close.late", "")).await, BusErrorKind::Closed);
    let subscriber = harness.subscriber();
    check_closed(within(harness, "declaring", subscriber.declare(&group("late", "close.*"))).await);
    check_closed(within(harness, "joining", subscriber.consume(&readers)).await);
    check_closed(
        within(harness, "listening", subscriber.listen(&Broadcast::new([pattern("close.*")]))).await,
    );
}

/// Nobody waits for the finished moment of a bus that has ended.
pub async fn an_unfinished_receipt_is_answered_at_the_close(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "close.*")).await;
    let held = harness.publisher().publish(message("close.soon", "")).await.expect("the message is taken");
    let lent = take(harness, &mut deliveries).await;
    let queued = harness.publisher().publish(message("close.soon", "")).await.expect("the message is taken");
    harness.close().await;
    for receipt in [held, queued] {
        check_unfinished(harness, within(harness, "being told", receipt.finished()).await);
    }
    drop(lent);
}

/// Its run returns: there is nothing to come back to.
pub async fn a_running_consumer_ends_when_the_bus_is_closed(harness: &dyn Harness) {
    let handler = Handler::new(|_| async { Ok(()) });
    let mut consumer = run(harness, &group("workers", "close.*"), handler, |consumer| consumer).await;
    harness.close().await;
    consumer.ended(harness).await;
    assert_eq!(*consumer.state.borrow(), ConsumerState::Stopped);
}

fn check_disconnected<T: std::fmt::Debug>(outcome: Result<T, BusError>) {
    assert_eq!(outcome.expect_err("the connection was cut").kind(), BusErrorKind::Disconnected);
}

fn check_closed<T: std::fmt::Debug>(outcome: Result<T, BusError>) {
    assert_eq!(outcome.expect_err("the bus is closed").kind(), BusErrorKind::Closed);
}

/// A bus that never reports the finished moment says that, whatever happened.
fn check_unfinished<T: std::fmt::Debug>(harness: &dyn Harness, outcome: Result<T, BusError>) {
    let expected = match harness.capabilities().reports_finished {
        true => BusErrorKind::Disconnected,
        false => BusErrorKind::Unsupported,
    };
    assert_eq!(outcome.expect_err("the message is not finished").kind(), expected);
}
