//! Dead letters, retries and attempts.

use std::collections::BTreeSet;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, BasicRejectOptions};
use lapin::types::{AMQPValue, FieldTable};
use tbx_bus::rabbitmq::{RabbitMq, RabbitOptions, StoredLetter};
use tbx_bus::{BusErrorKind, Deliveries, Message, MessageId, Reason, ReasonKind, Subscriber};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::harness::{RabbitHarness, group, message, next, publish, soon};

async fn give_up(deliveries: &mut Deliveries) {
    let reason = Reason::new(ReasonKind::Rejected, "no use");
    next(deliveries).await.dead_letter(reason, 4).await.unwrap();
}

async fn publish_some(harness: &RabbitHarness, count: usize) -> Vec<Message> {
    let mut published = Vec::new();
    for n in 0..count {
        let message =
            message("fail.here", &n.to_string()).with_header("own", "header").with_key("k").unwrap();
        publish(&harness.bus, message.clone()).await.unwrap();
        published.push(message);
    }
    published
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_letter_goes_to_its_group_only_and_begins_anew() {
    let harness = RabbitHarness::start().await;
    let mut failing = harness.bus.consume(&group("failing", "fail.*")).await.unwrap();
    let mut working = harness.bus.consume(&group("working", "fail.*")).await.unwrap();
    let doomed = publish_some(&harness, 1).await.remove(0);
    next(&mut working).await.ack().await.unwrap();
    give_up(&mut failing).await;
    let letters = harness.rabbit.dead_letters("failing");
    assert_eq!(letters.count().await.unwrap(), 1);
    let letter = letters.show(doomed.id().as_str()).await.unwrap().unwrap();
    assert_eq!((letter.topic.as_str(), letter.attempts), ("fail.here", 4));
    assert_eq!(letter.reason, Reason::new(ReasonKind::Rejected, "no use"));
    assert_eq!(letter.exchange.as_deref(), Some("conformance"));
    assert_eq!(letter.body, doomed.body());

    assert!(letters.replay(doomed.id().as_str()).await.unwrap());
    let again = next(&mut failing).await;
    assert_eq!((again.message().id(), again.attempt()), (doomed.id(), 1));
    assert_eq!(again.message().topic(), doomed.topic());
    assert!(again.message().is_replayed() && again.is_redelivered(), "it comes late and says so");
    assert_eq!(again.message().headers(), doomed.clone().replayed().headers());
    again.ack().await.unwrap();
    assert_eq!(letters.count().await.unwrap(), 0);
    assert!(tokio::time::timeout(Duration::from_millis(300), working.next()).await.is_err());
    assert!(!letters.replay(doomed.id().as_str()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_at_letters_leaves_them_in_their_order() {
    let harness = RabbitHarness::start().await;
    let mut failing = harness.bus.consume(&group("failing", "fail.*")).await.unwrap();
    let doomed = publish_some(&harness, 5).await;
    for _ in 0..5 {
        give_up(&mut failing).await;
    }
    let letters = harness.rabbit.dead_letters("failing");
    let ids = |letters: Vec<StoredLetter>| {
        letters.into_iter().map(|letter| MessageId::new(&letter.id).unwrap()).collect::<Vec<_>>()
    };
    let published: Vec<MessageId> = doomed.iter().map(|message| message.id().clone()).collect();
    for _ in 0..30 {
        assert_eq!(ids(letters.list(3).await.unwrap()), published[..3]);
    }
    assert!(letters.drop(published[1].as_str()).await.unwrap());
    assert!(!letters.drop(published[1].as_str()).await.unwrap());
    assert!(letters.show(published[3].as_str()).await.unwrap().is_some());
    let left = [0, 2, 3, 4].map(|n: usize| published[n].clone());
    assert_eq!(ids(letters.list(100).await.unwrap()), left);
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_letters_are_decided_in_one_look() {
    const COUNT: usize = 3_000;
    let harness = RabbitHarness::with_options(|options| options.with_queue_length(10_000)).await;
    harness.bus.declare(&group("failing", "fail.*")).await.unwrap();
    let channel = harness.foreign_channel().await;
    for n in 0..COUNT {
        let letter = BasicProperties::default().with_message_id(n.to_string().into()).with_delivery_mode(2);
        let options = BasicPublishOptions::default();
        channel.basic_publish("".into(), "failing.dead".into(), options, b"{}", letter).await.unwrap();
    }
    let letters = harness.rabbit.dead_letters("failing");
    soon(async { while letters.count().await.unwrap() < COUNT as u32 {} }).await;
    let ids = |letters: &[StoredLetter]| letters.iter().map(|letter| letter.id.clone()).collect::<Vec<_>>();
    let all: Vec<String> = (0..COUNT).map(|n| n.to_string()).collect();
    for _ in 0..3 {
        assert!(ids(&letters.list(COUNT).await.unwrap()) == all, "they keep their order");
    }

    let mut wanted: Vec<String> = all.iter().step_by(2).cloned().collect();
    wanted.push("nobody".to_owned());
    let outcomes: Vec<bool> =
        letters.replay_each(&wanted).await.unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|replayed| **replayed).count(), COUNT / 2);
    assert!(!outcomes[COUNT / 2], "nobody has that id");
    let left: Vec<String> = all.iter().skip(1).step_by(2).cloned().collect();
    assert!(ids(&letters.list(COUNT).await.unwrap()) == left, "those that are left keep their order");
    assert!(letters.drop_each(&left).await.unwrap().into_iter().all(Result::unwrap));
    // The broker counts with some delay.
    soon(async { while letters.count().await.unwrap() > 0 {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_look_at_letters_each_see_them_all() {
    let harness =
        RabbitHarness::with_options(|options| options.with_publish_timeout(Duration::from_secs(30))).await;
    let mut failing = harness.bus.consume(&group("failing", "fail.*")).await.unwrap();
    publish_some(&harness, 5).await;
    for _ in 0..5 {
        give_up(&mut failing).await;
    }
    let other = RabbitMq::start(RabbitOptions::new(&harness.vhost.url()).unwrap());
    let looks = |rabbit: &RabbitMq| {
        let letters = rabbit.dead_letters("failing");
        async move {
            for _ in 0..5 {
                assert_eq!(letters.list(10).await.unwrap().len(), 5);
            }
        }
    };
    soon(async { tokio::join!(looks(&harness.rabbit), looks(&other)) }).await;
    other.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_another_program_is_replayed_without_what_only_that_may_say() {
    let harness = RabbitHarness::start().await;
    let mut failing = harness.bus.consume(&group("failing", "fail.*")).await.unwrap();
    let mut elsewhere = harness.bus.consume(&group("elsewhere", "nothing")).await.unwrap();
    let mut headers = FieldTable::default();
    for (name, value) in [("id", "of-others"), ("type", "T"), ("source", "/s")] {
        headers.insert(format!("cloudEvents_{name}").into(), AMQPValue::LongString(value.into()));
    }
    let others = vec![AMQPValue::LongString("elsewhere".into())];
    headers.insert("CC".into(), AMQPValue::FieldArray(others.into()));
    let properties = BasicProperties::default().with_headers(headers).with_expiration("60000".into());
    let channel = harness.foreign_channel().await;
    let published = channel.basic_publish(
        "".into(),
        "failing.dead".into(),
        BasicPublishOptions::default(),
        b"{}",
        properties,
    );
    published.await.unwrap();
    let letters = harness.rabbit.dead_letters("failing");
    soon(async { while letters.count().await.unwrap() == 0 {} }).await;
    assert_eq!(letters.list(1).await.unwrap()[0].id, "of-others");
    assert!(letters.replay("of-others").await.unwrap());
    let again = next(&mut failing).await;
    assert_eq!(again.message().id().as_str(), "of-others");
    again.ack().await.unwrap();
    assert!(!letters.replay("of-others").await.unwrap());
    assert!(tokio::time::timeout(Duration::from_millis(300), elsewhere.next()).await.is_err());
}

/// Publishes a message whose correlation id is no UTF-8, which the broker passes on as it is.
async fn publish_binary(harness: &RabbitHarness, topic: &str) {
    const MARK: &[u8] = b"correlation";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = listener.local_addr().unwrap();
    let broker = harness.vhost.address();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let ((mut from_client, mut to_client), server) =
            (client.into_split(), tokio::net::TcpStream::connect(broker).await.unwrap());
        let (mut from_server, mut to_server) = server.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            if let Some(at) = buffer[..count].windows(MARK.len()).position(|window| window == MARK) {
                buffer[at..at + MARK.len()].fill(0xff);
            }
            to_server.write_all(&buffer[..count]).await.unwrap();
        }
    });
    let url = harness.vhost.url().replace(&broker.to_string(), &through.to_string());
    let connection = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(Default::default()).await.unwrap();
    let properties = BasicProperties::default().with_correlation_id("correlation".into());
    let options = BasicPublishOptions::default();
    let published =
        channel.basic_publish("conformance".into(), topic.into(), options, b"body", properties).await;
    published.unwrap().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_received_is_given_up_alone() {
    const OTHERS: usize = 30;
    const QUIET: Duration = Duration::from_secs(1);
    let harness = RabbitHarness::start().await;
    let readers = group("readers", "read.*").with_delivery_limit(5);
    harness.bus.declare(&readers).await.unwrap();
    publish_binary(&harness, "read.this").await;
    for n in 0..OTHERS {
        publish(&harness.bus, message("read.that", &n.to_string())).await.unwrap();
    }
    let letters = harness.rabbit.dead_letters("readers");
    let mut read = BTreeSet::new();
    soon(async {
        while read.len() < OTHERS || letters.count().await.is_ok_and(|count| count == 0) {
            // Each connection ends when the message comes, until it has come too often.
            let Ok(mut deliveries) = harness.bus.consume(&readers).await else { continue };
            while let Ok(Ok(Some(delivery))) = tokio::time::timeout(QUIET, deliveries.next()).await {
                assert!(delivery.attempt() <= 3, "it came along once or twice, and then no more");
                let text = String::from_utf8(delivery.message().body().to_vec()).unwrap();
                if delivery.ack().await.is_ok() {
                    read.insert(text);
                }
            }
        }
    })
    .await;
    assert_eq!(letters.count().await.unwrap(), 1, "the others are no letters");
    let error = letters.list(10).await.unwrap_err();
    assert!(error.to_string().contains("a property that is no UTF-8"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_letters_of_a_group_that_is_not_there_are_an_error_with_its_name() {
    let harness = RabbitHarness::start().await;
    let error = harness.rabbit.dead_letters("nobody").list(10).await.unwrap_err();
    assert_eq!(error.kind(), BusErrorKind::Declaration);
    assert!(error.to_string().contains("there is no group `nobody`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_goes_to_the_letters_as_it_came_and_holds_up_nothing() {
    let harness = RabbitHarness::start().await;
    let mut readers = harness.bus.consume(&group("readers", "#").with_prefetch(1)).await.unwrap();
    let foreign =
        BasicProperties::default().with_content_type("text/plain".into()).with_expiration("60000".into());
    let channel = harness.foreign_channel().await;
    let options = BasicPublishOptions::default();
    channel
        .basic_publish("conformance".into(), "from.elsewhere".into(), options, b"what is this", foreign)
        .await
        .unwrap();
    publish(&harness.bus, message("from.us", "")).await.unwrap();
    let delivery = next(&mut readers).await;
    assert_eq!(delivery.message().topic().as_str(), "from.us");
    delivery.ack().await.unwrap();

    let letters = harness.rabbit.dead_letters("readers").list(10).await.unwrap();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0].reason.kind, ReasonKind::Unreadable);
    assert_eq!((letters[0].topic.as_str(), &letters[0].body[..]), ("from.elsewhere", &b"what is this"[..]));
    assert_eq!(letters[0].content_type.as_deref(), Some("text/plain"));
    assert!(letters[0].to_dead_letter().is_none());
    assert!(!letters[0].id.is_empty());
}

/// As another program sends it, with more headers than we send.
async fn publish_foreign(harness: &RabbitHarness, topic: &str, headers: &[(&str, &str)]) {
    let large = "x".repeat(60_000);
    let headers: Vec<_> = headers.iter().copied().chain([("large", &*large)]).collect();
    publish_with(harness, topic, &headers).await;
}

async fn publish_with(harness: &RabbitHarness, topic: &str, headers: &[(&str, &str)]) {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    let properties = BasicProperties::default().with_headers(table).with_message_id("of-others".into());
    let channel = harness.foreign_channel().await;
    let published = channel.basic_publish(
        "conformance".into(),
        topic.into(),
        BasicPublishOptions::default(),
        b"body",
        properties,
    );
    published.await.unwrap();
}

/// Until as many letters are there.
async fn letters_of(harness: &RabbitHarness, group: &str, count: usize) -> Vec<StoredLetter> {
    let letters = harness.rabbit.dead_letters(group);
    soon(async {
        loop {
            let found = letters.list(10).await.unwrap_or_default();
            if found.len() == count {
                return found;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_too_many_headers_is_delivered_and_moved_to_the_letters_by_the_broker_itself() {
    let harness = RabbitHarness::start().await;
    let readers = group("readers", "large.*").with_delivery_limit(10);
    harness.bus.declare(&readers).await.unwrap();
    let event = [("cloudEvents_id", "of-others"), ("cloudEvents_type", "T"), ("cloudEvents_source", "/s")];
    publish_foreign(&harness, "large.event", &event).await;
    let (delivery, mut deliveries) = soon(async {
        loop {
            // The first connection ends on the frame, and its consumer with it.
            if let Ok(mut deliveries) = harness.bus.consume(&readers).await
                && let Ok(Some(delivery)) = deliveries.next().await
            {
                return (delivery, deliveries);
            }
        }
    })
    .await;
    assert_eq!(delivery.message().headers()["large"].len(), 60_000);
    assert_eq!(harness.rabbit.stats().disconnected, 1);
    assert!(delivery.retry(Duration::from_millis(1)).await.is_err(), "it has no room on the ladder");
    let reason = Reason::new(ReasonKind::Rejected, "no use");
    next(&mut deliveries).await.dead_letter(reason, 2).await.unwrap();
    let letter = letters_of(&harness, "readers", 1).await.remove(0);
    assert_eq!(
        (letter.id.as_str(), letter.topic.as_str(), &letter.body[..]),
        ("of-others", "large.event", &b"body"[..])
    );
    assert_eq!(letter.reason, Reason::new(ReasonKind::Rejected, "the broker says: rejected"));
    let refused = harness.rabbit.dead_letters("readers").replay("of-others").await.unwrap_err();
    assert_eq!(refused.kind(), BusErrorKind::TooLarge);

    publish_foreign(&harness, "large.nonsense", &[]).await;
    publish(&harness.bus, message("large.ours", "flows")).await.unwrap();
    assert_eq!(next(&mut deliveries).await.message().body(), "flows");
    letters_of(&harness, "readers", 2).await;
    assert_eq!(harness.rabbit.stats().disconnected, 1, "one connection was lost and no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_with_too_many_headers_are_seen_by_a_process_that_has_just_begun() {
    let harness = RabbitHarness::start().await;
    let readers = group("readers", "large.*");
    harness.bus.declare(&readers).await.unwrap();
    publish_foreign(&harness, "large.nonsense", &[]).await;
    soon(async {
        while !harness.rabbit.dead_letters("readers").count().await.is_ok_and(|count| count > 0) {
            // The frame may end the connection before it is known that there is a consumer.
            if let Ok(mut deliveries) = harness.bus.consume(&readers).await {
                let _ = tokio::time::timeout(Duration::from_millis(200), deliveries.next()).await;
            }
        }
    })
    .await;
    let tool = RabbitMq::start(RabbitOptions::new(&harness.vhost.url()).unwrap());
    let letters = tool.dead_letters("readers");
    assert_eq!(letters.list(10).await.unwrap().len(), 1);
    assert!(letters.drop("of-others").await.unwrap());
    tool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_into_our_headers_ends_no_connection() {
    let harness = RabbitHarness::start().await;
    let mut deliveries = harness.bus.consume(&group("readers", "slot.*")).await.unwrap();
    let slot = "7".repeat(16_000);
    let event = [
        ("cloudEvents_id", "of-others"),
        ("cloudEvents_type", "T"),
        ("cloudEvents_source", "/s"),
        ("tbx-slot", &*slot),
    ];
    publish_with(&harness, "slot.here", &event).await;
    next(&mut deliveries).await.retry(Duration::from_millis(1)).await.unwrap();
    next(&mut deliveries).await.ack().await.unwrap();
    assert_eq!(harness.rabbit.stats().disconnected, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_the_broker_made_reads_like_one_of_ours() {
    let harness = RabbitHarness::start().await;
    harness.bus.declare(&group("limited", "fail.*").with_delivery_limit(1)).await.unwrap();
    let doomed = publish_some(&harness, 1).await.remove(0);
    let channel = harness.foreign_channel().await;
    let mut consumer = channel
        .basic_consume("limited".into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await
        .unwrap();
    let letters = harness.rabbit.dead_letters("limited");
    let returning = async {
        while let Some(Ok(delivery)) = futures_util::StreamExt::next(&mut consumer).await {
            delivery.reject(BasicRejectOptions { requeue: true }).await.unwrap();
        }
    };
    let letter = soon(async {
        tokio::select! {
            () = returning => panic!("the consumer ended"),
            letter = async {
                loop {
                    if let Some(letter) = letters.list(1).await.unwrap().pop() {
                        return letter;
                    }
                }
            } => letter,
        }
    })
    .await;
    assert_eq!(letter.reason.kind, ReasonKind::DeliveryLimit);
    assert_eq!((letter.id.as_str(), letter.topic.as_str()), (doomed.id().as_str(), "fail.here"));
    assert_eq!(letter.exchange.as_deref(), Some("conformance"));
    let letter = letter.to_dead_letter().unwrap();
    assert_eq!((letter.message.body(), letter.message.headers()), (doomed.body(), doomed.headers()));
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted_through_retries_drops_and_other_consumers() {
    let harness = RabbitHarness::start().await;
    let readers = group("readers", "count.*");
    let mut deliveries = harness.bus.consume(&readers).await.unwrap();
    publish(&harness.bus, message("count.me", "")).await.unwrap();
    for attempt in 1..=6 {
        let delivery = next(&mut deliveries).await;
        assert_eq!((delivery.attempt(), delivery.is_redelivered()), (attempt, attempt > 1));
        match attempt % 3 {
            0 => drop(delivery),
            1 => delivery.retry(Duration::from_millis(1)).await.unwrap(),
            _ => {
                drop(deliveries);
                drop(delivery);
                deliveries = harness.bus.consume(&readers).await.unwrap();
            }
        }
    }
    assert_eq!(next(&mut deliveries).await.attempt(), 7);
    assert_eq!(harness.rabbit.stats().put_off, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_and_a_letter_find_their_queues_when_those_were_deleted() {
    let harness = RabbitHarness::start().await;
    let mut deliveries = harness.bus.consume(&group("readers", "gone.*")).await.unwrap();
    publish(&harness.bus, message("gone.soon", "")).await.unwrap();
    next(&mut deliveries).await.retry(Duration::from_millis(1)).await.unwrap();
    let again = next(&mut deliveries).await;
    harness.vhost.delete_queue("readers.retry.50");
    again.retry(Duration::from_millis(1)).await.unwrap();
    harness.vhost.delete_queue("readers.dead");
    give_up(&mut deliveries).await;
    assert_eq!(harness.rabbit.dead_letters("readers").count().await.unwrap(), 1);
}
