//! Publishing: what is accepted arrives, what is refused does not, and everyone is told which.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{SubsecRound, Utc};
use tokio::task::JoinSet;

use super::Harness;
use super::steps::*;
use crate::{Broadcast, BusErrorKind, MessageId, TraceContext};

/// A hundred messages arrive as a set, each with its body, headers and attributes.
pub async fn what_is_published_is_received_whole(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "whole.*")).await;
    let mut published = Vec::new();
    for n in 0..100 {
        let message = keyed("whole.message", &format!("key-{}", n % 7), &format!("body {n}"))
            .with_source("/conformance")
            .with_subject(&format!("subject {n}"))
            // Backends carry milliseconds.
            .with_time(Utc::now().trunc_subsecs(3))
            .with_content_type("text/plain; charset=utf-8")
            .with_trace(Some(TraceContext::generate().with_tracestate("vendor=1")))
            .with_header("number", &n.to_string())
            .with_header("empty", "");
        publish(harness, message.clone()).await;
        published.push(message);
    }
    let mut received = handle_many(harness, &mut deliveries, published.len()).await;
    nothing_comes(harness, &mut deliveries).await;

    received.sort_by(|a, b| a.id().cmp(b.id()));
    published.sort_by(|a, b| a.id().cmp(b.id()));
    for (received, published) in received.iter().zip(&published) {
        assert_eq!(received.body(), published.body());
        assert_eq!(received.headers(), published.headers());
        assert_eq!(**received, *published, "an attribute differs");
    }
}

/// A thousand messages from fifty tasks, shared by fifty consumers.
pub async fn nothing_is_lost_with_fifty_publishers_and_fifty_consumers(harness: &dyn Harness) {
    let crowd = group("crowd", "load.#").with_prefetch(4);
    declare(harness, &crowd).await;
    let received = Journal::new();
    let mut consumers = JoinSet::new();
    for _ in 0..50 {
        let mut deliveries = join(harness, &crowd).await;
        let received = received.clone();
        consumers.spawn(async move {
            while let Ok(Some(delivery)) = deliveries.next().await {
                let id = delivery.message().id().clone();
                delivery.ack().await.expect("acknowledged");
                received.add(id);
            }
        });
    }
    let mut publishers = JoinSet::new();
    for task in 0..50 {
        let publisher = harness.publisher();
        publishers.spawn(async move {
            let mut ids = Vec::new();
            for n in 0..20 {
                let message = message(&format!("load.{task}"), &n.to_string());
                ids.push(message.id().clone());
                let receipt = publisher.publish(message).await.expect("the message is taken");
                receipt.accepted().await.expect("the message is confirmed");
            }
            ids
        });
    }
    let published: BTreeSet<MessageId> =
        within(harness, "publishing", publishers.join_all()).await.into_iter().flatten().collect();
    assert_eq!(published.len(), 1000);

    let distinct = |ids: &[MessageId]| ids.iter().cloned().collect::<BTreeSet<_>>();
    let received = received.wait(harness, |ids| ids.len() >= 1000 && distinct(ids).len() >= 1000).await;
    assert_eq!(distinct(&received), published);
    consumers.shutdown().await;
}

/// Whenever a publisher gives up waiting, either both groups have the message or neither.
pub async fn a_cancelled_publish_leaves_the_message_whole_or_not_at_all(harness: &dyn Harness) {
    let mut left = join(harness, &group("left", "cancel.*")).await;
    let mut right = join(harness, &group("right", "cancel.*")).await;
    let mut accepted = BTreeSet::new();
    for polls in 0..40 {
        let message = message("cancel.now", &"x".repeat(100 + polls));
        let id = message.id().clone();
        tokio::select! {
            biased;
            outcome = try_publish(harness, message) => {
                outcome.expect("the message is accepted");
                accepted.insert(id);
            }
            () = yields(polls) => {}
        }
    }
    accepted.insert(publish(harness, message("cancel.last", "the bus still works")).await);

    let mut sets = Vec::new();
    for deliveries in [&mut left, &mut right] {
        let received = handle_all(harness, deliveries).await;
        assert!(received.iter().all(|message| !message.body().is_empty()));
        sets.push(received.iter().map(|message| message.id().clone()).collect::<BTreeSet<_>>());
    }
    assert_eq!(sets[0], sets[1], "a message reached one group and not the other");
    assert!(sets[0].is_superset(&accepted), "an accepted message is missing");
}

