//! Waiting until quiet.

use std::sync::Arc;
use std::time::Duration;

use tbx_bus::consumer::{Consumer, Failure, Incoming};
use tbx_bus::testkit::wait_until_quiet;
use tbx_bus::{Backoff, MemoryBus, Publisher, RetryPolicy, Subscriber};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::memory::{group, message, next, soon};

#[tokio::test(start_paused = true)]
async fn waiting_until_quiet_waits_for_retries_that_are_not_due_yet() {
    let bus = MemoryBus::new();
    bus.declare(&group("workers")).await.unwrap();
    let handler = tower::service_fn(|incoming: Incoming| async move {
        if incoming.attempt < 3 { Err(Failure::transient("not yet")) } else { Ok(()) }
    });
    let minute = Backoff::between(Duration::from_secs(60), Duration::from_secs(60)).with_jitter(0.0);
    let consumer = Consumer::new(Arc::new(bus.clone()), group("workers"), handler)
        .with_retry(RetryPolicy::standard().with_backoff(minute));
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));

    let start = Instant::now();
    let _ = bus.publish(message("")).await.unwrap();
    wait_until_quiet(&[&bus], Duration::from_secs(600)).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(120), "quiet after {:?}", start.elapsed());
    assert_eq!(bus.unsettled("workers"), 0);
    stop.cancel();
    soon(running).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn waiting_until_quiet_tells_at_the_deadline_who_is_busy() {
    let (quiet, busy) = (MemoryBus::new(), MemoryBus::new());
    let mut deliveries = busy.consume(&group("workers")).await.unwrap();
    for n in 0..3 {
        let _ = busy.publish(message(&n.to_string())).await.unwrap();
    }
    let running = next(&mut deliveries).await;
    next(&mut deliveries).await.retry(Duration::from_secs(60)).await.unwrap();

    let start = Instant::now();
    let error = wait_until_quiet(&[&quiet, &busy], Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(error.to_string(), "still busy at the deadline: number 2 (1 queued, 1 due, 1 running)");
    assert!(error.activities()[0].is_quiet());
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn waiting_until_quiet_ends_at_the_deadline_while_work_goes_round() {
    let bus = MemoryBus::new();
    let restless = group("restless").with_delivery_limit(u32::MAX);
    let mut deliveries = bus.consume(&restless).await.unwrap();
    let _ = bus.publish(message("")).await.unwrap();
    let goes_round = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            next(&mut deliveries).await.release().await.unwrap();
        }
    });
    assert!(wait_until_quiet(&[&bus], Duration::from_secs(1)).await.is_err());
    goes_round.abort();
}

#[tokio::test(start_paused = true)]
async fn a_bus_with_nothing_to_do_is_quiet_at_once() {
    let start = Instant::now();
    wait_until_quiet(&[&MemoryBus::new()], Duration::MAX).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}
