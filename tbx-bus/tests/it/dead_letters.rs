//! Letters are stored once, whoever is interrupted.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tbx_bus::testkit::wait_until_quiet;
use tbx_bus::{Deliveries, MemoryBus, MemoryDeadLetters, Publisher, Reason, ReasonKind, Subscriber};

use crate::harness::MemoryHarness;
use crate::memory::{group, message, next, soon};

fn reason() -> Reason {
    Reason::new(ReasonKind::Rejected, "no use")
}

async fn give_up(deliveries: &mut Deliveries) {
    next(deliveries).await.dead_letter(reason(), 1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_letter_is_handed_over_once_when_two_consumers_could_bury_it() {
    let MemoryHarness { bus, sink } = MemoryHarness::new();
    let limited = group("limited").with_delivery_limit(1);
    let mut one = bus.consume(&limited).await.unwrap();
    let mut two = bus.consume(&limited).await.unwrap();
    let receipt = bus.publish(message("")).await.unwrap();
    drop(next(&mut one).await);
    let (one_idle, two_idle) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(5), one.next()),
        tokio::time::timeout(Duration::from_secs(5), two.next()),
    );
    assert!(one_idle.is_err() && two_idle.is_err());
    assert_eq!(soon(receipt.finished()).await.unwrap().into_dead_letters().len(), 1);
    assert!(sink.kept.letters().is_empty());
}

#[tokio::test(start_paused = true)]
async fn two_copies_given_up_are_both_counted() {
    let MemoryHarness { bus, sink } = MemoryHarness::new();
    let mut deliveries = bus.consume(&group("limited").with_delivery_limit(1)).await.unwrap();
    bus.faults().duplicate(1);
    drop(bus.publish(message("")).await.unwrap());
    sink.slow.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        drop(next(&mut deliveries).await);
    }
    assert!(tokio::time::timeout(Duration::from_secs(5), deliveries.next()).await.is_err());
    assert_eq!(bus.unsettled("limited"), 0);
    assert_eq!(sink.kept.letters().len(), 1, "the same letter twice is one letter");
}

#[tokio::test(start_paused = true)]
async fn a_letter_survives_a_consumer_that_stops_waiting_while_it_is_stored() {
    let MemoryHarness { bus, sink } = MemoryHarness::new();
    let mut deliveries = bus.consume(&group("limited").with_delivery_limit(1)).await.unwrap();
    drop(bus.publish(message("")).await.unwrap());
    sink.slow.store(true, Ordering::SeqCst);
    drop(next(&mut deliveries).await);
    assert!(tokio::time::timeout(Duration::from_millis(500), deliveries.next()).await.is_err());
    assert_eq!(bus.unsettled("limited"), 1);
    assert!(tokio::time::timeout(Duration::from_secs(5), deliveries.next()).await.is_err());
    assert_eq!(bus.unsettled("limited"), 0);
    assert_eq!(sink.kept.letters().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_letter_of_a_dropped_receipt_survives_a_cancelled_acknowledgement() {
    let MemoryHarness { bus, sink } = MemoryHarness::new();
    let mut failing = bus.consume(&group("failing")).await.unwrap();
    let mut working = bus.consume(&group("working")).await.unwrap();
    let receipt = bus.publish(message("")).await.unwrap();
    give_up(&mut failing).await;
    drop(receipt);
    sink.slow.store(true, Ordering::SeqCst);
    let last = next(&mut working).await;
    assert!(tokio::time::timeout(Duration::from_millis(500), last.ack()).await.is_err());
    assert!(tokio::time::timeout(Duration::from_secs(5), failing.next()).await.is_err());
    assert_eq!(sink.kept.letters().len(), 1);
    wait_until_quiet(&[&bus], Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_letter_of_a_dropped_receipt_is_stored_without_its_own_consumer() {
    let MemoryHarness { bus, sink } = MemoryHarness::new();
    let mut failing = bus.consume(&group("failing")).await.unwrap();
    let mut working = bus.consume(&group("working")).await.unwrap();
    let receipt = bus.publish(message("")).await.unwrap();
    give_up(&mut failing).await;
    drop((receipt, failing));
    next(&mut working).await.ack().await.unwrap();
    assert_eq!(sink.kept.letters().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_giving_up_returns_the_message() {
    let MemoryHarness { bus, sink } = MemoryHarness::new();
    let mut deliveries = bus.consume(&group("failing")).await.unwrap();
    drop(bus.publish(message("")).await.unwrap());
    sink.slow.store(true, Ordering::SeqCst);
    let delivery = next(&mut deliveries).await;
    let cancelled = tokio::time::timeout(Duration::from_millis(500), delivery.dead_letter(reason(), 1)).await;
    assert!(cancelled.is_err());
    let again = next(&mut deliveries).await;
    assert_eq!(again.attempt(), 2);
    again.ack().await.unwrap();
    assert_eq!(bus.unsettled("failing"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_handled_after_all_leaves_no_letter_from_before_a_cut() {
    let MemoryHarness { bus, sink } = MemoryHarness::new();
    let mut deliveries = bus.consume(&group("failing")).await.unwrap();
    let receipt = bus.publish(message("")).await.unwrap();
    let delivery = next(&mut deliveries).await;
    bus.faults().cut();
    assert!(delivery.dead_letter(reason(), 1).await.is_err());
    assert!(soon(receipt.finished()).await.is_err());
    let mut again = bus.consume(&group("failing")).await.unwrap();
    next(&mut again).await.ack().await.unwrap();
    assert!(sink.kept.letters().is_empty());
}

#[tokio::test]
async fn the_memory_sink_keeps_the_latest() {
    let sink = Arc::new(MemoryDeadLetters::new(2));
    let bus = MemoryBus::builder().with_dead_letters(Arc::<MemoryDeadLetters>::clone(&sink)).build();
    let mut deliveries = bus.consume(&group("failing")).await.unwrap();
    for text in ["1", "2", "3"] {
        drop(bus.publish(message(text)).await.unwrap());
        give_up(&mut deliveries).await;
    }
    let kept: Vec<_> = sink.letters().iter().map(|letter| letter.message.body().clone()).collect();
    assert_eq!(kept, ["2", "3"]);
}
