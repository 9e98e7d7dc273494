//! Coming back by itself.

use std::time::Duration;

use tbx_bus::conformance::Harness;
use tbx_bus::rabbitmq::{Exchange, LinkState, RabbitMq, RabbitOptions};
use tbx_bus::{Backoff, BusErrorKind, Publisher, Reason, ReasonKind, Subscriber};
use tbx_services::{Relay, Vhost};

use super::harness::{RabbitHarness, group, message, next, publish, soon};

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_starts_before_its_broker_is_there_works_when_it_is() {
    let vhost = Vhost::create().await;
    let relay = Relay::start(vhost.address()).await;
    relay.refuse();
    let options = RabbitOptions::new(&vhost.url_through(&relay)).unwrap();
    let rabbit = RabbitMq::start(options.with_backoff(Backoff::fast()));
    let mut state = rabbit.state();
    soon(state.wait_for(|state| matches!(state, LinkState::Connecting(Some(_))))).await.unwrap();
    let bus = rabbit.bus(Exchange::new("early").unwrap());
    let readers = group("readers", "early.*");
    let mut joining = std::pin::pin!(bus.consume(&readers));
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut joining).await.is_err());
    relay.accept();
    let mut deliveries = soon(joining).await.unwrap();
    publish(&bus, message("early.bird", "")).await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_connection_is_noticed_and_replaced() {
    let vhost = Vhost::create().await;
    let relay = Relay::start(vhost.address()).await;
    let options = RabbitOptions::new(&format!("{}?heartbeat=1", vhost.url_through(&relay))).unwrap();
    let rabbit = RabbitMq::start(options.with_backoff(Backoff::fast()));
    let mut state = rabbit.state();
    soon(state.wait_for(LinkState::is_running)).await.unwrap();
    relay.hold();
    soon(state.wait_for(|state| matches!(state, LinkState::Connecting(_)))).await.unwrap();
    relay.release();
    soon(state.wait_for(LinkState::is_running)).await.unwrap();
    let bus = rabbit.bus(Exchange::new("half").unwrap());
    bus.declare(&group("readers", "half.*")).await.unwrap();
    publish(&bus, message("half.open", "")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_whose_queue_is_deleted_is_told_and_can_come_back() {
    let harness = RabbitHarness::start().await;
    let readers = group("readers", "gone.*");
    let mut deliveries = harness.bus.consume(&readers).await.unwrap();
    harness.vhost.delete_queue("readers");
    let error = soon(deliveries.next()).await.unwrap_err();
    assert_eq!(error.kind(), BusErrorKind::Disconnected);
    assert!(error.to_string().contains("the queue is gone"), "{error}");
    let mut again = harness.bus.consume(&readers).await.unwrap();
    publish(&harness.bus, message("gone.and-back", "")).await.unwrap();
    next(&mut again).await.ack().await.unwrap();
    assert_eq!(harness.rabbit.stats().disconnected, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_back_unstarted_when_the_connection_is_lost_is_no_attempt() {
    let harness = RabbitHarness::start().await;
    let readers = group("readers", "wait.*");
    let mut deliveries = harness.bus.consume(&readers).await.unwrap();
    publish(&harness.bus, message("wait.long", "")).await.unwrap();
    for _ in 0..3 {
        let delivery = next(&mut deliveries).await;
        assert_eq!(delivery.attempt(), 1);
        harness.cut().await;
        assert_eq!(delivery.release().await.unwrap_err().kind(), BusErrorKind::Disconnected);
        deliveries = harness.bus.consume(&readers).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_keeps_the_place_of_its_message_until_it_can_be_stored() {
    let short = Duration::from_secs(1);
    let harness = RabbitHarness::with_options(|options| options.with_publish_timeout(short)).await;
    let mut deliveries = harness.bus.consume(&group("readers", "fail.*").with_single_active()).await.unwrap();
    publish(&harness.bus, message("fail.now", "")).await.unwrap();
    let delivery = next(&mut deliveries).await;
    harness.block().await;
    let reason = Reason::new(ReasonKind::Rejected, "no use");
    let mut burying = std::pin::pin!(delivery.dead_letter(reason, 1));
    assert!(tokio::time::timeout(short * 3 / 2, &mut burying).await.is_err(), "it has no answer yet");
    harness.unblock().await;
    soon(burying).await.unwrap();
    assert_eq!(harness.rabbit.dead_letters("readers").count().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_confirms_nothing_because_it_is_short_of_memory_keeps_its_connections() {
    let short = Duration::from_secs(1);
    let harness = RabbitHarness::with_options(|options| options.with_confirm_timeout(short)).await;
    harness.bus.declare(&group("readers", "wait.*")).await.unwrap();
    publish(&harness.bus, message("wait.not", "")).await.unwrap();
    harness.relay.hold();
    let mut receipts = Vec::new();
    for n in 0..250 {
        receipts.push(harness.bus.publish(message("wait.long", &n.to_string())).await.unwrap());
    }
    soon(async {
        while harness.rabbit.stats().unconfirmed < receipts.len() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    harness.block().await;
    for receipt in receipts {
        assert_eq!(soon(receipt.accepted()).await.unwrap_err().kind(), BusErrorKind::ConfirmLost);
    }
    harness.relay.release();
    harness.unblock().await;
    publish(&harness.bus, message("wait.not", "")).await.unwrap();
    assert_eq!(harness.rabbit.stats().disconnected, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_is_deleted_is_made_anew() {
    let harness = RabbitHarness::start().await;
    let readers = group("readers", "gone.*");
    let mut deliveries = harness.bus.consume(&readers).await.unwrap();
    publish(&harness.bus, message("gone.soon", "")).await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();
    let channel = harness.foreign_channel().await;
    channel.exchange_delete("conformance".into(), Default::default()).await.unwrap();
    // The first is in doubt: the broker closes the channel.
    assert_eq!(
        publish(&harness.bus, message("gone.now", "")).await.unwrap_err().kind(),
        BusErrorKind::Disconnected
    );
    // Then it is there and nobody is bound to it, until somebody declares the group.
    assert_eq!(
        publish(&harness.bus, message("gone.now", "")).await.unwrap_err().kind(),
        BusErrorKind::Unroutable
    );
    harness.bus.declare(&readers).await.unwrap();
    publish(&harness.bus, message("gone.and-back", "")).await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_handle_dropped_ends_everything() {
    let harness = RabbitHarness::start().await;
    let mut deliveries = harness.bus.consume(&group("readers", "end.*")).await.unwrap();
    let mut state = harness.rabbit.state();
    let RabbitHarness { rabbit, bus, relay: _relay, vhost: _vhost } = harness;
    drop(bus);
    drop(rabbit);
    assert!(soon(deliveries.next()).await.unwrap().is_none());
    soon(state.wait_for(|state| *state == LinkState::Closed)).await.unwrap();
}
