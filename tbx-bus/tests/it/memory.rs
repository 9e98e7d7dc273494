//! The suite, and what the memory bus promises beyond it.

use std::time::Duration;

use tbx_bus::{
    BusErrorKind, Deliveries, Delivery, Group, MemoryBus, Message, Publisher, Subscriber, Topic, TopicPattern,
};

use crate::harness::MemoryHarness;

tbx_bus::bus_conformance! {
    test: #[tokio::test(start_paused = true)],
    harness: MemoryHarness::new(),
    claims: {
        finished: yes,
        unroutable: yes,
        body_limit: yes,
        queue_limit: yes,
        strict_limit: yes,
        sink_failure: yes,
        cut: yes,
        block: yes,
        lost_confirm: yes,
        duplicate: yes,
        close: yes,
        partitions: yes,
        expiry: yes,
    }
}

pub(crate) fn message(text: &str) -> Message {
    Message::new(Topic::new("memory.test").unwrap(), "Happened", text.to_owned())
}

pub(crate) fn group(name: &str) -> Group {
    Group::new(name, [TopicPattern::new("memory.*").unwrap()])
}

/// Waits for what must happen, so that a test that fails does not hang.
pub(crate) async fn soon<T>(happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(3600), happens).await.expect("it did not happen")
}

pub(crate) async fn next(deliveries: &mut Deliveries) -> Delivery {
    soon(deliveries.next()).await.unwrap().unwrap()
}

async fn order_with_seed(seed: u64) -> Vec<String> {
    let bus = MemoryBus::builder().with_seed(seed).build();
    let mut deliveries = bus.consume(&group("readers")).await.unwrap();
    bus.faults().reorder_within(5);
    for n in 0..50 {
        bus.publish(message(&n.to_string())).await.unwrap().accepted().await.unwrap();
    }
    let mut order = Vec::new();
    for _ in 0..50 {
        let delivery = next(&mut deliveries).await;
        order.push(String::from_utf8_lossy(delivery.message().body()).into_owned());
        delivery.ack().await.unwrap();
    }
    order
}

#[tokio::test]
async fn reordering_follows_the_seed_and_stays_within_the_window() {
    let order = order_with_seed(7).await;
    assert_eq!(order, order_with_seed(7).await);
    assert_ne!(order, order_with_seed(8).await);

    let mut in_order: Vec<u32> = order.iter().map(|text| text.parse().unwrap()).collect();
    assert!(!in_order.is_sorted());
    for (position, n) in in_order.iter().enumerate() {
        assert!(*n as usize <= position + 4, "{n} came at {position}, from beyond the window");
    }
    in_order.sort_unstable();
    assert!(in_order.into_iter().eq(0..50));
}

#[tokio::test(start_paused = true)]
async fn a_group_takes_exactly_its_capacity() {
    let bus = MemoryBus::builder().with_queue_capacity(3).build();
    let mut deliveries = bus.consume(&group("readers")).await.unwrap();
    for n in 0..3 {
        let _ = bus.publish(message(&n.to_string())).await.unwrap();
    }
    let lent = next(&mut deliveries).await;
    assert_eq!(bus.publish(message("lent ones count")).await.unwrap_err().kind(), BusErrorKind::QueueFull);
    lent.retry(Duration::from_secs(60)).await.unwrap();
    assert_eq!(bus.publish(message("resting ones count")).await.unwrap_err().kind(), BusErrorKind::QueueFull);
    next(&mut deliveries).await.ack().await.unwrap();
    let _ = bus.publish(message("there is room")).await.unwrap();
    assert_eq!(bus.unsettled("readers"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_gives_up_while_blocked_leaves_nothing() {
    let bus = MemoryBus::new();
    bus.declare(&group("readers")).await.unwrap();
    bus.faults().block();
    assert!(tokio::time::timeout(Duration::from_secs(1), bus.publish(message(""))).await.is_err());
    bus.faults().unblock();
    assert_eq!(bus.unsettled("readers"), 0);
}

#[tokio::test(start_paused = true)]
async fn finished_waits_for_both_copies_of_a_duplicate() {
    let bus = MemoryBus::new();
    let mut deliveries = bus.consume(&group("readers")).await.unwrap();
    bus.faults().duplicate(1);
    let receipt = bus.publish(message("")).await.unwrap();
    let mut finished = std::pin::pin!(receipt.finished());
    next(&mut deliveries).await.ack().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut finished).await.is_err());
    next(&mut deliveries).await.ack().await.unwrap();
    assert!(soon(finished).await.unwrap().into_dead_letters().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_closed_bus_holds_nothing() {
    let bus = MemoryBus::new();
    let mut deliveries = bus.consume(&group("readers")).await.unwrap();
    for n in 0..3 {
        let _ = bus.publish(message(&n.to_string())).await.unwrap();
    }
    let lent = next(&mut deliveries).await;
    bus.close();
    assert_eq!(bus.unsettled("readers"), 0);
    drop(lent);
    assert_eq!(bus.unsettled("readers"), 0);
}

#[tokio::test(start_paused = true)]
async fn for_ever_is_a_delay_like_any_other() {
    let bus = MemoryBus::builder().with_block_timeout(Duration::MAX).build();
    let mut deliveries = bus.consume(&group("readers")).await.unwrap();
    let _ = bus.publish(message("")).await.unwrap();
    next(&mut deliveries).await.retry(Duration::MAX).await.unwrap();
    assert_eq!(bus.unsettled("readers"), 1);
    assert!(tokio::time::timeout(Duration::from_secs(86_400), deliveries.next()).await.is_err());
}
