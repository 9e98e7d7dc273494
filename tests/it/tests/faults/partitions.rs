//! A group with partitions, and a broker that restarts while messages wait in them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tbx_bus::rabbitmq::{Exchange, RabbitBus, RabbitMq, RabbitOptions};
use tbx_bus::{Backoff, Group, Message, Publisher, Subscriber, Topic, TopicPattern};
use tbx_it::{Server, Servers, eventually, within};
use tbx_services::Vhost;
use tokio::task::JoinSet;

const KEYS: usize = 100;

fn readers() -> Group {
    Group::new("readers", [TopicPattern::everything()]).with_partitions(8).with_delivery_limit(1_000)
}

fn connect(vhost: &Vhost) -> (RabbitMq, RabbitBus) {
    let backoff = Backoff::between(Duration::from_millis(10), Duration::from_millis(200));
    let rabbit = RabbitMq::start(RabbitOptions::new(&vhost.url()).unwrap().with_backoff(backoff));
    let bus = rabbit.bus(Exchange::new("spread").unwrap());
    (rabbit, bus)
}

/// One message of each key, each repeated until the broker has it.
async fn publish_round(bus: &RabbitBus, number: usize) {
    for key in 0..KEYS {
        let topic = Topic::new("spread.out").unwrap();
        let message = Message::new(topic, "Happened", number.to_string());
        let message = message.with_key(&format!("key-{key}")).unwrap();
        eventually("the message is taken", || async {
            let receipt = bus.publish(message.clone()).await.map_err(|error| error.to_string())?;
            receipt.accepted().await.map(|_| ()).map_err(|error| error.to_string())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_loses_its_order_when_the_broker_restarts_with_messages_in_the_partitions() {
    let servers = Servers::take().await;
    let vhost = Vhost::create_at(&servers.url(Server::RabbitMq).await, &servers.management_url().await);
    let (rabbit, bus) = connect(&vhost);
    within("the group is declared", bus.declare(&readers())).await.unwrap();
    publish_round(&bus, 0).await;
    for number in 1..=2 {
        // Not killed: what was declared a moment ago RabbitMQ may not have on its disk yet.
        servers.stop(Server::RabbitMq).await;
        servers.start(Server::RabbitMq).await;
        publish_round(&bus, number).await;
    }

    let handled = Arc::new(Mutex::new(BTreeMap::<String, Vec<usize>>::new()));
    let (mut processes, mut tasks) = (Vec::new(), JoinSet::new());
    for _ in 0..2 {
        let (rabbit, bus) = connect(&vhost);
        let mut deliveries = within("a consumer joins", bus.consume(&readers())).await.unwrap();
        let handled = Arc::clone(&handled);
        tasks.spawn(async move {
            while let Ok(Some(delivery)) = deliveries.next().await {
                let message = delivery.message();
                let number = std::str::from_utf8(message.body()).unwrap().parse().unwrap();
                handled.lock().unwrap().entry(message.key().unwrap().to_owned()).or_default().push(number);
                delivery.ack().await.unwrap();
            }
        });
        processes.push(rabbit);
    }
    eventually("everything is handled", || async {
        let handled = handled.lock().unwrap();
        let done = handled.values().filter(|numbers| numbers.contains(&2)).count();
        if done == KEYS { Ok(()) } else { Err(format!("{done} of {KEYS} keys")) }
    })
    .await;
    for rabbit in processes {
        rabbit.close().await;
    }
    rabbit.close().await;
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    for (key, mut numbers) in std::mem::take(&mut *handled.lock().unwrap()) {
        // What was in doubt when the broker ended was repeated.
        numbers.dedup();
        assert_eq!(numbers, [0, 1, 2], "{key}");
    }
}
