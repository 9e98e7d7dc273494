//! Failure: tried again, then given up with a reason, and never lost.

use std::time::Duration;

use super::Harness;
use super::steps::*;
use crate::consumer::Failure;
use crate::{BusErrorKind, DeadLetter, Group, Message, Reason, ReasonKind, RetryPolicy, TraceContext};

/// Every attempt fails: the policy's number of them, then a letter with the reason, the count and the message as it was.
pub async fn a_failing_message_is_retried_and_then_dead_lettered(harness: &dyn Harness) {
    check_retried_then_buried(harness, &group("failing", "fail.*")).await;
}

/// The same where retries keep their lane.
pub async fn a_failing_message_of_an_ordered_group_is_retried_and_then_dead_lettered(harness: &dyn Harness) {
    check_retried_then_buried(harness, &group("failing", "fail.*").with_single_active()).await;
}

async fn check_retried_then_buried(harness: &dyn Harness, failing: &Group) {
    let attempts = Journal::new();
    let handler = {
        let attempts = attempts.clone();
        Handler::new(move |incoming| {
            attempts.add((incoming.attempt, incoming.redelivered));
            async { Err(Failure::transient("the disk is full")) }
        })
    };
    let consumer =
        run(harness, failing, handler, |consumer| consumer.with_retry(RetryPolicy::for_test())).await;
    let doomed = whole_message("fail.always");
    publish(harness, doomed.clone()).await;

    let letters = letters(harness, failing.name(), 1).await;
    check_letter(&letters[0], &doomed, failing.name(), 3);
    assert_eq!(letters[0].reason.kind, ReasonKind::AttemptsExhausted);
    assert!(letters[0].reason.detail.contains("the disk is full"), "{}", letters[0].reason);
    assert_eq!(attempts.entries(), [(1, false), (2, true), (3, true)]);
    consumer.stop(harness).await;
    nothing_comes(harness, &mut join(harness, failing).await).await;
}

/// An outage longer than the policy's attempts gives nothing up, and order is kept meanwhile.
pub async fn a_missing_dependency_is_waited_for_and_no_attempt_counts(harness: &dyn Harness) {
    let (tries, handled) = (Journal::new(), Journal::new());
    let handler = {
        let (tries, handled) = (tries.clone(), handled.clone());
        Handler::new(move |incoming| {
            tries.add(incoming.attempt);
            let is_back = tries.entries().len() > 6;
            if is_back {
                handled.add(body(&incoming.message));
            }
            async move { if is_back { Ok(()) } else { Err(Failure::unavailable("no database")) } }
        })
    };
    let waiting = group("waiting", "wait.*").with_single_active();
    let consumer =
        run(harness, &waiting, handler, |consumer| consumer.with_retry(RetryPolicy::for_test())).await;
    publish(harness, keyed("wait.here", "key", "first")).await;
    publish(harness, keyed("wait.here", "key", "second")).await;
    assert_eq!(handled.wait(harness, |handled| handled.len() == 2).await, ["first", "second"]);
    assert_eq!(tries.entries(), [1; 8]);
    consumer.stop(harness).await;
    assert!(harness.dead_letters("waiting").await.is_empty());
}

/// No attempt is wasted on what cannot succeed.
pub async fn a_permanent_failure_is_dead_lettered_at_once(harness: &dyn Harness) {
    let attempts = Journal::new();
    let handler = {
        let attempts = attempts.clone();
        Handler::new(move |incoming| {
            attempts.add(incoming.attempt);
            async { Err(Failure::permanent("not JSON")) }
        })
    };
    let consumer = run(harness, &group("failing", "fail.*"), handler, |consumer| {
        consumer.with_retry(RetryPolicy::for_test())
    })
    .await;
    let doomed = whole_message("fail.always");
    publish(harness, doomed.clone()).await;
    let letters = letters(harness, "failing", 1).await;
    check_letter(&letters[0], &doomed, "failing", 1);
    assert_eq!(letters[0].reason.kind, ReasonKind::Rejected);
    assert!(letters[0].reason.detail.contains("not JSON"), "{}", letters[0].reason);
    assert_eq!(attempts.entries(), [1]);
    consumer.stop(harness).await;
}

