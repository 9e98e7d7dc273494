//! Whatever consumers do in whatever order, each message is settled or still counted.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use tbx_bus::{Deliveries, Delivery, MemoryBus, MessageId, Publisher, Reason, ReasonKind, Subscriber};

use crate::harness::MemoryHarness;
use crate::memory::{group, message};

#[derive(Debug, Clone)]
enum Step {
    Publish,
    PublishTwice,
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
        6 => Just(Step::Publish),
        1 => Just(Step::PublishTwice),
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
    single_active: bool,
    consumers: Vec<Deliveries>,
    lent: Vec<Delivery>,
    /// How many copies of each message are not settled yet, by our own count.
    owed: BTreeMap<MessageId, usize>,
}

impl World {
    async fn new(single_active: bool) -> Self {
        let harness = MemoryHarness::new();
        let mut world =
            Self { harness, single_active, consumers: Vec::new(), lent: Vec::new(), owed: BTreeMap::new() };
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
        let spec = if self.single_active { spec.with_single_active() } else { spec };
        self.bus().consume(&spec).await.unwrap()
    }

    fn pick(&mut self, which: usize) -> Option<Delivery> {
        if self.lent.is_empty() { None } else { Some(self.lent.swap_remove(which % self.lent.len())) }
    }

    fn settled(&mut self, id: &MessageId) {
        let owed = self.owed.get_mut(id).expect("a message that was never published");
        *owed = owed.checked_sub(1).expect("a copy that was settled before");
    }

    async fn carry_out(&mut self, step: Step) {
        match step {
            Step::Publish | Step::PublishTwice => {
                let copies = if matches!(step, Step::PublishTwice) { 2 } else { 1 };
                self.bus().faults().duplicate(copies - 1);
                let message = message("");
                self.owed.insert(message.id().clone(), copies as usize);
                drop(self.bus().publish(message).await.unwrap());
            }
            Step::Take(consumer) => {
                // On the paused clock this passes no time when something is there.
                let next =
                    tokio::time::timeout(Duration::from_millis(1), self.consumers[consumer].next()).await;
                if let Ok(delivery) = next {
                    self.lent.push(delivery.unwrap().unwrap());
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
            Step::Leave(consumer) => {
                let successor = self.join().await;
                drop(std::mem::replace(&mut self.consumers[consumer], successor));
            }
            Step::Cut => {
                self.bus().faults().cut();
                for stale in self.lent.drain(..) {
                    assert!(stale.ack().await.is_err(), "settled across a cut");
                }
                for consumer in 0..3 {
                    let successor = self.join().await;
                    drop(std::mem::replace(&mut self.consumers[consumer], successor));
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
        single_active in any::<bool>(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(single_active).await;
            for step in steps {
                world.carry_out(step).await;
            }
            world.finish().await;
        });
    }
}
