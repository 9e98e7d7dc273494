//! The consumer runtime under tower layers.

use std::sync::Arc;
use std::time::Duration;

use tbx_bus::consumer::{Consumer, ConsumerState, Failure, Incoming};
use tbx_bus::{MemoryBus, Publisher, ReasonKind, RetryPolicy, Subscriber, TraceContext};
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower::util::BoxCloneService;

use crate::memory::{group, message, soon};

#[tokio::test(start_paused = true)]
async fn a_timeout_layer_makes_a_slow_handler_a_failure() {
    let bus = MemoryBus::new();
    bus.declare(&group("workers")).await.unwrap();
    let handler = ServiceBuilder::new().timeout(Duration::from_secs(1)).service(tower::service_fn(
        |_: Incoming| async { std::future::pending::<Result<(), Failure>>().await },
    ));
    let consumer =
        Consumer::new(Arc::new(bus.clone()), group("workers"), handler).with_retry(RetryPolicy::for_test());
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));

    let letters = soon(bus.publish(message("")).await.unwrap().finished()).await.unwrap().into_dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].reason.kind, ReasonKind::AttemptsExhausted);
    assert_eq!(letters[0].attempts, 3);
    assert!(letters[0].reason.detail.contains("timed out"), "{}", letters[0].reason);
    stop.cancel();
    soon(running).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_keeps_its_meaning_through_a_layer_that_boxes_errors() {
    let bus = MemoryBus::new();
    bus.declare(&group("workers")).await.unwrap();
    let handler = ServiceBuilder::new()
        .timeout(Duration::from_secs(1))
        .service(tower::service_fn(|_: Incoming| async { Err::<(), _>(Failure::permanent("not JSON")) }));
    let consumer = Consumer::new(Arc::new(bus.clone()), group("workers"), handler);
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));

    let letters = soon(bus.publish(message("")).await.unwrap().finished()).await.unwrap().into_dead_letters();
    assert_eq!((letters[0].reason.kind, letters[0].attempts), (ReasonKind::Rejected, 1));
    stop.cancel();
    soon(running).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_lost_its_subscription_is_not_running_while_it_drains() {
    let bus = MemoryBus::new();
    let handler = tower::service_fn(|_: Incoming| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok::<(), Failure>(())
    });
    let consumer = Consumer::new(Arc::new(bus.clone()), group("workers"), handler);
    let mut state = consumer.state();
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));
    soon(state.wait_for(ConsumerState::is_running)).await.unwrap();
    let _ = bus.publish(message("")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    bus.faults().cut();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(*state.borrow(), ConsumerState::Connecting(Some(_))), "{:?}", *state.borrow());
    soon(state.wait_for(ConsumerState::is_running)).await.unwrap();
    stop.cancel();
    soon(running).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_bus_cannot_be_reached_ends_the_consumer() {
    let bus = MemoryBus::new();
    bus.declare(&group("workers").with_single_active()).await.unwrap();
    let handler = tower::service_fn(|_: Incoming| async { Ok::<(), Failure>(()) });
    // The group exists in another mode, so every try to join is refused.
    let consumer = Consumer::new(Arc::new(bus.clone()), group("workers"), handler);
    let mut state = consumer.state();
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));
    soon(state.wait_for(|state| matches!(state, ConsumerState::Connecting(Some(_))))).await.unwrap();
    stop.cancel();
    soon(running).await.unwrap();
    assert_eq!(*state.borrow(), ConsumerState::Stopped);
}

/// A service behind a pointer is `Send` and not `Sync`; that the consumer over it can be spawned is what compiles here.
#[tokio::test(start_paused = true)]
async fn a_handler_need_not_be_sync() {
    let bus = MemoryBus::new();
    bus.declare(&group("workers")).await.unwrap();
    let handler = BoxCloneService::new(tower::service_fn(|_: Incoming| async { Ok::<(), Failure>(()) }));
    let consumer = Consumer::new(Arc::new(bus.clone()), group("workers"), handler);
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));

    let finished = soon(bus.publish(message("")).await.unwrap().finished()).await.unwrap();
    assert_eq!(finished.into_dead_letters(), []);
    stop.cancel();
    soon(running).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_goes_on_from_the_span_it_works_in_and_keeps_it_over_its_attempts() {
    let bus = MemoryBus::new();
    let group = group("workers").with_single_active();
    bus.declare(&group).await.unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let handler = tower::service_fn(move |incoming: Incoming| {
        tell.send(incoming.trace).unwrap();
        async move { if incoming.attempt == 1 { Err(Failure::transient("once")) } else { Ok(()) } }
    });
    let consumer = Consumer::new(Arc::new(bus.clone()), group, handler).with_retry(RetryPolicy::for_test());
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));

    let trace = TraceContext::generate().with_tracestate("vendor=1");
    let traced = message("").with_key("k").unwrap().with_trace(Some(trace.clone()));
    let _ = soon(bus.publish(traced).await.unwrap().finished()).await.unwrap();
    let _ = soon(bus.publish(message("")).await.unwrap().finished()).await.unwrap();
    let first = told.recv().await.unwrap().unwrap();
    assert_eq!((first.trace_id(), first.tracestate()), (trace.trace_id(), trace.tracestate()));
    assert_ne!(first.span_id(), trace.span_id());
    assert_eq!(told.recv().await.unwrap(), Some(first));
    assert_eq!(told.recv().await.unwrap(), None, "no trace is made up");
    stop.cancel();
    soon(running).await.unwrap();
}
