//! Broadcasts: everyone hears, nobody waits.

use std::time::Duration;

use super::Harness;
use super::steps::*;
use crate::{Broadcast, BusErrorKind, Deliveries, Reason, ReasonKind};

/// Listeners share nothing, with each other or with a group.
pub async fn each_listener_gets_its_own_copy(harness: &dyn Harness) {
    let news = Broadcast::new([pattern("news.*")]);
    let mut listeners = [listen(harness, &news).await, listen(harness, &news).await];
    let mut readers = join(harness, &group("readers", "news.*")).await;
    let mut published = Vec::new();
    for n in 0..20 {
        published.push(publish(harness, keyed("news.today", "k", &n.to_string())).await);
    }
    for deliveries in listeners.iter_mut().chain([&mut readers]) {
        let received: Vec<_> =
            handle_many(harness, deliveries, 20).await.iter().map(|m| m.id().clone()).collect();
        assert_eq!(received, published);
        nothing_comes(harness, deliveries).await;
    }
}

/// What came before, and what matches no pattern, is not for this listener.
pub async fn a_listener_hears_only_what_it_asked_for_from_now_on(harness: &dyn Harness) {
    declare(harness, &group("archive", "#")).await;
    publish(harness, message("news.old", "")).await;
    let mut listener = listen(harness, &Broadcast::new([pattern("news.*"), pattern("sport.#")])).await;
    publish(harness, keyed("gossip.today", "k", "")).await;
    publish(harness, keyed("sport.today", "k", "")).await;
    publish(harness, keyed("news.today", "k", "")).await;
    assert_eq!(handle(harness, &mut listener).await.topic().as_str(), "sport.today");
    assert_eq!(handle(harness, &mut listener).await.topic().as_str(), "news.today");
    nothing_comes(harness, &mut listener).await;
}

/// What a broadcast hears is routed by the same grammar as what a group gets: no wildcard matches a word that begins with `$`.
pub async fn a_listener_needs_private_words_written_out(harness: &dyn Harness) {
    let mut listeners: Vec<(&str, Deliveries)> = Vec::new();
    for wanted in ["#", "*", "a.#", "a.*.b", "#.b", "$p", "a.$p.*", "#.$p.b"] {
        let broadcast = Broadcast::new([pattern(wanted), pattern(THE_END)]);
        listeners.push((wanted, listen(harness, &broadcast).await));
    }
    check_routing(harness, listeners, &["a", "$p", "a.c.b", "a.$p", "a.$p.b", "a.$p.$p", "a.$q.b"]).await;
}

/// It would come back to nobody. The listener may say that it is done all the same, and hears on.
pub async fn what_is_heard_is_neither_retried_nor_dead_lettered(harness: &dyn Harness) {
    let mut listener = listen(harness, &Broadcast::new([pattern("news.*")])).await;
    for _ in 0..3 {
        publish(harness, message("news.today", "")).await;
    }
    let retried = take(harness, &mut listener).await.retry(Duration::ZERO).await;
    assert_eq!(retried.expect_err("a broadcast is not retried").kind(), BusErrorKind::Unsupported);
    let reason = Reason::new(ReasonKind::Rejected, "no use");
    let given_up = take(harness, &mut listener).await.dead_letter(reason, 1).await;
    assert_eq!(given_up.expect_err("a broadcast has no dead letters").kind(), BusErrorKind::Unsupported);
    take(harness, &mut listener).await.release().await.expect("released");
    nothing_comes(harness, &mut listener).await;
}

/// Nothing waits for it: it gets the latest, in order, and learns what it missed.
pub async fn a_slow_listener_loses_the_oldest_and_is_told_how_many(harness: &dyn Harness) {
    let mut slow = listen(harness, &Broadcast::new([pattern("news.*")]).with_capacity(3)).await;
    for n in 1..=10 {
        publish(harness, keyed("news.today", "k", &n.to_string())).await;
    }
    // For buses that push: let everything arrive where the listener's queue is.
    tokio::time::sleep(harness.terms().silence).await;

    let (mut missed, mut received) = (0, Vec::new());
    while received.last().is_none_or(|last| last != "10") {
        let delivery = take(harness, &mut slow).await;
        missed += delivery.missed();
        received.push(body(delivery.message()));
        delivery.ack().await.expect("acknowledged");
    }
    assert_eq!((missed, received.as_slice()), (7, ["8", "9", "10"].map(str::to_owned).as_slice()));

    publish(harness, message("news.today", "11")).await;
    assert_eq!(take(harness, &mut slow).await.missed(), 0, "the loss was told before");
}

/// A group beside it gets everything, and publishing goes on.
pub async fn nobody_waits_for_a_listener_that_does_not_read(harness: &dyn Harness) {
    let silent = listen(harness, &Broadcast::new([pattern("news.*")]).with_capacity(1)).await;
    let mut readers = join(harness, &group("readers", "news.*")).await;
    for n in 0..100 {
        publish(harness, message("news.today", &n.to_string())).await;
    }
    handle_many(harness, &mut readers, 100).await;
    drop(silent);
    publish(harness, message("news.today", "after it left")).await;
    handle(harness, &mut readers).await;
}
