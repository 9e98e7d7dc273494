//! Partitions on a broker, and the processes that share them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use tbx_bus::consumer::{Consumer, Failure, Incoming};
use tbx_bus::rabbitmq::{Exchange, RabbitBus, RabbitMq, RabbitOptions, Topology};
use tbx_bus::{Backoff, BusErrorKind, Group, Message, Reason, ReasonKind, Subscriber};
use tbx_services::Relay;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::harness::{RabbitHarness, group, message, next, publish, soon};

const PARTITIONS: u32 = 4;
const KEYS: usize = 20;

fn spread() -> Group {
    group("readers", "spread.*").with_partitions(PARTITIONS).with_delivery_limit(1_000)
}

fn keyed(key: usize, number: usize) -> Message {
    message("spread.out", &number.to_string()).with_key(&format!("key-{key}")).unwrap()
}

/// Which queue each key is in, once there are `count` messages in all. They are given back.
async fn places(harness: &RabbitHarness, count: usize) -> BTreeMap<String, String> {
    let channel = harness.foreign_channel().await;
    let mut streams = Vec::new();
    // By consuming: a queue with a single active consumer gives nothing to whoever only asks.
    for queue in ["readers", "readers.partition.1", "readers.partition.2", "readers.partition.3"] {
        let options = Default::default();
        let stream = channel.basic_consume(queue.into(), queue.into(), options, FieldTable::default());
        streams.push(stream.await.unwrap().map(move |delivery| (queue, delivery.unwrap())));
    }
    let mut all = futures_util::stream::select_all(streams);
    let mut places = BTreeMap::new();
    for _ in 0..count {
        let (queue, delivery) = soon(all.next()).await.unwrap();
        let headers = delivery.properties.headers().clone().unwrap();
        let key = match headers.inner().get("cloudEvents_partitionkey") {
            Some(AMQPValue::LongString(key)) => key.to_string(),
            _ => String::new(),
        };
        assert_eq!(places.insert(key, queue.to_owned()), None);
    }
    channel.close(200, "seen".into()).await.unwrap();
    places
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_spread_over_all_partitions_and_return_to_theirs() {
    let harness = RabbitHarness::start().await;
    harness.bus.declare(&spread()).await.unwrap();
    for key in 0..KEYS {
        publish(&harness.bus, keyed(key, 0)).await.unwrap();
    }
    publish(&harness.bus, message("spread.out", "")).await.unwrap();
    let places_at_first = places(&harness, KEYS + 1).await;
    assert_eq!(places_at_first.values().collect::<BTreeSet<_>>().len(), PARTITIONS as usize);

    // Half is put off, half is given up and replayed.
    let mut readers = harness.bus.consume(&spread()).await.unwrap();
    for n in 0..=KEYS {
        let delivery = next(&mut readers).await;
        match n % 2 {
            0 => delivery.retry(Duration::from_millis(1)).await.unwrap(),
            _ => delivery.dead_letter(Reason::new(ReasonKind::Rejected, "no use"), 1).await.unwrap(),
        }
    }
    drop(readers);
    let letters = harness.rabbit.dead_letters("readers");
    let list = letters.list(100).await.unwrap();
    assert_eq!(list.len(), KEYS / 2);
    for letter in list {
        assert!(letters.replay(&letter.id).await.unwrap());
    }
    // Once the others are back too.
    let mut readers = harness.bus.consume(&spread()).await.unwrap();
    let mut held = Vec::new();
    for _ in 0..=KEYS {
        held.push(next(&mut readers).await);
    }
    drop(readers);
    drop(held);
    assert_eq!(places(&harness, KEYS + 1).await, places_at_first);
}

/// What a consumer that lives in a process of its own has: connections, and a relay by which they are cut.
struct Process {
    rabbit: RabbitMq,
    bus: RabbitBus,
    relay: Relay,
}

impl Process {
    async fn start(harness: &RabbitHarness) -> Self {
        let relay = Relay::start(harness.vhost.address()).await;
        let options = RabbitOptions::new(&harness.vhost.url_through(&relay)).unwrap();
        let backoff = Backoff::between(Duration::from_millis(10), Duration::from_millis(100));
        let rabbit = RabbitMq::start(options.with_queue_length(1_000).with_backoff(backoff));
        let bus = rabbit.bus(Exchange::new("conformance").unwrap());
        Self { rabbit, bus, relay }
    }
}

/// What was handled by whom, in that order.
#[derive(Default)]
struct Ledger {
    entries: Mutex<Vec<(usize, String, usize)>>,
    changed: Notify,
}

impl Ledger {
    fn add(&self, process: usize, incoming: &Incoming) {
        let (key, body) = (incoming.message.key().unwrap().to_owned(), incoming.message.body());
        let number = std::str::from_utf8(body).unwrap().parse().unwrap();
        self.entries.lock().unwrap().push((process, key, number));
        self.changed.notify_waiters();
    }

    async fn wait(&self, mut enough: impl FnMut(&[(usize, String, usize)]) -> bool) {
        soon(async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                if enough(&self.entries.lock().unwrap()) {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }

    /// How many different messages there are.
    fn distinct(entries: &[(usize, String, usize)]) -> usize {
        entries.iter().map(|(_, key, number)| (key, number)).collect::<BTreeSet<_>>().len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_the_partitions_and_no_key_loses_its_order_when_one_is_cut() {
    let harness = RabbitHarness::start().await;
    harness.bus.declare(&spread()).await.unwrap();
    let ledger = Arc::new(Ledger::default());
    let stop = CancellationToken::new();
    let (mut processes, mut running) = (Vec::new(), Vec::new());
    for number in 0..2 {
        let process = Process::start(&harness).await;
        let ledger = Arc::clone(&ledger);
        let handler = tower::service_fn(move |incoming: Incoming| {
            let ledger = Arc::clone(&ledger);
            async move {
                ledger.add(number, &incoming);
                Ok::<_, Failure>(())
            }
        });
        let consumer = Consumer::new(Arc::new(process.bus.clone()), spread(), handler).with_concurrency(8);
        running.push(tokio::spawn(consumer.run(stop.clone())));
        processes.push(process);
    }
    // Until both have some, then while the connections of the first are cut.
    let mut each = 0;
    let shares = |entries: &[(usize, String, usize)]| {
        let recent = entries.iter().rev().take(2 * KEYS).map(|(process, ..)| *process);
        recent.collect::<BTreeSet<_>>().len() == 2
    };
    let publish_round = async |each: usize| {
        for key in 0..KEYS {
            publish(&harness.bus, keyed(key, each)).await.unwrap();
        }
        ledger.wait(|entries| Ledger::distinct(entries) == KEYS * (each + 1)).await;
    };
    for cut in 0..3 {
        soon(async {
            loop {
                publish_round(each).await;
                each += 1;
                if shares(&ledger.entries.lock().unwrap()) {
                    break;
                }
            }
        })
        .await;
        for key in 0..KEYS {
            publish(&harness.bus, keyed(key, each)).await.unwrap();
            if key == KEYS / 2 {
                processes[cut % 2].relay.cut().await;
            }
        }
        each += 1;
        ledger.wait(|entries| Ledger::distinct(entries) == KEYS * each).await;
    }
    stop.cancel();
    for task in running {
        soon(task).await.unwrap();
    }
    // What was handled and not acknowledged before the cut comes again, with all that came after it; nothing is skipped.
    let mut by_key = BTreeMap::<String, usize>::new();
    for (process, key, number) in ledger.entries.lock().unwrap().iter() {
        let next = by_key.entry(key.clone()).or_default();
        assert!(number <= next, "{key}: {number} where {next} is to come, in process {process}");
        *next = (*next).max(number + 1);
    }
    assert_eq!(by_key.len(), KEYS);
    assert!(by_key.values().all(|next| *next == each), "{by_key:?}");
    assert_eq!(harness.rabbit.dead_letters("readers").count().await.unwrap(), 0);
    for process in processes {
        soon(process.rabbit.close()).await;
    }
}

/// By the time a handover is given up, which is 10 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_held_for_long_does_not_hold_up_the_other_keys_of_its_partition() {
    let harness = RabbitHarness::start().await;
    let readers = spread().with_partitions(2);
    let mut first = harness.bus.consume(&readers).await.unwrap();
    for key in 0..KEYS {
        publish(&harness.bus, keyed(key, 0)).await.unwrap();
    }
    // Of both partitions, so that neither can be handed over.
    let mut held = Vec::new();
    for _ in 0..KEYS {
        held.push(next(&mut first).await);
    }
    let _second = harness.bus.consume(&readers).await.unwrap();
    // Until the first has begun to hand over: then something of one partition does not come.
    let (mut number, mut missing) = (KEYS, 0);
    while missing == 0 {
        for key in number..number + KEYS {
            publish(&harness.bus, keyed(key, 0)).await.unwrap();
        }
        number += KEYS;
        missing = KEYS;
        while missing > 0
            && let Ok(delivery) = tokio::time::timeout(Duration::from_secs(1), first.next()).await
        {
            delivery.unwrap().unwrap().ack().await.unwrap();
            missing -= 1;
        }
    }
    for _ in 0..missing {
        soon(first.next()).await.unwrap().unwrap().ack().await.unwrap();
    }
    for delivery in held {
        delivery.ack().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_event_goes_by_its_partition_key_and_a_message_that_two_patterns_match_comes_once() {
    let harness = RabbitHarness::start().await;
    let patterns = ["spread.*", "#.out"].map(|text| tbx_bus::TopicPattern::new(text).unwrap());
    let twice = Group::new("readers", patterns).with_partitions(PARTITIONS);
    let mut readers = harness.bus.consume(&twice).await.unwrap();
    let mut headers = FieldTable::default();
    for (name, value) in [("id", "1"), ("type", "Happened"), ("source", "/elsewhere"), ("partitionkey", "k")]
    {
        headers.insert(format!("cloudEvents_{name}").into(), AMQPValue::LongString(value.into()));
    }
    let foreign = BasicProperties::default().with_headers(headers);
    let channel = harness.foreign_channel().await;
    let options = BasicPublishOptions::default();
    channel.basic_publish("conformance".into(), "spread.out".into(), options, b"{}", foreign).await.unwrap();
    let delivery = next(&mut readers).await;
    assert_eq!((delivery.message().key(), delivery.message().id().as_str()), (Some("k"), "1"));
    delivery.ack().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), readers.next()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_partitions_is_drift_and_told_with_the_remedy() {
    let harness = RabbitHarness::start().await;
    let exchange = Exchange::new("conformance").unwrap();
    let topology = Topology::new().with_group(&exchange, &spread());
    let missing = soon(topology.verify(&harness.rabbit)).await.unwrap();
    for name in ["queue `readers`", "queue `readers.partition.3`", "exchange `readers.partitions`"] {
        assert!(missing.contains(&format!("{name} is missing")), "{missing:?}");
    }
    soon(topology.declare(&harness.rabbit)).await.unwrap();
    soon(topology.declare(&harness.rabbit)).await.unwrap();
    assert!(soon(topology.verify(&harness.rabbit)).await.unwrap().is_empty());

    let fewer = spread().with_partitions(2);
    let error = harness.bus.declare(&fewer).await.unwrap_err();
    assert_eq!(error.kind(), BusErrorKind::Declaration);
    let differences =
        soon(Topology::new().with_group(&exchange, &fewer).verify(&harness.rabbit)).await.unwrap();
    for text in [&differences[0], &error.to_string()] {
        for part in ["queue `readers`", "(2 partitions)", "(4 partitions)", "its exchange", "`….partition.…`"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    let many = group("many", "spread.*").with_partitions(17);
    assert_eq!(harness.bus.declare(&many).await.unwrap_err().kind(), BusErrorKind::Declaration);
    assert_eq!(harness.rabbit.stats().disconnected, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_one_group_alone_goes_to_the_partition_of_its_key() {
    let harness = RabbitHarness::start().await;
    harness.bus.declare(&spread()).await.unwrap();
    for key in 0..KEYS {
        publish(&harness.bus, keyed(key, 0)).await.unwrap();
    }
    let by_topic = places(&harness, KEYS).await;
    for queue in ["readers", "readers.partition.1", "readers.partition.2", "readers.partition.3"] {
        let channel = harness.foreign_channel().await;
        channel.queue_purge(queue.into(), Default::default()).await.unwrap();
    }
    for key in 0..KEYS {
        publish(&harness.bus, keyed(key, 0).replayed_for("readers")).await.unwrap();
    }
    assert_eq!(places(&harness, KEYS).await, by_topic);
    // Once the broker has counted what was given back.
    soon(async { while harness.rabbit.group_state(&spread()).await.unwrap().waiting as usize != KEYS {} })
        .await;
}