/// The claim and the capabilities agree.
pub async fn the_capabilities_say_that_finished_is_reported(harness: &dyn Harness) {
    assert!(harness.capabilities().reports_finished);
}

/// The capabilities do not promise it, and asking for it is answered as unsupported.
pub async fn the_capabilities_say_that_finished_is_not_reported(harness: &dyn Harness) {
    assert!(!harness.capabilities().reports_finished);
    declare(harness, &group("readers", "whole.*")).await;
    let receipt =
        harness.publisher().publish(message("whole.message", "")).await.expect("the message is taken");
    let error = within(harness, "asking", receipt.finished()).await.expect_err("finished is not reported");
    assert_eq!(error.kind(), BusErrorKind::Unsupported);
}

/// The receipt waits for the slowest group.
pub async fn finished_comes_only_after_every_group_is_done(harness: &dyn Harness) {
    let mut quick = join(harness, &group("quick", "done.*")).await;
    let mut slow = join(harness, &group("slow", "done.*")).await;
    let receipt = harness.publisher().publish(message("done.soon", "")).await.expect("the message is taken");
    let mut finished = std::pin::pin!(receipt.finished());
    handle(harness, &mut quick).await;
    let held = take(harness, &mut slow).await;
    if let Ok(early) = tokio::time::timeout(harness.terms().silence, &mut finished).await {
        panic!("finished although a group still holds the message: {early:?}");
    }
    held.ack().await.expect("acknowledged");
    let finished = within(harness, "finishing", finished).await.expect("every group is done");
    assert_eq!(finished.into_dead_letters(), []);
}

/// No group has it to be done with, and nothing waits for a listener: not even for one that never reads.
pub async fn a_message_that_only_a_listener_hears_is_finished_at_once(harness: &dyn Harness) {
    let mut listener = listen(harness, &Broadcast::new([pattern("news.*")])).await;
    let message = message("news.today", "");
    let id = message.id().clone();
    let receipt = harness.publisher().publish(message).await.expect("the message is taken");
    let finished = within(harness, "finishing", receipt.finished()).await.expect("no group is left");
    assert_eq!(finished.into_dead_letters(), []);
    assert_eq!(*handle(harness, &mut listener).await.id(), id);
}

/// Nobody takes the topic: the publisher is told, until somebody does.
pub async fn a_message_that_nobody_takes_is_refused(harness: &dyn Harness) {
    declare(harness, &group("others", "other.#")).await;
    assert_eq!(refusal(harness, message("lost.topic", "")).await, BusErrorKind::Unroutable);
    assert_eq!(refusal(harness, message("other.$private", "")).await, BusErrorKind::Unroutable);
    let mut found = join(harness, &group("found", "lost.#")).await;
    let id = publish(harness, message("lost.topic", "")).await;
    assert_eq!(*handle(harness, &mut found).await.id(), id);
}

/// One byte too many, and no group sees it; without that byte they do.
pub async fn a_body_above_the_limit_is_refused_and_reaches_nobody(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "size.*")).await;
    let limit = harness.terms().max_body;
    assert_eq!(refusal(harness, message("size.large", &"x".repeat(limit + 1))).await, BusErrorKind::TooLarge);
    publish(harness, message("size.fits", &"x".repeat(limit))).await;
    assert_eq!(handle(harness, &mut deliveries).await.body().len(), limit);
    nothing_comes(harness, &mut deliveries).await;
}

/// A full group is a refusal that ends when the group is worked off.
pub async fn a_full_group_refuses_and_takes_again_when_it_was_worked_off(harness: &dyn Harness) {
    let full = group("full", "fill.*");
    declare(harness, &full).await;
    fill(harness).await;
    let mut deliveries = join(harness, &full).await;
    handle_all(harness, &mut deliveries).await;
    eventually(harness, "publishing into the room made", || try_publish(harness, message("fill.up", "")))
        .await;
    handle(harness, &mut deliveries).await;
}

/// One settled message makes room for one.
pub async fn a_full_group_refuses_until_it_has_room(harness: &dyn Harness) {
    let full = group("full", "fill.*");
    declare(harness, &full).await;
    fill(harness).await;
    let mut deliveries = join(harness, &full).await;
    handle(harness, &mut deliveries).await;
    eventually(harness, "publishing into the room made", || try_publish(harness, message("fill.up", "")))
        .await;
}

