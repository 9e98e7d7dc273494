//! A bus backend of one's own, as small as the contract allows, which passes the suite that every backend passes by name.
//!
//! `cargo run -p tbx-examples --bin own-bus-backend` publishes through it to a `Consumer`;
//! `cargo test -p tbx-examples --bin own-bus-backend` runs the suite.
//!
//! - `queue.rs`: what a group holds, and who may have it next.
//! - `bus.rs`: `Publisher` and `Subscriber` over one lock.
//! - `deliveries.rs`: `DeliverySource` and `Settle`.
//!
//! Comments that begin with "Contract of" name the rule that a piece answers to. A broker's backend has the same three parts; there, the
//! broker keeps the queues and a task owns the connection.

mod bus;
mod deliveries;
mod queue;

use std::error::Error;
use std::sync::Arc;

use tbx_bus::consumer::{Consumer, Failure, Incoming};
use tbx_bus::{Group, Message, Publisher, Receipt, Subscriber, Topic, TopicPattern};
use tokio_util::sync::CancellationToken;

use crate::bus::PlainBus;

async fn send_mail(incoming: Incoming) -> Result<(), Failure> {
    let order = incoming.message.key().unwrap_or_default();
    println!("mailer: {order}, attempt {}", incoming.attempt);
    match (order, incoming.attempt) {
        ("order-2", 1) => Err(Failure::transient("the mail server is busy")),
        ("order-3", _) => Err(Failure::permanent("no such address")),
        _ => Ok(()),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let bus = PlainBus::default();
    let group = Group::new("mailer", [TopicPattern::new("order.*")?]).with_single_active();
    // Declared first, the group collects what is published before its consumer runs.
    bus.declare(&group).await?;
    let consumer = Consumer::new(Arc::new(bus.clone()), group, tower::service_fn(send_mail));
    let stop = CancellationToken::new();
    let running = tokio::spawn(consumer.run(stop.clone()));

    let mut receipts: Vec<(String, Receipt)> = Vec::new();
    for order in ["order-1", "order-2", "order-3"] {
        let message = Message::new(Topic::new("order.placed")?, "OrderPlaced", "{}").with_key(order)?;
        receipts.push((order.to_owned(), bus.publish(message).await?));
    }
    for (order, receipt) in receipts {
        match receipt.finished().await?.into_dead_letters().first() {
            None => println!("{order} is done"),
            Some(letter) => println!("{order} was given up by {}: {}", letter.group, letter.reason),
        }
    }
    println!("dead letters that nobody waited for: {}", bus.dead_letters().len());

    stop.cancel();
    running.await?;
    bus.close();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_trait::async_trait;
    use tbx_bus::conformance::{Harness, Terms};
    use tbx_bus::{BusErrorKind, DeadLetter};

    use super::*;
    use crate::bus::{MAX_BODY, QUEUE_CAPACITY};

    #[async_trait]
    impl Harness for PlainBus {
        fn publisher(&self) -> Arc<dyn Publisher> {
            Arc::new(self.clone())
        }

        fn subscriber(&self) -> Arc<dyn Subscriber> {
            Arc::new(self.clone())
        }

        fn terms(&self) -> Terms {
            Terms::standard().with_max_body(MAX_BODY).with_queue_capacity(QUEUE_CAPACITY)
        }

        async fn dead_letters(&self, group: &str) -> Vec<DeadLetter> {
            self.dead_letters().into_iter().filter(|letter| letter.group.as_ref() == group).collect()
        }

        async fn close(&self) {
            self.close();
        }
    }

    tbx_bus::bus_conformance! {
        test: #[tokio::test(start_paused = true)],
        harness: PlainBus::default(),
        claims: {
            finished: yes,
            unroutable: yes,
            body_limit: yes,
            queue_limit: yes,
            strict_limit: yes,
            sink_failure: no("letters are kept in a list, which cannot fail"),
            cut: no("there is no connection within a process"),
            block: no("it takes a message or refuses it, at once"),
            lost_confirm: no("nothing lies between the bus and its publishers that could lose one"),
            duplicate: no("an entry is there once, under its number"),
            close: yes,
            partitions: no("one consumer of an ordered group is active, and the others stand by"),
            expiry: no("a group lives as long as the bus"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_of_for_ever_is_a_delay_like_any_other() {
        let bus = PlainBus::default();
        let group = Group::new("readers", [TopicPattern::everything()]);
        let mut deliveries = bus.consume(&group).await.unwrap();
        let message = Message::new(Topic::new("later.please").unwrap(), "Happened", "{}");
        let _ = bus.publish(message).await.unwrap();
        let delivery = deliveries.next().await.unwrap().unwrap();
        delivery.retry(Duration::MAX).await.unwrap();
        let a_day = Duration::from_secs(86_400);
        assert!(tokio::time::timeout(a_day, deliveries.next()).await.is_err());
    }

    #[tokio::test]
    async fn a_bus_that_is_dropped_answers_its_receipts() {
        let bus = PlainBus::default();
        bus.declare(&Group::new("readers", [TopicPattern::everything()])).await.unwrap();
        let message = Message::new(Topic::new("too.late").unwrap(), "Happened", "{}");
        let receipt = bus.publish(message).await.unwrap();
        drop(bus);
        assert_eq!(receipt.finished().await.unwrap_err().kind(), BusErrorKind::Disconnected);
    }
}
