//! Whatever consumers do in whatever order, each message is settled or still counted, and in an ordered group no key is with two of them.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tbx_bus::{Deliveries, Delivery, MemoryBus, MessageId, Publisher, Reason, ReasonKind, Subscriber};

use crate::harness::MemoryHarness;
use crate::memory::{group, message};

#[derive(Debug, Clone)]
enum Step {
    Publish(u8),
    PublishTwice(u8),
    Take(usize),
    Ack(usize),
    Drop(usize),
    Release(usize),
    Retry(usize, u64),
    DeadLetter(usize),
    Leave(usize),
    Cut,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..5_u8).prop_map(Step::Publish),
        1 => (0..5_u8).prop_map(Step::PublishTwice),
        8 => (0..3_usize).prop_map(Step::Take),
        4 => any::<usize>().prop_map(Step::Ack),
        3 => any::<usize>().prop_map(Step::Drop),
        2 => any::<usize>().prop_map(Step::Release),
        3 => (any::<usize>(), 0..200_u64).prop_map(|(which, delay)| Step::Retry(which, delay)),
        2 => any::<usize>().prop_map(Step::DeadLetter),
        1 => (0..3_usize).prop_map(Step::Leave),
        1 => Just(Step::Cut),
        2 => (0..300_u64).prop_map(Step::Pass),
    ]
}

/// The bus, and what a bookkeeper knows about it.
struct World {
    harness: MemoryHarness,
    /// How many partitions the group has; `None` when its consumers compete.
    partitions: Option<u32>,
    consumers: Vec<Deliveries>,
    /// By whom each was taken, of all that ever joined.
    lent: Vec<(usize, Delivery)>,
    /// Who stands at each place now.
    places: [usize; 3],
    /// How many copies of each message are not settled yet, by our own count.
    owed: BTreeMap<MessageId, usize>,
}

impl World {
    async fn new(partitions: Option<u32>) -> Self {
        let mut world = Self {
            harness: MemoryHarness::new(),
            partitions,
            consumers: Vec::new(),
            lent: Vec::new(),
            places: [0, 1, 2],
            owed: BTreeMap::new(),
        };
        for _ in 0..3 {
            let consumer = world.join().await;
            world.consumers.push(consumer);
        }
        world
    }

    fn bus(&self) -> &MemoryBus {
        &self.harness.bus
    }

    async fn join(&self) -> Deliveries {
        // A limit out of reach, so that only the steps settle anything.
        let spec = group("workers").with_prefetch(4).with_delivery_limit(u32::MAX);
        let spec = match self.partitions {
            Some(partitions) => spec.with_partitions(partitions),
            None => spec,
        };
        self.bus().consume(&spec).await.unwrap()
    }

    /// Another takes the place of a consumer.
    async fn replace(&mut self, consumer: usize) {
        let successor = self.join().await;
        self.places[consumer] += 3;
        drop(std::mem::replace(&mut self.consumers[consumer], successor));
    }

    fn lend(&mut self, consumer: usize, delivery: Delivery) {
        let taker = self.places[consumer];
        let same_key = |(other, lent): &&(usize, Delivery)| {
            *other != taker && lent.message().key() == delivery.message().key()
        };
        let elsewhere = self.lent.iter().find(same_key);
        assert!(self.partitions.is_none() || elsewhere.is_none(), "two consumers have a key: {elsewhere:?}");
        self.lent.push((taker, delivery));
    }

    fn pick(&mut self, which: usize) -> Option<Delivery> {
        if self.lent.is_empty() { None } else { Some(self.lent.swap_remove(which % self.lent.len()).1) }
    }

    fn settled(&mut self, id: &MessageId) {
        let owed = self.owed.get_mut(id).expect("a message that was never published");
        *owed = owed.checked_sub(1).expect("a copy that was settled before");
    }

    async fn carry_out(&mut self, step: Step) {
        match step {
            Step::Publish(key) | Step::PublishTwice(key) => {
                let copies = if matches!(step, Step::PublishTwice(_)) { 2 } else { 1 };
                self.bus().faults().duplicate(copies - 1);
                let message = message("").with_key(&key.to_string()).unwrap();
                self.owed.insert(message.id().clone(), copies as usize);
                drop(self.bus().publish(message).await.unwrap());
            }
            Step::Take(consumer) => {
                // On the paused clock this passes no time when something is there.
                let next =
                    tokio::time::timeout(Duration::from_millis(1), self.consumers[consumer].next()).await;
                if let Ok(delivery) = next {
                    self.lend(consumer, delivery.unwrap().unwrap());
                }
            }
            Step::Ack(which) => {
                if let Some(delivery) = self.pick(which) {
                    let id = delivery.message().id().clone();
                    delivery.ack().await.unwrap();
                    self.settled(&id);
                }
            }
            Step::DeadLetter(which) => {
                if let Some(delivery) = self.pick(which) {
                    let id = delivery.message().id().clone();
                    delivery.dead_letter(Reason::new(ReasonKind::Rejected, ""), 1).await.unwrap();
                    self.settled(&id);
                }
            }
            Step::Drop(which) => drop(self.pick(which)),
            Step::Release(which) => {
                if let Some(delivery) = self.pick(which) {
                    delivery.release().await.unwrap();
                }
            }
            Step::Retry(which, delay) => {
                if let Some(delivery) = self.pick(which) {
                    delivery.retry(Duration::from_millis(delay)).await.unwrap();
                }
            }
            Step::Leave(consumer) => self.replace(consumer).await,
            Step::Cut => {
                self.bus().faults().cut();
                for (_, stale) in self.lent.drain(..) {
                    assert!(stale.ack().await.is_err(), "settled across a cut");
                }
                for consumer in 0..3 {
                    self.replace(consumer).await;
                }
            }
            Step::Pass(millis) => tokio::time::advance(Duration::from_millis(millis)).await,
        }
        let owed: usize = self.owed.values().sum();
        assert_eq!(self.bus().unsettled("workers"), owed);
    }

    /// Everything that is still owed can be had.
    async fn finish(mut self) {
        self.lent.clear();
        self.consumers.truncate(1);
        let mut last = self.join().await;
        if let Some(first) = self.consumers.pop() {
            drop(first);
        }
        while self.owed.values().sum::<usize>() > 0 {
            let delivery = tokio::time::timeout(Duration::from_secs(60), last.next())
                .await
                .expect("a message is counted and cannot be had")
                .unwrap()
                .unwrap();
            let id = delivery.message().id().clone();
            delivery.ack().await.unwrap();
            self.settled(&id);
        }
        assert_eq!(self.bus().unsettled("workers"), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_interleaving_loses_or_invents_a_message(
        partitions in prop::option::of(1..5_u32),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(partitions).await;
            for step in steps {
                world.carry_out(step).await;
            }
            world.finish().await;
        });
    }
}
