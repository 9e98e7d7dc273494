//! The whole way of a replay: from the letter by the relay over a bus to the group that gave the message up.

use std::sync::Arc;
use std::time::Duration;

use tbx_bus::{Backoff, Deliveries, Group, MemoryBus, Subscriber, TopicPattern};
use tokio_util::sync::CancellationToken;

use super::DeadLettersHarness;
use super::harness::{DEADLINE, give_up, message};
use crate::dead_letter::Replayed;
use crate::outbox::{Relay, Route};

fn group(name: &str) -> Group {
    Group::new(name, [TopicPattern::everything()])
}

async fn join(bus: &MemoryBus, name: &str) -> Deliveries {
    bus.consume(&group(name)).await.unwrap()
}

/// Runs a test while a relay takes what is in the outbox to a bus.
async fn relayed(harness: &impl DeadLettersHarness, bus: &MemoryBus, test: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let route = Route::new("c", Arc::new(bus.clone())).with_backoff(Backoff::for_test());
    let relay = Relay::new(harness.store(), [route]);
    let work = async {
        tokio::time::timeout(DEADLINE, test).await.expect("in time");
        stop.cancel();
    };
    tokio::join!(work, relay.run(stop.clone()));
}

/// Who had handled the message does not see it again, and whoever comes next is not held up.
pub async fn a_replay_reaches_the_group_that_gave_it_up_and_no_other(harness: impl DeadLettersHarness) {
    let bus = MemoryBus::new();
    let (mut failed, mut worked) = (join(&bus, "failed").await, join(&bus, "worked").await);
    let dead = message("a", Some("k"));
    let id = give_up(&harness, "c", "failed", &dead).await;
    assert_eq!(harness.replay(id).await.unwrap(), Replayed::Queued);
    let next = message("a", Some("k"));
    harness.append("c", &next).await;
    relayed(&harness, &bus, async {
        let delivery = failed.next().await.unwrap().unwrap();
        assert_eq!(delivery.message().id(), dead.id());
        assert!(delivery.message().is_replayed() && delivery.is_redelivered(), "it comes late and says so");
        delivery.ack().await.unwrap();
        // The one behind it is the first that the other group gets.
        for deliveries in [&mut worked, &mut failed] {
            let delivery = deliveries.next().await.unwrap().unwrap();
            assert_eq!(delivery.message().id(), next.id());
            assert!(!delivery.message().is_replayed());
            delivery.ack().await.unwrap();
        }
    })
    .await;
    assert!(harness.list(0, 10).await.is_empty());
}

/// It is a dead letter of that group again, and its key goes on.
pub async fn a_replay_for_a_group_that_is_gone_is_a_dead_letter_again(harness: impl DeadLettersHarness) {
    let bus = MemoryBus::new();
    let mut there = join(&bus, "there").await;
    let dead = message("a", Some("k"));
    let id = give_up(&harness, "c", "gone", &dead).await;
    assert_eq!(harness.replay(id).await.unwrap(), Replayed::Queued);
    let next = message("a", Some("k"));
    harness.append("c", &next).await;
    relayed(&harness, &bus, async {
        let delivery = there.next().await.unwrap().unwrap();
        assert_eq!(delivery.message().id(), next.id());
        delivery.ack().await.unwrap();
        while harness.list(0, 10).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let letters = harness.of_channel("c", 0, 10).await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.message_id.as_str(), letter.group.as_str()), (dead.id().as_str(), "gone"));
    assert_eq!(letter.reason, "unpublishable");
}