/// The consumer lives on, and the message is tried again.
pub async fn a_panic_of_the_handler_counts_as_a_failure(harness: &dyn Harness) {
    let attempts = Journal::new();
    let handler = {
        let attempts = attempts.clone();
        Handler::new(move |incoming| {
            attempts.add((body(&incoming.message), incoming.attempt));
            async move {
                match body(&incoming.message).as_str() {
                    "once" if incoming.attempt == 1 => panic!("surprise"),
                    "always" => panic!("surprise number {}", incoming.attempt),
                    _ => Ok(()),
                }
            }
        })
    };
    let consumer = run(harness, &group("failing", "fail.*"), handler, |consumer| {
        consumer.with_retry(RetryPolicy::for_test())
    })
    .await;
    for text in ["once", "always", "never"] {
        publish(harness, message("fail.loud", text)).await;
    }
    let mut attempts = attempts.wait(harness, |entries| entries.len() >= 6).await;
    let letters = letters(harness, "failing", 1).await;
    assert_eq!(body(&letters[0].message), "always");
    assert_eq!(letters[0].reason.kind, ReasonKind::AttemptsExhausted);
    assert!(letters[0].reason.detail.contains("surprise number 3"), "{}", letters[0].reason);
    attempts.sort();
    let expected = [("always", 1), ("always", 2), ("always", 3), ("never", 1), ("once", 1), ("once", 2)];
    assert_eq!(attempts, expected.map(|(text, attempt)| (text.to_owned(), attempt)));
    consumer.stop(harness).await;
}

/// The net under handlers that never answer, such as those that take the process down.
pub async fn what_is_never_settled_is_dead_lettered_at_the_delivery_limit(harness: &dyn Harness) {
    let limited = group("limited", "fail.*").with_delivery_limit(3).with_prefetch(1);
    let mut deliveries = join(harness, &limited).await;
    let doomed = whole_message("fail.always");
    publish(harness, doomed.clone()).await;
    for attempt in 1..=3 {
        let delivery = take(harness, &mut deliveries).await;
        assert_eq!(delivery.attempt(), attempt);
    }
    nothing_comes(harness, &mut deliveries).await;
    let letters = letters(harness, "limited", 1).await;
    check_letter(&letters[0], &doomed, "limited", 3);
    assert_eq!(letters[0].reason.kind, ReasonKind::DeliveryLimit);
    publish(harness, message("fail.no-more", "")).await;
    handle(harness, &mut deliveries).await;
}

/// A retry is an attempt, so a consumer that only ever puts off comes to the same end.
pub async fn what_is_always_retried_is_dead_lettered_at_the_delivery_limit(harness: &dyn Harness) {
    let limited = group("limited", "fail.*").with_delivery_limit(3);
    let mut deliveries = join(harness, &limited).await;
    let doomed = whole_message("fail.always");
    publish(harness, doomed.clone()).await;
    for attempt in 1..=3 {
        let delivery = take(harness, &mut deliveries).await;
        assert_eq!(delivery.attempt(), attempt);
        delivery.retry(Duration::from_millis(10)).await.expect("put off, or given up at the limit");
    }
    nothing_comes(harness, &mut deliveries).await;
    let letters = letters(harness, "limited", 1).await;
    check_letter(&letters[0], &doomed, "limited", 3);
    assert_eq!(letters[0].reason.kind, ReasonKind::DeliveryLimit);
}

/// Nobody holds the receipt, so the sink has it.
pub async fn a_dead_letter_goes_to_the_sink_when_the_receipt_was_dropped(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("failing", "fail.*")).await;
    let doomed = whole_message("fail.always");
    drop(harness.publisher().publish(doomed.clone()).await.expect("the message is taken"));
    give_up(harness, &mut deliveries).await;
    let letters = letters(harness, "failing", 1).await;
    check_letter(&letters[0], &doomed, "failing", 4);
    assert_eq!(letters[0].reason, Reason::new(ReasonKind::Rejected, "no use"));
    nothing_comes(harness, &mut deliveries).await;
}

/// Another group handles the same message as if nothing had happened.
pub async fn one_group_giving_up_does_not_touch_another(harness: &dyn Harness) {
    let mut failing = join(harness, &group("failing", "fail.*")).await;
    let mut working = join(harness, &group("working", "fail.*")).await;
    let id = publish(harness, message("fail.here", "")).await;
    give_up(harness, &mut failing).await;
    assert_eq!(*handle(harness, &mut working).await.id(), id);
    letters(harness, "failing", 1).await;
    assert_eq!(harness.dead_letters("working").await, []);
}

/// Whoever holds the receipt answers for the letters of all groups, and the sink has none.
pub async fn finished_carries_the_dead_letters_to_the_holder_of_the_receipt(harness: &dyn Harness) {
    let mut failing = join(harness, &group("failing", "fail.*")).await;
    let mut working = join(harness, &group("working", "fail.*")).await;
    let mut limited = join(harness, &group("limited", "fail.*").with_delivery_limit(1)).await;
    let doomed = whole_message("fail.here");
    let receipt = harness.publisher().publish(doomed.clone()).await.expect("the message is taken");
    give_up(harness, &mut failing).await;
    drop(take(harness, &mut limited).await);
    nothing_comes(harness, &mut limited).await;
    handle(harness, &mut working).await;

    let mut letters = within(harness, "finishing", receipt.finished())
        .await
        .expect("every group is done")
        .into_dead_letters();
    letters.sort_by(|a, b| a.group.cmp(&b.group));
    assert_eq!(letters.len(), 2, "{letters:?}");
    check_letter(&letters[0], &doomed, "failing", 4);
    check_letter(&letters[1], &doomed, "limited", 1);
    assert_eq!(harness.dead_letters("failing").await, []);
    assert_eq!(harness.dead_letters("limited").await, []);
}

