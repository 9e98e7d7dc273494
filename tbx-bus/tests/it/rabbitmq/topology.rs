//! Declaring, comparing, and what is told where it differs.

use tbx_bus::rabbitmq::{Exchange, Topology};
use tbx_bus::{BusErrorKind, Subscriber};

use super::harness::{RabbitHarness, group, message, next, publish, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_topology_collects_before_anyone_consumes() {
    let harness = RabbitHarness::start().await;
    let exchange = Exchange::new("conformance").unwrap();
    let readers = group("readers", "early.*").with_single_active();
    let topology = Topology::new().with_group(&exchange, &readers);
    soon(topology.declare(&harness.rabbit)).await.unwrap();
    soon(topology.declare(&harness.rabbit)).await.unwrap();
    publish(&harness.bus, message("early.bird", "")).await.unwrap();
    let mut deliveries = harness.bus.consume(&readers).await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn verifying_tells_what_is_missing_and_makes_nothing() {
    let harness = RabbitHarness::start().await;
    let exchange = Exchange::new("shop").unwrap();
    let topology = Topology::new().with_group(&exchange, &group("readers", "early.*"));
    let missing = [
        "exchange `shop` is missing",
        "exchange `shop.private` is missing",
        "exchange `readers.dead` is missing",
        "queue `readers.dead` is missing",
        "queue `readers` is missing",
    ];
    for _ in 0..2 {
        assert_eq!(soon(topology.verify(&harness.rabbit)).await.unwrap(), missing);
    }
    topology.declare(&harness.rabbit).await.unwrap();
    assert!(soon(topology.verify(&harness.rabbit)).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drifted_group_is_told_with_both_settings_and_the_remedy() {
    let harness = RabbitHarness::start().await;
    let exchange = Exchange::new("conformance").unwrap();
    harness.bus.declare(&group("readers", "early.*")).await.unwrap();
    let drifted = group("readers", "late.*");
    let differences =
        soon(Topology::new().with_group(&exchange, &drifted).verify(&harness.rabbit)).await.unwrap();
    assert_eq!(differences.len(), 1, "{differences:?}");
    let error = harness.bus.declare(&drifted).await.unwrap_err();
    assert_eq!(error.kind(), BusErrorKind::Declaration);
    for text in [&differences[0], &error.to_string()] {
        for part in ["queue `readers`", "late.* limit 20", "early.* limit 20", "let it drain, delete it"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    assert!(harness.rabbit.state().borrow().is_running());
    assert_eq!(harness.rabbit.stats().disconnected, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_of_another_type_is_told_to_whoever_publishes() {
    let harness = RabbitHarness::start().await;
    let channel = harness.foreign_channel().await;
    let kind = lapin::ExchangeKind::Direct;
    channel.exchange_declare("taken".into(), kind, Default::default(), Default::default()).await.unwrap();
    let bus = harness.rabbit.bus(Exchange::new("taken").unwrap());
    let error = publish(&bus, message("a.b", "")).await.unwrap_err();
    assert_eq!(error.kind(), BusErrorKind::Declaration, "{error}");
    assert!(error.to_string().contains("exchange `taken` exists with other settings"), "{error}");
    // Others publish on.
    harness.bus.declare(&group("readers", "a.*")).await.unwrap();
    publish(&harness.bus, message("a.b", "")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_group_on_two_exchanges_is_refused() {
    let harness = RabbitHarness::start().await;
    harness.bus.declare(&group("readers", "a.*")).await.unwrap();
    let other = harness.rabbit.bus(Exchange::new("other").unwrap());
    assert_eq!(other.declare(&group("readers", "a.*")).await.unwrap_err().kind(), BusErrorKind::Declaration);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_no_broker_takes_are_refused_before_it_is_asked() {
    let harness = RabbitHarness::start().await;
    for name in ["", "amq.readers", &"n".repeat(231)] {
        assert_eq!(Exchange::new(name).unwrap_err().kind(), BusErrorKind::Declaration);
        let declared = harness.bus.declare(&group(name, "a.*")).await;
        assert_eq!(declared.unwrap_err().kind(), BusErrorKind::Declaration);
    }
    assert_eq!(harness.rabbit.stats().disconnected, 0);
}
