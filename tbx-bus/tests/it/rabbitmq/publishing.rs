//! What a publisher is told, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use tbx_bus::rabbitmq::{Exchange, LinkState};
use tbx_bus::{BusErrorKind, Publisher, Subscriber, Unroutable};

use super::harness::{RabbitHarness, group, message, next, publish, soon};

#[tokio::test(flavor = "multi_thread")]
async fn of_many_on_their_way_exactly_those_that_nobody_takes_are_returned() {
    let harness = RabbitHarness::start().await;
    harness.bus.declare(&group("readers", "taken.*")).await.unwrap();
    let mut receipts = Vec::new();
    for n in 0..500 {
        let taken = fastrand::bool();
        let topic = if taken { "taken.by-readers" } else { "lost.to-nobody" };
        receipts.push((taken, harness.bus.publish(message(topic, &n.to_string())).await.unwrap()));
    }
    for (n, (taken, receipt)) in receipts.into_iter().enumerate() {
        match soon(receipt.accepted()).await {
            Ok(_) => assert!(taken, "message {n} was accepted and nobody has it"),
            Err(error) => {
                assert_eq!(error.kind(), BusErrorKind::Unroutable, "{error}");
                assert!(!taken, "message {n} was returned and the readers have it");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn news_that_nobody_takes_is_no_error() {
    let harness = RabbitHarness::start().await;
    let news = harness.rabbit.bus(Exchange::new("news").unwrap().with_unroutable(Unroutable::Drop));
    publish(&news, message("news.today", "")).await.unwrap();
    publish(&news, message("news.$private", "")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_group_fails_the_publication_and_one_with_room_has_it() {
    let harness = RabbitHarness::with_options(|options| options.with_queue_length(5)).await;
    harness.bus.declare(&group("full", "fill.*")).await.unwrap();
    let mut full = 0;
    while publish(&harness.bus, message("fill.up", "")).await.is_ok() {
        full += 1;
        assert!(full < 100, "the group takes no end of messages");
    }
    let mut roomy = harness.bus.consume(&group("roomy", "fill.both")).await.unwrap();
    let refused = message("fill.both", "");
    let id = refused.id().clone();
    assert_eq!(publish(&harness.bus, refused).await.unwrap_err().kind(), BusErrorKind::QueueFull);
    assert_eq!(*next(&mut roomy).await.message().id(), id);
    assert!(harness.rabbit.stats().refused > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_waits_out_an_outage() {
    let harness =
        RabbitHarness::with_options(|options| options.with_publish_timeout(Duration::from_secs(30))).await;
    harness.bus.declare(&group("readers", "wait.*")).await.unwrap();
    harness.relay.refuse();
    harness.relay.cut().await;
    harness.wait_for(|state| matches!(state, LinkState::Connecting(Some(_)))).await;
    let receipt = harness.bus.publish(message("wait.here", "")).await.unwrap();
    let mut accepted = std::pin::pin!(receipt.accepted());
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut accepted).await.is_err());
    assert_eq!(harness.rabbit.stats().waiting, 1);
    harness.relay.accept();
    soon(accepted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_longer_than_the_time_allowed_is_told_with_its_cause() {
    let harness =
        RabbitHarness::with_options(|options| options.with_publish_timeout(Duration::from_millis(500))).await;
    harness.relay.refuse();
    harness.relay.cut().await;
    harness.wait_for(|state| matches!(state, LinkState::Connecting(Some(_)))).await;
    let error = publish(&harness.bus, message("wait.here", "")).await.unwrap_err();
    assert_eq!(error.kind(), BusErrorKind::Disconnected);
    assert!(error.to_string().contains("not connected to the broker: "), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_repeats_what_is_in_doubt_loses_nothing_in_cuts() {
    let harness =
        RabbitHarness::with_options(|options| options.with_publish_timeout(Duration::from_secs(30))).await;
    let mut readers = harness.bus.consume(&group("readers", "cut.*").with_delivery_limit(100)).await.unwrap();
    let bus = harness.bus.clone();
    let publishing = tokio::spawn(async move {
        let mut published = BTreeSet::new();
        for n in 0..2_000 {
            let message = message("cut.short", &n.to_string());
            while let Err(error) = publish(&bus, message.clone()).await {
                assert_eq!(error.kind(), BusErrorKind::Disconnected, "{error}");
            }
            published.insert(message.id().clone());
        }
        published
    });
    let mut received = BTreeSet::new();
    let mut cuts = 0;
    while received.len() < 2_000 {
        match soon(readers.next()).await {
            Ok(delivery) => {
                let delivery = delivery.unwrap();
                received.insert(delivery.message().id().clone());
                // What fails is delivered again.
                let _ = delivery.ack().await;
                if received.len() / 500 > cuts {
                    cuts += 1;
                    harness.relay.cut().await;
                }
            }
            Err(_) => {
                // May itself meet the end of the connection; then the old ones tell it once more, and we are here again.
                if let Ok(again) =
                    harness.bus.consume(&group("readers", "cut.*").with_delivery_limit(100)).await
                {
                    readers = again;
                }
            }
        }
    }
    assert_eq!(received, publishing.await.unwrap());
    assert!(harness.rabbit.stats().disconnected >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_publications_of_one_id_are_each_answered() {
    let harness = RabbitHarness::start().await;
    harness.bus.declare(&group("readers", "taken.*")).await.unwrap();
    let lost = message("lost.to-nobody", "");
    let taken = message("taken.by-readers", "").with_id(lost.id().clone());
    let lost = harness.bus.publish(lost).await.unwrap();
    let taken = harness.bus.publish(taken).await.unwrap();
    assert_eq!(soon(lost.accepted()).await.unwrap_err().kind(), BusErrorKind::Unroutable);
    soon(taken.accepted()).await.unwrap();
}