/// A message makes room when it is settled, not when it is lent or put off.
pub async fn a_full_group_has_no_room_for_what_is_lent_or_put_off(harness: &dyn Harness) {
    let full = group("full", "fill.*");
    declare(harness, &full).await;
    fill(harness).await;
    let mut deliveries = join(harness, &full).await;
    let lent = take(harness, &mut deliveries).await;
    assert_eq!(refusal(harness, message("fill.up", "")).await, BusErrorKind::QueueFull);
    lent.retry(Duration::from_secs(3600)).await.expect("put off");
    assert_eq!(refusal(harness, message("fill.up", "")).await, BusErrorKind::QueueFull);
}

/// A publication is refused whole: the group with room does not get what the full one refused.
pub async fn what_one_group_refuses_no_other_gets(harness: &dyn Harness) {
    declare(harness, &group("full", "fill.*")).await;
    let mut roomy = join(harness, &group("roomy", "fill.both")).await;
    fill(harness).await;
    assert_eq!(refusal(harness, message("fill.both", "")).await, BusErrorKind::QueueFull);
    nothing_comes(harness, &mut roomy).await;
}

/// Publishes on `fill.up` until that is refused.
async fn fill(harness: &dyn Harness) {
    // A broker that counts lazily may take some more than it says.
    for _ in 0..2 * harness.terms().queue_capacity {
        match within(harness, "filling", try_publish(harness, message("fill.up", ""))).await {
            Ok(()) => {}
            Err(kind) => {
                assert_eq!(kind, BusErrorKind::QueueFull);
                return;
            }
        }
    }
    panic!("the group took twice its capacity");
}

/// While the bus is blocked a publisher waits, and nothing arrives; then both go on.
pub async fn a_blocked_publisher_waits_and_goes_on(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "block.*")).await;
    harness.block().await;
    let message = message("block.wait", "");
    let id = message.id().clone();
    let mut publishing = std::pin::pin!(try_publish(harness, message));
    // Half the time allowed at most, so that the wait does not end by itself.
    let watch = harness.terms().silence.min(harness.terms().block_timeout / 2);
    if let Ok(early) = tokio::time::timeout(watch, &mut publishing).await {
        panic!("published although the bus is blocked: {early:?}");
    }
    harness.unblock().await;
    within(harness, "publishing after the block", publishing).await.expect("the message is accepted");
    assert_eq!(*handle(harness, &mut deliveries).await.id(), id);
}

/// A block that outlasts the time allowed is an error, and the message is nowhere.
pub async fn a_publisher_blocked_for_too_long_is_told_so(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "block.*")).await;
    harness.block().await;
    let start = tokio::time::Instant::now();
    let deadline = harness.terms().block_timeout + harness.terms().patience;
    let outcome = tokio::time::timeout(deadline, try_publish(harness, message("block.wait", ""))).await;
    assert_eq!(outcome.expect("the publisher is answered"), Err(BusErrorKind::Blocked));
    assert!(start.elapsed() >= harness.terms().block_timeout, "gave up after {:?}", start.elapsed());
    harness.unblock().await;
    let id = publish(harness, message("block.over", "")).await;
    assert_eq!(*handle(harness, &mut deliveries).await.id(), id, "a refused message arrived");
    nothing_comes(harness, &mut deliveries).await;
}

/// The publisher does not know, and says so; the message is there all the same. The next one is confirmed again.
pub async fn a_lost_confirmation_is_reported_and_the_message_arrives(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "confirm.*")).await;
    harness.lose_next_confirm().await;
    let unknown = message("confirm.lost", "");
    let id = unknown.id().clone();
    assert_eq!(refusal(harness, unknown).await, BusErrorKind::ConfirmLost);
    assert_eq!(*handle(harness, &mut deliveries).await.id(), id);
    let next = publish(harness, message("confirm.again", "")).await;
    assert_eq!(*handle(harness, &mut deliveries).await.id(), next);
}

/// A repetition can be known by its id, and is only one.
pub async fn a_duplicate_arrives_with_the_same_id(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("readers", "twice.*")).await;
    harness.duplicate_next().await;
    let id = publish(harness, message("twice.told", "tale")).await;
    for received in handle_many(harness, &mut deliveries, 2).await {
        assert_eq!(*received.id(), id);
        assert_eq!(body(&received), "tale");
    }
    nothing_comes(harness, &mut deliveries).await;
}