/// The receipt took a letter and was dropped before the last group was done: the letter is not lost.
pub async fn the_sink_gets_what_a_dropped_receipt_had_taken(harness: &dyn Harness) {
    let mut failing = join(harness, &group("failing", "fail.*")).await;
    let mut working = join(harness, &group("working", "fail.*")).await;
    let doomed = whole_message("fail.here");
    let receipt = harness.publisher().publish(doomed.clone()).await.expect("the message is taken");
    give_up(harness, &mut failing).await;
    drop(receipt);
    handle(harness, &mut working).await;
    check_letter(&letters(harness, "failing", 1).await[0], &doomed, "failing", 4);
}

/// The receipt had the whole answer and nobody read it, as when the publisher only waits for the confirmation.
pub async fn the_sink_gets_what_an_answered_receipt_was_never_asked_for(harness: &dyn Harness) {
    let mut failing = join(harness, &group("failing", "fail.*")).await;
    let doomed = whole_message("fail.here");
    let receipt = harness.publisher().publish(doomed.clone()).await.expect("the message is taken");
    give_up(harness, &mut failing).await;
    within(harness, "accepting", receipt.accepted()).await.expect("the message is confirmed");
    nothing_comes(harness, &mut failing).await;
    check_letter(&letters(harness, "failing", 1).await[0], &doomed, "failing", 4);
}

/// Giving up fails, and the message is there for another try.
pub async fn a_message_whose_letter_cannot_be_stored_returns_to_its_group(harness: &dyn Harness) {
    let mut deliveries = join(harness, &group("failing", "fail.*")).await;
    let doomed = whole_message("fail.always");
    publish(harness, doomed.clone()).await;
    harness.break_sink().await;
    let delivery = take(harness, &mut deliveries).await;
    let error = delivery.dead_letter(no_use(), 1).await.expect_err("the sink is broken");
    assert_eq!(error.kind(), BusErrorKind::DeadLetterSink);
    harness.mend_sink().await;
    give_up(harness, &mut deliveries).await;
    check_letter(&letters(harness, "failing", 1).await[0], &doomed, "failing", 4);
    nothing_comes(harness, &mut deliveries).await;
}

/// While letters wait for the sink, the group works on; when it is back, they are stored.
pub async fn a_letter_that_cannot_be_stored_holds_up_nothing(harness: &dyn Harness) {
    let limited = group("limited", "fail.*").with_delivery_limit(1).with_prefetch(1);
    let mut deliveries = join(harness, &limited).await;
    harness.break_sink().await;
    let doomed = whole_message("fail.always");
    publish(harness, doomed.clone()).await;
    drop(take(harness, &mut deliveries).await);
    nothing_comes(harness, &mut deliveries).await;
    let start = tokio::time::Instant::now();
    for n in 0..10 {
        publish(harness, message("fail.not", &n.to_string())).await;
        handle(harness, &mut deliveries).await;
    }
    assert!(start.elapsed() <= harness.terms().tolerance, "held up for {:?}", start.elapsed());
    assert_eq!(harness.dead_letters("limited").await, []);
    harness.mend_sink().await;
    // A consumer that waits for its next delivery is what looks after the letters.
    let stored = tokio::select! {
        stored = letters(harness, "limited", 1) => stored,
        next = deliveries.next() => panic!("a delivery came that must not: {next:?}"),
    };
    check_letter(&stored[0], &doomed, "limited", 1);
}

fn no_use() -> Reason {
    Reason::new(ReasonKind::Rejected, "no use")
}

/// Takes one delivery and gives it up after four attempts.
async fn give_up(harness: &dyn Harness, deliveries: &mut crate::Deliveries) {
    take(harness, deliveries).await.dead_letter(no_use(), 4).await.expect("given up");
}

/// A message with something in every place.
fn whole_message(on: &str) -> Message {
    use chrono::{SubsecRound, Utc};

    keyed(on, "k", "body")
        .with_time(Utc::now().trunc_subsecs(3))
        .with_subject("subject")
        .with_trace(Some(TraceContext::generate()))
        .with_header("own", "header")
}

fn check_letter(letter: &DeadLetter, message: &Message, group: &str, attempts: u32) {
    assert_eq!(letter.message.headers(), message.headers());
    assert_eq!(*letter.message, *message, "an attribute differs");
    assert_eq!(letter.group.as_ref(), group);
    assert_eq!(letter.attempts, attempts);
}
