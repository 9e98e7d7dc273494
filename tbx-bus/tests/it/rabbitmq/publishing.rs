//! What a publisher is told, and when.

use std::collections::BTreeSet;
use std::time::Duration;

use tbx_bus::rabbitmq::{Exchange, LinkState, RabbitBus, RabbitOptions};
use tbx_bus::{BusError, BusErrorKind, Message, Publisher, Subscriber, Unroutable};

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

/// Publishes all at once and tells what each of them came to.
async fn publish_all(
    bus: &RabbitBus,
    messages: impl IntoIterator<Item = Message>,
) -> Vec<(Message, Result<(), BusError>)> {
    let mut receipts = Vec::new();
    for message in messages {
        receipts.push((bus.publish(message.clone()).await.unwrap(), message));
    }
    let mut outcomes = Vec::new();
    for (receipt, message) in receipts {
        outcomes.push((message, soon(receipt.accepted()).await.map(drop)));
    }
    outcomes
}

/// Whose user may publish on `fine.*` alone.
async fn restricted(set: impl FnOnce(RabbitOptions) -> RabbitOptions) -> RabbitHarness {
    let harness =
        RabbitHarness::with_options(|options| set(options.with_publish_timeout(Duration::from_secs(30))))
            .await;
    harness.bus.declare(&group("readers", "#")).await.unwrap();
    harness.vhost.allow_topics("conformance", "^fine");
    harness
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_broker_refuses_is_told_so_and_the_others_get_through() {
    let harness = restricted(|options| options).await;
    let wrong = message("wrong.this", "");
    let mut left: Vec<_> = (0..100).map(|n| message("fine.this", &n.to_string())).collect();
    left.insert(50, wrong.clone());
    let (mut refused, mut rounds) = (Vec::new(), 0);
    while !left.is_empty() {
        rounds += 1;
        assert!(rounds <= 10, "it goes on for ever: {left:?}");
        for (message, outcome) in publish_all(&harness.bus, left.split_off(0)).await {
            match outcome {
                Ok(()) => {}
                // In doubt, so it is published again.
                Err(error) if error.kind() == BusErrorKind::Disconnected => left.push(message),
                Err(error) => refused.push((message, error)),
            }
        }
    }
    let [(message, error)] = &refused[..] else { panic!("{refused:?}") };
    assert_eq!((message, error.kind()), (&wrong, BusErrorKind::Forbidden), "{error}");
    assert!(error.to_string().contains("the broker refuses message"), "{error}");

    // Whoever publishes it again and again harms nobody.
    for n in 0..10 {
        let messages = [message_of(n), wrong.clone(), message_of(n + 100)];
        for (message, outcome) in publish_all(&harness.bus, messages).await {
            assert_eq!(outcome.is_ok(), message != wrong, "{outcome:?}");
        }
    }
    assert_eq!(harness.rabbit.stats().disconnected, 0);
}

fn message_of(n: usize) -> Message {
    message("fine.that", &n.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_confirmation_of_what_goes_alone_keeps_nobody_waiting() {
    let harness = restricted(|options| options.with_confirm_timeout(Duration::from_secs(2))).await;
    let suspect = message("fine.this", "");
    let messages = [message("wrong.this", ""), suspect.clone()];
    for (_, outcome) in publish_all(&harness.bus, messages).await {
        assert_eq!(outcome.unwrap_err().kind(), BusErrorKind::Disconnected);
    }
    harness.relay.drop_next_ack();
    let lost = publish(&harness.bus, suspect.clone()).await.unwrap_err();
    assert_eq!(lost.kind(), BusErrorKind::ConfirmLost);
    publish(&harness.bus, message_of(1)).await.unwrap();
    publish(&harness.bus, suspect).await.unwrap();
    assert_eq!(harness.rabbit.stats().disconnected, 0);
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
